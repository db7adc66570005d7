"""The operators, one by one, with the ports that the paper gives each edge."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.systems.dryad.model import Graph, compose, encapsulate, vertex
from labkit.systems.dryad.plan import plan
from labkit.systems.dryad.process import VertexFailed
from labkit.systems.dryad.single import run_locally
from labkit.systems.dryad.vertices import distribute, flat_map, join, map, merge, process, reduce, sort


def named(name: str) -> Graph:
    async def program(readers: Any, writers: Any) -> None:
        pass

    return vertex(program, name)


def edges(graph: Graph) -> list[tuple[int, int]]:
    number = {each: i for i, each in enumerate(graph.vertices)}
    return [(number[edge.source], number[edge.target]) for edge in graph.edges]


def test_a_single_vertex_is_input_and_output() -> None:
    a = named("a")
    assert a.vertices == a.inputs == a.outputs
    assert a.edges == ()


def test_cloning_makes_other_vertices_of_the_same_program() -> None:
    pair = named("a") >= named("b")
    three = pair**3
    assert len(three) == 6
    assert len({*three.vertices, *pair.vertices}) == 8
    assert edges(three) == [(0, 1), (2, 3), (4, 5)]
    assert [len(three.inputs), len(three.outputs)] == [3, 3]
    with pytest.raises(ValueError, match=r"G \*\* k, .*k=0"):
        pair**0


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 2), (5, 2), (2, 5), (1, 4), (4, 1)])
def test_pointwise_deals_round(m: int, n: int) -> None:
    a, b = named("a") ** m, named("b") ** n
    graph = a >= b
    assert len(graph.edges) == max(m, n)
    assert edges(graph) == [(i % m, m + i % n) for i in range(max(m, n))]
    assert graph.inputs == a.inputs
    assert graph.outputs == b.outputs


def test_bipartite_joins_all() -> None:
    graph = named("a") ** 2 >> named("b") ** 3
    assert edges(graph) == [(i, 2 + j) for i in range(2) for j in range(3)]


def test_merge_keeps_the_first_ports_and_removes_inner_inputs_and_outputs() -> None:
    a, b, c, d = (named(name) for name in "abcd")
    graph = (a >= b) | (b >= c) | (a >= d)
    assert [each.stage for each in graph.vertices] == ["a", "b", "c", "d"]
    assert edges(graph) == [(0, 1), (1, 2), (0, 3)]
    assert [edge.target.stage for edge in graph.out_of(a.vertices[0])] == ["b", "d"]
    assert [each.stage for each in graph.inputs] == ["a"]
    assert [each.stage for each in graph.outputs] == ["c", "d"]
    shared = a >= b
    assert len(((shared >= c) | (shared >= d)).edges) == 3
    assert len(((a >= b) | (a >= b)).edges) == 2, "several edges between two vertices are allowed"


def test_a_cycle_is_refused() -> None:
    a, b = named("a"), named("b")
    with pytest.raises(ValueError, match="a cycle through a, b"):
        (a >= b) | (b >= a)


def test_a_chain_of_comparisons_says_which_brackets_are_missing() -> None:
    a, b, c = (named(name) for name in "abc")
    with pytest.raises(TypeError, match=r"write \(a >= b\) >= c"):
        a >= b >= c  # noqa: B015
    with pytest.raises(TypeError, match=r"\| binds tighter than >="):
        a >= b | b >= c  # noqa: B015
    assert len(((a >= b) >= c).edges) == 2


def test_what_is_no_graph_is_refused() -> None:
    async def f(readers: Any, writers: Any) -> None:
        pass

    for wrong in (
        lambda: named("a") >= f,
        lambda: f >= named("a"),
        lambda: named("a") >> f,
        lambda: f | named("a"),
    ):
        with pytest.raises(TypeError, match=r"write vertex\(f\)"):
            wrong()
    with pytest.raises(TypeError, match="write async def g"):
        vertex(g)
    a = named("a")
    with pytest.raises(ValueError, match=r"write a \*\* 1"):
        a >= a  # noqa: B015
    with pytest.raises(ValueError, match="no input that an edge"):
        a >= Graph((), (), (), ())  # noqa: B015


def g(readers: Any, writers: Any) -> None:
    """Not async."""


def test_ones_own_composition() -> None:
    a, b = named("a") ** 3, named("b") ** 3
    assert edges(compose(a, b, [(0, 2), (2, 0)])) == [(0, 5), (2, 3)]


def test_ports_kinds_and_stages_of_a_plan() -> None:
    a, b = named("a") ** 2, named("b") ** 2
    found = plan(a >> b, {("a", "b"): "pipe"})
    assert [(link.source, link.port, link.target) for link in found.links] == [
        (0, 0, 2),
        (0, 1, 3),
        (1, 0, 2),
        (1, 1, 3),
    ]
    assert {link.kind for link in found.links} == {"pipe"}
    assert len(found.programs) == 2, "clones share their program"
    with pytest.raises(ValueError, match=r"no edge goes from such a stage.*\('a', 'b'\)"):
        plan(a >> b, {("b", "a"): "pipe"})
    with pytest.raises(ValueError, match='"file", "pipe" or "fifo"'):
        plan(a >> b, {("a", "b"): "tcp"})
    with pytest.raises(ValueError, match="two different programs"):
        plan(named("a") >= named("a"))


def word_count() -> Graph:
    split = flat_map(lambda n: [(n % 3, 1), (n % 2, 1)], "split")
    by_key = distribute(lambda pair: pair[0])
    return (((vertex(numbers) ** 2) >= (split**2)) >= (by_key**2)) >> (reduce(lambda a, b: a + b) ** 2)


async def numbers(readers: Any, writers: Any) -> None:
    for n in range(100):
        for writer in writers:
            await writer.write(n)


def test_a_graph_executed_here() -> None:
    found = run_locally(word_count())
    assert sorted(pair for some in found for pair in some) == [(0, 168), (1, 166), (2, 66)]


def test_an_encapsulated_graph_does_the_same() -> None:
    def graph(inner: Graph) -> list[list[Any]]:
        return run_locally((vertex(numbers) ** 3 >= inner**3) >> merge())

    inner = map(lambda n: -n) >= sort()
    one = encapsulate(inner)
    assert len(one) == 1
    assert one.vertices[0].stage == "map+sort"
    assert graph(one) == graph(inner) == [sorted(-n for n in range(100)) * 3]


def test_join_sort_and_the_process_wrapper() -> None:
    pairs = map(lambda n: (n % 10, n), "pairs")
    a, b = vertex(numbers), vertex(numbers) ** 1
    graph = (a >= pairs) | (b >= (other := pairs**1))
    both = join(lambda x: x[0], lambda y: y[0], lambda x, y: x[1] * y[1])
    graph = (graph | (pairs >= both) | (other >= both)) | (both >= sort(distinct=True))
    expected = sorted({x * y for x in range(100) for y in range(100) if x % 10 == y % 10})
    assert run_locally(graph) == [expected]
    assert run_locally(vertex(numbers) >= process("sort", "-rn", name="unix"))[0][:2] == ["99", "98"]


def test_what_a_vertex_raises_is_told() -> None:
    async def bad(readers: Any, writers: Any) -> None:
        raise KeyError("lost")

    with pytest.raises(VertexFailed, match="KeyError: 'lost'"):
        run_locally(vertex(bad))
