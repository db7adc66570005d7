"""Graphs to order."""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest

from labkit.parts.graphs import Graph, generate

RANDOM: list[Callable[[int], Graph]] = [
    lambda seed: generate.rmat(6, 300, seed),
    lambda seed: generate.power_law(200, 2.0, seed),
    lambda seed: generate.log_normal(200, seed, mu=1.0),
    lambda seed: generate.barabasi_albert(60, 2, seed),
]


@pytest.mark.parametrize("make", RANDOM)
def test_a_seed_fixes_the_graph(make: Callable[[int], Graph]) -> None:
    once, again, other = make(1), make(1), make(2)
    assert once.indptr.tolist() == again.indptr.tolist()
    assert once.targets.tolist() == again.targets.tolist()
    assert once.targets.tolist() != other.targets.tolist()


def test_rmat_is_skewed_and_its_heavy_vertices_are_not_the_first() -> None:
    graph = generate.rmat(10, 16_000, weighted=True)
    assert (graph.n, graph.m) == (1024, 16_000)
    assert graph.out_degrees.max() > 10 * graph.m / graph.n
    assert graph.out_degrees[:64].sum() < graph.m / 4
    assert graph.weights is not None
    assert 0 < graph.weights.min() <= graph.weights.max() <= 1


def test_a_power_law_has_its_exponent() -> None:
    """Table 1b of PowerGraph, α = 2: 10.3 edges for each of 10 M vertices; of n vertices, H(n-1)/ζ(2)."""
    graph = generate.power_law(20_000, 2.0)
    degrees, counts = np.unique(graph.out_degrees, return_counts=True)
    slope = np.polyfit(np.log(degrees[:8]), np.log(counts[:8]), 1)[0]
    assert -2.1 < slope < -1.9
    assert not (graph.sources() == graph.targets).any()


def test_log_normal_has_pregels_mean_degree() -> None:
    """μ = 4, σ = 1.3: 127.1."""
    graph = generate.log_normal(3000)
    assert 115 < graph.m / graph.n < 140


def test_barabasi_albert_is_one_piece_of_so_many_edges() -> None:
    graph = generate.barabasi_albert(50, 3)
    assert graph.edges == 47 * 3
    assert nx.is_connected(graph.to_networkx())


def test_known_shapes() -> None:
    assert nx.utils.graphs_equal(generate.chain(4).to_networkx(), nx.path_graph(4, nx.DiGraph))
    assert nx.is_isomorphic(generate.grid(3, 4).to_networkx(), nx.grid_2d_graph(3, 4))
    assert generate.star(5).out_degrees.tolist() == [4, 0, 0, 0, 0]
    tree = generate.binary_tree(3)
    assert (tree.n, tree.m, tree.out(2).tolist()) == (15, 14, [5, 6])
    assert [generate.chain(1).n, generate.grid(1, 1).m, generate.star(1).m, generate.binary_tree(0).n] == [
        1,
        0,
        0,
        1,
    ]


def test_pythons_imports() -> None:
    graph = generate.imports()
    assert graph.index("sys") in graph.out(graph.index("os"))
    assert graph.n > 150


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: generate.rmat(-1, 3), "scale is a whole number of at least 0, not -1"),
        (lambda: generate.rmat(3, 2.5), "edges is a whole number"),  # type: ignore[arg-type]
        (lambda: generate.rmat(3, 3, a=0.9, b=0.9), "probabilities"),
        (lambda: generate.chain(0), "n is a whole number of at least 1, not 0"),
        (lambda: generate.barabasi_albert(2, 2), "at least 3"),
        (lambda: generate.power_law(1, 2.0), "at least 2"),
    ],
)
def test_what_cannot_be_made_is_said(make: Callable[[], Graph], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
