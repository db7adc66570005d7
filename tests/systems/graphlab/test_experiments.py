"""The papers' results in shape, on small graphs."""

from __future__ import annotations

from labkit.systems.graphlab.experiments import figure_1b, figure_1d, figure_4, figure_8b


def test_few_vertices_are_updated_often() -> None:
    table = figure_1b(scale=9)
    assert 0.3 < table["share"]["once"] < 0.7
    assert table["share"]["more"] < 0.2


def test_all_at_once_the_error_does_not_fall() -> None:
    table = figure_1d(users=24, updates=700)
    errors = table["rmse"]
    assert errors["all at once (synchronous)"] > 2 * errors["serializable (edge)"]
    assert table["serializable"].tolist() == [True, False, False]


def test_a_deep_pipeline_hides_the_latency() -> None:
    table = figure_8b((1, 10, 100), side=12)
    assert table["speed-up"][100] > table["speed-up"][10] > 3


def test_an_asynchronous_snapshot_does_not_wait_for_one_that_stands_still() -> None:
    table = figure_4(side=8, stall=0.5)
    meanwhile = table["updates meanwhile"]
    assert meanwhile["asynchronous"] > 2 * meanwhile["synchronous"]
    assert table["cost of the stall"]["synchronous"] > 1.3 * table["cost of the stall"]["asynchronous"]
