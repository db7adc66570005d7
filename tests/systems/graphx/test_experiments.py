"""The paper's results, as shapes and bands."""

from __future__ import annotations

from labkit.systems.graphx import experiments


def test_less_and_less_is_shipped_for_components_and_not_much_less_for_pagerank() -> None:
    components, ranks = experiments.shipping(), experiments.shipping("PageRank", 0.1)
    assert components["ratio"].iloc[0] == 1.0
    assert components["incremental"].iloc[-1] < 0.15 * components["incremental"].iloc[0]
    assert components["all"].iloc[-2] > 0.8 * components["all"].iloc[0]
    middle = len(components) // 2
    assert ranks["incremental"].iloc[middle] > 0.4 * ranks["incremental"].iloc[0]


def test_sides_that_are_not_read_are_half_of_the_bytes() -> None:
    ratio = experiments.join_elimination()["ratio"]
    assert ((ratio > 0.3) & (ratio < 0.8)).all()


def test_few_active_vertices_are_few_edges() -> None:
    table = experiments.scans()
    assert table["ratio"].iloc[0] == 1.0
    assert table["ratio"].iloc[-2] < 0.5


def test_cuts_are_within_their_bounds() -> None:
    table = experiments.cuts()
    assert (table["most"] <= table["bound"]).all()
    assert table.loc["EdgePartition2D", "replicas"] < table.loc["RandomVertexCut", "replicas"]
    more = experiments.partitions()["ratio"]
    assert list(more) == sorted(more)
    assert more.iloc[-1] < 4


def test_bytes_beside_joins_of_rdds() -> None:
    table = experiments.rdds()
    assert table.loc["naive RDDs", "ratio"] > 3
    assert table.loc["co-partitioned RDDs", "ratio"] > 1


def test_recovery_by_lineage_is_cheaper_than_beginning_anew() -> None:
    table = experiments.recovery()
    assert table.loc["recomputed", "again"] > 0
    assert table.loc["recomputed", "ratio"] > 1
