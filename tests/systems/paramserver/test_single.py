"""The single-thread versions: gradients against differences, descent, and what shards have to do with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from labkit.systems.paramserver import single
from labkit.systems.paramserver.algorithms import (
    Digits,
    accuracy,
    deal_ratings,
    digits_split,
    logistic_loss,
    ratings,
    shards,
    softmax_loss,
    zipf_examples,
)
from labkit.systems.paramserver.algorithms.losses import curvature, logistic_gradient, softmax_gradient
from labkit.systems.paramserver.algorithms.programs import batch_of, block_of, factor_steps, within
from labkit.systems.paramserver.updates import SGD, AdaGrad, Proximal, Subgradient

EXAMPLES = zipf_examples(examples=400, dimensions=600, per_example=8, seed=2)


def slope(loss: Callable[[np.ndarray], float], w: np.ndarray, key: int, step: float = 1e-6) -> float:
    """The derivative by a central difference."""
    ahead, behind = w.copy(), w.copy()
    ahead[key] += step
    behind[key] -= step
    return (loss(ahead) - loss(behind)) / (2 * step)


def test_the_softmax_gradient_is_the_slope_of_the_loss() -> None:
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(7, 4)), random.integers(0, 3, 7)
    w = random.normal(size=12)
    summed, gradient = softmax_gradient(w, features, labels)
    assert summed == pytest.approx(7 * softmax_loss(w, features, labels))
    for key in range(12):
        assert gradient[key] == pytest.approx(
            slope(lambda v: softmax_gradient(v, features, labels)[0], w, key), abs=1e-5
        )


def test_the_logistic_gradient_is_the_slope_and_the_curvature_bounds_it() -> None:
    (shard,) = EXAMPLES.shards(1)
    random = np.random.default_rng(1)
    w = random.normal(size=len(shard.keys))
    summed, gradient = logistic_gradient(w, shard.features, shard.labels)
    assert summed == pytest.approx(logistic_loss(w, shard.features, shard.labels))
    for key in (0, 1, 17, len(w) - 1):
        wanted = slope(lambda v: logistic_loss(v, shard.features, shard.labels), w, key)
        assert gradient[key] == pytest.approx(wanted, abs=1e-4)
    bound = curvature(shard.features)
    for _ in range(20):
        d = random.normal(size=len(w))
        model = summed + gradient @ d + 0.5 * (bound * d * d).sum()
        assert logistic_loss(w + d, shard.features, shard.labels) <= model + 1e-9


def test_the_shards_hold_all_examples_and_their_working_sets() -> None:
    parts = EXAMPLES.shards(3)
    assert sum(len(part.labels) for part in parts) == 400
    again = np.zeros((400, 600))
    for k, part in enumerate(parts):
        again[np.ix_(range(k, 400, 3), part.keys)] = part.features.toarray()
        assert (part.features.sum(axis=0) > 0).all(), "no key without an example"
    assert np.array_equal(again, EXAMPLES.features.toarray())
    popular = np.asarray(EXAMPLES.features.sum(axis=0)).ravel()
    assert popular[:10].sum() > 20 * popular[300:310].sum(), "as words are: some in very many examples"


def test_a_batch_goes_round() -> None:
    shard = Digits(np.arange(10.0).reshape(5, 2), np.arange(5))
    assert [batch_of(shard, t, 2).labels.tolist() for t in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]
    assert batch_of(shard, 3, None) is shard
    with pytest.raises(ValueError, match="give between 1 and that many"):
        shards(shard, 6)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
def test_softmax_reads_digits(count: int) -> None:
    training, testing = digits_split()
    assert (len(training.labels), len(testing.labels)) == (1438, 359)
    fit = single.softmax(
        shards(training, count), SGD(2.0), 200, until=lambda w: accuracy(w, *testing) >= 0.95
    )
    assert fit.reached
    assert fit.losses[0] == pytest.approx(np.log(10)), "zero weights: every class has the same probability"
    assert len(fit.losses) < 100


def test_adagrad_learns_too() -> None:
    training, testing = digits_split()
    fit = single.softmax(shards(training, 2), AdaGrad(0.1), 60, batch=100)
    assert accuracy(fit.w, *testing) > 0.9


def test_subgradient_descent_is_the_same_for_any_number_of_shards() -> None:
    fits = [single.subgradient(EXAMPLES.shards(n), 600, Subgradient(1.0, 0.002), 40) for n in (1, 4)]
    assert np.allclose(fits[0].w, fits[1].w)
    assert fits[0].losses[-1] < 0.65 < fits[0].losses[0]


@pytest.mark.slow
def test_block_proximal_gradient_never_climbs_and_ends_sparse() -> None:
    l1 = 0.002
    parts = EXAMPLES.shards(4)

    def objective(iterations: int) -> tuple[float, np.ndarray]:
        w = single.block_proximal(parts, 600, Proximal(), l1, iterations, blocks=3).w
        return logistic_loss(w, EXAMPLES.features, EXAMPLES.labels) / 400 + l1 * np.abs(w).sum(), w

    values = [objective(n)[0] for n in range(0, 30, 3)]
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(values)), "a bound of the curvature: descent"
    _, w = objective(900)
    gradient = logistic_gradient(w, EXAMPLES.features, EXAMPLES.labels)[1] / 400
    assert np.abs(gradient[w == 0]).max() <= l1 * 1.05, "KKT: zero where the slope is below the penalty"
    assert np.allclose(gradient[w != 0], -l1 * np.sign(w[w != 0]), atol=2e-4), "and balanced elsewhere"
    assert 0 < np.count_nonzero(w) < 200


def test_every_block_has_its_turn() -> None:
    for start in (0, 3, 6):
        assert sorted(block_of(t, 3, seed=5) for t in range(start, start + 3)) == [0, 1, 2]
    keys = np.array([0, 4, 5, 9], dtype=np.int64)
    assert [within(keys, b, 2, 10).tolist() for b in (0, 1)] == [[0, 1], [2, 3]]


def test_matrix_factorisation_finds_a_matrix_of_low_rank() -> None:
    everything = ratings(noise=0.0)
    fit = single.matrix_factorization(deal_ratings(everything, 4), (60, 40), 3, 0.05, 150)
    assert fit.losses[-1] < 0.01 < fit.losses[0]
    again = (fit.left[everything.rows] * fit.right[everything.columns]).sum(axis=1)
    assert np.abs(again - everything.values).mean() < 0.05


def test_factor_steps_go_down_the_slope() -> None:
    random = np.random.default_rng(4)
    left, right = random.normal(size=(3, 2)), random.normal(size=(2, 2))
    rows, columns, values = np.array([0, 1, 2, 0]), np.array([0, 0, 1, 1]), random.normal(size=4)
    loss, steps, _ = factor_steps(left, right, rows, columns, values, rate=1.0)

    def half(v: np.ndarray) -> float:
        return 0.5 * factor_steps(v.reshape(3, 2), right, rows, columns, values, 1.0)[0]

    assert loss == pytest.approx(2 * half(left.ravel()))
    assert steps.ravel() == pytest.approx([-slope(half, left.ravel(), k) for k in range(6)], abs=1e-5)
