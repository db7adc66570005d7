"""What transformations do to one partition: functions of (partition index, iterable).

They are built from Python's own iterators (``map``, ``filter``, ``chain``), which cost no frame a record.
Objects of this module travel to executors; the user's function in them is a ``Closure``.
"""

from __future__ import annotations

import math
import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import itemgetter
from random import Random
from typing import Any

from labkit.runtime.copying import stable_hash
from labkit.runtime.endable import Endable
from labkit.runtime.errors import LabError
from labkit.runtime.loop import Cancelled
from labkit.runtime.raised import short

from .closures import Captured, Closure
from .kept import Copies
from .sites import call_site, is_ours

Records = Iterable[Any]

_keys = itemgetter(0)
_values = itemgetter(1)


def closures_in(operation: Any) -> Iterator[Closure]:
    """The user's functions that an operation holds."""
    if isinstance(operation, Closure):
        yield operation
    elif operation is not None and is_ours(type(operation).__module__):
        for value in getattr(operation, "__dict__", {}).values():
            yield from closures_in(value)


class Operation:
    """A function of (partition index, iterable) that calls the user's function."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = Closure(f)
        #: What the user called and where, for errors.
        self.op, self.site = call_site()

    def __call__(self, index: int, records: Records) -> Records:
        raise NotImplementedError


def _record_wise(make: Callable[[Any, Any], Iterator[Any]], f: Closure, records: Records) -> Iterator[Any]:
    """make(f, records), which must not take a StopIteration that f raises for the end of the records.

    Only when ``make`` asks for more than there is, and not when f raised, is ``ended`` filled.
    """
    ended: list[bool] = []

    def end() -> Iterator[Any]:
        ended.append(True)
        return
        yield

    def check() -> Iterator[Any]:
        if not ended:
            raise RuntimeError(
                "a function of a transformation raised StopIteration; return instead, or catch it"
            )
        return
        yield

    return chain(make(_with_frame(f.function), chain(records, end())), check())


def _with_frame(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that an error's traceback shows, with its record; those written in C leave no trace."""
    if hasattr(f, "__code__"):
        return f
    framed: Any = lambda record: f(record)  # noqa: E731
    framed.of = f
    return framed  # type: ignore[no-any-return]


#: The code of the frame.
FRAMED = _with_frame(len).__code__


def made_by(records: Any, operation: str) -> Records:
    """What the user's function has made of a partition; ``TypeError`` if it is nothing to iterate over."""
    if not hasattr(records, "__iter__"):
        raise TypeError(
            f"the function of {operation}() returned {short(records)}: it must return a list or another "
            "iterable of records, or yield them"
        )
    return records  # type: ignore[no-any-return]


class Mapping(Operation):
    """``map``."""

    def __call__(self, index: int, records: Records) -> Records:
        return _record_wise(map, self.f, records)


class FlatMapping(Operation):
    """``flatMap``."""

    def __call__(self, index: int, records: Records) -> Records:
        return chain.from_iterable(_record_wise(map, self.f, records))


class Filtering(Operation):
    """``filter``."""

    def __call__(self, index: int, records: Records) -> Records:
        return _record_wise(filter, self.f, records)


class OfPartition(Operation):
    """``mapPartitions``."""

    def __call__(self, index: int, records: Records) -> Records:
        return made_by(self.f.function(iter(records)), self.op)


class OfPartitionWithIndex(Operation):
    """``mapPartitionsWithIndex``."""

    def __call__(self, index: int, records: Records) -> Records:
        return made_by(self.f.function(index, iter(records)), self.op)


class KeyedBy(Operation):
    """``keyBy``."""

    def __call__(self, index: int, records: Records) -> Records:
        f = _with_frame(self.f.function)
        return ((f(x), x) for x in records)


class MappingValues(Operation):
    """``mapValues``."""

    def __call__(self, index: int, records: Records) -> Records:
        f = _with_frame(self.f.function)
        return ((k, f(v)) for pair in records for k, v in [pair])


class FlatMappingValues(Operation):
    """``flatMapValues``."""

    def __call__(self, index: int, records: Records) -> Records:
        f = _with_frame(self.f.function)
        return ((k, each) for pair in records for k, v in [pair] for each in f(v))


def glom(index: int, records: Records) -> Records:
    """The partition as one list."""
    return [list(records)]


def keys(index: int, records: Records) -> Records:
    """The first of each pair."""
    return map(_keys, records)


def values(index: int, records: Records) -> Records:
    """The second of each pair."""
    return map(_values, records)


def with_none(index: int, records: Records) -> Records:
    """Each record as a key without a value."""
    return ((x, None) for x in records)


def first_of(a: Any, b: Any) -> Any:
    """The first."""
    return a


def in_all(index: int, groups: Records) -> Records:
    """The groups in which every RDD has a value."""
    return (group for group in groups if all(group[1]))


def count(index: int, records: Records) -> int:
    """How many records."""
    return len(records) if isinstance(records, (list, range, Copies)) else sum(1 for _ in records)


class WithIndex:
    """``zipWithIndex``: starts are the numbers of each partition's first record."""

    def __init__(self, starts: list[int]) -> None:
        self.starts = starts

    def __call__(self, index: int, records: Records) -> Records:
        return ((x, number) for number, x in enumerate(records, self.starts[index]))


class WithUniqueId:
    """``zipWithUniqueId``: record i of partition k of n gets i · n + k."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def __call__(self, index: int, records: Records) -> Records:
        return ((x, number * self.partitions + index) for number, x in enumerate(records))


class Scatter:
    """Round robin over the partitions to come, from a start that differs between partitions
    (``repartition``).
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def __call__(self, index: int, records: Records) -> Records:
        start = stable_hash("scatter", index) % self.partitions
        return (((start + number) % self.partitions, x) for number, x in enumerate(records))


# --- sampling ---------------------------------------------------------------------------------------------
# The random numbers of a partition depend on the seed and its number only, so a partition that is computed
# again has the same sample. They are drawn as PySpark draws them, so that equal seeds give equal samples
# there and here.


def _random(seed: int, index: int) -> Random:
    random = Random(seed ^ index)
    for _ in range(10):  # the seeds of neighbours are alike
        random.randint(0, 1)
    return random


def _poisson(random: Random, mean: float) -> int:
    """A Poisson-distributed number (Knuth's method; in the logarithmic domain for a large mean)."""
    number = 0
    if mean < 20.0:
        product, least = random.random(), math.exp(-mean)
        while product > least:
            number += 1
            product *= random.random()
    else:
        total = random.expovariate(mean)
        while total < 1.0:
            number += 1
            total += random.expovariate(mean)
    return number


class Sample:
    """``sample``."""

    def __init__(self, with_replacement: bool, fraction: float, seed: int) -> None:
        self.with_replacement = with_replacement
        self.fraction = fraction
        self.seed = seed

    def __call__(self, index: int, records: Records) -> Records:
        random, fraction = _random(self.seed, index), self.fraction
        if self.with_replacement:
            return (x for x in records for _ in range(_poisson(random, fraction)))
        draw = random.random
        return (x for x in records if draw() < fraction)


class RangeSample:
    """A part of ``randomSplit``: the records whose number falls in the range."""

    def __init__(self, low: float, high: float, seed: int) -> None:
        self.low, self.high, self.seed = low, high, seed

    def __call__(self, index: int, records: Records) -> Records:
        draw, low, high = _random(self.seed, index).random, self.low, self.high
        return (x for x in records if low <= draw() < high)


class SampleByKey:
    """``sampleByKey``: a fraction for each key."""

    def __init__(self, with_replacement: bool, fractions: dict[Any, float], seed: int) -> None:
        self.with_replacement = with_replacement
        self.fractions = Captured(dict(fractions))
        self.seed = seed

    def __call__(self, index: int, records: Records) -> Records:
        random, fractions = _random(self.seed, index), self.fractions.fresh()
        if self.with_replacement:
            return (pair for pair in records for _ in range(_poisson(random, fractions[pair[0]])))
        draw = random.random
        return (pair for pair in records if draw() < fractions[pair[0]])


# --- external commands ------------------------------------------------------------------------------------


#: Seconds between two moments at which a task that waits for its command can be ended.
LOOK_UP = 0.1


class Pipe:
    """``pipe``: runs a command for the partition. Only its variables ``env`` are set, and PATH."""

    def __init__(self, command: list[str], env: dict[str, str], check: bool) -> None:
        self.command, self.env, self.check = command, env, check

    def __call__(self, index: int, records: Records) -> Iterator[str]:
        environment = {"PATH": os.environ.get("PATH", os.defpath), **self.env}
        process = subprocess.Popen(
            self.command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        failed: list[BaseException] = []
        feeding = Endable(Cancelled)
        feeder = threading.Thread(target=_feed, args=(feeding, records, process.stdin, failed), daemon=True)
        try:
            feeder.start()  # in here: the task may be ended while it waits for the thread to begin
            yield from _lines(process.stdout.fileno())
            while feeder.is_alive():
                feeder.join(LOOK_UP)
            if failed:
                raise failed[0]
            if process.wait() and self.check:
                raise LabError(
                    f"the command {' '.join(self.command)!r} ended with status {process.returncode}"
                )
        finally:
            feeding.end()
            process.stdout.close()
            if process.poll() is None:
                process.kill()
            process.wait()


def _lines(pipe: int) -> Iterator[str]:
    """What comes out of it. A thread that waits in the kernel could not be ended."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    rest = b""
    while True:
        while not waiting.poll(LOOK_UP * 1000):
            pass
        data = os.read(pipe, 1 << 16)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode()
    if rest:
        yield rest.decode()


def _feed(feeding: Endable, records: Records, stdin: Any, failed: list[BaseException]) -> None:
    try:
        with feeding.inside(), stdin:
            for record in records:
                stdin.write((str(record).rstrip("\n") + "\n").encode())
    except BrokenPipeError:  # the command does not read on, as `head` does
        pass
    except BaseException as error:
        failed.append(error)
