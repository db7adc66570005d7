"""Faults on machines; schedules: times, triggers, what is recorded, and that it prints as code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit import (
    BadFault,
    BadSchedule,
    Cluster,
    Constant,
    DiskLoss,
    Duplicate,
    Exponential,
    Heal,
    Kill,
    Latency,
    LogNormal,
    Loss,
    MachineDead,
    MachineDied,
    MachinePaused,
    Partition,
    Pause,
    Restart,
    Resume,
    Schedule,
    Slow,
    Timeout,
    Uniform,
    UnknownMachine,
    when,
)
from labkit.runtime.faults import Fault, change_network
from labkit.runtime.network import Network
from tests.runtime.nodes import Echo

Sim = Callable[..., Cluster]


def evaluated(schedule: Schedule) -> Schedule:
    return eval(str(schedule), {name: getattr(labkit, name) for name in labkit.__all__})


class TestKill:
    def test_calls_to_a_dead_machine_are_refused_and_those_under_way_fail(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo, machine="m1")
        operation = cluster.submit(lambda client: client.call(name, "slowly", 1))
        cluster.run(0.5)
        cluster.kill("m1")
        with pytest.raises(MachineDead, match=r"m1 is dead; restart it: cluster\.restart\('m1'\)"):
            cluster.call(name, "plain", 1)
        with pytest.raises(MachineDead, match="m1 is dead"):
            cluster.state(name, "seen")
        with pytest.raises(MachineDead, match="m1 is dead"):
            cluster.peek(name)
        with pytest.raises(MachineDead, match="m1 is dead"):
            cluster.spawn(Echo, machine="m1")
        with pytest.raises(Timeout):
            operation.result()

    def test_a_call_sees_that_its_machine_died(self, sim: Sim) -> None:
        cluster = sim(schedule=[(0.5, Kill("m1"))])
        name = cluster.spawn(Echo, machine="m1")
        with pytest.raises(MachineDied, match="m1 died while the call was under way"):
            cluster.call(name, "slowly", 1)

    def test_even_if_it_was_restarted_meanwhile(self, sim: Sim) -> None:
        cluster = sim(schedule=[(0.5, Kill("m1")), (0.6, Restart("m1"))])
        name = cluster.spawn(Echo, machine="m1")
        with pytest.raises(MachineDied, match="m1 died while the call was under way"):
            cluster.call(name, "slowly", 1)
        assert cluster.call(name, "plain", 2) == 2
        assert cluster.machine("m1").incarnation == 2

    def test_spawn_avoids_dead_machines(self, sim: Sim) -> None:
        cluster = sim(machines=2)
        cluster.kill("m1")
        names = [cluster.spawn(Echo) for _ in range(2)]
        assert [cluster.nodes[name] for name in names] == ["m2", "m2"]
        cluster.kill("m2")
        with pytest.raises(
            MachineDead, match=r'every machine is dead; restart one: cluster\.restart\("m1"\)'
        ):
            cluster.spawn(Echo)

    def test_restarted_nodes_start_again_with_their_arguments(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo, "peer", machine="m1")
        cluster.call(name, "plain", 1)
        cluster.kill("m1")
        cluster.restart("m1")
        cluster.run(0.1)
        assert (cluster.peek(name).peers, cluster.peek(name).seen) == (("peer",), [])
        assert [event.kind for event in cluster.trace.filter(machine="m1")][-4:] == [
            "killed", "restarted", "machine_started", "node_started",
        ]  # fmt: skip
        why = cluster.trace.why(cluster.trace.filter(kind="node_started", node=name)[-1])
        assert [event.kind for event in why.events] == ["restarted", "machine_started", "node_started"]

    def test_nodes_spawned_one_after_another_did_not_cause_one_another(self, sim: Sim) -> None:
        cluster = sim()
        cluster.spawn(Echo)
        cluster.spawn(Echo)
        assert all(event.parent is None for event in cluster.trace)


class TestPauseAndSlow:
    def test_a_paused_machine_does_it_all_when_it_goes_on(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        name = cluster.spawn(Echo, machine="m1")
        cluster.run(0.1)
        cluster.pause("m1")
        for method in ("plain", "slowly"):
            with pytest.raises(
                MachinePaused, match=r"m1 is paused and will carry it out after cluster\.resume"
            ):
                cluster.call(name, method, method, timeout=1)
        assert cluster.peek(name).seen == []
        cluster.resume("m1")
        cluster.run(2)
        assert cluster.peek(name).seen == ["plain", "slowly"]

    def test_its_timers_and_timeouts_stand_still_too(self, sim: Sim) -> None:
        cluster = sim()
        a, b = cluster.spawn(Echo, machine="m1"), cluster.spawn(Echo, machine="m2")
        cluster.kill("m2")
        operation = cluster.submit(lambda client: client.call(a, "patient", b, 0.5, timeout=None))
        cluster.run(0.1)
        cluster.pause("m1")
        cluster.run(10)
        assert cluster.trace.filter(kind="timed_out") == []
        cluster.resume("m1")
        with pytest.raises(Timeout, match="echo-1 on m2 did not answer"):
            operation.result()
        (event,) = cluster.trace.filter(kind="timed_out")
        assert event.time >= 10.1

    def test_a_forwarding_handler_and_an_answer_wait_too(self, sim: Sim) -> None:
        cluster = sim()
        a, b = cluster.spawn(Echo, machine="m1"), cluster.spawn(Echo, machine="m2")
        cluster.latency(Constant(1.0))
        operation = cluster.submit(lambda client: client.call(a, "forward", b, 7, timeout=None))
        cluster.run(1.5)
        cluster.pause("m1")
        cluster.run(20)
        assert not operation.done
        cluster.resume("m1")
        assert operation.result() == 7

    def test_a_paused_machine_may_be_killed(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo, machine="m1")
        cluster.pause("m1")
        with pytest.raises(Timeout):
            cluster.call(name, "plain", "x", timeout=0.5)
        cluster.kill("m1")
        cluster.restart("m1")
        cluster.run(1)
        assert cluster.peek(name).seen == []

    def test_a_slow_machine_looks_at_messages_later(self, sim: Sim) -> None:
        cluster = sim(network=Network(latency=Constant(0.001)))
        name = cluster.spawn(Echo, machine="m1")
        cluster.call(name, "plain", 1)
        normal = cluster.now
        cluster.slow("m1", 100)
        assert cluster.machine("m1").state == "slow"
        cluster.call(name, "plain", 1)
        assert cluster.now - normal == pytest.approx(normal + 0.099)
        cluster.slow("m1", 1)
        assert cluster.machine("m1").state == "alive"

    @pytest.mark.parametrize("then", ["pause", "kill"])
    def test_and_may_be_paused_or_killed_with_messages_in_hand(self, sim: Sim, then: str) -> None:
        cluster = sim(trace="messages")
        name = cluster.spawn(Echo, machine="m1")
        cluster.slow("m1", 1001)
        operation = cluster.submit(lambda client: client.call(name, "plain", 1, timeout=3))
        cluster.run(0.5)
        cluster.inject(Pause("m1") if then == "pause" else Kill("m1"))
        if then == "pause":
            cluster.run(1)
            cluster.resume("m1")
            assert cluster.machine("m1").state == "slow"
            assert operation.result() == 1
        else:
            with pytest.raises(Timeout):
                operation.result()
            assert cluster.trace.filter(kind="dropped")[0].data["reason"] == "m1 is dead"


class TestChecks:
    @pytest.mark.parametrize(
        ("faults", "last", "state"),
        [
            ([], Restart("m1"), "alive"),
            ([], Resume("m1"), "alive"),
            ([], DiskLoss("m1"), "alive"),
            ([Pause("m1")], Pause("m1"), "paused"),
            ([Pause("m1")], Slow("m1"), "paused"),
            ([Kill("m1")], Kill("m1"), "dead"),
            ([Kill("m1")], Pause("m1"), "dead"),
            ([Slow("m1")], Resume("m1"), "slow"),
        ],
    )
    def test_what_makes_no_sense_in_the_present_state(
        self, sim: Sim, faults: list[Fault], last: Fault, state: str
    ) -> None:
        cluster = sim()
        for fault in faults:
            cluster.inject(fault)
        with pytest.raises(BadFault, match=f"m1 is {state}; what can be done to it now: "):
            cluster.inject(last)
        assert [fault for _, fault in cluster.schedule] == faults

    def test_unknown_machines(self, sim: Sim) -> None:
        cluster = sim()
        for act in (
            lambda: cluster.kill("m9"),
            lambda: cluster.partition("m1", "m9"),
            lambda: cluster.play([(1.0, Kill("m9"))]),
            lambda: cluster.machine("m9"),
        ):
            with pytest.raises(UnknownMachine, match="no machine 'm9'; the machines are: m1, m2, m3"):
                act()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Slow("m1", 0.5), "factor says how many times slower, a number >= 1"),
            (lambda: Partition(["m1"], ["m1"]), "two groups of machines with none in both"),
            (lambda: Partition([], ["m1"]), "two groups of machines with none in both"),
            (lambda: Loss(2), "the loss is a probability between 0 and 1, not 2"),
            (lambda: Duplicate(-1), "the duplication is a probability between 0 and 1, not -1"),
            (lambda: Latency(3), "a latency is a distribution, not 3; write Latency"),  # type: ignore[arg-type]
            (lambda: Kill(2), 'a fault names its machine, as in Kill\\("m2"\\), not 2'),  # type: ignore[arg-type]
        ],
    )
    def test_faults_that_make_no_sense_at_all(self, make: Callable[[], Fault], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make()

    def test_not_a_fault(self, sim: Sim) -> None:
        with pytest.raises(BadFault, match=r"'kill' is not a fault; write for example cluster\.inject"):
            sim().inject("kill")  # type: ignore[arg-type]
        with pytest.raises(BadFault, match="no engine knows how to apply"):
            change_network(Network(), Kill("m1"))

    def test_handles_work_as_well_as_names(self, sim: Sim) -> None:
        cluster = sim()
        first, second, _ = cluster.machines
        cluster.partition(first, [second])
        cluster.kill(first)
        assert (first.state, first.alive, first.pid, first.nodes) == ("dead", False, None, [])
        assert repr(first) == "<machine m1: dead, 0 nodes>"


class TestSchedule:
    def test_times_strike_in_order_and_are_recorded(self, sim: Sim) -> None:
        cluster = sim(schedule=[(2.0, Kill("m2")), (1.0, Pause("m1")), (2.0, Kill("m3"))])
        cluster.run(5)
        assert list(cluster.schedule) == [(1.0, Pause("m1")), (2.0, Kill("m2")), (2.0, Kill("m3"))]
        assert [(event.time, event.kind, event.machine) for event in cluster.trace][-3:] == [
            (1.0, "paused", "m1"), (2.0, "killed", "m2"), (2.0, "killed", "m3"),
        ]  # fmt: skip

    def test_a_trigger_counts_events_that_match(self, sim: Sim) -> None:
        cluster = sim(
            schedule=[
                (when("noted", count=2, x=1), Kill("m2")),
                (when("noted", node="echo-0", after=3.0), Pause("m3")),
                (when("killed", machine="m2"), Loss(0.5)),
            ]
        )
        name = cluster.spawn(Echo, machine="m1")
        for x in (1, 2, 1):
            cluster.run(1)
            assert cluster.machine("m2").alive
            cluster.call(name, "note", "noted", {"x": x})
        cluster.run(0.1)
        assert not cluster.machine("m2").alive
        assert [type(fault) for _, fault in cluster.schedule] == [Kill, Loss]
        cluster.run(3)
        noted = cluster.trace.filter(kind="noted")
        times = [moment for moment, _ in cluster.schedule]
        assert noted[2].time < times[0] < times[1] < noted[2].time + 1e-6
        assert times[2] == noted[0].time + 3.0

    def test_one_that_makes_no_sense_by_then_is_skipped_and_the_trace_says_so(self, sim: Sim) -> None:
        cluster = sim(schedule=[(1.0, Kill("m1")), (2.0, Kill("m1"))])
        cluster.run(3)
        assert len(cluster.schedule) == 1
        (skipped,) = cluster.trace.filter(kind="fault_skipped")
        assert skipped.data == {
            "fault": "Kill(machine='m1')",
            "reason": "Kill(machine='m1'): m1 is dead; what can be done to it now: Restart, DiskLoss",
        }

    def test_what_is_planned_for_the_past_strikes_now(self, sim: Sim) -> None:
        cluster = sim()
        cluster.run(5)
        cluster.play([(1.0, Kill("m1"))])
        cluster.run(1)
        assert list(cluster.schedule) == [(5.0, Kill("m1"))]

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ([Kill("m1")], r"a schedule is a list of \(when, fault\), not Kill"),
            ([(1.0, "kill")], "'kill' is not a fault; write for example"),
            ([("soon", Kill("m1"))], r"'soon' is neither a time in seconds nor when\(\.\.\.\)"),
            ([(True, Kill("m1"))], "True is neither a time"),
            ([(-1.0, Kill("m1"))], "a time is seconds since the cluster began, >= 0 and finite, not -1.0"),
            ([(float("nan"), Kill("m1"))], "finite, not nan"),
        ],
    )
    def test_bad_schedules(self, entries: list[Any], message: str) -> None:
        with pytest.raises(BadSchedule, match=message):
            Schedule(entries)

    def test_bad_triggers(self, sim: Sim) -> None:
        with pytest.raises(BadSchedule, match="count says which such event, 1 for the first, not 0"):
            when("x", count=0)
        with pytest.raises(BadSchedule, match="after is seconds >= 0 after the event, not -1"):
            when("x", after=-1)
        with pytest.raises(BadSchedule, match="make the cluster with trace=\"domain\", not 'off'"):
            sim(trace="off", schedule=[(when("x"), Heal())])
        with pytest.raises(BadSchedule, match="make the cluster with trace=\"messages\", not 'domain'"):
            sim(schedule=[(when("sent"), Heal())])

    def test_an_empty_schedule_prints_too(self) -> None:
        assert str(Schedule()) == "Schedule([])"
        assert not Schedule()

    @given(
        st.lists(
            st.tuples(
                st.one_of(
                    st.floats(0, 1e6),
                    st.integers(0, 100),
                    st.builds(
                        when,
                        st.sampled_from(["stored", "hop"]),
                        count=st.integers(1, 5),
                        after=st.floats(0, 9),
                        node=st.sampled_from(["a", "b"]),
                        x=st.one_of(st.integers(), st.text(max_size=3), st.none()),
                    ),
                ),
                st.one_of(
                    st.builds(Kill, st.sampled_from(["m1", "m 2"])),
                    st.builds(Slow, st.just("m1"), st.floats(1, 99)),
                    st.builds(Loss, st.floats(0, 1)),
                    st.builds(Partition, st.just(["m1"]), st.just(["m2", "m3"]), st.booleans()),
                    st.sampled_from(
                        [
                            Heal(),
                            Restart("m1"),
                            Resume("m1"),
                            Pause("m1"),
                            DiskLoss("m1"),
                            Duplicate(0.5),
                            Latency(Uniform(0, 1)),
                            Latency(Constant(1)),
                            Latency(Exponential(1.0)),
                            Latency(LogNormal(0.1, 0.2)),
                        ]
                    ),
                ),
            ),
            max_size=6,
        )
    )
    def test_it_prints_as_code_that_makes_an_equal_one(self, entries: list[Any]) -> None:
        schedule = Schedule(entries)
        assert evaluated(schedule) == schedule

    def test_numbers_of_numpy_print_as_code_too(self) -> None:
        import numpy

        assert str(Schedule([(numpy.float64(2.5), Heal())])) == "Schedule([\n    (2.5, Heal()),\n])"
