"""The servers' functions: each against its formula, written out for one key."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from labkit.systems.paramserver.updates import (
    SGD,
    AdaGrad,
    Proximal,
    Subgradient,
    Sum,
    Update,
    soft_threshold,
)


def applied(update: Update, values: list[float], *pushes: list[object], share: float = 1.0) -> list[float]:
    now = np.array(values)
    extras = {name: np.zeros(len(values)) for name in update.extras}
    for pushed in pushes:
        update.apply(now, np.array(pushed, dtype=float), extras, share)
    return now.tolist()


def test_sum_adds() -> None:
    assert applied(Sum(), [1.0, 2.0], [0.5, -2.0], [1.0, 1.0]) == [2.5, 1.0]


def test_sgd_steps_against_the_gradient() -> None:
    assert applied(SGD(0.5), [1.0, 2.0], [2.0, -2.0]) == [0.0, 3.0]


def test_adagrad_slows_down_where_gradients_were_large() -> None:
    (first,), (second,) = (
        applied(AdaGrad(1.0, 0.0), [0.0], [3.0]),
        applied(AdaGrad(1.0, 0.0), [0.0], [3.0], [4.0]),
    )
    assert first == -1.0, "the first step has the length of the rate, whatever the gradient"
    assert second == pytest.approx(-1.0 - 4.0 / 5.0)
    assert applied(AdaGrad(1.0), [0.0], [0.0]) == [0.0], "a zero gradient divides by no zero"


def test_the_soft_threshold_is_the_proximal_operator_of_the_absolute_value() -> None:
    for x in np.linspace(-2, 2, 41):
        candidates = np.linspace(-3, 3, 6001)
        best = candidates[np.argmin(0.7 * np.abs(candidates) + 0.5 * (candidates - x) ** 2)]
        assert soft_threshold(np.array([x]), 0.7)[0] == pytest.approx(best, abs=1e-3)


def test_proximal_minimises_the_model_of_the_loss() -> None:
    """w + d minimises g·d + u/2·d² + l1·|w + d|, key by key."""
    random = np.random.default_rng(5)
    l1, w, g, u = 1.3, random.normal(size=200), 3 * random.normal(size=200), random.uniform(0.5, 2, 200)
    ours = applied(Proximal(), list(w), np.column_stack([g / u, l1 / u]).tolist())
    grid = np.linspace(-25, 25, 10_001)
    for key in range(200):
        d = grid - w[key]
        best = grid[np.argmin(g[key] * d + u[key] / 2 * d * d + l1 * np.abs(grid))]
        assert ours[key] == pytest.approx(best, abs=5e-3)
    assert 0 < ours.count(0.0) < 200, "some become exactly zero"


def test_the_parts_of_a_round_are_pieces_of_its_step() -> None:
    whole = applied(Proximal(0.5), [5.0], [[2.0, 0.5]])
    parts = applied(Proximal(0.5), [5.0], [[0.5, 0.4]], [[1.5, 0.1]])
    assert whole == pytest.approx([3.75])
    assert parts == pytest.approx(whole)


def test_the_subgradient_step_includes_the_penalty_s_part() -> None:
    update = Subgradient(rate=0.1, l1=2.0)
    assert applied(update, [1.0, -1.0, 0.0], [0.0, 0.0, 3.0]) == pytest.approx([0.8, -0.8, -0.3])
    assert applied(update, [1.0], [0.0], share=0.25) == pytest.approx([0.95])


@pytest.mark.parametrize(
    "wrong", [lambda: SGD(0), lambda: AdaGrad(-1), lambda: Proximal(0), lambda: SGD(math.nan)]
)
def test_a_step_has_a_length(wrong: object) -> None:
    with pytest.raises(ValueError, match="the step is a finite number > 0"):
        wrong()  # type: ignore[operator]
    with pytest.raises(ValueError, match="the penalty is a finite number >= 0"):
        Subgradient(1.0, l1=-1)


@pytest.mark.parametrize("update", [Sum(), SGD(0.1), AdaGrad(0.1), Proximal(0.1), Subgradient(0.1, 0.2)])
def test_updates_travel(update: Update) -> None:
    assert pickle.loads(pickle.dumps(update)) == update
    with pytest.raises(NotImplementedError):
        Update().apply(np.zeros(1), np.zeros(1), {})
