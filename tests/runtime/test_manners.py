"""The simulator's manners: garbage is collected rarely, a handler that blocks is told of."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from labkit import (
    BlockingHandler,
    Cluster,
)
from labkit.runtime import collecting, watchdog
from labkit.runtime.loop import Loop
from tests.runtime.nodes import Echo

Sim = Callable[..., Cluster]


class TestGarbage:
    def test_it_is_collected_rarely_while_the_simulator_runs_only(self, sim: Sim) -> None:
        cluster = sim()
        seen: list[int] = []
        cluster.spawn(Echo)
        cluster.trace.watch(lambda event: seen.append(gc.get_threshold()[0]))
        before = gc.get_threshold()
        cluster.call("echo-0", "note", "noted", {})
        assert collecting.COLLECT_EVERY in seen
        assert gc.get_threshold() == before

    def test_two_threads_leave_the_users_threshold(self) -> None:
        before = gc.get_threshold()
        first, second = collecting.rare_collections(), collecting.rare_collections()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert gc.get_threshold()[0] == collecting.COLLECT_EVERY
        second.__exit__(None, None, None)
        assert gc.get_threshold() == before

    @pytest.mark.parametrize("users", [0, 2 * collecting.COLLECT_EVERY])
    def test_a_user_who_collects_rarer_or_not_at_all_is_left_alone(self, users: int) -> None:
        before = gc.get_threshold()
        gc.set_threshold(users, *before[1:])
        try:
            with collecting.rare_collections():
                assert gc.get_threshold()[0] == users
        finally:
            gc.set_threshold(*before)


class TestBlocking:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blocking need not take a second to be noticed."""
        monkeypatch.setattr(watchdog, "PATIENCE", 0.03)
        monkeypatch.setattr(watchdog, "LOOK_EVERY", 0.005)

    def test_a_handler_that_blocks_is_warned_of_with_the_remedy(self, sim: Sim) -> None:
        class Blocks(Echo):
            def start(self) -> None:
                deadline = time.process_time() + 0.15
                while time.process_time() < deadline:
                    pass

        cluster = sim()
        cluster.spawn(Blocks)
        with pytest.warns(
            BlockingHandler,
            match=r"busy for \d+\.\d s, in start \(.*test_manners.py:\d+\).*await self\.compute",
        ) as told:
            cluster.run(1)
        assert len(told) == 1
        assert told[0].filename == __file__

    def test_compute_may_take_its_time(self, sim: Sim) -> None:
        class Computes(Echo):
            async def start(self) -> None:
                await self.compute(time.sleep, 0.1)

        cluster = sim()
        cluster.spawn(Computes)
        cluster.run(1)

    def test_only_one_callback_that_lasts_is_told_of_and_once(self) -> None:
        loop, told = Loop(), []

        def report(seconds: float, where: str) -> None:
            told.append(round(seconds, 3))

        watched = watchdog.watch(loop, report)
        watchdog.unwatch(watched)  # only looked at by hand
        watchdog.unwatch(watched)
        loop.busy = True
        for now, steps in [
            (1.0, 1),
            (1.02, 2),
            (1.04, 3),
            (1.06, 3),
            (1.08, 3),
            (1.2, 3),
            (1.3, 4),
            (1.4, 4),
        ]:
            loop.steps = steps
            watchdog._look_at(watched, now)
        loop.busy = False
        watchdog._look_at(watched, 2.0)
        loop.busy = loop.computing = True
        watchdog._look_at(watched, 3.0)
        assert told == [0.04, 0.1]

    def test_a_time_in_which_the_process_stood_still_is_no_handlers_fault(self) -> None:
        assert watchdog._stood_still(passed=3.005, used=0.0) == pytest.approx(3.0)
        assert watchdog._stood_still(passed=3.005, used=3.0) == pytest.approx(0.0), "it held the interpreter"
        assert watchdog._stood_still(passed=0.004, used=0.0) == 0.0
        for stood_still, when in ((3.0, 0.04), (0.0, 3.0)):
            told: list[float] = []
            loop = Loop()
            loop.busy, loop.steps = True, 7

            def report(seconds: float, where: str, told: list[float] = told) -> None:
                told.append(round(seconds, 3))

            watched = watchdog.watch(loop, report)
            watchdog.unwatch(watched)  # only looked at by hand
            watchdog._look_at(watched, 1.0)
            watchdog._look_at(watched, 4.0, stood_still)
            watchdog._look_at(watched, 4.04)
            assert told == [when]

    def test_a_loop_that_is_forgotten_is_not_watched(self) -> None:
        watchdog.watch(Loop(), lambda seconds, where: None)
        gc.collect()
        deadline = time.monotonic() + 5
        while watchdog._watched:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def test_a_thread_that_has_ended_is_somewhere(self) -> None:
        assert watchdog._where(-1) == "somewhere"
