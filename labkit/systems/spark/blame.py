"""Which of the user's lines a task's error comes from, and which record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from labkit.runtime.raised import Ending, short, text_of

from . import actions, pairs, statistics
from . import operations as op
from .closures import INSTALLED
from .sites import is_ours, source_line, where

if TYPE_CHECKING:
    from .rdd import RDD

__all__ = ["Blame", "blame", "to_action"]

#: Characters of a record, frames of the user's code, that a message shows.
SHOWN = 120
FRAMES = 4


@dataclass(frozen=True)
class Blame:
    """An error in a task, as plain data; ``str()`` of it is the message to the user."""

    error: str
    kind: str
    text: str
    rdd: int
    rdd_kind: str
    rdd_name: str | None
    op: str
    site: str
    partition: int
    record: str | None
    frames: tuple[str, ...]
    hint: str | None = None

    def __str__(self) -> str:
        name = f" {self.rdd_name!r}" if self.rdd_name else ""
        lines = [
            f"{self.kind}: {self.text}" if self.text else self.kind,
            f"  in {self.op} at {self.site} (RDD {self.rdd}{name}, {self.rdd_kind}), "
            f"partition {self.partition}",
        ]
        if self.record is not None:
            lines.append(f"  record: {self.record}")
        lines.extend(f"  at {frame}" for frame in self.frames)
        if self.hint is not None:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


def blame(error: BaseException, rdd: RDD, p: int, what: Any = None) -> Blame:
    """Describe an error that a task for (rdd, p) raised; ``what`` is the task's function or shuffle.

    The frame of an RDD's own function is found among the error's frames, and its argument is the record.
    """
    frames = list(_frames(error.__traceback__))
    guilty, maker, called = _guilty(frames, rdd, what)
    user = _users(frames, called)
    if called is None and user:
        called = user[0][0]
    record = _record(called, frames)
    return Blame(
        error=short(error, 1000),
        kind=type(error).__name__,
        text=text_of(error)[:1000],
        rdd=guilty.id(),
        rdd_kind=guilty.kind,
        rdd_name=guilty.name(),
        op=maker.op,
        site=maker.site,
        partition=p,
        record=None if record is None else short(record[0], SHOWN),
        frames=tuple(_line(frame, number) for frame, number in user[-FRAMES:]),
        hint=None if user or _raised_in_c(error, frames) else _hint(maker.op or _of_pairs(what), record),
    )


def to_action(blamed: Blame | None, action: str, site: str) -> Blame | None:
    """The same, if it is the fault of the action's own function, with the action and its line."""
    return replace(blamed, op=action, site=site) if blamed is not None and not blamed.op else blamed


class _Action:
    """Known to the driver only."""

    op = site = ""


#: Operations whose records must be pairs.
OF_PAIRS = {name for name in vars(pairs.PairTransformations) if not name.startswith("_")} | {
    "reduceByKeyLocally", "lookup", "countByKey",
}  # fmt: skip


def _of_pairs(what: Any) -> str:
    """The name of an action of pairs."""
    kind = type(what)
    if kind is pairs._Sketch:
        return "sortByKey"
    return "lookup" if kind is actions._Lookup else "countByKey" if what is actions._count_keys else ""


def _hint(operation: str, record: tuple[Any] | None) -> str | None:
    """What to write instead where not the user's code raised, but ours with what it was given."""
    a_pair = record is not None and isinstance(record[0], (tuple, list)) and len(record[0]) == 2
    if operation in OF_PAIRS and not a_pair:
        return (
            f"{operation}() needs pairs of a key and a value: make them with keyBy(f), or with "
            "map(lambda x: (key, value))"
        )
    if operation in ("flatMap", "flatMapValues"):
        return f"the function of {operation}() must return a list or another iterable for each record"
    return None


def _raised_in_c(error: BaseException, frames: list[tuple[FrameType, int]]) -> bool:
    """Whether a function of the user's that is written in C raised, or nobody was given a wrong type."""
    return not isinstance(error, (TypeError, ValueError)) or frames[-1][0].f_code is op.FRAMED


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _guilty(frames: list[tuple[FrameType, int]], rdd: RDD, what: Any) -> tuple[RDD, Any, FrameType | None]:
    """The RDD at fault, what knows the operation and its line, and the frame of the user's function.

    Functions call others and lazy iterators nest, so the innermost frame that belongs to an RDD is the one.
    """
    codes: dict[CodeType, tuple[RDD, Any]] = {}
    parts: dict[int, tuple[RDD, Any]] = {}
    functions: dict[int, tuple[RDD, Any]] = {}
    for owner in [*_lineage(rdd), None]:
        if owner is None:  # the action, or the shuffle that the task writes for
            found = (rdd, _at_the_end(rdd, what))
            held = [what, *_parts_of(what)]
            closures = list(op.closures_in(what)) + [each for part in held for each in op.closures_in(part)]
        else:
            found = (owner, owner)
            held = [getattr(owner, "function", None)]
            held += [part for dep in owner.dependencies() for part in _parts_of(dep)]
            closures = list(_closures(owner))
        parts.update((id(part), found) for part in held if part is not None)
        for closure in closures:
            function = _function(closure)
            functions.setdefault(id(function), found)
            code = getattr(function, "__code__", None)
            if code is not None:
                codes.setdefault(code, found)
    for place, (frame, _) in reversed(list(enumerate(frames))):
        if frame.f_code in codes:
            return *codes[frame.f_code], _first_call(frames, place)
        # A function written in C has no frame: what called it has.
        caller = frame.f_locals.get("self")
        if caller is not None and id(caller) in parts:
            return *parts[id(caller)], None
        if frame.f_code.co_name == "portable_hash" and hasattr(what, "partitioner"):
            return rdd, what, None
        f = frame.f_locals.get("f")  # our loops over records call it so
        f = getattr(f, "of", f)
        if f is not None and _ours(frame) and id(f) in functions:
            return *functions[id(f)], None
    own = [frame for frame, _ in frames if _ours(frame)]
    of_action = own and (own[-1].f_code is _code_of(what) or own[-1].f_globals["__name__"] in OF_ACTIONS)
    return rdd, _at_the_end(rdd, what) if of_action else rdd, None


#: Modules whose code is that of actions.
OF_ACTIONS = (actions.__name__, statistics.__name__)
#: Actions that only ask for records: if there is no other frame, the last transformation has one of C.
ASKING = (actions.as_list, actions._Take, op.count)


def _at_the_end(rdd: RDD, what: Any) -> Any:
    """Whose fault it is that what the task does with the partition's records fails."""
    if hasattr(what, "site"):
        return what
    asking = what in ASKING or type(what) in ASKING
    return rdd if asking and hasattr(rdd, "function") else _Action


def _code_of(what: Any) -> CodeType | None:
    return getattr(what if hasattr(what, "__code__") else type(what).__call__, "__code__", None)


def _first_call(frames: list[tuple[FrameType, int]], place: int) -> FrameType:
    """Of a function that calls itself, the call that our code made."""
    first = frames[place][0]
    for frame, _ in reversed(frames[:place]):
        if _ours(frame):
            break
        if frame.f_code is first.f_code:
            first = frame
    return first


def _function(closure: Any) -> Any:
    try:
        return closure.function
    except Ending:
        raise
    except BaseException:  # that it cannot be loaded here may be the very error
        return None


def _parts_of(dependency: Any) -> list[Any]:
    return [getattr(dependency, name, None) for name in ("aggregator", "partitioner", "ordering")]


def _lineage(rdd: RDD) -> Iterator[RDD]:
    from .stage_code import narrow_lineage

    return reversed(narrow_lineage(rdd))


def _closures(rdd: RDD) -> Iterator[Any]:
    from .rdd import closures_in

    return closures_in(rdd)


def _ours(frame: FrameType) -> bool:
    return is_ours(frame.f_globals.get("__name__", ""))


def _users(frames: list[tuple[FrameType, int]], called: FrameType | None) -> list[tuple[FrameType, int]]:
    """The frames of the user's code, and of what that called; not of the libraries that our code calls."""
    for place, (frame, _) in enumerate(frames):
        if frame is called or not (_library(frame) or frame.f_code.co_filename.startswith(INSTALLED)):
            return [each for each in frames[place:] if not _library(each[0])]
    return []


def _library(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return is_ours(module) or module.startswith(("labkit.runtime.", "concurrent.", "threading"))


def _record(called: FrameType | None, frames: list[tuple[FrameType, int]]) -> tuple[Any] | None:
    """The first argument of the function that raised, or what our own loop had in hand; alone in a tuple."""
    if called is not None:
        names = called.f_code.co_varnames[: called.f_code.co_argcount]
        name = next((each for each in names if each != "self"), None)
        record = called.f_locals.get(name, called) if name is not None else called
        if record is not called and not hasattr(type(record), "__next__"):
            return (record,)
    for frame, _ in reversed(frames):
        if _ours(frame):
            for name in ("pair", "record", "x"):
                if name in frame.f_locals:
                    return (frame.f_locals[name],)
            if "k" in frame.f_locals and "v" in frame.f_locals:
                return ((frame.f_locals["k"], frame.f_locals["v"]),)
    return None


def _line(frame: FrameType, number: int) -> str:
    code = frame.f_code
    text = source_line(code.co_filename, number)
    place = f"{where(code.co_filename, number)} in {code.co_name}"
    return f"{place}: {text}" if text else place
