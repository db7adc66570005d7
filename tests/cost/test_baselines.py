"""One thread: the three programs of COST in every kind, and the order of edges."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from labkit.cost import KINDS, PROGRAMS, baseline, hilbert
from labkit.cost.baselines import graph_iterator
from labkit.parts.graphs import Graph, generate, oracles
from labkit.parts.graphs.pagerank import COST

HAS_NUMBA = importlib.util.find_spec("numba") is not None
GRAPHS = {
    "skewed": generate.rmat(7, 700, seed=4),
    "in pieces": generate.power_law(60, 2.5, seed=1),
    "chain": generate.chain(40),
    "empty": Graph.of([], range(5)),
    "nothing": Graph.of([]),
}
#: What each program's result is called elsewhere.
EXPECTED = {
    "pagerank20": lambda graph: oracles.pagerank(graph, 20, COST),
    "label propagation": oracles.wcc,
    "union-find": oracles.wcc,
}


def kinds() -> list[str]:
    return [kind for kind in KINDS if kind != "numba" or HAS_NUMBA]


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", GRAPHS)
def test_every_kind_computes_the_same_in_either_order(program: str, kind: str, name: str) -> None:
    graph = GRAPHS[name]
    run = baseline(program, kind)
    expected = EXPECTED[program](graph)
    for edges in (None, hilbert.ordered(graph)):
        assert run(graph, edges).tolist() == pytest.approx(expected.tolist(), rel=1e-9)


def test_the_iterator_visits_each_edge_once() -> None:
    graph = GRAPHS["skewed"]
    seen: list[tuple[int, int]] = []
    graph_iterator((graph.sources(), graph.targets), lambda x, y: seen.append((x, y)))
    assert seen == list(zip(graph.sources().tolist(), graph.targets.tolist(), strict=True))


def test_a_hilbert_curve_goes_through_every_point_in_single_steps() -> None:
    side = 16
    u, v = (each.ravel() for each in np.meshgrid(np.arange(side), np.arange(side)))
    along = hilbert.distances(u, v, 4)
    assert sorted(along.tolist()) == list(range(side * side))
    order = np.argsort(along)
    steps = np.abs(np.diff(u[order])) + np.abs(np.diff(v[order]))
    assert set(steps.tolist()) == {1}


def test_hilbert_order_is_a_permutation_and_nearer() -> None:
    graph = generate.rmat(9, 4000, seed=1)
    u, v = hilbert.ordered(graph)
    plain = sorted(zip(graph.sources().tolist(), graph.targets.tolist(), strict=True))
    assert sorted(zip(u.tolist(), v.tolist(), strict=True)) == plain
    assert np.abs(np.diff(v)).mean() < 0.5 * np.abs(np.diff(graph.targets)).mean()


def test_rounds_of_label_propagation_grow_with_a_chain() -> None:
    """In the order that goes against the chain, a label moves by one vertex a round; union-find does not
    care.
    """
    rounds = []
    for n in (10, 20):
        u, v = np.arange(n - 2, -1, -1), np.arange(n - 1, 0, -1)
        passes = [0]

        class Counted(np.ndarray):  # type: ignore[type-arg]
            def tolist(self, passes: list[int] = passes) -> list[int]:
                passes[0] += 1
                return super().tolist()

        baseline("label propagation", "python")(generate.chain(n), (u.view(Counted), v))
        rounds.append(passes[0])
    assert rounds == [10, 20]


@pytest.mark.parametrize(
    ("program", "kind", "text"),
    [
        ("pagerank", None, "'pagerank20', 'label propagation', 'union-find', not 'pagerank'"),
        ("union-find", "c", "not 'c'"),
    ],
)
def test_an_unknown_baseline(program: str, kind: str | None, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        baseline(program, kind)


def test_without_numba_the_baseline_is_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert str(baseline("union-find")) == "union-find in NumPy, one thread"
    with pytest.raises(ModuleNotFoundError, match=r"labkit\[cost\]"):
        baseline("union-find", "numba")
