"""The loop: order, futures, tasks, cancellation, timers."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.runtime.errors import LabError
from labkit.runtime.loop import Cancelled, Future, Loop, Owner, Task, running_loop
from labkit.runtime.raised import StopSignal


def log_to(log: list[Any], item: Any) -> Any:
    return lambda _: log.append(item)


def test_callbacks_run_in_order_of_time_and_ties_in_order_of_planning(loop: Loop) -> None:
    log: list[str] = []
    loop.call_at(2.0, log_to(log, "2a"))
    loop.call_at(1.0, log_to(log, "1"))
    loop.call_at(2.0, log_to(log, "2b"))
    loop.call_soon(log_to(log, "now"))
    loop.run()
    assert (log, loop.now) == (["now", "1", "2a", "2b"], 2.0)


def test_what_is_called_first_precedes_its_time_whenever_it_was_planned(loop: Loop) -> None:
    log: list[str] = []
    loop.call_at(1.0, log_to(log, "event"))
    loop.call_first(1.0, log_to(log, "fault a"))
    loop.call_first(1.0, log_to(log, "fault b"))
    loop.run()
    assert log == ["fault a", "fault b", "event"]


def test_ready_callbacks_precede_later_times(loop: Loop) -> None:
    log: list[str] = []
    loop.call_at(0.0, lambda _: loop.call_soon(log_to(log, "soon")))
    loop.call_at(0.0, log_to(log, "heap"))
    loop.run()
    assert log == ["soon", "heap"]


@given(st.lists(st.floats(0, 100), max_size=40))
def test_any_times_run_sorted_and_stable(times: list[float]) -> None:
    loop = Loop()
    log: list[tuple[float, int]] = []
    for number, time in enumerate(times):
        loop.call_at(time, lambda _, number=number: log.append((loop.now, number)))
    loop.run()
    assert log == sorted((time, number) for number, time in enumerate(times))


def test_run_stops_at_a_time_at_a_future_and_at_a_budget(loop: Loop) -> None:
    for time in (1.0, 2.0, 3.0):
        loop.call_at(time, lambda _: None)
    assert loop.run(until=1.5, budget=10) == 9
    assert (loop.now, loop.quiet) == (1.5, True)
    assert loop.run(budget=1) == 0
    assert (loop.now, loop.quiet, loop.next_time) == (2.0, False, 3.0)
    done = Future(loop)
    done.set_result(None)
    assert loop.run(stop=done, budget=5) == 5
    loop.call_soon(lambda _: None)
    assert loop.next_time == 2.0
    loop.run()
    assert loop.next_time == float("inf")


def test_time_never_runs_backwards(loop: Loop) -> None:
    loop.run(until=5.0)
    loop.call_at(1.0, lambda _: None)
    loop.call_later(-3.0, lambda _: None)
    loop.run()
    assert loop.now == 5.0


def test_a_future_is_resolved_once(loop: Loop) -> None:
    future = Future(loop)
    with pytest.raises(LabError, match="no result yet: await it"):
        future.result()
    future.set_result(1)
    future.set_result(2)
    future.set_error(ValueError("late"))
    assert (future.result(), future.done, future.error) == (1, True, None)
    failed = Future(loop)
    failed.set_error(ValueError("first"))
    failed.set_result(3)
    with pytest.raises(ValueError, match="first"):
        failed.result()


def test_all_waiters_hear_of_it_in_order_from_the_ready_queue(loop: Loop) -> None:
    future, log = Future(loop), []
    for name in "abc":
        future.add_done(lambda f, name=name: log.append((name, f.result())))
    future.set_result(7)
    assert log == []
    future.add_done(lambda f: log.append(("late", f.result())))
    loop.run()
    assert log == [("a", 7), ("b", 7), ("c", 7), ("late", 7)]


@pytest.mark.slow
def test_a_chain_of_100000_futures_uses_no_stack(loop: Loop) -> None:
    futures = [Future(loop) for _ in range(100_000)]
    for before, after in itertools.pairwise(futures):
        before.add_done(lambda done, after=after: after.set_result(done.result() + 1))
    futures[0].set_result(0)
    loop.run()
    assert futures[-1].result() == 99_999


def test_a_chain_of_20000_tasks_uses_no_stack(loop: Loop) -> None:
    async def wait_for(before: Future) -> int:
        return await before + 1

    first = Future(loop)
    last: Future = first
    for _ in range(20_000):
        last = loop.spawn(wait_for(last))
    loop.run()
    first.set_result(0)
    loop.run()
    assert last.result() == 20_000


def test_a_task_returns_raises_and_waits(loop: Loop) -> None:
    async def work() -> str:
        await loop.sleep(2.0)
        return "done"

    async def fail() -> None:
        raise KeyError("inside")

    task, failing = loop.spawn(work()), loop.spawn(fail())
    failing.add_done(lambda _: None)
    assert not task.awaited
    loop.run()
    assert (task.result(), loop.now) == ("done", 2.0)
    with pytest.raises(KeyError, match="inside"):
        failing.result()


def test_an_error_that_nobody_awaits_goes_to_the_owner(loop: Loop) -> None:
    heard: list[str] = []

    class Listener(Owner):
        def _task_failed(self, task: Task, error: BaseException) -> None:
            heard.append(str(error))

    async def fail() -> None:
        raise RuntimeError("unheard")

    loop.spawn(fail(), Listener())
    loop.run()
    assert heard == ["unheard"]
    loop.spawn(fail())
    with pytest.raises(RuntimeError, match="unheard"):
        loop.run()


def test_cancelling_throws_where_the_task_waits(loop: Loop) -> None:
    log: list[str] = []

    async def work() -> None:
        try:
            await loop.sleep(10)
        except Cancelled:
            log.append("cancelled")
            raise
        finally:
            log.append("cleaned up")

    task = loop.spawn(work())
    loop.run(until=1.0)
    task.cancel()
    task.cancel()
    loop.run()
    assert log == ["cancelled", "cleaned up"]
    assert isinstance(task.error, Cancelled)
    task.cancel()  # harmless afterwards


def test_a_task_may_refuse_to_be_cancelled_and_is_not_woken_twice(loop: Loop) -> None:
    log: list[str] = []

    async def stubborn() -> str:
        first = loop.sleep(1.0)
        try:
            await first
        except Cancelled:
            log.append("no")
        await loop.sleep(5.0)
        return "went on"

    task = loop.spawn(stubborn())
    loop.run(until=0.5)
    task.cancel()
    loop.run()
    assert (task.result(), log, loop.now) == ("went on", ["no"], 5.5)


def test_the_outermost_of_two_cancellations_is_thrown(loop: Loop) -> None:
    inner, outer = Cancelled(), Cancelled()
    inner.order, outer.order = 2, 1

    async def work() -> None:
        await loop.sleep(10)

    task = loop.spawn(work())
    loop.run(until=1.0)
    task.cancel(inner)
    task.cancel(outer)
    loop.run()
    assert task.error is outer


def test_who_is_cancelled_takes_along_the_task_it_waits_for(loop: Loop) -> None:
    async def inner() -> None:
        await loop.sleep(10)

    async def outer(task: Task) -> None:
        await task

    waited = loop.spawn(inner())
    waiting = loop.spawn(outer(waited))
    loop.run(until=1.0)
    waiting.cancel()
    loop.run()
    assert isinstance(waited.error, Cancelled)
    assert isinstance(waiting.error, Cancelled)


@pytest.mark.parametrize("end", ["await", "raise", "return"])
def test_closing_a_task_whatever_its_finally_does(loop: Loop, end: str) -> None:
    async def work() -> None:
        try:
            await loop.sleep(10)
        finally:
            if end == "await":
                await loop.sleep(1)
            if end == "raise":
                raise ValueError("the dead do not finish their sentences")

    task = loop.spawn(work())
    loop.run(until=1.0)
    task.close()
    loop.run()
    assert isinstance(task.error, Cancelled)


def test_awaiting_what_is_not_a_future_is_an_error_in_the_handler(loop: Loop) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    task = loop.spawn(work())
    task.add_done(lambda _: None)
    loop.run()
    with pytest.raises(TypeError, match=r"labkit's futures only, not None; write await self\.sleep"):
        task.result()


def test_an_interrupt_in_the_middle_of_a_step_ends_the_task(loop: Loop) -> None:
    async def work() -> None:
        await loop.sleep(1.0)
        raise StopSignal

    task = loop.spawn(work())
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert isinstance(task.error, Cancelled)
    assert not loop.busy


def test_a_held_owner_keeps_steps_and_one_that_is_gone_ends_its_tasks(loop: Loop) -> None:
    owner = Owner()
    log: list[str] = []

    async def work() -> None:
        await loop.sleep(1.0)
        log.append("stepped")
        await loop.sleep(1.0)
        log.append("never")

    task = loop.spawn(work(), owner)
    loop.run(until=0.5)
    owner._held = []  # type: ignore[assignment]
    loop.run(until=5.0)
    assert log == []
    held, owner._held = owner._held, None
    for callback, argument in held:
        loop.call_soon(callback, argument)
    loop.run(until=5.5)
    assert log == ["stepped"]
    owner._alive = False
    loop.run()
    assert (log, task.done) == (["stepped"], True)


def test_context_follows_the_task(loop: Loop) -> None:
    seen: list[tuple[Any, ...]] = []

    async def work() -> None:
        seen.append((loop.span, loop.cause))
        future = loop.sleep(1.0)
        future.cause = 42
        await future
        seen.append((loop.span, loop.cause))

    loop.span, loop.cause = 5, 1
    loop.spawn(work())
    loop.span = loop.cause = None
    loop.run()
    assert seen == [(5, 1), (5, 42)]
    assert (loop.span, loop.cause, loop.current) == (None, None, None)


def test_running_loop_is_known_inside_only(loop: Loop) -> None:
    seen: list[Loop] = []
    loop.call_soon(lambda _: seen.append(running_loop()))
    loop.run()
    assert seen == [loop]
    with pytest.raises(LabError, match=r"no loop is running\. Write: cluster\.submit"):
        running_loop()


class TestTimers:
    def test_due_timers_expire_in_order_and_resolved_ones_do_not(self, loop: Loop) -> None:
        log: list[Any] = []
        futures = [Future(loop) for _ in range(4)]
        for number, (future, delay) in enumerate(zip(futures, [5.0, 1.0, 5.0, 5.0], strict=True)):
            loop.expire(delay, future, lambda f, number=number: log.append((number, loop.now)))
        loop.call_at(2.0, futures[0].set_result)
        loop.run()
        assert log == [(1, 1.0), (2, 5.0), (3, 5.0)]

    def test_a_lane_holds_one_entry_of_the_heap(self, loop: Loop) -> None:
        futures = [Future(loop) for _ in range(100)]
        for future in futures:
            loop.expire(5.0, future, future.set_result)
        assert len(loop._heap) == 1
        for future in futures[:50]:
            future.set_result(None)
        loop.expire(5.0, Future(loop), lambda _: None)
        assert len(loop.lane(5.0).entries) == 51

    def test_empty_lanes_are_forgotten(self, loop: Loop) -> None:
        for number in range(100):
            loop.expire(1.0 + number / 1000, Future(loop), lambda _: None)
        assert len(loop._lanes) == 100
        loop.run()
        assert not loop._lanes

    def test_delays_below_zero_are_zero_and_infinite_ones_never_end(self, loop: Loop) -> None:
        log: list[float] = []
        loop.run(until=3.0)
        loop.expire(-1.0, Future(loop), lambda _: log.append(loop.now))
        loop.expire(float("inf"), Future(loop), lambda _: log.append(loop.now))
        never, at_once = loop.sleep(float("inf")), loop.sleep(-1.0)
        loop.run()
        assert (log, loop.now, never.done, at_once.done) == ([3.0], 3.0, False, True)

    @given(st.lists(st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.floats(0, 3)), max_size=30))
    def test_lanes_do_what_one_timer_each_would_do(self, calls: list[tuple[float, float]]) -> None:
        loop = Loop()
        log: list[tuple[float, int]] = []
        for number, (delay, answered) in enumerate(calls):
            future = Future(loop)
            loop.expire(delay, future, lambda _, number=number: log.append((loop.now, number)))
            loop.call_at(answered, future.set_result)
        loop.run()
        # an answer in the very moment of the timeout may win or lose
        assert {(d, n) for n, (d, a) in enumerate(calls) if a > d} <= set(log)
        assert set(log) <= {(d, n) for n, (d, a) in enumerate(calls) if a >= d}
        assert [time for time, _ in log] == sorted(time for time, _ in log)


def test_compute_takes_its_cost_and_hands_on_errors(loop: Loop) -> None:
    value, failed = loop.compute(lambda: 6 * 7, 2.0), loop.compute(lambda: 1 // 0, 3.0)
    assert not value.done
    loop.run()
    assert (value.result(), loop.now) == (42, 3.0)
    with pytest.raises(ZeroDivisionError, match="by zero"):
        failed.result()
