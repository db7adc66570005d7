"""The shapes of the paper's results, in small."""

from __future__ import annotations

from labkit.systems.haloop.experiments import descendant_query, fix_point_step, kmeans_input, shuffled


def test_the_join_step_shuffles_less_than_a_tenth_from_the_second_iteration_on() -> None:
    table = shuffled(vertices=120, edges=3600, iterations=3)
    assert table["ratio"].iloc[0] == 1
    assert (table["ratio"].iloc[1:] < 0.1).all()
    assert table["seconds, cached"].iloc[0] > table["seconds"].iloc[0]  # writing the cache takes time


def test_the_fix_point_step_reads_its_own_disk() -> None:
    table = fix_point_step(vertices=300, edges=600)
    assert table.loc["none", "from the cache"] == table.loc["reducer output", "from the file system"] == 0
    assert table.loc["none", "from the file system"] == table.loc["reducer output", "from the cache"] > 0


def test_a_dense_graph_gains_less_than_a_tree() -> None:
    table = descendant_query(vertices=256)
    assert 1 < table.loc["dense", "speed-up"] < table.loc["tree", "speed-up"]


def test_k_means_gains_hardly() -> None:
    table = kmeans_input(points=300, iterations=3)
    assert 0.8 < table.loc["mapper input", "speed-up"] < 1.2
