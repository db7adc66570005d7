"""Fault search and shrinking, by re-execution.

A *program* takes a seed and a schedule, runs to its end on a simulated cluster, and returns the run: whatever
the *invariant* needs to look at. The invariant returns what is wrong, or an empty string.

    def program(seed, schedule):
        with Cluster(machines=8, engine="sim", seed=seed, schedule=schedule) as cluster:
            ...
            return cluster.trace

    failure = search(program, random_schedules(["m1", "m2"], [Kill], until=5.0), invariant)
    print(failure)                                 # what, and a cell that reproduces it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Any

from labkit.explore.fewest import fewest
from labkit.runtime.copying import stream
from labkit.runtime.errors import BadSchedule
from labkit.runtime.faults import Fault, Schedule

__all__ = ["Failure", "Invariant", "Program", "random_schedules", "replay", "search", "shrink"]

Program = Callable[[int, Schedule], Any]
Invariant = Callable[[Any], str]

#: Decimals of a shrunk time: short to read, and still an instant of its own.
TIME_DECIMALS = 3


@dataclass(frozen=True)
class Failure:
    """A run that breaks an invariant: what to run again, and what one then sees."""

    seed: int
    schedule: Schedule
    reason: str
    #: How the program is called in the cell that reproduces the failure, and what that cell imports.
    program: str
    imports: str
    #: Executions it took to find and to shrink it.
    runs: int

    @property
    def code(self) -> str:
        """A cell that reproduces the failure."""
        kinds = sorted({type(fault).__name__ for _, fault in self.schedule} | {"Schedule"})
        head = f"{self.imports}from labkit import {', '.join(kinds)}"
        return f"{head}\n\nrun = {self.program}({self.seed}, {self.schedule})"

    def __str__(self) -> str:
        return f"{self.reason}\nfound in {self.runs} runs; this cell reproduces it:\n\n{self.code}"


def search(
    program: Program,
    schedules: Iterable[Schedule],
    invariant: Invariant,
    *,
    seeds: Sequence[int] = (0,),
    limit: int = 1000,
    shrunk: bool = True,
) -> Failure | None:
    """The first failure among all seeds and the first ``limit`` schedules, shrunk unless told otherwise; None
    if there is none.
    """
    if limit < 1 or not seeds:
        raise ValueError(
            f"limit={limit} and seeds={seeds!r} leave nothing to run; write limit=1000, seeds=range(3)"
        )
    runs = 0
    for schedule in islice(schedules, limit):
        for seed in seeds:
            runs += 1
            reason = invariant(program(seed, schedule))
            if reason:
                failure = Failure(seed, schedule, reason, *_source(program), runs)
                return shrink(failure, program, invariant) if shrunk else failure
    return None


def replay(failure: Failure, program: Program) -> Any:
    """Run a failure once more; equal to the run that failed, event by event."""
    return program(failure.seed, failure.schedule)


def shrink(failure: Failure, program: Program, invariant: Invariant) -> Failure:
    """The same failure with as few faults as possible: no entry of its schedule can be left out any more.

    Entries are left out as long as it fails (``fewest``); at last, the times are rounded.
    """
    entries = list(failure.schedule)
    reason, runs = failure.reason, failure.runs

    def fails(candidate: list[tuple[Any, Fault]]) -> bool:
        nonlocal reason, runs
        runs += 1
        found = invariant(program(failure.seed, Schedule(candidate)))
        reason = found or reason
        return bool(found)

    entries = fewest(entries, fails)
    rounded = [
        (round(when, TIME_DECIMALS) if isinstance(when, float) else when, fault) for when, fault in entries
    ]
    if rounded != entries and fails(rounded):
        entries = rounded
    elif rounded != entries:
        fails(entries)  # the reason told is that of the run kept
    return replace(failure, schedule=Schedule(entries), reason=reason, runs=runs)


def random_schedules(
    machines: Sequence[str],
    kinds: Sequence[Callable[[str], Fault]],
    *,
    until: float,
    begin: float = 0.0,
    most: int = 4,
    seed: int = 0,
) -> Iterator[Schedule]:
    """Endlessly many schedules of 1 to ``most`` faults between ``begin`` and ``until`` seconds, each on
    another machine.
    """
    if not machines or not kinds or most < 1:
        raise BadSchedule(
            f'machines={machines!r}, kinds={kinds!r}, most={most} give no fault; write ["m1"], [Kill], most=4'
        )
    random: Random = stream(seed, "schedules")
    while True:
        count = random.randint(1, min(most, len(machines)))
        victims = random.sample(list(machines), count)
        times = sorted(random.uniform(begin, until) for _ in victims)
        yield Schedule(
            [(when, random.choice(list(kinds))(victim)) for when, victim in zip(times, victims, strict=True)]
        )


def _source(program: Program) -> tuple[str, str]:
    """The text by which a reader can call the program, and the imports it needs."""
    function = getattr(program, "func", program)  # of a functools.partial
    bound: dict[str, Any] = getattr(program, "keywords", {})
    name = getattr(function, "__name__", "program")
    module = getattr(function, "__module__", "__main__")
    imports = "" if module == "__main__" else f"from {module} import {name}\n"
    if not bound:
        return name, imports
    arguments = ", ".join(f"{key}={value!r}" for key, value in bound.items())
    return f"partial({name}, {arguments})", "from functools import partial\n\n" + imports
