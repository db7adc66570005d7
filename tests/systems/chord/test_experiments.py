"""The paper's results in shape: small sizes here, `full=True` for the paper's."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.systems.chord import experiments

pytestmark = pytest.mark.slow


def test_load_grows_linearly_and_spreads_widely() -> None:
    table = experiments.load(nodes=1000)
    keys = np.array(table.index, dtype=float)
    assert np.corrcoef(keys, table["p99"])[0, 1] ** 2 > 0.99
    assert 4.0 < table.loc[50_000, "p99/mean"] < 5.2
    assert table.loc[50_000, "empty nodes"] > 0
    assert table.loc[50_000, "paper max/mean"] == 9.1


def test_virtual_nodes_even_the_load_out() -> None:
    table = experiments.virtual_nodes(nodes=1000)
    assert table["p99/mean"].is_monotonic_decreasing
    assert table["p1/mean"].is_monotonic_increasing
    assert np.allclose(table["p99/mean"], table["independent p99/mean"], rtol=0.1)


def test_path_length_is_half_the_logarithm() -> None:
    table = experiments.path_length(exponents=(3, 5, 7, 9), lookups=1500)
    assert (abs(table["mean"] - table["½ log₂ N"]) < 0.3).all()
    assert np.allclose(table["mean"][1:], table["independent mean"][1:], atol=0.25)


def test_the_distribution_of_path_lengths_has_its_peak_at_six() -> None:
    table = experiments.path_length_distribution(nodes=4096, lookups=3000)
    assert table["probability"].idxmax() == 6
    assert 0.20 < table["probability"].max() < 0.25


def test_what_fails_is_what_was_on_the_failed_nodes() -> None:
    table = experiments.simultaneous_failures(nodes=100, keys=1000, p=(0.0, 0.2))
    assert table.loc[0.0, "lookups that fail"] == 0
    assert abs(table.loc[0.2, "lookups that fail"] - 0.2) < 0.06


def test_half_of_the_nodes_may_fail() -> None:
    table = experiments.half_failures(nodes=300, lookups=500, p=(0.0, 0.3, 0.5))
    assert (table["failed lookups"] == 0).all()
    assert table["mean timeouts"].is_monotonic_increasing
    assert 4 < table.loc[0.5, "mean timeouts"] < 7


def test_more_churn_fails_more_lookups() -> None:
    table = experiments.churn(rates=(0.01, 0.1), seconds=600.0)
    assert table.loc[0.01, "failed"] < 0.02
    assert 0.02 < table.loc[0.1, "failed"] < 0.12
