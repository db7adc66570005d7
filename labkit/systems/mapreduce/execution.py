"""What a task does with the user's program: map a piece, or reduce a region. No message and no clock here.

Before each call of a user's function the number of its argument is noted (``Progress.record``), as the
paper's library does in a global variable (§4.6): when the call fails, the worker tells the master which
record it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from labkit.runtime.copying import copy_value, loads_keeping_classes
from labkit.runtime.disk import Files
from labkit.runtime.loop import traceback_text
from labkit.runtime.raised import Ending, named

from .model import Program, not_emitted, region_of
from .readers import Piece
from .records import ordered
from .sorting import MapBuffer, ReduceSort

__all__ = ["Mapped", "Progress", "Reduced", "UserFailed", "load", "run_map", "run_reduce"]


class UserFailed(Exception):
    """The user's code failed. ``record``: the number of its argument, from 0; None: it was no call of map or
    reduce."""

    def __init__(self, record: int | None, text: str) -> None:
        super().__init__(text)
        self.record = record


@dataclass
class Progress:
    """How far a task is: others may look while it runs."""

    record: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    #: Attributes that the program has in this task.
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapped:
    """What a map task made."""

    regions: list[bytes]
    pairs: list[int]  #: in each region
    records: int  #: of input
    spills: int
    skipped: int
    side_files: dict[str, bytes]


@dataclass(frozen=True)
class Reduced:
    """What a reduce task made."""

    data: bytes  #: the output file
    pairs: int  #: of input
    records: int  #: of output
    spills: int
    skipped: int
    side_files: dict[str, bytes]


def load(program: bytes, progress: Progress) -> Program:
    """A fresh copy of the user's program for one task."""
    loaded: Program = loads_keeping_classes(program)
    vars(loaded).update(progress.given)
    loaded._counts, loaded._side_files = progress.counts, {}
    return loaded


def run_map(
    data: bytes, pieces: Iterable[Piece], R: int, memory: float, files: Files, prefix: str,
    skip: frozenset[int], progress: Progress,
) -> Mapped:  # fmt: skip
    """Read pairs, call the user's ``map``, keep what it emits by region."""
    program = load(data, progress)
    combine = None if program.combine is None else _combiner(program)
    buffer = MapBuffer(files, prefix, memory, R, lambda key: region_of(program, key, R), combine)
    program._emit_intermediate = buffer.add
    number = -1
    with _Reporting(progress):
        for piece in pieces:
            program.input_file = piece.path
            for key, value in program.reader.pairs(piece):
                progress.record = number = number + 1
                if number in skip:
                    continue
                if (returned := program.map(key, value)) is not None:
                    raise not_emitted("map", returned)
        progress.record = None
        program._emit_intermediate = None
        regions, pairs = buffer.finish()
    skipped = len(skip & set(range(number + 1)))
    _count(progress, map_input_pairs=number + 1 - skipped, map_output_pairs=buffer.pairs)
    side_files = {name: file.getvalue() for name, file in program._side_files.items()}
    return Mapped(regions, pairs, number + 1, len(buffer.spills), skipped, side_files)


def _combiner(program: Program) -> Any:
    def combine(key: Any, values: Iterator[Any]) -> list[Any]:
        found: list[Any] = []

        def emit(value: Any) -> None:
            found.append(copy_value(value))  # the program may change it and emit it again

        before, program._emit_intermediate, program._emit = program._emit_intermediate, None, emit
        try:
            if (returned := program.combine(key, values)) is not None:  # type: ignore[misc]
                raise not_emitted("combine", returned)
        finally:
            program._emit_intermediate, program._emit = before, None
        return found

    return combine


def run_reduce(data: bytes, sort: ReduceSort, skip: frozenset[int], progress: Progress) -> Reduced:
    """Call the user's ``reduce`` for each key in increasing order, and format what it emits."""
    program = load(data, progress)
    lines: list[str] = []
    number, key = -1, None
    line = program.writer.line

    def emit(value: Any) -> None:
        lines.append(line(key, value))

    program._emit = emit
    with _Reporting(progress):
        for key, *rest in ordered(sort.groups()):
            progress.record = number = number + 1
            if number not in skip and (returned := program.reduce(key, *rest)) is not None:
                raise not_emitted("reduce", returned)
    skipped = len(skip & set(range(number + 1)))
    _count(progress, reduce_input_keys=number + 1 - skipped, reduce_output_pairs=len(lines))
    side_files = {name: file.getvalue() for name, file in program._side_files.items()}
    output = "".join(lines).encode("utf8", "surrogatepass")
    return Reduced(output, sort.pairs, len(lines), len(sort.spills), skipped, side_files)


def _count(progress: Progress, **automatic: int) -> None:
    for name, number in automatic.items():
        progress.counts[name] = progress.counts.get(name, 0) + number


class _Reporting:
    """Whatever the user's code raises becomes ``UserFailed``, with the number of the record."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None and not isinstance(error, Ending):
            raise UserFailed(self.progress.record, f"{named(error)}\n{traceback_text(error)}") from None
