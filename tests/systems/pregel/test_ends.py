"""Changes of the graph, and how a job may end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.runtime.errors import LabError
from labkit.systems.pregel import Combiner, JobAborted, JobCancelled, JobFailed, Pregel, Vertex
from labkit.systems.pregel.programs import PageRank

from .conftest import links, pregel, right, sim
from .test_jobs import SLOW, Ranks

# -- mutations ------------------------------------------------------------


def test_mutations_are_applied_in_the_papers_order() -> None:
    """Asked for at once: edges go before vertices, vertices come before edges."""

    class Asks(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            if self.superstep == 0 and self.vertex_id == "asks":
                self.request_add_edge("new", "b", 1)
                self.request_add_vertex("new", "fresh")
                self.request_add_edge("a", "b", 7)
                self.request_remove_edge("a", "b")
                self.request_remove_vertex("gone")
                self.request_add_vertex("gone", "back")
                self.request_add_edge("nowhere", "a")
            if self.superstep == 1:
                self.value = (self.value, [tuple(edge) for edge in self.out_edges], self.num_vertices)
                self.vote_to_halt()

    graph = {"asks": [], "a": {"b": 3}, "b": [], "gone": ["a"]}
    with sim() as cluster:
        values = dict(pregel(cluster).run(Asks, graph, "out", partitions=3).output())
        assert values == {
            "asks": (None, [], 4), "a": (None, [("b", 7)], 4), "b": (None, [], 4),
            "gone": ("back", [], 4), "new": ("fresh", [("b", 1)], 4),
        }  # fmt: skip


def test_conflicts_are_for_the_users_handlers() -> None:
    class Conflict(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            if self.superstep == 0:
                self.request_add_vertex("new", self.vertex_id)
                self.request_add_edge("a", "z", self.vertex_id)
            elif self.vertex_id == "a":
                self.value = self.out_edges
            if self.superstep == 1:
                self.vote_to_halt()

    class Handled(Conflict):
        @classmethod
        def conflicting_vertices(cls, vertex_id: Any, values: Sequence[Any]) -> Any:
            return (vertex_id, sorted(values))

        @classmethod
        def conflicting_edges(cls, source: Any, target: Any, values: Sequence[Any]) -> Any:
            return sorted(values, key=str)

    graph = {"a": {"z": 0}, "b": [], "c": []}
    with sim() as cluster:
        first = dict(pregel(cluster).run(Conflict, graph, "one", partitions=3).output())
        assert first["new"] in "abcz"
        second = dict(pregel_again_on(cluster).run(Handled, graph, "two", partitions=3).output())
        assert second["new"] == ("new", ["a", "b", "c", "z"])
        assert second["a"] == (("z", [0, "a", "b", "c", "z"]),)


def pregel_again_on(cluster: Cluster) -> Pregel:
    return Pregel(cluster, FileSystem(cluster, name="others"))


def test_local_mutations_are_immediate_and_survive_a_failure() -> None:
    class Grows(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.add_edge("x", self.superstep)
            if self.superstep == 2:
                self.remove_edge("x")
            if self.superstep == 4:
                self.set_edge_value("x", "last")
            self.value = [edge.value for edge in self.out_edges]
            if self.superstep == 5:
                self.vote_to_halt()

    graph = {v: ["y"] for v in range(20)}
    with sim() as cluster:
        job = pregel(cluster).start(Grows, graph, "out", checkpoint_every=2, seconds_per_vertex=0.05)
        cluster.run_until(lambda: job.view().current >= 5, what="superstep 5")
        cluster.kill("m4")
        job.result()
        right(job, Grows, graph)
        assert job.output()[0] == [None, "last", "last", 5]


def test_messages_to_missing_vertices() -> None:
    class Shouts(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            if self.superstep == 0:
                self.send_message_to("nobody", self.vertex_id)
            self.value = (self.value, sorted(messages), len(self.out_edges))
            self.vote_to_halt()

    class Creates(Shouts):
        @classmethod
        def message_to_missing(cls, graph: Any, vertex_id: Any, messages: Sequence[Any]) -> None:
            graph.add_vertex(vertex_id, "made")
            for source in messages:
                graph.request_remove_edge(source, vertex_id)

    with sim() as cluster:
        job = pregel(cluster).run(Shouts, {"a": [], "b": []}, "one", partitions=2)
        assert "nobody" not in job.output().index
        computed = [event.data["missing"] for event in cluster.trace.filter("partition_computed")]
        assert sum(computed) == 2
        job = pregel_again_on(cluster).run(Creates, {"a": [], "b": []}, "two", partitions=2)
        assert job.output()["nobody"] == ("made", ["a", "b"], 0)
        assert job.check().ok


# -- ends ------------------------------------------------------------


def test_what_compute_raises_says_where() -> None:
    class Breaks(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            if self.superstep == 2 and self.vertex_id == 7:
                raise KeyError("here")

    class Keeps(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.memory = 3  # type: ignore[attr-defined]

    class Returns(Vertex):
        def compute(self, messages: Sequence[Any]) -> Any:
            yield 1

    class Unknown(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.aggregate("none", 1)

    graph = {v: [] for v in range(10)}
    with sim(2) as cluster:
        P = pregel(cluster)
        with pytest.raises(
            JobFailed, match=r"(?s)compute of vertex 7 in superstep 2: KeyError: 'here'.*raise Key"
        ):
            P.run(Breaks, graph, "a")
        with pytest.raises(JobFailed, match=r"(?s)'memory'.*from one superstep to the next is self\.value"):
            P.run(Keeps, graph, "b")
        with pytest.raises(JobFailed, match="compute returns or yields something"):
            P.run(Returns, graph, "c")
        with pytest.raises(JobFailed, match="Unknown has no aggregator 'none'; it has: none"):
            P.run(Unknown, graph, "d")
        P.run(Ranks, graph, "e")  # the cluster is as good as new


def test_one_that_never_halts_is_ended() -> None:
    class Never(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            pass

    with (
        sim(2) as cluster,
        pytest.raises(JobFailed, match=r"after 20 supersteps the job has not halted.*max_supersteps=40"),
    ):
        pregel(cluster).run(Never, {1: []}, "out", max_supersteps=20)


def test_nobody_sees_what_others_do_to_a_message() -> None:
    class Mutates(Vertex):
        initial: ClassVar[Any] = 0

        def compute(self, messages: Sequence[Any]) -> None:
            if self.superstep == 0:
                told = [0]
                self.send_message_to_all_neighbors(told)
                told.append("after it was sent")
            for message in messages:
                message.append(self.vertex_id)
                self.value += len(message)
            if self.superstep:
                self.vote_to_halt()

    graph = {v: list(range(5)) for v in range(5)}
    with sim(2) as cluster:
        for combine in (True, False):
            job = pregel_named(cluster, combine).run(Mutates, graph, "out", partitions=2)
            assert set(job.output()) == {10}


def pregel_named(cluster: Cluster, number: Any) -> Pregel:
    return Pregel(cluster, FileSystem(cluster, name=f"files-{number}"))


def test_an_empty_graph_odd_names_and_large_messages() -> None:
    class Large(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            if self.superstep == 0:
                self.send_message_to_all_neighbors("x" * 3_000_000)
            self.value = sum(map(len, messages))
            self.vote_to_halt()

    names = ["", "a b\n", ("t", 1), frozenset([2]), None, -1, 2.5, "ü", b"b"]
    with sim(3) as cluster:
        P = pregel(cluster)
        job = P.run(Ranks, {}, "empty")
        assert len(job.output()) == 0
        assert job.check().ok
        graph = {name: [names[n - 1]] for n, name in enumerate(names)}
        found = dict(P.run(Large, graph, "odd", partitions=3).output())
        assert found == dict.fromkeys(names, 3_000_000)
        job = P.run(Ranks, {"only": ["only"]}, "one", partitions=5)
        assert dict(job.output())["only"] == pytest.approx(1.0)


def test_a_job_can_be_cancelled_and_another_begun() -> None:
    with sim() as cluster:
        P = pregel(cluster)
        job = P.start(Ranks, links(), "out", seconds_per_vertex=1.0)
        cluster.run_until(lambda: job.view().current >= 1, what="superstep 1")
        job.cancel()
        with pytest.raises(JobCancelled, match="it was cancelled"):
            job.result()
        one, two = P.run(Ranks, links(), "one"), P.run(Ranks, links(), "two")
        assert list(one.output()) == list(two.output())
        with pytest.raises(FileExistsError, match=r"'one' has files in it: fs.rm"):
            P.run(Ranks, links(), "one")


def test_the_master_dies() -> None:
    with sim() as cluster:
        P = pregel(cluster)
        job = P.start(Ranks, links(), "out", master="m2", checkpoint_every=2, **SLOW)
        cluster.run_until(lambda: job.view().current >= 3, what="superstep 3")
        cluster.kill("m2")
        with pytest.raises(
            JobAborted, match="the master on m2 died, and its state with it; run the job again"
        ):
            job.result()
        cluster.restart("m2")
        right(P.run(Ranks, links(), "again"), Ranks, links())


def test_what_is_wrong_is_said() -> None:
    class Neither(Vertex):
        pass

    with sim(2) as cluster:
        P = pregel(cluster)
        with pytest.raises(TypeError, match=r"Neither has no compute: define compute\(self, messages\)"):
            P.run(Neither, {}, "out")
        with pytest.raises(TypeError, match="the program is a class of vertices"):
            P.run(3, {}, "out")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"graph\['a'\] is 'bc': give a list"):
            P.run(Ranks, {"a": "bc"}, "out")
        with pytest.raises(TypeError, match=r"a graph is a labkit\.parts\.graphs Graph, \{vertex"):
            P.run(Ranks, 7, "out")
        with pytest.raises(TypeError, match="over arrays the input is a labkit"):
            P.run(Ranks, {1: []}, "out", arrays=True)
        with pytest.raises(TypeError, match="PageRank has no parameter 'itertions'; it has iterations"):
            PageRank.having(itertions=3)
        for wrong in (
            {"partitions": -1},
            {"batch": 0},
            {"checkpoint_every": 0},
            {"mtbf": 0},
            {"recovery": "x"},
        ):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                P.run(Ranks, {}, "out", **wrong)
        with pytest.raises(TypeError, match="has no option 'speed'; its options are partitions"):
            P.run(Ranks, {}, "out", speed=3)
        with pytest.raises(ValueError, match="would mark living workers as failed"):
            P.run(Ranks, {}, "out", timeout=0.3)
        with pytest.raises(TypeError, match=r"Pregel\(cluster, fs\), in this order"):
            Pregel(P.fs, cluster)  # type: ignore[arg-type]
        with sim(1) as other, pytest.raises(LabError, match=r"make one with FileSystem\(cluster\)"):
            Pregel(other, P.fs)


def test_a_combiner_of_the_users_own() -> None:
    class Union(Combiner):
        def combine(self, one: Any, other: Any) -> Any:
            return one | other

    class Reach(Vertex):
        combiner: ClassVar[Any] = Union()

        def compute(self, messages: Sequence[Any]) -> None:
            before = self.value or set()
            self.value = before.union({self.vertex_id}, *messages)
            if self.value != before:
                self.send_message_to_all_neighbors(self.value)
            self.vote_to_halt()

    graph = links(30, most=4)
    with sim() as cluster:
        right(pregel(cluster).run(Reach, graph, "out", partitions=4), Reach, graph)


def test_the_run_as_code_begins_the_same_job() -> None:
    with sim(3) as cluster:
        graph = links()
        job = pregel(cluster).run(Ranks, graph, "out", partitions=4, recovery="confined")
        names: dict[str, Any] = {"job": job, "Ranks": Ranks, "graph": graph}
        exec(job.code().replace("job_again.panel()", ""), names)
        again: Any = names["job_again"]
        again.result()
        assert dict(again.output()) == dict(job.output())
        names["again"].close()
        job.reset()
        job.result()
        right(job, Ranks, graph)
