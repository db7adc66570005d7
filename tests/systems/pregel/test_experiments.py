"""The shapes of the paper's results, in small."""

from __future__ import annotations

from labkit.systems.pregel.experiments import combiners, graph_sizes, log_normal_graphs, recoveries, workers


def test_more_workers_are_faster_but_not_as_many_times() -> None:
    table = workers(numbers=(1, 4), depth=9)
    assert 2 < table["speed-up"].iloc[-1] < 4


def test_seconds_grow_with_the_vertices_and_supersteps_with_the_depth() -> None:
    table = graph_sizes(depths=(7, 10))
    assert list(table["supersteps"]) == [8, 11]
    small, large = table["seconds per 1,000 vertices"]
    assert 0.3 < large / small <= 1.1


def test_log_normal_graphs_have_the_papers_degree() -> None:
    table = log_normal_graphs(sizes=(200, 400))
    small, large = table["seconds per 1,000 edges"]
    assert 0.5 < large / small < 2


def test_a_combiner_spares_nothing_on_a_tree_and_most_on_a_dense_graph() -> None:
    table = combiners(n=300)
    assert table.loc["binary tree", "times fewer"] == 1
    assert table.loc["log-normal", "times fewer"] > 4


def test_confined_recovery_computes_the_lost_fraction() -> None:
    table = recoveries()
    for recovery in ("rollback", "confined"):
        row = table.loc[recovery]
        assert 0.7 < row["computed again"] / row["expected"] < 1.3
    assert table.loc["confined", "computed again"] < 0.5 * table.loc["rollback", "computed again"]
