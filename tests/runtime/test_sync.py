"""Waiting for several things, for a limited time, or for one another; and cancelled waiters."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.loop import Cancelled, Future, Loop
from labkit.runtime.sync import (
    Barrier,
    Event,
    Lock,
    Queue,
    Signal,
    ensure_future,
    gather,
    sleep,
    timeout,
    wait_for,
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run(loop: Loop) -> Run:
    """Runs a coroutine to its end."""
    return lambda coro: run_in(loop, coro)


def run_in(loop: Loop, coro: Coroutine[Any, Any, Any]) -> Any:
    task = loop.spawn(coro)
    task.add_done(lambda _: None)
    loop.run(stop=task)
    return task.result()


async def after(seconds: float, value: Any = None) -> Any:
    await sleep(seconds)
    if isinstance(value, Exception):
        raise value
    return value


def test_a_signal_wakes_those_who_wait_now_and_nobody_later(loop: Loop, run: Run) -> None:
    async def main() -> None:
        signal = Signal()
        signal.fire()
        waiting = signal.wait()
        assert not waiting.done
        signal.fire()
        assert waiting.done
        assert not signal.wait().done

    run(main())


class TestGather:
    def test_results_are_in_order(self, loop: Loop, run: Run) -> None:
        async def main() -> list[Any]:
            return await gather(after(3, "a"), after(1, "b"), loop.sleep(2), gather())

        assert run(main()) == ["a", "b", None, []]
        assert loop.now == 3

    def test_the_first_error_ends_the_waiting(self, loop: Loop, run: Run) -> None:
        async def main() -> None:
            await gather(after(3), after(1, ValueError("first")), after(2, KeyError("second")))

        with pytest.raises(ValueError, match="first"):
            run(main())
        assert loop.now == 1
        loop.run()

    def test_errors_as_results(self, run: Run) -> None:
        async def main() -> list[Any]:
            return await gather(after(1, ValueError("x")), after(2, 5), return_exceptions=True)

        error, value = run(main())
        assert (type(error), value) == (ValueError, 5)

    def test_cancelling_it_cancels_its_tasks(self, loop: Loop) -> None:
        log: list[str] = []

        async def child() -> None:
            try:
                await sleep(10)
            finally:
                log.append("ended")

        async def main() -> None:
            await gather(child(), child())

        task = loop.spawn(main())
        loop.run(until=1)
        task.cancel()
        loop.run(until=2)
        assert log == ["ended", "ended"]

    def test_it_takes_futures_and_coroutines_only(self, run: Run) -> None:
        async def main() -> None:
            ensure_future(3)  # type: ignore[arg-type]

        with pytest.raises(TypeError, match=r"cannot wait for 3: give a future \(self\.call"):
            run(main())


class TestTimeout:
    def test_a_late_block_is_interrupted(self, loop: Loop, run: Run) -> None:
        async def main() -> None:
            async with timeout(2.0):
                await sleep(5)

        with pytest.raises(Timeout, match=r"the block took longer than 2\.0 s"):
            run(main())
        assert loop.now == 2

    def test_a_block_in_time_is_left_alone(self, loop: Loop, run: Run) -> None:
        async def main() -> str:
            async with timeout(2.0):
                await sleep(1)
            await sleep(5)
            return "fine"

        assert run(main()) == "fine"
        loop.run()

    def test_a_block_that_ends_in_the_very_moment_is_left_alone(self, loop: Loop, run: Run) -> None:
        async def main() -> str:
            nap = sleep(2.0)
            async with timeout(2.0):
                await nap
            await sleep(1)
            return "fine"

        assert run(main()) == "fine"

    @pytest.mark.parametrize(("outer", "inner", "caught"), [(1.0, 3.0, "outer"), (3.0, 1.0, "inner")])
    def test_nested_blocks(self, run: Run, outer: float, inner: float, caught: str) -> None:
        async def main() -> str:
            try:
                async with timeout(outer):
                    try:
                        async with timeout(inner):
                            await sleep(5)
                    except Timeout:
                        return "inner"
            except Timeout:
                return "outer"
            return "none"

        assert run(main()) == caught

    def test_of_blocks_that_are_late_at_once_the_outer_one_is_interrupted(self, run: Run) -> None:
        async def main() -> str:
            try:
                async with timeout(2.0):
                    await sleep(1.0)
                    while True:
                        try:
                            async with timeout(1.0):
                                await sleep(5)
                        except Timeout:
                            pass
            except Timeout:
                return "outer"

        assert run(main()) == "outer"

    def test_other_errors_pass(self, run: Run) -> None:
        async def main() -> None:
            async with timeout(2.0):
                raise KeyError("own")

        with pytest.raises(KeyError, match="own"):
            run(main())

    def test_it_needs_a_task(self, loop: Loop) -> None:
        failures: list[str] = []

        def plain(_: Any) -> None:
            coro = timeout(1.0).__aenter__()
            try:
                coro.send(None)
            except LabError as error:
                failures.append(str(error))

        loop.call_soon(plain)
        loop.run()
        assert "async with timeout(2.0)" in failures[0]


class TestWaitFor:
    def test_in_time_failed_and_late(self, loop: Loop, run: Run) -> None:
        async def main() -> list[Any]:
            task = loop.spawn(after(9))
            outcomes = [await wait_for(after(1, "x"), 2.0)]
            for awaitable in (after(1, KeyError("k")), task):
                try:
                    await wait_for(awaitable, 2.0)
                except (KeyError, Timeout) as error:
                    outcomes.append(str(error))
            await sleep(0)
            return [*outcomes, task.done]

        assert run(main()) == ["x", "'k'", "no result within 2.0 s", True]


class TestEvent:
    def test_wakes_everybody(self, loop: Loop, run: Run) -> None:
        event, log = Event(), []

        async def waiter(name: str) -> None:
            await event.wait()
            log.append((name, loop.now))

        async def main() -> None:
            tasks = gather(waiter("a"), waiter("b"))
            await sleep(2)
            assert not event.is_set()
            event.set()
            await tasks
            await event.wait()
            event.clear()

        run(main())
        assert (log, event.is_set()) == ([("a", 2), ("b", 2)], False)

    def test_those_who_gave_up_are_not_kept(self, run: Run) -> None:
        event = Event()

        async def main() -> None:
            for _ in range(50):
                with pytest.raises(Timeout):
                    await wait_for(event.wait(), 0.1)

        run(main())
        assert len(event._waiting) == 1


class TestQueue:
    def test_first_in_first_out(self, run: Run) -> None:
        async def main() -> list[int]:
            queue = Queue()
            getting = gather(*[queue.get() for _ in range(3)])
            for item in range(5):
                await queue.put(item)
            assert len(queue) == 2
            return [*await getting, await queue.get(), await queue.get()]

        assert run(main()) == [0, 1, 2, 3, 4]

    def test_a_full_queue_makes_putters_wait(self, loop: Loop, run: Run) -> None:
        async def main() -> list[Any]:
            queue = Queue(maxsize=1)
            log: list[Any] = []

            async def putter() -> None:
                for item in range(3):
                    await queue.put(item)
                    log.append(("put", item, loop.now))

            loop.spawn(putter())
            for _ in range(3):
                await sleep(1)
                log.append(("got", await queue.get(), loop.now))
            await sleep(0)
            return log

        assert run(main()) == [
            ("put", 0, 0), ("got", 0, 1), ("put", 1, 1), ("got", 1, 2), ("put", 2, 2), ("got", 2, 3),
        ]  # fmt: skip

    def test_a_cancelled_putter_puts_nothing(self, run: Run) -> None:
        async def main() -> list[int]:
            queue = Queue(maxsize=1)
            await queue.put(1)
            with pytest.raises(Timeout):
                await wait_for(queue.put(2), 1.0)
            waiting = queue.put(3)
            got = [await queue.get()]
            await waiting
            return [*got, await queue.get()]

        assert run(main()) == [1, 3]

    @pytest.mark.parametrize("how", ["waiting", "handed", "handed behind wait_for", "handed behind gather"])
    def test_a_cancelled_getter_loses_no_item(self, loop: Loop, run: Run, how: str) -> None:
        queue = Queue()

        async def getter() -> None:
            if "wait_for" in how:
                await wait_for(queue.get(), 10)
            elif "gather" in how:
                await gather(queue.get(), loop.sleep(100))
            else:
                await queue.get()

        async def main() -> list[str]:
            task = loop.spawn(getter())
            await sleep(1)
            if how == "waiting":
                task.cancel()
                await sleep(1)
                queue.put("first")
            else:  # the item is under way to it when it is cancelled
                queue.put("first")
                task.cancel()
            queue.put("second")
            await sleep(1)
            assert isinstance(task.error, Cancelled)
            return [await wait_for(queue.get(), 1), await wait_for(queue.get(), 1)]

        assert run(main()) == ["first", "second"]

    def test_an_item_that_comes_back_goes_to_the_next_getter(self, loop: Loop, run: Run) -> None:
        async def main() -> str:
            queue = Queue()

            async def get() -> Any:
                return await queue.get()

            first, second = loop.spawn(get()), loop.spawn(get())
            await sleep(1)
            queue.put("item")
            first.cancel()
            return await second

        assert run(main()) == "item"

    @given(st.lists(st.sampled_from(["put", "get", "cancel", "pause"]), max_size=40))
    def test_every_item_is_got_once_or_still_there(self, steps: list[str]) -> None:
        loop = Loop()
        queue, got, tasks, put = Queue(), [], [], 0

        async def get() -> None:
            got.append(await queue.get())

        async def main() -> None:
            nonlocal put
            for number, step in enumerate(steps):
                if step == "put":
                    queue.put(put)
                    put += 1
                elif step == "get":
                    tasks.append(loop.spawn(get()))
                elif step == "cancel" and tasks:
                    tasks.pop(number % len(tasks)).cancel()
                else:
                    await sleep(1)

        run_in(loop, main())
        loop.run()
        assert sorted([*got, *queue._items]) == list(range(put))


class TestLock:
    def test_one_at_a_time_in_order_of_arrival(self, loop: Loop, run: Run) -> None:
        lock, log = Lock(), []

        async def worker(name: str) -> None:
            async with lock:
                log.append((name, loop.now))
                await sleep(1)

        async def main() -> None:
            await gather(worker("a"), worker("b"), worker("c"))

        run(main())
        assert (log, lock.locked()) == ([("a", 0), ("b", 1), ("c", 2)], False)

    def test_release_needs_a_holder(self) -> None:
        with pytest.raises(LabError, match=r"nobody holds: await lock\.acquire\(\) first"):
            Lock().release()

    @pytest.mark.parametrize("handed", [False, True])
    def test_a_cancelled_waiter_does_not_keep_the_lock(self, loop: Loop, run: Run, handed: bool) -> None:
        lock = Lock()

        async def worker() -> None:
            async with lock:
                await sleep(1)

        async def main() -> str:
            await lock.acquire()
            waiting = loop.spawn(worker())
            await sleep(1)
            if handed:  # the lock is under way to it when it is cancelled
                lock.release()
                waiting.cancel()
            else:
                waiting.cancel()
                await sleep(1)
                lock.release()
            await wait_for(lock.acquire(), 5)
            return "in"

        assert run(main()) == "in"

    def test_a_holder_that_is_cancelled_lets_the_next_one_in(self, loop: Loop, run: Run) -> None:
        lock = Lock()

        async def worker(seconds: float) -> float:
            async with lock:
                await sleep(seconds)
                return loop.now

        async def main() -> float:
            first, second = loop.spawn(worker(100)), loop.spawn(worker(1))
            await sleep(2)
            first.cancel()
            return await second

        assert run(main()) == 3


class TestBarrier:
    def test_all_go_on_together_again_and_again(self, loop: Loop, run: Run) -> None:
        barrier, log = Barrier(3), []

        async def worker(speed: float) -> list[int]:
            order = []
            for _ in range(2):
                await sleep(speed)
                order.append(await barrier.wait())
                log.append(loop.now)
            return order

        async def main() -> list[list[int]]:
            return await gather(worker(1), worker(2), worker(3))

        assert run(main()) == [[0, 0], [1, 1], [2, 2]]
        assert log == [3, 3, 3, 6, 6, 6]

    def test_who_gave_up_is_no_party(self, loop: Loop, run: Run) -> None:
        barrier = Barrier(2)

        async def main() -> tuple[bool, list[int]]:
            with pytest.raises(Timeout):
                await wait_for(barrier.wait(), 1)
            first = barrier.wait()
            alone = first.done
            return alone, await gather(first, barrier.wait())

        assert run(main()) == (False, [0, 1])

    def test_it_needs_a_party(self) -> None:
        with pytest.raises(ValueError, match="at least one party, not 0"):
            Barrier(0)


def test_a_future_is_awaitable_twice(loop: Loop, run: Run) -> None:
    async def main() -> list[int]:
        future = Future(loop)
        loop.call_later(1, future.set_result, 4)
        return [await future, await future]

    assert run(main()) == [4, 4]
