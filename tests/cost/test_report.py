"""COST: measured seconds to a number of cores, "unbounded", and results that are compared first."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labkit.cost import CostReport, OtherResult, baseline, cost, jobs, papers
from labkit.parts.graphs import generate


def report(seconds: dict[int, list[float]], alone: list[float], **more: Any) -> CostReport:
    return CostReport("Engine", "union-find in NumPy, one thread", "a computer", seconds, alone, **more)


def test_the_fewest_cores_that_beat_one_thread() -> None:
    found = report({1: [3.0], 2: [1.5, 9.0, 1.4], 4: [0.8, 0.8, 0.8]}, [2.0, 2.1, 1.9])
    assert found.cost == 2
    assert found.in_words() == "2 cores"
    text = str(found)
    assert all(words in text for words in ("a computer", "union-find in NumPy", "medians of 3 repetitions"))
    frame = found.to_pandas()
    assert frame["speed-up"].tolist() == pytest.approx([1, 2 / 3, 4 / 3, 2.5])


def test_unbounded_says_what_was_tried() -> None:
    found = report({1: [3.0], 2: [2.0]}, [2.0])
    assert found.cost is None
    assert "unbounded: no configuration of up to 2 cores beats one thread" in str(found)
    assert "unbounded" in found._repr_html_()


def test_the_simulators_seconds_have_no_cost() -> None:
    found = report({2: [0.1]}, [2.0], simulated=True)
    assert found.cost is None
    assert "measure on Ray" in str(found)


def test_cost_measures_and_compares_first() -> None:
    graph = generate.rmat(6, 300)
    alone = baseline("union-find", "numpy")

    def slow(cores: int) -> np.ndarray[Any, Any]:
        time.sleep(0.02)
        return alone(graph)

    found = cost(slow, [1, 2], graph=graph, baseline=alone, repeat=2)
    assert (found.cost, found.repetitions, found.system) == (None, 2, "slow")
    assert all(each >= 0.02 for times in found.seconds.values() for each in times)

    def prepared(cores: int) -> Any:
        time.sleep(0.02)  # is not measured
        return lambda: alone(graph)

    assert min(cost(prepared, [1], graph=graph, baseline=alone).seconds[1]) < 0.02

    def wrong(cores: int) -> np.ndarray[Any, Any]:
        return alone(graph) + (cores == 2) * (np.arange(graph.n) == 5)

    with pytest.raises(
        OtherResult, match="wrong on 2 cores differs from the baseline at 1 of 64 places: number 5"
    ):
        cost(wrong, [1, 2], graph=graph, baseline=alone)


@pytest.mark.parametrize(
    ("result", "expected", "text"),
    [
        (np.ones(3), np.ones(4), r"shape \(4,\)"),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), "number 1 is"),
        ("abc", np.ones(3), "'abc'"),
        (None, np.ones(3), "None"),
        ({"a": 1}, {"a": 2}, "'a' is 1 instead of 2"),
    ],
)
def test_another_result(result: Any, expected: Any, text: str) -> None:
    with pytest.raises(OtherResult, match=text):
        cost(lambda cores: result, [1], baseline=lambda: expected)


def test_sums_in_another_order_are_the_same_result_and_inf_is_inf() -> None:
    from labkit.cost.report import same_result

    same_result(np.array([0.1 + 0.2, np.inf]), np.array([0.3, np.inf]), "it")
    with pytest.raises(OtherResult):
        same_result(np.array([0.3, np.inf]), np.array([0.3, 1.0]), "it")


@pytest.mark.parametrize("cores", [[], [0], [1.5]])
def test_cores_that_are_none(cores: Any) -> None:
    with pytest.raises(ValueError, match="cores is a list of whole numbers"):
        cost(lambda _: 1, cores, baseline=lambda: 1)


def test_the_papers_tables() -> None:
    assert papers.table("pagerank20").set_index("system").loc["GraphX", "uk-2007-05"] == 462
    assert papers.cost_in_paper("pagerank20") == []
    assert papers.cost_in_paper("label propagation") == []
    with pytest.raises(ValueError, match="not 'sssp'"):
        papers.table("sssp")
    alone = papers.table("union-find")["twitter_rv"].iloc[0]
    assert papers.table("label propagation")["twitter_rv"].iloc[-1] / alone > 5


def test_job_sizes() -> None:
    sizes = jobs.JobSizes.through({0.5: 14, 0.9: 100})
    assert sizes.below(14) == pytest.approx(0.5, abs=0.001)
    assert sizes.below(100) == pytest.approx(0.9, abs=0.001)
    assert sizes.fits(64) > sizes.fits(64, overhead=4) == sizes.below(16)
    with pytest.raises(ValueError, match="sizes are one row"):
        jobs.JobSizes([])
    with pytest.raises(ValueError, match="the larger quantile"):
        jobs.JobSizes.through({0.5: 100, 0.9: 14})


def test_scale_up_or_scale_out() -> None:
    up = jobs.Offer("one server", 1, 192, 3.0, 600)
    out = jobs.Offer("sixteen machines", 16, 32, 0.5, 300)
    assert up.job() == pytest.approx(0.5)
    assert out.job() == pytest.approx(16 * 0.5 / 12)
    assert jobs.cheaper(up, out, 100) is up
    assert jobs.cheaper(up, out, 300) is out
    with pytest.raises(ValueError, match="1000 GB fit neither"):
        jobs.cheaper(up, out, 1000)


def test_a_report_is_a_table_too() -> None:
    assert isinstance(report({1: [1.0]}, [2.0]).to_pandas(), pd.DataFrame)


def test_numbers_in_lists_mappings_and_series_are_compared_as_in_arrays() -> None:
    """Sums that differ in the last digit are the same in all of them, and NaN is NaN."""
    third = 0.1 + 0.2
    pairs: list[tuple[Any, Any]] = [
        ([third, 1], [0.3, 1]),
        ({"b": 1.0, "a": third}, {"a": 0.3, "b": 1.0}),
        (pd.Series([third], ["a"]), {"a": 0.3}),
        (pd.Series([1.0, third]), pd.Series([third, 1.0], [1, 0])),
        (third, 0.3),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0])),
    ]
    for got, wanted in pairs:
        assert cost(lambda _: got, np.array([1]), baseline=lambda: wanted, repeat=1).seconds  # noqa: B023
    for got, wanted, words in (
        ({"a": 1}, {"b": 1}, "have other keys: '.' has only one of them"),
        ({"a": 1.0}, {"a": 2.0}, "'a' is 1.0 instead of 2.0"),
        (None, None, "the baseline returns nothing: let it return its result"),
    ):
        with pytest.raises(OtherResult, match=words):
            cost(lambda _: got, [1], baseline=lambda: wanted, repeat=1)  # noqa: B023


def test_what_cost_does_not_take_is_told() -> None:
    def one(*_: Any) -> int:
        return 1

    for wrong, words in (
        ({"cores": 2}, r"cores is a list of whole numbers above 0, such as \[1, 2\], not 2"),
        ({"cores": [True]}, r"cores is a list .* not \[True\]"),
        ({"repeat": 1.5}, "repeat=1.5: a whole number >= 1; write repeat=3"),
        ({"tolerance": float("nan")}, "tolerance=nan: a number >= 0"),
        ({"baseline": "union-find"}, r"baseline is a function, such as baseline\('pagerank20'\)"),
        ({"baseline": baseline("union-find", "numpy")}, "runs on a graph: give graph="),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            cost(one, **{"cores": [1], "baseline": one, **wrong})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="run is a function of the number of cores"):
        cost(5, baseline=one)  # type: ignore[arg-type]
