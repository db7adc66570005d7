"""Random schedules of faults, determinism, and planted mistakes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from labkit import Cluster
from labkit.runtime.faults import Loss
from labkit.systems.pregel import Combiner, Vertex
from labkit.systems.pregel.mistakes import MISTAKES
from labkit.systems.pregel.programs import BipartiteMatching, ShortestPaths, matching_errors
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import links, pregel, right, same, sim, weighted
from .test_jobs import Ranks

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 12
RECOVERIES = ("rollback", "confined")


class Walks(Vertex):
    """Random walkers, and vertices that come and go: all that may go wrong when it is computed again."""

    def compute(self, messages: Sequence[Any]) -> None:
        if self.superstep == 0:
            self.value = 0
            messages = [self.vertex_id]
        self.value += len(messages)
        for walker in messages:
            if self.out_edges and self.superstep < 12:
                self.send_message_to(self.random.choice(self.out_edges).target, walker)
            elif self.superstep < 12:
                self.request_add_vertex((self.vertex_id, self.superstep), 1)
                self.request_add_edge(self.vertex_id, (self.vertex_id, self.superstep))
        if self.superstep >= 12:
            self.vote_to_halt()


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_gives_the_values_of_one_thread(seed: int) -> None:
    program: Any = (Ranks, ShortestPaths, Walks)[seed % 3]
    graph = weighted(n=80) if program is ShortestPaths else links(80)
    undisturbed = None
    for schedule in ([], disturbances(seed)) if program is Walks else (disturbances(seed),):
        with Cluster(machines=4, engine="sim", seed=seed) as cluster:
            P, began = pregel(cluster), cluster.now
            cluster.play([(began + at, fault) for at, fault in schedule])
            job = P.start(
                program, graph, "out", partitions=7, seconds_per_vertex=0.02,
                recovery=RECOVERIES[seed // 3 % 2], checkpoint_every=(2, 4, None)[seed % 3], arrays=seed % 3
                == 1 and seed % 2 == 1,
            )  # fmt: skip
            job.result(timeout=400.0)
            if program is not Walks:
                right(job, program, graph)
            else:  # one thread has one stream of random numbers, and not one for each partition
                report, found = job.check(), dict(job.output())
                assert report.ok, f"{report}\n{cluster.schedule}"
                assert undisturbed is None or found == undisturbed, f"seed={seed}\n{cluster.schedule}"
                undisturbed = found


@pytest.mark.parametrize("seed", range(6))
def test_the_same_values_to_the_last_digit(seed: int) -> None:
    """Sums are made in the same order, whoever has which partition, in whichever order messages come."""
    found = []
    for schedule in ([], disturbances(seed)):
        with Cluster(machines=4, engine="sim", seed=seed) as cluster:
            P, began = pregel(cluster), cluster.now
            cluster.play([(began + at, fault) for at, fault in schedule])
            job = P.start(
                Ranks, links(80), "out", partitions=7, seconds_per_vertex=0.02, batch=10,
                recovery=RECOVERIES[seed % 2], checkpoint_every=3,
            )  # fmt: skip
            found.append((dict(job.output()), job.view().supersteps[8].aggregated))
    assert found[0] == found[1]


def test_two_workers_die_and_then_all_but_one() -> None:
    graph = links(100)
    for recovery in RECOVERIES:
        with sim(5) as cluster:
            job = pregel(cluster, replicas=5).start(
                Ranks,
                graph,
                "out",
                partitions=9,
                seconds_per_vertex=5e-3,
                recovery=recovery,
                checkpoint_every=3,
            )
            cluster.run_until(lambda: job.view().current >= 4, what="superstep 4")  # noqa: B023
            cluster.kill("m2")
            cluster.kill("m3")
            cluster.run_until(lambda: job.view().recovering is not None, what="a recovery")  # noqa: B023
            cluster.kill("m4")
            cluster.run_until(lambda: len(job.view().recoveries) >= 2, what="another")  # noqa: B023
            cluster.kill("m5")
            job.result()
            right(job, Ranks, graph)
            assert set(job.view().places) == {job.spec.worker("m1")}


def test_all_workers_die_and_come_back() -> None:
    """The master's machine has a worker, too; here it is none of those that have partitions."""
    graph = links(60)
    with sim(4) as cluster:
        P = pregel(cluster, replicas=4)
        job = P.start(
            Ranks,
            graph,
            "out",
            partitions=6,
            seconds_per_vertex=0.02,
            recovery="confined",
            checkpoint_every=2,
        )
        cluster.run_until(lambda: job.view().current >= 3, what="superstep 3")
        cluster.partition(["m2", "m3", "m4"], ["m1"])
        cluster.run(6.0)
        ended = {event.machine for event in cluster.trace.filter("terminated")}
        assert ended == {"m2", "m3", "m4"}
        cluster.heal()
        job.result()
        right(job, Ranks, graph)


def test_a_disconnected_worker_ends_itself_and_comes_back() -> None:
    graph = links(60)
    with sim() as cluster:
        job = pregel(cluster).start(Ranks, graph, "out", seconds_per_vertex=0.02, checkpoint_every=2)
        cluster.run_until(lambda: job.view().current >= 2, what="superstep 2")
        cluster.partition(["m3"], ["m1", "m2", "m4"])
        cluster.run_until(lambda: bool(cluster.trace.filter("terminated")), what="the end of it")
        (event,) = cluster.trace.filter("terminated")
        assert event.machine == "m3"
        cluster.run_until(lambda: bool(job.view().recoveries), what="a recovery")
        cluster.heal()
        job.result()
        right(job, Ranks, graph)
        back = [e for e in cluster.trace.filter("worker_registered") if e.data["machine"] == "m3"]
        assert len(back) == 2


def test_lost_messages_are_sent_again() -> None:
    with sim() as cluster:
        P = pregel(cluster)
        cluster.inject(Loss(0.2))
        right(P.run(Ranks, links(), "out", partitions=5), Ranks, links())


def digest(seed: int = 5) -> str:
    with Cluster(machines=4, engine="sim", seed=seed, trace="messages") as cluster:
        P = pregel(cluster)
        cluster.play([(cluster.now + at, fault) for at, fault in disturbances(seed)])
        graph = {f"v{v}": [f"v{t}" for t in targets] for v, targets in links(60).items()}
        job = P.start(Walks, graph, "out", seconds_per_vertex=0.02, recovery="confined", checkpoint_every=3)
        return f"{sorted(map(repr, dict(job.output()).items()))} {cluster.trace.digest()}"


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    assert digest_elsewhere(__name__) == digest()


# -- planted mistakes ------------------------------------------------------------


@pytest.mark.parametrize(
    ("mistake", "rule"),
    [
        ("compute before the barrier", "Barrier"),
        ("an aggregator late", "NextSuperstep"),
        ("a message delivered twice", "DeliveredOnce"),
        ("a message lost", "DeliveredOnce"),
        ("a checkpoint without messages", "DeliveredOnce"),
        ("random numbers drawn anew", "Deterministic"),
    ],
)
def test_a_planted_mistake_is_caught(mistake: str, rule: str) -> None:
    assert len(MISTAKES) == 6
    program: Any = Walks if "random" in mistake else Ranks
    with sim(4, seed=1) as cluster:
        job = pregel(cluster).start(
            program, links(60), "out", partitions=6, roles=MISTAKES[mistake], seconds_per_vertex=0.02,
            recovery="confined", checkpoint_every=2,
        )  # fmt: skip
        if "checkpoint" in mistake or "random" in mistake:
            cluster.run_until(lambda: job.view().current >= 3, what="superstep 3")
            cluster.kill("m3")
        job.result()
        assert rule in {each.what for each in job.check().violations}


def test_a_combiner_that_does_not_commute_is_caught() -> None:
    class Differs(Combiner):
        def combine(self, one: Any, other: Any) -> Any:
            return one - other

    class Wrong(Ranks):
        combiner: ClassVar[Any] = Differs()

    with sim() as cluster:
        job = pregel(cluster).run(Wrong, links(), "out", partitions=2)
        (violation, *_) = job.check().violations
        assert violation.what == "Program"
        assert "the other way" in violation.detail


def test_a_value_that_its_program_forbids_is_caught() -> None:
    class Grows(ShortestPaths):
        combiner: ClassVar[Any] = None

        def compute(self, messages: Sequence[float]) -> None:
            self.value = max(messages, default=0.0)
            if self.superstep < 3:
                self.send_message_to_all_neighbors(self.superstep + 1.0)
            self.vote_to_halt()

    with sim() as cluster:
        job = pregel(cluster).run(Grows, {1: [2], 2: [1]}, "out")
        assert "Program" in {each.what for each in job.check().violations}


def test_a_matching_is_maximal_under_faults_and_a_wrong_one_is_seen() -> None:
    graph = {("l", v): [("r", t) for t in targets] for v, targets in links(40).items()}
    for seed, recovery in enumerate(RECOVERIES):
        with sim(4, seed) as cluster:
            P, began = pregel(cluster), cluster.now
            cluster.play([(began + at, fault) for at, fault in disturbances(seed)])
            job = P.start(
                BipartiteMatching, graph, "out", partitions=5, seconds_per_vertex=0.05, recovery=recovery,
                checkpoint_every=3,
            )  # fmt: skip
            values = dict(job.output())
            assert matching_errors(graph, values) == []
            assert job.check().ok
    assert matching_errors({"a": ["b"]}, {"a": None, "b": None})
    assert matching_errors({"a": ["b"]}, {"a": "b", "b": None})
    assert same(values, values)
