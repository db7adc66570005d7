"""The worker programs against their single-thread versions: bit for bit in rounds, close with staleness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labkit.systems.paramserver import (
    BSP,
    SGD,
    SSP,
    AdaGrad,
    Async,
    Bounded,
    ParameterServer,
    Proximal,
    single,
)
from labkit.systems.paramserver.algorithms import (
    accuracy,
    block_proximal,
    curvatures,
    deal_ratings,
    digits_split,
    logistic_loss,
    matrix_factorization,
    ratings,
    shards,
    softmax,
    subgradient,
    zipf_examples,
)
from labkit.systems.paramserver.algorithms.programs import factor_start
from labkit.systems.paramserver.filters import KKT, KeyCaching, SignificantlyModified, ZeroCompression
from labkit.systems.paramserver.updates import Subgradient

MakePs = Callable[..., ParameterServer]
EXAMPLES = zipf_examples(examples=400, dimensions=600, per_example=8, seed=2)
L1 = 0.002


def test_an_example_has_a_feature_once() -> None:
    features = EXAMPLES.features
    rows = np.repeat(np.arange(400), np.diff(features.indptr))
    assert len(set(zip(rows.tolist(), features.indices.tolist(), strict=True))) == features.nnz
    assert set(features.data) == {1.0}


@pytest.mark.slow
def test_softmax_in_rounds_is_the_single_thread_bit_for_bit(make_ps: MakePs) -> None:
    training, testing = digits_split()
    ps = make_ps(machines=5, workers=3)
    w = ps.vector("w", size=650, update=SGD(2.0))
    ps.run(softmax(w), 30, data=shards(training, 3))
    fit = single.softmax(shards(training, 3), SGD(2.0), 30)
    assert np.array_equal(w[:], fit.w)
    assert accuracy(w[:], *testing) > 0.93


@pytest.mark.parametrize("batch", [None, 50])
def test_adagrad_keeps_its_squares_at_the_servers(sim_ps: MakePs, batch: int | None) -> None:
    training, _ = digits_split()
    ps = sim_ps()
    w = ps.vector("w", size=650, update=AdaGrad(0.1))
    ps.run(softmax(w, batch), 10, data=shards(training, 3))
    assert np.array_equal(w[:], single.softmax(shards(training, 3), AdaGrad(0.1), 10, batch).w)


def test_subgradient_descent_bit_for_bit(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w = ps.vector("w", size=600, update=Subgradient(1.0, L1))
    ps.run(subgradient(w, 400), 15, data=EXAMPLES.shards(3))
    assert np.array_equal(w[:], single.subgradient(EXAMPLES.shards(3), 600, Subgradient(1.0, L1), 15).w)


def proximal(ps: ParameterServer, iterations: int, **options: Any) -> np.ndarray:
    w, u = ps.vector("w", size=600, update=Proximal(), **options), ps.vector("u", size=600)
    ps.run(curvatures(u, 400, blocks=3), data=EXAMPLES.shards(3))
    ps.run(block_proximal(w, u, 400, L1, blocks=3), iterations, data=EXAMPLES.shards(3))
    return w[:]


def objective(w: np.ndarray) -> float:
    return logistic_loss(w, EXAMPLES.features, EXAMPLES.labels) / 400 + L1 * np.abs(w).sum()


def alone(iterations: int) -> np.ndarray:
    return single.block_proximal(EXAMPLES.shards(3), 600, Proximal(), L1, iterations, blocks=3).w


def test_block_proximal_gradient_bit_for_bit(sim_ps: MakePs) -> None:
    assert np.array_equal(proximal(sim_ps(), 12), alone(12))


@pytest.mark.parametrize("filters", [[KeyCaching()], [KeyCaching(), ZeroCompression()]])
def test_exact_filters_change_no_bit(sim_ps: MakePs, filters: list[Any]) -> None:
    assert np.array_equal(proximal(sim_ps(), 12, filters=filters), alone(12))


@pytest.mark.parametrize(
    "filters", [[KKT()], [KeyCaching(), ZeroCompression(), KKT(), SignificantlyModified(0.02)]]
)
def test_chosen_filters_change_little(sim_ps: MakePs, filters: list[Any]) -> None:
    w = proximal(sim_ps(), 60, filters=filters)
    assert not np.array_equal(w, alone(60)), "they do change something"
    assert objective(w) == pytest.approx(objective(alone(60)), rel=0.02)


@pytest.mark.slow
def test_with_delay_the_same_optimum_is_reached(sim_ps: MakePs) -> None:
    best = objective(alone(600))
    w = proximal(sim_ps(consistency=Bounded(3)), 150)
    assert objective(w) == pytest.approx(best, rel=0.01)
    assert 0 < np.count_nonzero(w) < 200, "and it is sparse"


def test_matrix_factorisation_by_tables_bit_for_bit_with_s_0(sim_ps: MakePs) -> None:
    parts = deal_ratings(ratings(), 3)
    ps = sim_ps()
    left, right = ps.table("L", 60, 3), ps.table("R", 40, 3)
    ps.run(matrix_factorization(3, 0.05), 8, data=parts)
    fit = single.matrix_factorization(parts, (60, 40), 3, 0.05, 8)
    start = np.stack([factor_start("left", k, 3, 0) for k in range(60)])
    assert np.array_equal(start + left[:].reshape(60, 3), fit.left)
    assert right[:].any()


@pytest.mark.slow
def test_matrix_factorisation_converges_with_stale_tables(sim_ps: MakePs) -> None:
    known = ratings(noise=0.0)
    ps = sim_ps(consistency=SSP(3))
    left, right = ps.table("L", 60, 3), ps.table("R", 40, 3)
    ps.run(matrix_factorization(3, 0.03), 100, data=deal_ratings(known, 3))
    factors = [
        np.stack([factor_start(side, k, 3, 0) for k in range(len(table) // 3)]) + table[:].reshape(-1, 3)
        for side, table in (("left", left), ("right", right))
    ]
    error = (factors[0][known.rows] * factors[1][known.columns]).sum(axis=1) - known.values
    assert (error**2).mean() < 0.1 * (known.values**2).mean()


@pytest.mark.slow
@pytest.mark.parametrize("consistency", [BSP(), SSP(2), Async()])
def test_softmax_survives_a_server_and_a_worker(sim_ps: MakePs, consistency: Any) -> None:
    training, testing = digits_split()
    ps = sim_ps(machines=6, servers=3, replicas=1, consistency=consistency)
    w = ps.vector("w", size=650, update=SGD(1.0))
    operation = ps.start(softmax(w, cost=0.02), 60, data=shards(training, 3))
    ps.cluster.run(0.3)
    ps.cluster.kill(ps.machine_of("server-0"))
    ps.cluster.run(1.0)
    ps.cluster.kill(ps.machine_of("worker-1"))
    operation.result()
    assert accuracy(w[:], *testing) > 0.9
    if consistency == BSP():
        assert np.array_equal(w[:], single.softmax(shards(training, 3), SGD(1.0), 60).w), "to the last bit"
