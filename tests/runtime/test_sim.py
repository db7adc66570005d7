"""The simulator: determinism, replay of what was clicked, threads, playing at wall speed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labkit import (
    BadFault,
    Cluster,
    ClusterClosed,
    Constant,
    Kill,
    LabError,
    Loss,
    MachineDead,
    NodeCrashed,
    Partition,
    Pause,
    Restart,
    Resume,
    Schedule,
    Slow,
    when,
)
from tests.runtime.nodes import Echo, Gossip, gossips

Sim = Callable[..., Cluster]

#: Faults that every kind of run goes through.
STORM = [
    (0.5, Kill("m2")),
    (when("unheard", count=3), Partition(["m1"], ["m3"])),
    (1.0, Loss(0.1)),
    (1.5, Restart("m2")),
    (2.0, Slow("m1", 5)),
    (2.2, Pause("m3")),
    (3.0, Resume("m3")),
]


def storm(seed: int = 1, schedule: Any = STORM, trace: str = "messages") -> tuple[str, Schedule]:
    """A run with everything in it: its digest, and the schedule that was recorded."""
    with Cluster(3, engine="sim", seed=seed, trace=trace, schedule=schedule) as cluster:
        cluster.spawn_many(gossips())
        cluster.run(2)
        with cluster.span("asking"):
            for number in range(3):
                try:
                    cluster.call(f"g{number}", "hear", number, timeout=0.5)
                except LabError:
                    pass
        cluster.run(2)
        return cluster.trace.digest(), cluster.schedule


class TestDeterminism:
    @pytest.mark.parametrize("trace", ["domain", "messages"])
    def test_the_same_twice_in_one_process_and_other_seeds_differ(self, trace: str) -> None:
        first = storm(1, trace=trace)
        assert storm(1, trace=trace) == first
        assert len({storm(seed, trace=trace)[0] for seed in range(1, 5)}) == 4

    @pytest.mark.slow
    def test_the_same_in_fresh_processes_whatever_their_hash_seed(self) -> None:
        program = "from tests.runtime.test_sim import storm; print(storm(1)[0])"
        running = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
            )
            for hash_seed in ("0", "1", "12345")
        ]
        digests = {process.communicate(timeout=600)[0].strip() for process in running}
        assert digests == {storm(1)[0]}

    def test_a_cluster_of_another_name_or_beside_another_one_is_the_same(self, sim: Sim) -> None:
        def digest(cluster: Cluster) -> str:
            cluster.spawn_many(gossips())
            cluster.run(1)
            return cluster.trace.digest()

        first, second = sim(name="a"), sim(name="b")
        assert digest(first) == digest(second)

    def test_how_the_time_is_cut_into_runs_changes_nothing_that_happens(self, sim: Sim) -> None:
        def digest(*cuts: float) -> str:
            cluster = sim(trace="messages")
            cluster.spawn_many(gossips())
            for seconds in cuts:
                cluster.run(seconds)
            return cluster.trace.digest()

        assert digest(4) == digest(1, 1, 2) == digest(*[0.25] * 16)


class TestReplay:
    def test_of_a_schedule_with_triggers(self) -> None:
        digest, recorded = storm()
        assert all(isinstance(moment, float) for moment, _ in recorded)
        assert storm(schedule=recorded) == (digest, recorded)
        assert storm(schedule=eval(str(recorded), vars(sys.modules["labkit"]))) == (digest, recorded)

    def test_of_clicks_from_another_thread_in_the_middle_of_a_run(self) -> None:
        def program(
            schedule: Any = None, clicks: Callable[[Cluster], None] | None = None
        ) -> tuple[str, Schedule]:
            with Cluster(3, engine="sim", seed=5, trace="messages", schedule=schedule) as cluster:
                cluster.spawn_many(gossips())
                cluster.call("g0", "hear", 1)
                clicking = threading.Thread(target=clicks, args=(cluster,)) if clicks else None
                if clicking:
                    clicking.start()
                cluster.run(30)
                if clicking:
                    clicking.join()
                for number in range(6):
                    try:
                        cluster.call(f"g{number}", "hear", number, timeout=0.5)
                    except LabError:
                        pass
                cluster.run(1)
                return cluster.trace.digest(), cluster.schedule

        def clicks(cluster: Cluster) -> None:
            for act in (
                lambda: cluster.kill("m2"),
                lambda: cluster.partition("m1", "m3"),
                lambda: cluster.restart("m2"),
                lambda: cluster.pause("m3"),
                lambda: cluster.heal(),
                lambda: cluster.resume("m3"),
                lambda: cluster.slow("m1", 3),
            ):
                act()
                time.sleep(0.002)

        digest, recorded = program(clicks=clicks)
        assert len(recorded) == 7
        assert program(recorded) == (digest, recorded)

    def test_of_faults_by_hand_between_the_programs_own_acts(self) -> None:
        def program(schedule: Any = None, by_hand: bool = False) -> tuple[Any, ...]:
            with Cluster(3, engine="sim", seed=5, trace="messages", schedule=schedule) as cluster:

                def hand(act: Callable[[], None]) -> None:
                    if by_hand:
                        act()

                cluster.spawn(Echo, machine="m1")
                hand(lambda: cluster.pause("m3"))
                cluster.spawn(Echo, machine="m3")
                hand(lambda: cluster.kill("m3"))
                cluster.run(1)
                hand(lambda: cluster.restart("m3"))
                hand(lambda: cluster.kill("m2"))
                cluster.run(1)
                operation = cluster.submit(lambda client: client.call("echo-1", "slowly", 1))
                hand(lambda: cluster.latency(Constant(0.1)))
                operation.result()
                with cluster.span("spanning"):
                    cluster.call("echo-0", "plain", 1)
                    hand(lambda: cluster.restart("m2"))
                    cluster.call("echo-0", "ask", "echo-1", "plain", 1)
                hand(lambda: cluster.kill("m3"))
                refused: list[str] = []
                try:
                    cluster.call("echo-1", "plain", 1)
                except LabError as error:
                    refused.append(type(error).__name__)
                cluster.remove("echo-0")
                cluster.step(5)
                cluster.run(1)
                return cluster.trace.digest(), cluster.schedule, refused

        digest, recorded, refused = program(by_hand=True)
        assert len(recorded) == 7
        assert refused == ["MachineDead"]
        assert program(recorded) == (digest, recorded, refused)
        assert program()[0] != digest

    Acts = st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.sampled_from([0.0, 0.1, 0.5])),
            st.tuples(st.sampled_from(["call", "spawn", "submit"]), st.integers(0, 3)),
            st.tuples(
                st.just("fault"),
                st.sampled_from(
                    [
                        Kill("m1"),
                        Kill("m2"),
                        Restart("m1"),
                        Restart("m2"),
                        Pause("m2"),
                        Resume("m2"),
                        Loss(0.2),
                    ]
                ),
            ),
        ),
        max_size=15,
    )

    @given(Acts, st.integers(0, 3))
    @example([("fault", Pause("m2")), ("run", 0.1), ("fault", Resume("m2")), ("call", 0)], 0)
    @example([("fault", Pause("m2")), ("call", 1), ("run", 0.0), ("fault", Resume("m2")), ("spawn", 0)], 0)
    def test_of_anything(self, acts: list[Any], seed: int) -> None:
        def program(schedule: Any, by_hand: bool) -> tuple[Any, ...]:
            with Cluster(2, engine="sim", seed=seed, trace="messages", schedule=schedule) as cluster:
                cluster.spawn_many(gossips(4))
                outcomes: list[str] = []
                for act, argument in acts:
                    try:
                        if act == "run":
                            cluster.run(argument)
                        elif act == "call":
                            outcomes.append(cluster.call(f"g{argument}", "hear", 1, timeout=0.2))
                        elif act == "submit":
                            cluster.submit(lambda client, to=argument: client.call(f"g{to}", "hear", 2))
                        elif act == "spawn":
                            cluster.spawn(Gossip, ("g0", "g1"))
                        elif by_hand:
                            cluster.inject(argument)
                    except BadFault:
                        pass
                    except LabError as error:
                        outcomes.append(type(error).__name__)
                cluster.run(0.5)
                return cluster.trace.digest(), cluster.schedule, outcomes, cluster.now

        recorded = program(None, by_hand=True)
        assert program(recorded[1], by_hand=False) == recorded

    @pytest.mark.parametrize("late", [0.5, 1.0], ids=["overdue", "due now"])
    def test_of_a_schedule_that_is_played_when_its_time_is_over(self, late: float) -> None:
        def program(schedule: Any = None, by_hand: bool = False) -> tuple[Any, ...]:
            with Cluster(2, engine="sim", trace="messages", schedule=schedule) as cluster:
                cluster.spawn(Echo, machine="m2")
                cluster.run(1)
                if by_hand:
                    cluster.play([(late, Kill("m2"))])
                with pytest.raises(MachineDead):
                    cluster.call("echo-0", "plain", 1)
                return cluster.trace.digest(), cluster.schedule

        digest, recorded = program(by_hand=True)
        assert program(recorded) == (digest, recorded)


class TestClicks:
    def test_a_fault_by_hand_has_a_time_of_its_own(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        cluster.spawn(Echo)
        cluster.call("echo-0", "plain", 1)
        before = cluster.now
        cluster.kill("m2")
        assert before < cluster.now < before + 1e-6
        cluster.run(1)
        now = cluster.now
        cluster.kill("m3")  # nothing has happened at this time: no need to move on
        assert cluster.now == now
        struck = [event.time for event in cluster.trace.filter(kind="killed")]
        assert struck == [moment for moment, _ in cluster.schedule]

    def test_a_kill_from_another_thread_comes_through_in_the_middle_of_a_run(self, sim: Sim) -> None:
        cluster = sim()
        cluster.spawn_many(gossips())
        began = threading.Event()

        def click() -> None:
            began.wait()
            cluster.kill("m2")

        clicking = threading.Thread(target=click)
        clicking.start()
        cluster.trace.watch(lambda event: began.set())
        while not cluster.schedule:
            cluster.run(20)
        clicking.join()
        ((moment, fault),) = cluster.schedule
        assert fault == Kill("m2")
        assert cluster.trace[-1].time > moment
        assert all(event.time <= moment for event in cluster.trace.filter(kind="heard", machine="m2"))

    def test_bad_faults_are_told_to_who_asked(self, sim: Sim) -> None:
        cluster = sim()
        heard: list[str] = []

        def click() -> None:
            try:
                cluster.restart("m1")
            except BadFault as error:
                heard.append(str(error))

        clicking = threading.Thread(target=click)
        clicking.start()
        cluster.run(1)
        clicking.join()
        assert heard[0].startswith("Restart(machine='m1'): m1 is alive")

    def test_a_client_program_may_strike_too(self, sim: Sim) -> None:
        cluster = sim()
        cluster.spawn(Echo, machine="m1")

        async def program(client: Any) -> bool:
            await client.sleep(1)
            cluster.kill("m1")
            return cluster.machine("m1").alive

        assert cluster.submit(program).result() is False
        assert list(cluster.schedule) == [(1.0, Kill("m1"))]

    def test_many_threads_use_one_cluster(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        names = [cluster.spawn(Echo) for _ in range(4)]
        failures: list[BaseException] = []

        def use(number: int) -> None:
            try:
                for value in range(20):
                    with cluster.span(f"thread {number}"):
                        assert cluster.call(names[number], "slowly", value, 0.01) == value
                    cluster.state(names[number], "seen")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        events = list(cluster.trace)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        spans = cluster.trace.filter(kind="span_started")
        assert len({event.span for event in spans}) == len(spans) == 80
        for event in spans:  # a call belongs to the span of its own thread
            nodes = {
                one.node for one in cluster.trace.filter(kind="delivered", span=event.span, what="request")
            }
            assert nodes == {names[int(event.data["name"].split()[1])]}


class TestPlaying:
    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def test_time_passes_by_itself_and_stops(self, sim: Sim) -> None:
        cluster = sim(pace=50.0)
        cluster.spawn_many(gossips())
        self.wait_until(lambda: cluster.now > 1)
        assert cluster.trace.filter(kind="heard")
        cluster.paused = True
        stands = cluster.now
        time.sleep(0.05)
        assert (cluster.now, cluster.paused, cluster.pace) == (stands, True, 50.0)
        cluster.paused = False
        self.wait_until(lambda: cluster.now > stands)
        cluster.pace = None
        stands = cluster.now
        time.sleep(0.05)
        assert cluster.now == stands

    def test_calls_and_runs_wait_for_the_player(self, sim: Sim) -> None:
        cluster = sim(pace=20.0)
        cluster.spawn(Echo)
        assert cluster.call("echo-0", "slowly", 1, 0.5) == 1
        before = cluster.now
        cluster.run(1.0)
        assert cluster.now >= before + 1.0
        cluster.kill("m1")
        assert not cluster.machine("m1").alive

    def test_what_was_clicked_while_it_played_can_be_replayed(self, sim: Sim) -> None:
        def events(cluster: Cluster) -> list[Any]:
            return [event for event in cluster.trace if event.time <= until]

        played = sim(seed=3)
        played.spawn_many(gossips())
        played.pace = 50.0
        self.wait_until(lambda: played.now > 0.5)
        played.kill("m2")
        self.wait_until(lambda: played.now > 1.5)
        played.pace = None
        until = played.now
        replayed = sim(seed=3, schedule=played.schedule)
        replayed.spawn_many(gossips())
        replayed.run(until + 0.1)
        assert events(replayed) == events(played)

    def test_a_crash_while_it_plays_is_told_at_the_next_call(self, sim: Sim) -> None:
        cluster = sim(pace=100.0)
        cluster.spawn(Echo)
        cluster.submit(lambda client: client.call("echo-0", "fail_behind"))
        self.wait_until(lambda: bool(cluster.trace.filter(kind="crash")))
        with pytest.raises(NodeCrashed, match="on purpose, later"):
            cluster.call("echo-0", "plain", 1)

    def test_an_error_in_a_watcher_is_told_too(self, sim: Sim) -> None:
        cluster = sim()

        def broken(event: Any) -> None:
            if event.kind == "killed":
                raise RuntimeError("a broken watcher")

        cluster.trace.watch(broken)
        cluster.play([(1.0, Kill("m1"))])
        cluster.pace = 100.0
        with pytest.raises(NodeCrashed, match="a broken watcher"):
            cluster.run(50)
        cluster.trace.unwatch(broken)

    def test_closing_ends_a_call_that_waits_for_the_player(self, sim: Sim) -> None:
        cluster = sim(pace=0.001)
        cluster.spawn(Echo)
        heard: list[BaseException] = []

        def call() -> None:
            try:
                cluster.call("echo-0", "slowly", 1, 100.0)
            except LabError as error:
                heard.append(error)

        calling = threading.Thread(target=call)
        calling.start()
        self.wait_until(lambda: bool(cluster.trace.filter(kind="span_started")))
        cluster.close()
        calling.join()
        assert isinstance(heard[0], ClusterClosed)
