"""Fault search: it finds what is there, shrinks it, and prints a cell that shows it again."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from labkit import BadSchedule, Cluster, Kill, Schedule
from labkit.explore import Failure, random_schedules, replay, search, shrink
from labkit.systems.chord.scenarios import broken, failures, small_ring


def deaths(seed: int, schedule: Schedule) -> list[str]:
    """A program without nodes: which machines died."""
    with Cluster(machines=6, engine="sim", seed=seed) as cluster:
        cluster.play(schedule)
        cluster.run(10.0)
        return [machine.name for machine in cluster.machines if not machine.alive]


def both(run: list[str]) -> str:
    return "m2 and m4 are dead" if {"m2", "m4"} <= set(run) else ""


def kills(*machines: str) -> Schedule:
    return Schedule([(1.00049 + index, Kill(machine)) for index, machine in enumerate(machines)])


def test_shrink_keeps_what_the_failure_needs() -> None:
    found = search(deaths, [kills("m1", "m3"), kills("m1", "m2", "m3", "m4", "m5")], both)
    assert found is not None
    assert list(found.schedule) == [(2.0, Kill("m2")), (4.0, Kill("m4"))]
    assert found.reason == "m2 and m4 are dead"


def test_shrink_of_a_failure_that_needs_no_fault() -> None:
    failure = Failure(0, kills("m1", "m2"), "always", "deaths", "", 1)
    assert len(shrink(failure, deaths, lambda run: "always").schedule) == 0


def test_rounded_times_must_still_fail() -> None:
    def late(run: Any) -> str:
        return "late" if run > 1.0004 else ""

    def program(seed: int, schedule: Schedule) -> float:
        return max((when for when, _ in schedule), default=0.0)

    found = search(program, [kills("m1")], late)
    assert found is not None
    assert list(found.schedule) == [(1.00049, Kill("m1"))]
    assert found.reason == "late"


def test_nothing_to_find() -> None:
    assert search(deaths, [kills("m1"), kills("m2")], both, seeds=(0, 1)) is None


def test_the_cell_reproduces_the_failure() -> None:
    program = partial(small_ring, maintenance="sigcomm2001")
    found = search(program, failures(), broken, limit=50)
    assert found is not None
    assert len(found.schedule) == 1
    cell: dict[str, Any] = {}
    exec(found.code, cell)
    assert broken(cell["run"]) == found.reason == broken(replay(found, program))
    assert "this cell reproduces it" in str(found)


@pytest.mark.slow
def test_fewer_failures_than_a_list_has_entries_never_break_the_correct_ring() -> None:
    assert search(small_ring, failures(), broken, seeds=(0, 1), limit=40) is None


def test_random_schedules_are_the_same_again() -> None:
    def first(seed: int) -> list[str]:
        schedules = random_schedules(["m1", "m2", "m3"], [Kill], until=5.0, most=2, seed=seed)
        return [str(next(schedules)) for _ in range(5)]

    assert first(1) == first(1) != first(2)


def test_bad_questions() -> None:
    with pytest.raises(BadSchedule, match="give no fault"):
        next(random_schedules([], [Kill], until=5.0))
    with pytest.raises(ValueError, match="leave nothing to run"):
        search(deaths, [kills("m1")], both, limit=0)
