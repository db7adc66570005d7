"""The programming model (§2): a program is a class with ``map`` and ``reduce``.

::

    class WordCount(MapReduce):
        def map(self, key, value):                  # key: byte offset, value: a line
            for word in value.split():
                self.emit_intermediate(word, 1)

        def reduce(self, key, values):
            self.emit(sum(values))

        combine = reduce

    fs = FileSystem(cluster, replicas=3)
    fs.put("corpus/", standard_library())
    job = WordCount(cluster, fs).run("corpus/*", "out/", M=64, R=8)
    job.output(), job.counters, job.status()

What the user is promised (§3.3): if map and reduce are deterministic functions of their input, the output is
that of a sequential execution without faults, whichever workers die meanwhile. Inside a file the keys are in
increasing order (§4.2).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import TYPE_CHECKING, Any

from labkit.parts.store.paths import normal
from labkit.runtime.raised import short

from .counters import Counter
from .partition import hash_partition
from .readers import Pairs, TextLines, TextPairs

if TYPE_CHECKING:
    from labkit.parts.store import FileSystem
    from labkit.runtime.cluster import Cluster

__all__ = ["Program", "SideFile", "not_emitted", "region_of"]


def region_of(program: Program, key: Any, R: int) -> int:
    """What its ``partition`` says, if that is a reduce task."""
    region = program.partition(key, R)
    if not isinstance(region, Integral) or not 0 <= region < R:
        raise ValueError(f"partition({key!r}, {R}) returned {region!r}, not a whole number from 0 to {R - 1}")
    return int(region)


def not_emitted(function: str, returned: Any) -> TypeError:
    """What to say to a function that returns or yields something, which nobody would look at."""
    emit = "emit_intermediate(key, value)" if function == "map" else "emit(value)"
    how = "yields, or is async," if hasattr(returned, "close") else f"returned {short(returned)}"
    return TypeError(f"{function} {how} where it is to emit: call self.{emit} for each, and return nothing")


class SideFile(io.BytesIO):
    """A file beside the output: what a task writes to it is there, at once, when the task is completed
    (§4.5)."""

    def write(self, data: Any) -> int:
        """Add bytes or text."""
        return super().write(data.encode() if isinstance(data, str) else data)


class Program:
    """What a program consists of, and what it may do while one of its functions runs.

    Each task has an instance of its own, with the attributes that the user's instance had when the job was
    started; nobody sees what it does to them.
    """

    #: How input files are read, and output files written (§4.4).
    reader: TextLines = TextLines()
    writer: TextPairs | Pairs = TextPairs()
    #: The combiner (§4.3): "partial merging of this data before it is sent over the network"; typically
    #: ``combine = reduce``, and a function that is associative and commutative.
    combine: Callable[..., Any] | None = None

    cluster: Cluster | None = None
    fs: FileSystem | None = None

    #: The running task's: where ``emit`` goes, counters by name, side files by name, and the file it reads.
    _emit: Callable[[Any], None] | None = None
    _emit_intermediate: Callable[[Any, Any], None] | None = None
    _counts: dict[str, int]
    _side_files: dict[str, SideFile]
    input_file: str = ""

    # the user's functions ------------------------------------------------------------

    def map(self, key: Any, value: Any) -> Any:
        """(k1, v1) → list(k2, v2), by ``emit_intermediate``. Unless overridden it hands on what it gets."""
        self.emit_intermediate(key, value)

    def reduce(self, key: Any, values: Iterator[Any]) -> Any:
        """(k2, list(v2)) → list(v2), by ``emit``. Unless overridden it hands on all values."""
        for value in values:
            self.emit(value)

    def partition(self, key: Any, R: int) -> int:
        """The reduce task, 0 to R-1, that gets this key (§4.1)."""
        return hash_partition(key, R)

    # what they may do ------------------------------------------------------------

    def emit_intermediate(self, key: Any, value: Any) -> None:
        """In ``map``: a pair for the reduce task that its key belongs to."""
        if self._emit_intermediate is None:
            raise RuntimeError("emit_intermediate(key, value) is for map; reduce and combine emit(value)")
        self._emit_intermediate(key, value)

    def emit(self, value: Any) -> None:
        """In ``reduce``: a value for this key in the output file. In ``combine``: a value in place of those
        that it got."""
        if self._emit is None:
            raise RuntimeError("emit(value) is for reduce and combine; map emits pairs: emit_intermediate")
        self._emit(value)

    def counter(self, name: str) -> Counter:
        """The counter of this name, to be incremented (§4.9)."""
        return Counter(self._counts, name)

    def side_file(self, name: str) -> SideFile:
        """A file of this name in the output's folder, to be written by this task alone (§4.5)."""
        if not isinstance(name, str) or normal(name) != name or name.startswith(("part-", "_temporary")):
            raise ValueError(
                f"side_file({name!r}): text without ..; part-… are the output files, and _temporary is the "
                'job\'s; write side_file("words/a.txt")'
            )
        return self._side_files.setdefault(name, SideFile())

    # how it travels ------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("cluster", "fs")}
