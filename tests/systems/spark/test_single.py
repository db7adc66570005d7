"""The paper's programs, on one thread and on a simulated cluster, against plain Python."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from labkit.parts.graphs import pagerank
from labkit.parts.graphs.pagerank import GRAPHALYTICS, VARIANTS, PageRankVariant
from labkit.systems.spark import BaseContext
from labkit.systems.spark.programs import k_means_step, logistic_step, page_rank


def graph(vertices: int, edges: int, seed: int = 1) -> list[tuple[int, int]]:
    """Edges at random, some of them from a vertex to itself; some vertices link nowhere, some are linked from
    nowhere.
    """
    random = Random(seed)
    return [(random.randrange(vertices * 3 // 4), random.randrange(vertices)) for _ in range(edges)]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_page_rank_in_every_definition(sc: BaseContext, variant: PageRankVariant) -> None:
    links = variant.links(graph(30, 90), vertices=range(30))
    expected = variant.solve(links, 5)
    for rdd in (sc.parallelize(links.items(), 3), sc.parallelize(links.items(), 3).partitionBy(3)):
        assert dict(page_rank(rdd, 5, variant).collect()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_sum_of_all_ranks(variant: PageRankVariant) -> None:
    links = variant.links(graph(30, 90), vertices=range(30))
    total = sum(variant.solve(links, 60).values())
    if variant.dangling == "redistributed":
        assert total == pytest.approx(variant.total(30))
    else:
        assert any(not targets for targets in links.values())
        assert total < variant.total(30) - 0.01
    ring = {v: [(v + 1) % 5] for v in range(5)}
    assert variant.solve(ring, 200) == pytest.approx(dict.fromkeys(range(5), variant.total(5) / 5))


def test_page_rank_is_the_eigenvector_of_the_transition_matrix() -> None:
    links = GRAPHALYTICS.links(graph(20, 60), vertices=range(20))
    matrix = np.full((20, 20), 0.15 / 20)
    for vertex, targets in links.items():
        for target in targets or range(20):
            matrix[target, vertex] += 0.85 / len(targets or range(20))
    values, vectors = np.linalg.eig(matrix)
    principal = np.real(vectors[:, np.argmax(np.real(values))])
    expected = dict(enumerate(principal / principal.sum()))
    assert GRAPHALYTICS.solve(links, 200) == pytest.approx(expected, abs=1e-9)


def test_variants_differ_where_the_papers_do() -> None:
    links = {"a": ["b"], "b": ["a", "b"], "c": ["a"], "d": []}
    found = {variant.name: variant.solve(links, 1)["a"] for variant in VARIANTS}
    assert found["Pregel"] == pytest.approx(0.15 / 4 + 0.85 * (0.25 / 2 + 0.25))
    assert found["PowerGraph"] == pytest.approx(0.15 + 0.85 * 1.5)
    assert found["COST"] == pytest.approx(0.15)
    assert found["Graphalytics"] == pytest.approx(found["Pregel"] + 0.85 * 0.25 / 4)
    assert found["GraphX"] == pytest.approx(4 * found["Graphalytics"])
    assert pagerank.PICCOLO.links([("a", "a"), ("a", "b")]) == {"a": ["b"], "b": []}
    with pytest.raises(ValueError, match="start is one of uniform, one, zero"):
        PageRankVariant("mine", "here", start="random")
    with pytest.raises(ValueError, match="damping is a fraction"):
        PageRankVariant("mine", "here", damping=85)


def test_logistic_regression(sc: BaseContext) -> None:
    random = np.random.default_rng(2)
    labels = random.choice([-1.0, 1.0], 60)
    features = random.normal(size=(60, 3)) + labels[:, None]
    points = [(float(y), tuple(map(float, x))) for y, x in zip(labels, features, strict=True)]
    rdd, weights, expected = sc.parallelize(points, 5).cache(), (0.0,) * 3, np.zeros(3)
    for _ in range(4):
        weights = logistic_step(rdd, weights, rate=0.1)
        scale = (1 / (1 + np.exp(-labels * (features @ expected))) - 1) * labels
        expected = expected - 0.1 * (features * scale[:, None]).sum(axis=0)
    assert weights == pytest.approx(tuple(expected), rel=1e-9)


def test_k_means(sc: BaseContext) -> None:
    random = np.random.default_rng(3)
    data = np.concatenate([random.normal(centre, 0.1, (20, 2)) for centre in (0, 1, 5)])
    rdd = sc.parallelize([tuple(map(float, x)) for x in data], 4)
    centres = [(0.0, 0.1), (1.1, 1.0), (4.0, 4.0), (99.0, 99.0)]
    expected = np.array(centres)
    for _ in range(3):
        centres = k_means_step(rdd, centres)
        nearest = ((data[:, None] - expected) ** 2).sum(axis=2).argmin(axis=1)
        expected[:3] = [data[nearest == centre].mean(axis=0) for centre in range(3)]
    assert np.array(centres) == pytest.approx(expected, rel=1e-9)
