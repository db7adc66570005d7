"""The ledger of tasks, without a cluster: a clock that the test moves, a listener that writes down."""

from __future__ import annotations

import random
from typing import Any

import pytest

from labkit.parts.tasks import Attempt, Group, Ledger, Policy, Speculation, WorkerRecord


class Bench:
    """A ledger, its clock, and what its listener was told."""

    def __init__(self, slots: tuple[int, ...] = (1, 1), **policy: Any) -> None:
        self.time = 0.0
        self.told: list[Any] = []
        self.live: list[Attempt] = []  #: that have begun and not ended
        self.ledger = Ledger(Policy(**policy), lambda: self.time, self)
        for number, count in enumerate(slots):
            self.worker(f"w{number}", count)

    def worker(self, name: str, slots: int) -> None:
        """One more."""
        self.ledger.join(WorkerRecord(name, f"machine of {name}", slots))

    def group(self, total: int, name: Any = "g", **preferred: tuple[str, ...]) -> Group:
        """A group, all of whose tasks are pending; preferred: ``t3=("w1",)``."""
        group = self.ledger.groups[name] = Group(name, total, self.time)
        for task in range(total):
            self.ledger.add(group, task, "first", preferred.get(f"t{task}", ()))
        return group

    def start_attempt(self, attempt: Attempt) -> None:
        """Write down."""
        self.live.append(attempt)
        self.told.append((attempt.task, attempt.worker.name, attempt.locality, attempt.why))

    def cancel_attempt(self, attempt: Attempt) -> None:
        """Write down."""
        self.told.append(("cancel", attempt.number))

    def wake_after(self, seconds: float) -> None:
        """Write down."""
        self.told.append(("wake", round(self.time + seconds, 3)))

    def ok(self, attempt: Attempt) -> None:
        """It ends well."""
        self.live.remove(attempt)
        self.ledger.ended(attempt)
        self.ledger.succeeded(attempt)

    def news(self) -> list[Any]:
        """What was told since the last look."""
        told, self.told = self.told, []
        return told


def test_each_free_slot_gets_a_task_the_freest_worker_first() -> None:
    bench = Bench(slots=(1, 3))
    group = bench.group(5)
    bench.ledger.schedule()
    assert [(task, worker) for task, worker, _, _ in bench.news()] == [
        (0, "w1"),
        (1, "w0"),
        (2, "w1"),
        (3, "w1"),
    ]
    assert list(group.pending) == [4]
    bench.ok(bench.live[1])
    bench.ledger.schedule()
    assert bench.news() == [(4, "w0", "none", "first")]
    assert group.done == {1}
    assert sorted(group.running) == [0, 2, 3, 4]


def test_the_group_that_was_opened_first_is_served_first() -> None:
    bench = Bench(slots=(2,))
    bench.group(1, "old")
    bench.group(2, "new")
    bench.ledger.schedule()
    assert [(each.group.name, each.task) for each in bench.live] == [("old", 0), ("new", 0)]


def test_a_task_goes_to_the_worker_near_its_data_before_its_turn() -> None:
    bench = Bench()
    bench.group(3, t1=("w0",), t2=("w1", "w0"))
    bench.ledger.schedule()
    assert bench.news() == [(1, "w0", "process", "first"), (2, "w1", "process", "first")]
    bench.ok(bench.live[0])
    bench.ledger.schedule()
    assert bench.news() == [(0, "w0", "none", "first")]


def test_a_task_waits_for_a_worker_near_its_data_and_not_for_ever() -> None:
    bench = Bench(locality_wait=2.0)
    bench.group(3, t0=("w0",), t1=("w0",), t2=("w0",))
    bench.time = 1.0
    bench.ledger.schedule()
    assert bench.news() == [(0, "w0", "process", "first"), ("wake", 3.0)]
    bench.time = 2.0
    bench.ledger.schedule()
    assert bench.news() == []  # the alarm is set already
    bench.ok(bench.live[0])
    bench.ledger.schedule()
    assert bench.news() == [(1, "w0", "process", "first")]  # a new patience begins with it
    bench.time = 3.1
    bench.ledger.schedule()
    assert bench.news() == [("wake", 4.0)]
    bench.time = 4.1
    bench.ledger.schedule()
    assert bench.news() == [(2, "w1", "any", "first")]


def test_an_earlier_end_of_waiting_sets_an_alarm_of_its_own() -> None:
    bench = Bench(slots=(1, 1), locality_wait=2.0)
    bench.group(1, "first", t0=("w0",))
    bench.ledger.schedule()
    bench.time = 1.0
    bench.group(1, "later", t0=("w0",))
    bench.ledger.schedule()
    assert bench.news() == [(0, "w0", "process", "first"), ("wake", 3.0)]
    bench.group(1, "old", t0=("w0",)).last_local = 0.5
    bench.ledger.schedule()
    assert bench.news() == [("wake", 2.5)]


def test_a_worker_that_is_gone_is_not_waited_for() -> None:
    bench = Bench(locality_wait=100.0)
    bench.group(1, t0=("w0",))
    assert bench.ledger.lost(bench.ledger.workers["w0"]) == []
    bench.ledger.schedule()
    assert bench.news() == [(0, "w1", "none", "first")]


def test_a_lost_worker_ends_its_attempts_and_no_others() -> None:
    bench = Bench(slots=(2, 1))
    group = bench.group(3)
    bench.ledger.schedule()
    worker = bench.ledger.workers["w0"]
    lost = bench.ledger.lost(worker)
    assert [each.task for each in lost] == [0, 2]
    assert list(group.running) == [1]
    bench.ledger.ended(lost[0])  # who hears of it late says nothing new
    for attempt in lost:
        bench.ledger.add(group, attempt.task, "retry")
    bench.ok(bench.live[1])
    bench.ledger.schedule()
    assert bench.told[-1] == (0, "w1", "none", "retry")
    assert group.attempts == {0: 2, 1: 1, 2: 1}


def test_the_loss_of_a_former_life_does_not_touch_the_new_one() -> None:
    bench = Bench(slots=(1,))
    former = bench.ledger.workers["w0"]
    bench.worker("w0", 1)
    bench.ledger.lost(former)
    assert bench.ledger.workers["w0"] is not former


def test_a_task_fails_its_group_after_so_many_failures_of_its_own() -> None:
    bench = Bench(slots=(2,), max_failures=2)
    bench.group(2)
    bench.ledger.schedule()
    first, second = bench.live
    assert not bench.ledger.failed(first)
    assert not bench.ledger.failed(second)
    assert bench.ledger.failed(first)


def test_stragglers_get_a_second_attempt_on_another_worker_and_the_first_end_counts() -> None:
    bench = Bench(slots=(3, 1), speculation=Speculation(quantile=0.5, multiplier=2.0, minimum=0.5))
    group = bench.group(4)
    bench.ledger.schedule()
    bench.time = 1.0
    slow, near, third, fourth = bench.live
    assert near.worker.name == "w1"
    bench.ok(near)
    bench.time = 5.0
    bench.ledger.speculate()
    assert bench.news()[4:] == []  # too few have succeeded to say what is slow
    bench.ok(third)
    bench.time = 6.1  # the median is 3.0
    bench.ledger.speculate()
    assert bench.news() == [(0, "w1", "none", "speculative")]  # for the other straggler no slot is free
    bench.ledger.speculate()
    assert bench.news() == []
    copy = bench.live[-1]
    bench.ok(copy)
    assert bench.news() == [("cancel", slow.number)]
    assert not slow.wanted
    assert slow.worker.free == 1  # it keeps its slot until it has ended
    bench.ledger.speculate()
    assert bench.news() == [(fourth.task, "w1", "none", "speculative")]
    assert group.done == {0, 1, 2}


def test_a_second_attempt_knows_whether_it_is_near_the_data() -> None:
    bench = Bench(slots=(1, 1, 1))
    bench.group(2, t0=("w0",), t1=("w1", "w2"))
    bench.ledger.schedule()
    first, second = bench.live
    bench.ledger.second(second, "backup")
    assert bench.news()[2:] == [(1, "w2", "process", "backup")]
    bench.ok(second)
    bench.ledger.second(first, "backup")
    assert bench.news()[1:] == [(0, "w1", "any", "backup")]


@pytest.mark.parametrize("seconds", [0.6, 0.9])
def test_what_is_slow_only_in_comparison_is_no_straggler(seconds: float) -> None:
    bench = Bench(speculation=Speculation(quantile=0.5, multiplier=1.5, minimum=1.0))
    bench.group(2)
    bench.ledger.schedule()
    bench.time = 0.1
    bench.ok(bench.live[0])
    bench.time = seconds
    assert list(bench.ledger.stragglers(bench.ledger.groups["g"])) == []


def test_without_a_rule_nothing_is_a_straggler() -> None:
    bench = Bench()
    bench.group(2)
    bench.ledger.schedule()
    bench.ok(bench.live[0])
    bench.time = 1e6
    bench.ledger.speculate()
    assert len(bench.news()) == 2


def test_a_suspended_group_starts_nothing_until_tasks_are_added_again() -> None:
    bench = Bench(slots=(1,))
    group = bench.group(3)
    bench.ledger.schedule()
    bench.ledger.suspend(group)
    bench.ok(bench.live[0])
    bench.ledger.schedule()
    assert len(bench.news()) == 1
    bench.ledger.add(group, 0, "lost")  # what was done is not, when its result is lost
    assert group.done == set()
    bench.ledger.schedule()
    assert bench.news() == [(0, "w0", "none", "lost")]


def test_what_was_cancelled_with_its_group_may_succeed_all_the_same() -> None:
    bench = Bench(slots=(1, 1))
    bench.group(1)
    bench.ledger.schedule()
    bench.ledger.abort("g")
    bench.ledger.abort("g")
    assert bench.news()[1:] == [("cancel", 1)]
    later = bench.group(2)
    bench.ledger.schedule()
    bench.ok(bench.live[0])
    assert bench.news() == [(0, "w1", "none", "first"), ("cancel", 2)]
    assert later.done == {0}
    assert later.seconds == []  # it was not one of its attempts


def test_a_task_that_is_done_is_started_no_more() -> None:
    bench = Bench(slots=(1,))
    bench.group(1)
    bench.ledger.schedule()
    bench.ledger.abort("g")
    later = bench.group(1)  # its attempt has no slot yet when the cancelled one succeeds
    bench.ok(bench.live[0])
    bench.ledger.schedule()
    assert bench.news() == [(0, "w0", "none", "first"), ("cancel", 1)]
    assert (later.done, later.pending) == ({0}, {})


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_every_task_has_one_state_and_the_same_calls_give_the_same_starts(seed: int) -> None:
    assert chaos(seed) == chaos(seed)


def chaos(seed: int) -> list[Any]:
    """Random ends, losses, workers and times; what the listener was told."""
    draw = random.Random(seed)
    policy = {"locality_wait": draw.choice([0.0, 0.5]), "speculation": Speculation(0.3, 1.2, 0.0)}
    bench = Bench(slots=(1, 2, 3), **policy)
    ledger = bench.ledger
    near = {f"t{task}": (f"w{draw.randrange(5)}",) for task in range(0, 30, draw.choice([1, 3]))}
    groups = [bench.group(30, "a", **near), bench.group(20, "b")]

    def again(attempt: Attempt) -> None:
        group, task = attempt.group, attempt.task
        if task not in group.running and task not in group.done:
            ledger.add(group, task, "retry", near.get(f"t{task}", ()))

    for step in range(2000):
        bench.time += 0.1
        ledger.schedule()
        ledger.speculate()
        free = [worker.free for worker in ledger.workers.values()]
        assert min(free) >= 0
        assert [worker.free for worker in ledger.idle()] == sorted(filter(None, free), reverse=True)
        for group in groups:
            wanted = {each.task for each in bench.live if each.wanted and each.group is group}
            states = [set(group.pending), wanted, group.done]
            assert sorted(task for state in states for task in state) == list(range(group.total))
        if all(len(group.done) == group.total for group in groups):
            break
        if draw.random() < 0.05 and len(ledger.workers) > 1:
            lost = ledger.lost(ledger.workers[draw.choice(list(ledger.workers))])
            bench.live = [each for each in bench.live if each not in lost]
            for attempt in lost:
                again(attempt)
        elif draw.random() < 0.05:
            bench.worker(f"w{step + 3}", draw.randint(1, 2))
        elif bench.live:
            attempt = draw.choice(bench.live)
            if attempt.wanted and draw.random() < 0.8:
                bench.ok(attempt)
            else:
                bench.live.remove(attempt)
                ledger.ended(attempt)
                again(attempt)
    assert all(len(group.done) == group.total for group in groups)
    assert not any(attempt.wanted for attempt in bench.live)
    return bench.told
