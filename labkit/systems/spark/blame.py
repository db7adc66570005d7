"""Which of the user's lines a task's error comes from, and which record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from labkit.runtime.raised import Ending, short, text_of

from . import operations as op
from .sites import is_ours, source_line, where

if TYPE_CHECKING:
    from .rdd import RDD

__all__ = ["Blame", "blame"]

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
        return "\n".join(lines)


def blame(error: BaseException, rdd: RDD, p: int, what: Any = None) -> Blame:
    """Describe an error that a task for (rdd, p) raised; ``what`` is the task's function or shuffle.

    The frame of an RDD's own function is found among the error's frames, and its argument is the record.
    """
    frames = list(_frames(error.__traceback__))
    guilty, maker, called = _guilty(frames, rdd, what)
    user = [frame for frame in frames if not _library(frame[0])]
    if called is None and user:
        called = user[-1][0]
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
        record=_record(called, frames),
        frames=tuple(_line(frame, number) for frame, number in user[-FRAMES:]),
    )


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
    for owner in [*_lineage(rdd), None]:
        if owner is None:  # the action, or the shuffle that the task writes for
            found = (rdd, what if hasattr(what, "site") else rdd)
            held = [what, *_parts_of(what)]
            closures = list(op.closures_in(what)) + [each for part in held for each in op.closures_in(part)]
        else:
            found = (owner, owner)
            held = [getattr(owner, "function", None)]
            held += [part for dep in owner.dependencies() for part in _parts_of(dep)]
            closures = list(_closures(owner))
        parts.update((id(part), found) for part in held if part is not None)
        for closure in closures:
            code = _code(closure)
            if code is not None:
                codes.setdefault(code, found)
    for frame, _ in reversed(frames):
        if frame.f_code in codes:
            return *codes[frame.f_code], frame
        # A function written in C has no frame: what called it has.
        caller = frame.f_locals.get("self")
        if caller is not None and id(caller) in parts:
            return *parts[id(caller)], None
        if frame.f_code.co_name == "portable_hash" and hasattr(what, "partitioner"):
            return rdd, what, None
    return rdd, rdd, None


def _code(closure: Any) -> CodeType | None:
    try:
        return getattr(closure.function, "__code__", None)
    except Ending:
        raise
    except BaseException:  # that it cannot be loaded here may be the very error
        return None


def _parts_of(dependency: Any) -> list[Any]:
    return [getattr(dependency, name, None) for name in ("aggregator", "partitioner", "ordering")]


def _lineage(rdd: RDD) -> Iterator[RDD]:
    from .closures import narrow_lineage

    return reversed(narrow_lineage(rdd))


def _closures(rdd: RDD) -> Iterator[Any]:
    from .rdd import closures_in

    return closures_in(rdd)


def _library(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return is_ours(module) or module.startswith(("labkit.runtime.", "concurrent.", "threading"))


def _record(called: FrameType | None, frames: list[tuple[FrameType, int]]) -> str | None:
    """The first argument of the function that raised, or what our own loop had in hand."""
    if called is not None and called.f_code.co_argcount:
        record = called.f_locals.get(called.f_code.co_varnames[0], called)
        if record is not called and not hasattr(type(record), "__next__"):
            return short(record, SHOWN)
    for frame, _ in reversed(frames):
        if is_ours(frame.f_globals.get("__name__", "")):
            for name in ("pair", "record", "x"):
                if name in frame.f_locals:
                    return short(frame.f_locals[name], SHOWN)
            if "k" in frame.f_locals and "v" in frame.f_locals:
                return short((frame.f_locals["k"], frame.f_locals["v"]), SHOWN)
    return None


def _line(frame: FrameType, number: int) -> str:
    code = frame.f_code
    text = source_line(code.co_filename, number)
    place = f"{where(code.co_filename, number)} in {code.co_name}"
    return f"{place}: {text}" if text else place
