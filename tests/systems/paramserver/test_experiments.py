"""The shapes of the papers' figures: small sizes, all through real nodes and messages in the simulator."""

from __future__ import annotations

import pytest

from labkit.systems.paramserver import experiments

pytestmark = pytest.mark.slow


def test_waiting_falls_with_s() -> None:
    table = experiments.waiting((0, 1, 2, 4, 16), iterations=50)
    assert table["waiting"].is_monotonic_decreasing
    assert abs(table["waiting"] - table["independent"]).max() < 0.08


def test_time_to_the_target_has_its_best_between_bsp_and_very_stale() -> None:
    table = experiments.staleness((0, 2, 32), target=0.5)
    assert table["waiting"].is_monotonic_decreasing
    assert table["iterations"].is_monotonic_increasing
    assert table["seconds"].idxmin() == 2
    assert table["seconds"].max() > 1.1 * table["seconds"].min()


def test_the_curve_of_tau() -> None:
    table = experiments.delay((0, 4, 16))
    assert table["waiting"].is_monotonic_decreasing
    assert table["waiting"][0] > 0.4
    assert table["waiting"][16] < 0.05
    assert table["iterations"].is_monotonic_increasing
    assert table["seconds"].idxmin() == 4


def test_each_filter_saves_bytes() -> None:
    table = experiments.filter_traffic(iterations=30)
    assert table["bytes"].is_monotonic_decreasing
    assert table["times less"]["key caching"] > 1.4
    assert table["times less"].iloc[-1] > 4
    exact = table["objective"][["none", "key caching", "+ zero compression"]]
    assert exact.nunique() == 1, "exact filters change nothing"
    assert table["objective"].max() < 1.03 * table["objective"].min(), "the others little"


def test_the_working_set_shrinks_with_the_number_of_workers() -> None:
    table = experiments.working_set((1, 4, 16))
    assert table["part"].is_monotonic_decreasing
    assert table["part"][16] < 0.15 * table["part"][1] * 2
