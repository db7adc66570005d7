"""The shape of Table 2 and of Figures 6 and 7, and the paper's two jobs against their oracles."""

from __future__ import annotations

import pytest

from labkit import Cluster
from labkit.systems.dryad.experiments import figure_6, table_2
from labkit.systems.dryad.queries import IN_MEMORY, TWO_PASS, histogram, queries, sky_query, sky_tables

from .conftest import lab, same_as_oracle


@pytest.mark.slow
def test_table_2() -> None:
    """Nearly linear; in memory about twice as fast; not at all below six computers."""
    table = table_2(range(1, 8, 1), objects=1500)
    assert table["in memory"].isna().tolist() == [True] * 5 + [False] * 2
    for computers in (2, 4, 7):
        assert 0.75 * computers < table["speed-up"][computers] < 1.15 * computers
    assert 1.5 < table["two-pass"][6] / table["in memory"][6] < 3


@pytest.mark.slow
def test_figure_6() -> None:
    table = figure_6(machines=8, racks=4, parts=32, rows=100)
    between = table["between racks"]
    assert between["as drawn"] > 1.5 * between["tree, by computer"]
    assert between["tree, by computer"] > 1.3 * between["tree, by computer and rack"]
    assert between["as drawn"] > 1.5 * between["partial aggregation"]
    assert table.vertices["as drawn"] == 34
    assert table.vertices["tree, by computer and rack"] == 34 + 8 + 4


@pytest.mark.parametrize("channels", [TWO_PASS, IN_MEMORY], ids=["two-pass", "in memory"])
def test_q18(channels: dict[tuple[str, str], str]) -> None:
    with Cluster(machines=4, engine="sim") as cluster:
        dryad = lab(cluster)
        graph = sky_query(*sky_tables(dryad, 400, 2), 400, spread=1, close=0.2)
        job = dryad.submit(graph, channels=channels).result()
        same_as_oracle(job)
        assert 5 < len(job.output()[0]) < 400
        assert graph.stages() == {"input": 4, "X": 2, "Y": 2, "D": 2, "M": 2, "S": 2, "H": 1}


def test_q18_with_four_sorts_for_each_range() -> None:
    with Cluster(machines=3, engine="sim") as cluster:
        dryad = lab(cluster)
        graph = sky_query(*sky_tables(dryad, 300, 2), 300, spread=4, close=0.2)
        same_as_oracle(dryad.submit(graph, channels=TWO_PASS).result())


def test_the_histogram() -> None:
    with Cluster(machines=3, engine="sim") as cluster:
        dryad = lab(cluster)
        job = dryad.submit(histogram(queries(dryad, 6, 50), finals=2)).result()
        same_as_oracle(job)
        assert sum(count for part in job.output() for _, count in part) == 300
