"""What people do anyway: cases of public bug reports, and odd uses."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from labkit.parts.graphs import Graph, generate
from labkit.systems.pregel import (
    AdjacencyText,
    Aggregator,
    Combiner,
    EdgeText,
    JobFailed,
    Reader,
    Sum,
    TextWriter,
    Vertex,
    Writer,
    hash_partition,
    run_locally,
)
from labkit.systems.pregel.programs import BipartiteMatching, ShortestPaths, matching_errors

from .conftest import pregel, sim

RING = {v: [(v + 1) % 6, (v + 2) % 6] for v in range(6)}


def test_messages_of_a_class_that_the_program_defines_are_combined() -> None:
    """As in a notebook, whose classes no worker can import."""

    class Told(NamedTuple):
        who: int

    class Last(Combiner):
        def combine(self, one: Any, other: Any) -> Any:
            return max(one, other)

    class Hears(Vertex):
        combiner: ClassVar[Any] = Last()

        def compute(self, messages: Sequence[Any]) -> None:
            if self.superstep == 0:
                self.send_message_to_all_neighbors(Told(self.vertex_id))
            self.value = [message.who for message in messages]
            self.vote_to_halt()

    with sim(2) as cluster:
        job = pregel(cluster).run(Hears, RING, "out", partitions=1)
        assert job.output()[3] == [2]
        assert job.check().ok


def test_nan_and_numbers_that_no_float_holds_are_no_violation() -> None:
    class Adds(Vertex):
        combiner: ClassVar[Any] = Sum()
        aggregators: ClassVar[dict[str, Aggregator]] = {"all": Sum(), "large": Sum()}

        def compute(self, messages: Sequence[Any]) -> None:
            self.aggregate("all", float("nan"))
            self.aggregate("large", 10**400)
            if self.superstep == 0:
                self.send_message_to_all_neighbors(float("nan"))
            if self.superstep == 2:
                self.vote_to_halt()

    with sim(2) as cluster:
        job = pregel(cluster).run(Adds, RING, "out", partitions=2)
        assert job.check().ok, job.check()


def test_a_forgotten_return_and_a_changed_id_are_told() -> None:
    class Nothing(Combiner, Aggregator):
        def combine(self, one: Any, other: Any) -> Any:
            one + other

        reduce = combine

    class Combines(Vertex):
        combiner: ClassVar[Any] = Nothing()

        def compute(self, messages: Sequence[Any]) -> None:
            self.send_message_to_all_neighbors(1)

    class Reduces(Vertex):
        aggregators: ClassVar[dict[str, Aggregator]] = {"all": Nothing()}

        def compute(self, messages: Sequence[Any]) -> None:
            self.aggregate("all", 1)

    class Renames(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.vertex_id = "other"

    class Sends(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.send_message_to([1], 2)

    class Appends(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.out_edges.append(3)  # type: ignore[attr-defined]

    told = {
        Combines: "Nothing.combine returns nothing: return one message in place of two",
        Reduces: "Nothing.reduce returns nothing: return one value of two",
        Renames: r"makes vertex_id 'other', and a vertex keeps its id: self\.request_add_vertex",
        Sends: r"send_message_to\(\[1\], …\): .*unhashable.*; a vertex's id, as \(1, 2\)",
        Appends: r"self\.add_edge, remove_edge and set_edge_value change these",
    }
    with sim(2) as cluster:
        P = pregel(cluster)
        for program, words in told.items():
            with pytest.raises(JobFailed, match=words):
                P.run(program, RING, program.__name__, partitions=1)


def test_what_a_class_of_vertices_cannot_have_is_told_at_once() -> None:
    class Mixin:
        pass

    def make(*bases: type, **members: Any) -> Any:
        return type(Vertex)("Mine", (*bases, Vertex), members)

    with pytest.raises(TypeError, match=r"class Mine: value is each vertex's own; write initial = …"):
        make(value=0)
    with pytest.raises(TypeError, match="class Mine: superstep is each vertex's own; write another name"):
        make(superstep=0)
    with pytest.raises(TypeError, match=r"class Mine has __init__, .*: write initial = … for the first"):
        make(__init__=lambda self: None)
    with pytest.raises(TypeError, match="class Mine has __slots__, and a vertex keeps nothing but"):
        make(__slots__=("seen",))
    with pytest.raises(TypeError, match=r"Mine: Mixin has attributes of its own.*write __slots__ = \(\) in"):
        make(Mixin)


def test_classes_and_functions_in_place_of_objects_are_refused() -> None:
    class Halts(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.vote_to_halt()

    class Short(Vertex):
        def compute(self) -> None:  # type: ignore[override]
            pass

    wrong = {
        r"Halts\.combiner is <class .*Sum'>, no object .*: write combiner = Sum\(\)": {"combiner": Sum},
        r"Halts\.combiner is <built-in function min>, no object": {"combiner": min},
        r"Halts\.aggregators is \[\]: write aggregators = \{'total': Sum\(\)\}": {"aggregators": []},
        r"Halts\.aggregators\['a'\] is <class .*: write \{'a': Sum\(\)\}": {"aggregators": {"a": Sum}},
    }
    with sim(1) as cluster:
        P = pregel(cluster, replicas=1)
        for words, members in wrong.items():
            with pytest.raises(TypeError, match=words):
                P.run(type(Vertex)("Halts", (Halts,), members), RING, "out")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"writer is <class .*TextWriter'>.*write writer=TextWriter\(\)"):
            P.run(Halts, RING, "out", writer=TextWriter)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"reader is <class .*EdgeText'>.*write reader=EdgeText\(\)"):
            P.run(Halts, "in/*", "out", reader=EdgeText)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"Short.compute: too many .*; define compute\(self, messages\)"):
            P.run(Short, RING, "out")


class Same(Vertex):
    """The value is the id."""

    def compute(self, messages: Sequence[Any]) -> None:
        self.value = self.vertex_id
        self.vote_to_halt()


def test_what_is_wrong_in_a_file_is_told_with_its_line() -> None:
    """NetworkX 3624 and 4989: edge lists whose lines or names were silently something else."""
    edges, lists = EdgeText(), AdjacencyText()
    right = {
        b"\xef\xbb\xbf1 2\n": {1, 2},
        b" # one\n% two\n007,7\n": {"007", 7},
        "² ٣\n".encode(): {"²", "٣"},
        b"--5 http://a/b\r\n": {"--5", "http://a/b"},
    }
    for data, wanted in right.items():
        assert {vertex for vertex, _, _ in edges.read(data)} == wanted
    with sim(1) as cluster:
        P = pregel(cluster, replicas=1)
        wrong = [
            (
                edges,
                b"1 2\n3\n",
                "EdgeText.read of 'in/0': ValueError: line 2: 2 or 3 fields in a line, not '3'",
            ),
            (edges, b"1 2 3 4\n", "line 1: 2 or 3 fields"),
            (edges, b"1 2 x\n", "line 1: the value of an edge is a number, not 'x'"),
            (edges, b"\x1f\x8b\x08", "line 1 is no text in UTF-8: unpack the file with gunzip"),
            (lists, b"a http://b\n", r"not '//b'; EdgeText\(\) reads names with a colon"),
            (lists, b"1: 2 3\n", "line 1: write '1 2 3', no colon after the id"),
            (Returns(), b"", r"Returns.read of .* it gave \(1, \[2\]\): a vertex is \(id, value or None"),
        ]
        for n, (reader, data, words) in enumerate(wrong):
            with P.fs.open(f"in/{n}", "wb") as file:
                file.write(data)
            with pytest.raises(JobFailed, match=words):
                P.run(Same, f"in/{n}", f"out-{n}", reader=reader)
        with pytest.raises(JobFailed, match=r"Strings.write of partition 0: TypeError: it returns 'a'"):
            P.run(Same, RING, "out", writer=Strings())


class Returns(Reader):
    def read(self, data: bytes) -> Any:
        return [(1, [2])]


class Strings(Writer):
    def write(self, values: Any) -> Any:
        return "a"


def test_values_come_out_as_they_are() -> None:
    """With None among numbers, and of a text; over arrays too."""
    pairs = {1: [10], 2: [10], 3: [11], 4: []}
    with sim(2) as cluster:
        P = pregel(cluster)
        found = P.run(BipartiteMatching, pairs, "pairs").output()
        assert not matching_errors(pairs, found)
        assert found[4] is None
        assert list(P.run(Same, {1: [], None: []}, "none").output().index) == [1, None]
        paths = P.run(ShortestPaths, {0: [1], 1: [], 2: [0]}, "text", writer=TextWriter()).output()
        assert paths.tolist() == [0.0, 1.0, float("inf")]
        many = generate.star(2000)
        job = P.run(ShortestPaths, many, "many", arrays=True, writer=TextWriter())
        assert job.output().tolist() == [0.0] + [1.0] * 1999
        named = Graph.of([((1, 2), (3, 4))])
        assert P.run(ShortestPaths, named, "named", arrays=True).output().index.tolist() == [(1, 2), (3, 4)]


def test_a_graph_of_another_kind_says_what_to_write() -> None:
    with sim(1) as cluster:
        P = pregel(cluster, replicas=1)
        for graph in ([(1, 2)], nx.path_graph(3), pd.DataFrame({"source": [1], "target": [2]})):
            with pytest.raises(TypeError, match=r"Graph.of\(edges\), from_networkx\(graph\) or from_pandas"):
                P.run(Same, graph, "out")
        with pytest.raises(TypeError, match=r"graph\[1\] is .*edges with values are \{target: value\}"):
            P.run(Same, {1: [[2, 3.0]]}, "out")
        for missing in ({1: [float("nan")]}, {float("nan"): []}):
            with pytest.raises(ValueError, match=r"a vertex is named nan, .*: leave out what is missing"):
                P.run(Same, missing, "out")


def test_ids_that_are_equal_are_one_vertex() -> None:
    equal = [
        [1, 1.0, True, np.int64(1), np.float32(1), Fraction(1), Decimal(1)],
        [0.5, np.float32(0.5), Fraction(1, 2)],
        ["a", np.str_("a")],
        [(1, "a"), (1.0, np.str_("a")), (np.int64(1), "a")],
    ]
    for ids in equal:
        assert len({hash_partition(each, 1000) for each in ids}) == 1
    for odd in (float("nan"), float("inf"), 1j, None, frozenset([1])):
        assert 0 <= hash_partition(odd, 10) < 10


def test_options_with_which_nothing_would_end_are_refused() -> None:
    with sim(1) as cluster:
        P = pregel(cluster, replicas=1)
        for wrong in ({"call_timeout": 0}, {"ping_every": 0}, {"partitions": 10**9}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                P.run(Same, RING, "out", **wrong)


def test_two_jobs_cannot_write_into_one_folder() -> None:
    with sim(1) as cluster:
        P = pregel(cluster, replicas=1)
        with P.fs.open("in/a", "wb") as file:
            file.write(b"1 2\n")
        job = P.start(Same, "in/*", "out", reader=EdgeText())
        with pytest.raises(FileExistsError, match="'out' has files in it"):
            P.start(Same, "in/*", "out", reader=EdgeText())
        assert job.result().output().tolist() == [1, 2]
        assert [str(name) for name in P.fs.glob("out/_temporary/*")] == []


def test_what_is_wrong_over_arrays_says_what_to_write() -> None:
    graph = Graph.of({v: [(v + 1) % 8] for v in range(8)})
    wrong: dict[str, Callable[[Any, Any, Any], Any]] = {
        r"vote_to_halt, where: \(\d,\) of bool, .*int64": lambda v, _, __: v.vote_to_halt(np.arange(3)),
        r"send: one for each vertex, \(\d,\) or .*float64\(1,\)": lambda _, __, out: out.send([1.0]),
        r"send: .*'x' is <U1\(\)": lambda _, __, out: out.send("x"),
        r"send_along: one for each out edge": lambda _, __, out: out.send_along(None),
        "send: one for each vertex, where": lambda _, __, out: out.send(1.0, where=[0]),
        r"send_message_to\(array\(\[1\.5\]\), …\): over arrays": lambda v, _, __: v.send_message_to(1.5, 1),
        r"Wrong has no aggregator 'x'; it has: none": lambda v, _, __: v.aggregate("x", 1),
        r"write values\[:\] = … in compute_batch": lambda v, _, __: setattr(v, "value", 3),
    }
    with sim(1) as cluster:
        P = pregel(cluster, replicas=1)
        for n, (words, act) in enumerate(wrong.items()):

            class Wrong(Vertex):
                what = staticmethod(act)

                def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
                    self.what(self, values, out_edges)

            with pytest.raises(JobFailed, match=words):
                P.run(Wrong, graph, f"out-{n}", partitions=2)

        class Sends(Vertex):
            combiner: ClassVar[Any] = Sum()

            def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
                values[:] += messages.combined
                if self.superstep == 0:
                    self.send_message_to_all_neighbors(1.0)
                    self.send_message_to(3, 5)
                self.vote_to_halt()

        found = P.run(Sends, graph, "sends", partitions=1).array().tolist()
        assert found == [1, 1, 1, 6, 1, 1, 1, 1]
        with pytest.raises(JobFailed, match=r"initial is 'x': over arrays write a number"):
            P.run(type(Vertex)("Sends", (Sends,), {"initial": "x"}), graph, "initial")  # type: ignore[arg-type]
        named = Graph.of([("a", "b")])
        with pytest.raises(JobFailed, match=r"source='a': over arrays .* source=graph\.index\(name\)"):
            P.run(ShortestPaths.having(source="a"), named, "named", arrays=True)
        with pytest.raises(TypeError, match=r"Sends has no compute: one thread runs compute\(self"):
            run_locally(Sends, {1: []})


def test_a_partitioner_that_is_not_the_same_everywhere_is_told() -> None:
    """As hash() of a text, in processes of their own."""
    draw = random.Random(1)
    graph = {f"v{n}": [f"v{(n + 1) % 20}"] for n in range(20)}
    words = r"the partitioner puts vertex 'v\d+' into partition \d .*depend on the id alone.*hash_partition"
    with sim(3) as cluster, pytest.raises(JobFailed, match=words):
        pregel(cluster).run(ShortestPaths, graph, "out", partitioner=lambda _, N: draw.randrange(N))


def test_aggregators_may_be_named_as_columns() -> None:
    class Counts(Vertex):
        aggregators: ClassVar[dict[str, Aggregator]] = {"messages": Sum(), "mine": Sum()}

        def compute(self, messages: Sequence[Any]) -> None:
            self.aggregate("messages", -1)
            self.aggregate("mine", 1)
            self.vote_to_halt()

    with sim(1) as cluster:
        table = pregel(cluster, replicas=1).run(Counts, RING, "out").statistics().table
        assert table[["messages", "messages (aggregator)", "mine"]].to_numpy().tolist() == [[0, -6, 6]]


@pytest.mark.parametrize("options", [{}, {"checkpoint_every": 1}])
def test_a_value_that_cannot_be_saved_is_told_with_its_vertex(options: dict[str, Any]) -> None:
    class Locks(Vertex):
        def compute(self, messages: Sequence[Any]) -> None:
            self.value = threading.Lock() if self.vertex_id == 3 else 0
            if self.superstep:
                self.vote_to_halt()

    words = "the value of vertex 3 cannot be saved: TypeError: cannot pickle.*a value is plain data"
    with sim(1) as cluster, pytest.raises(JobFailed, match=words):
        pregel(cluster, replicas=1).run(Locks, RING, "out", **options)
