"""The fold: remembered and from scratch are the same thing, whatever the order of arrival and of looking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit.trace.fold as common
from labkit.trace.fold import History, copied, fold
from labkit.trace.machines import natural, short
from labkit.trace.trace import Trace


@dataclass
class Seen:
    order: list[int] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)


class Recorder:
    """A reducer that remembers everything, in order."""

    def initial(self) -> Seen:
        return Seen()

    def apply(self, state: Seen, event: Any) -> None:
        state.order.append(event.seq)
        state.kinds[event.kind] = state.kinds.get(event.kind, 0) + 1


def record(trace: Trace, times: list[float]) -> None:
    """Events that another process has recorded, whatever the trace holds already."""
    for time in times:
        trace._seq += 1
        trace.extend([(time, trace._seq, "m1", None, f"kind-{trace._seq % 3}", None, None, {})])


moments = st.floats(min_value=0, max_value=10, allow_nan=False, width=16)
#: Append events at these times, or look at a position (None: now).
actions = st.lists(st.one_of(st.lists(moments, max_size=8), st.none(), moments), max_size=40)


@pytest.mark.slow
@given(actions)
def test_a_remembered_fold_equals_the_fold_from_scratch(actions: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "BLOCK", 4)  # many blocks in few events
        trace = Trace()
        history = History(trace, Recorder())
        for action in actions:
            if isinstance(action, list):
                record(trace, action)
            else:
                assert history.at(action) == fold(Recorder(), trace, action)
        assert history.at() == fold(Recorder(), trace)


@pytest.mark.slow
@given(st.lists(moments, min_size=1, max_size=40), moments)
def test_steps_go_to_the_neighbouring_events(times: list[float], position: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "BLOCK", 4)
        trace = Trace()
        record(trace, times)
        history = History(trace, Recorder())
        assert history.next_time(position) == min((t for t in times if t > position), default=None)
        assert history.last_time(position) == max((t for t in times if t < position), default=None)
        assert history.span == (min(times), max(times))


def test_only_new_events_are_folded() -> None:
    trace, folded = Trace(), []

    class Counting(Recorder):
        def apply(self, state: Seen, event: Any) -> None:
            folded.append(event.seq)
            super().apply(state, event)

    history = History(trace, Counting())
    record(trace, [1.0, 2.0])
    history.at()
    record(trace, [3.0])
    history.at()
    history.at()
    assert folded == [1, 2, 3]


def test_going_back_folds_at_most_a_block() -> None:
    trace, folded = Trace(), []

    class Counting(Recorder):
        def apply(self, state: Seen, event: Any) -> None:
            folded.append(event.seq)

    record(trace, [k / 100 for k in range(20_000)])
    history = History(trace, Counting())
    history.at()
    folded.clear()
    history.at(150.0)
    assert len(folded) <= common.BLOCK


def test_a_bounded_trace_forgets_and_the_fold_goes_on() -> None:
    trace = Trace(limit=10)
    history = History(trace, Recorder())
    for time in range(100):
        record(trace, [float(time)])
        history.at()
    assert trace.dropped > 0
    assert len(history.at().order) == 100, "what was folded before it was forgotten still counts"
    late = History(trace, Recorder())
    assert late.at().order == [event.seq for event in trace]
    assert late.at(95.0).order == [event.seq for event in trace if event.time <= 95.0]


def test_a_copy_shares_no_container() -> None:
    state = Seen([1], {"a": 1})
    twin = copied(state)
    twin.order.append(2)
    twin.kinds["b"] = 1
    assert state == Seen([1], {"a": 1})


def test_names_sort_as_people_count() -> None:
    assert sorted(["m10", "m9", "m1"], key=natural) == ["m1", "m9", "m10"]
    assert [short(name) for name in ("chord-17", "server", "a-b")] == ["17", "server", "a-b"]
