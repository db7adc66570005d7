"""Many machines' reports become one order, whatever the batches; views see it up to the watermark only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit.trace.fold as folds
from labkit.trace.event import Event
from labkit.trace.fold import History
from labkit.trace.merge import PATIENCE, MergedTrace


class Clock:
    """Our clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Order:
    """A fold that is nothing but the order of events."""

    def initial(self) -> Any:
        return folds.copied(_Seen([]))

    def apply(self, state: Any, event: Event) -> None:
        state.seqs.append(event.seq)


@folds.dataclass
class _Seen:
    seqs: list[int]


def row(time: float, seq: int, machine: str = "m1", parent: int | None = None) -> tuple[Any, ...]:
    return (time, seq, machine, None, "told", None, parent, {})


def merged(*machines: str) -> tuple[MergedTrace, Clock, History]:
    clock = Clock()
    trace = MergedTrace(clock=clock)
    for machine in machines:
        trace.expect(machine, 0.0)
    return trace, clock, History(trace, Order())


def test_what_a_program_has_waited_for_stays() -> None:
    trace, clock, history = merged("m1")
    clock.now = 2 * PATIENCE  # it is not waited for
    assert trace.overdue(3.0) == ["m1"]
    trace.overheard("m1", [row(1.0, 10), row(2.0, 11)])
    trace.caught_up(3.0)
    trace.report("m1", [], until=1.5)  # an old one, late
    assert trace.overdue(1.0) == []
    assert history.at().seqs == [10, 11]
    trace.report("m1", [row(2.5, 12), row(4.0, 13)], until=3.5)
    assert history.at().seqs == [10, 11, 12]
    trace.forget("m1")
    assert trace.overdue(4.0) == ["m1"]
    trace.died("m1")
    assert trace.overdue(4.0) == []


def test_a_view_waits_until_every_machine_has_reported() -> None:
    trace, _, history = merged("m1", "m2")
    trace.report("m1", [row(1.0, 10), row(3.0, 11)], until=3.5)
    assert history.at().seqs == []
    assert [event.seq for event in trace] == [10, 11], "who reads the trace itself sees all there is"
    trace.report("m2", [row(2.0, 20)], until=2.5)
    assert history.at().seqs == [10, 20]
    trace.report("m2", [], until=4.0)
    assert history.at().seqs == [10, 20, 11]
    assert not trace.late


def test_a_dead_machine_is_not_waited_for_and_a_silent_one_not_for_long() -> None:
    trace, clock, history = merged("m1", "m2", "m3")
    trace.report("m1", [row(1.0, 10)], until=1.5)
    trace.forget("m2")
    assert history.at().seqs == []
    clock.now = PATIENCE * 1.1  # m3 has said nothing; m1 goes on
    trace.report("m1", [row(2.0, 11)], until=2.5)
    assert history.at().seqs == [10, 11]


def test_what_comes_late_is_marked_and_folded_in_its_place() -> None:
    trace, clock, history = merged("m1", "m2")
    clock.now = PATIENCE * 1.1
    trace.report("m1", [row(1.0, 10), row(3.0, 11)], until=3.5)
    assert history.at().seqs == [10, 11]
    trace.report("m2", [row(2.0, 20), row(4.0, 21)], until=4.5)
    assert trace.late == {20}
    assert history.at().seqs == [10, 20, 11]
    trace.report("m1", [], until=5.0)
    assert history.at().seqs == [10, 20, 11, 21]
    assert history.at(2.5).seqs == [10, 20]


def test_our_own_events_go_to_their_places_too() -> None:
    trace, _, history = merged("m1")
    trace.report("m1", [row(1.0, 10)], until=2.0)
    trace.record(0.5, "client", None, "told", None, None, {})
    trace.record(1.5, "client", None, "told", None, None, {})
    assert [event.time for event in trace] == [0.5, 1.0, 1.5]
    assert len(history.at().seqs) == 3


@pytest.mark.slow
@given(st.data())
def test_whatever_the_batches_the_fold_is_that_of_the_order_by_time(data: st.DataObject) -> None:
    machines = ["m1", "m2", "m3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "BLOCK", 4)
        trace, clock, history = merged(*machines)
        told = dict.fromkeys(machines, 0.0)
        seq = 0
        for _ in range(data.draw(st.integers(1, 15))):
            machine = data.draw(st.sampled_from(machines))
            steps = data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.5]), max_size=4))
            rows = []
            for step in steps:
                told[machine] += step
                seq += 1
                rows.append(row(told[machine], seq, machine))
            clock.now += data.draw(st.sampled_from([0.0, 0.4, 1.2]))  # the silent are given up now and then
            told[machine] += 0.01
            trace.report(machine, rows, until=told[machine])
            seen = history.at().seqs
            order = [event.seq for event in trace]
            assert order == [event.seq for event in sorted(trace, key=lambda each: (each.time, each.seq))]
            assert seen == order[: len(seen)]
        for machine in machines:
            trace.report(machine, [], until=1000.0)
        clock.now += PATIENCE * 2
        assert history.at().seqs == [event.seq for event in trace]


def test_on_another_hosts_clock_no_event_comes_before_its_cause() -> None:
    trace, _, history = merged("m1")
    trace.expect("far", 0.0, own_clock=True, offset=-100.0)
    trace.report("m1", [row(5.0, 10)], until=6.0)
    trace.report("far", [row(104.0, 20, "far", parent=10), row(104.5, 21, "far", parent=20)], until=105.0)
    assert [(event.seq, event.time) for event in trace] == [(10, 5.0), (20, 5.0), (21, 5.5)]
    trace.report("m1", [], until=9.0)
    assert history.at().seqs == [10, 20, 21]


def test_another_hosts_clock_is_what_it_was_while_the_machine_is_paused_after_that_and_at_its_end() -> None:
    trace, _, _ = merged("m1")
    trace.expect("far", 0.0, own_clock=True, offset=-100.0)
    trace.forget("far")
    trace.report("far", [row(101.0, 20, "far")], until=102.0)
    trace.goes_on("far", 3.0)
    trace.report("far", [row(104.0, 21, "far")], until=104.5)
    trace.died("far")
    trace.recovered("far", [row(105.0, 22, "far")])
    assert [(event.seq, event.time) for event in trace] == [(20, 1.0), (21, 4.0), (22, 5.0)]
    assert trace.complete_until({"far"}) == (5.0, "far")
    trace.expect("far", 6.0)
    trace.report("far", [row(7.0, 23, "far")], until=8.0)
    assert trace[-1].time == 7.0, "its next life is on our host"


def test_machines_are_asked_to_report_nothing_only_while_somebody_looks() -> None:
    trace, clock, history = merged("m1")
    clock.now = 100.0
    assert not trace.awaited
    history.at()
    assert trace.awaited
    clock.now += 60.0
    assert not trace.awaited


def test_what_the_dead_and_the_paused_have_not_told() -> None:
    trace, _, _ = merged("m1", "m2")
    trace.report("m1", [row(1.0, 10)], until=1.5)
    trace.report("m2", [row(1.2, 20)], until=1.7)
    assert trace.complete_until({"m1", "m2"}) == (float("inf"), "")
    trace.died("m1")
    assert trace.complete_until({"m1", "m2"}) == (1.5, "m1")
    assert trace.complete_until({"m2"}) == (float("inf"), "")
    trace.forget("m2")
    assert trace.complete_until({"m2"}) == (1.7, "m2")
    trace.expect("m2", 3.0)
    trace.expect("m1", 3.0)
    assert trace.complete_until({"m2"}) == (float("inf"), ""), "it goes on, and tells"
    assert trace.complete_until({"m1"}) == (1.5, "m1"), "its next life knows nothing of the one before"
    trace.forget("m2")
    trace.died("m2")
    assert trace.complete_until({"m2"}) == (3.0, "m2"), "paused, then killed"


def test_what_a_recorder_of_the_dead_held_goes_to_its_place() -> None:
    trace, _, _ = merged("m1", "m2")
    trace.report("m1", [row(1.0, 10)], until=1.5)
    trace.report("m2", [row(1.2, 20), row(1.9, 21)], until=2.0)
    trace.died("m1")
    trace.recovered("m1", [row(1.4, 11), row(1.8, 12)])
    assert [event.seq for event in trace] == [10, 20, 11, 12, 21]
    assert trace.complete_until({"m1", "m2"}) == (1.8, "m1"), "what it did after that is not known"
    trace.recovered("m1", [])
    assert trace.complete_until({"m1"}) == (1.8, "m1")
