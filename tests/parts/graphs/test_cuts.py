"""Cuts of graphs, beside PowerGraph's theorems and an independent simulation."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.parts.graphs import Graph, cuts, generate

#: Equation 5.6 at 10⁵ vertices for 8, 16, 32, 64 and 128 machines, computed independently.
EQUATION_5_6 = {
    1.65: (2.78, 3.78, 5.07, 6.71, 8.81),
    1.7: (2.63, 3.49, 4.57, 5.91, 7.56),
    1.8: (2.37, 3.02, 3.78, 4.67, 5.70),
    2.0: (1.98, 2.36, 2.75, 3.16, 3.57),
    2.2: (1.72, 1.95, 2.16, 2.35, 2.53),
}


@pytest.fixture(scope="module")
def natural() -> Graph:
    return generate.power_law(10_000, 2.0, seed=1)


@pytest.mark.parametrize("alpha", EQUATION_5_6)
def test_the_power_laws_replication(alpha: float) -> None:
    found = [round(cuts.expected_power_law(alpha, 100_000, parts), 2) for parts in (8, 16, 32, 64, 128)]
    assert found == pytest.approx(EQUATION_5_6[alpha], abs=0.011)


@pytest.mark.parametrize("parts", [8, 32])
def test_a_random_cut_replicates_as_theorem_5_2_says(natural: Graph, parts: int) -> None:
    expected = cuts.expected_random(natural.out_degrees + natural.in_degrees, parts)
    found = cuts.replication_factor(natural, cuts.random_cut(natural, parts), parts)
    assert found == pytest.approx(expected, rel=0.01)
    assert cuts.expected_power_law(2.0, natural.n, parts) < 0.75 * found  # of out-degrees only: too little


def test_greedy_cuts_replicate_less(natural: Graph) -> None:
    """An independent simulation: random 4.89 and coordinated 3.31 on 8 machines, at 10⁴ vertices, α = 2."""
    found = {
        name: cuts.replication_factor(natural, cut(natural, 8), 8) for name, cut in cuts.VERTEX_CUTS.items()
    }
    assert found["random"] == pytest.approx(4.89, rel=0.03)
    assert found["coordinated"] == pytest.approx(3.31, rel=0.03)
    assert found["coordinated"] < found["oblivious"] < found["random"]


def test_the_greedy_rules_balance_a_natural_graph_but_not_a_small_dense_one(natural: Graph) -> None:
    """Where most vertices are everywhere already, rule 1 leaves little to choose."""
    dense = generate.rmat(8, 2000, seed=3)
    share = [np.bincount(cuts.coordinated(each, 8)).max() * 8 / each.m for each in (natural, dense)]
    assert share[0] < 1.2
    assert share[1] > 2


@pytest.mark.parametrize("name", cuts.VERTEX_CUTS)
@pytest.mark.parametrize("parts", [1, 3, 8])
def test_every_edge_is_in_one_part_and_the_same_again(name: str, parts: int) -> None:
    graph = generate.rmat(8, 2000, seed=3)
    cut = cuts.VERTEX_CUTS[name](graph, parts)
    assert cut.shape == (graph.m,)
    assert set(cut.tolist()) <= set(range(parts))
    assert cut.tolist() == cuts.VERTEX_CUTS[name](graph, parts).tolist()
    shares = np.bincount(cut, minlength=parts) / graph.m
    if name in ("random", "canonical", "oblivious"):
        assert shares.max() < 1.5 / parts
    assert (
        cuts.replicas(graph, cut, parts).any(axis=1).sum() == (graph.out_degrees + graph.in_degrees > 0).sum()
    )


@pytest.mark.parametrize("parts", [4, 7, 9, 10])
def test_the_square_bounds_the_replicas(parts: int) -> None:
    graph = generate.rmat(7, 4000)
    counts = cuts.replicas(graph, cuts.edge_2d(graph, parts), parts).sum(axis=1)
    assert counts.max() <= 2 * np.ceil(np.sqrt(parts))


def test_one_dimension_keeps_a_source_together_and_canonical_both_directions() -> None:
    graph = generate.barabasi_albert(40, 2)
    cut = cuts.edge_1d(graph, 5)
    for v in range(graph.n):
        assert len(set(cut[graph.indptr[v] : graph.indptr[v + 1]].tolist())) == 1
    both: dict[frozenset[int], set[int]] = {}
    pairs = zip(
        graph.sources().tolist(), graph.targets.tolist(), cuts.canonical(graph, 5).tolist(), strict=True
    )
    for u, v, part in pairs:
        both.setdefault(frozenset({u, v}), set()).add(part)
    assert all(len(parts) == 1 for parts in both.values())
    assert len(set(cuts.random_cut(graph, 5).tolist())) == 5


def test_a_random_edge_cut_cuts_as_theorem_5_1_says(natural: Graph) -> None:
    assert cuts.cut_fraction(natural, cuts.hashed(natural.n, 8)) == pytest.approx(1 - 1 / 8, abs=0.01)
    assert cuts.cut_fraction(natural, cuts.hashed(natural.n, 1)) == 0


def test_nothing_to_cut() -> None:
    empty = Graph.of([], ["a"])
    for cut in cuts.VERTEX_CUTS.values():
        assert cut(empty, 4).shape == (0,)
    assert cuts.replication_factor(empty, cuts.random_cut(empty, 4), 4) == 1
    assert cuts.cut_fraction(empty, cuts.hashed(1, 4)) == 0
    with pytest.raises(ValueError, match="at least one part, not 0"):
        cuts.coordinated(empty, 0)
