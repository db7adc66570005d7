"""The shape of §5.3 to §5.5, at a hundredth of the paper's size."""

from __future__ import annotations

import pytest

from labkit.systems.mapreduce.experiments import figure_3, sort_job


@pytest.mark.slow
def test_backup_tasks_save_much_and_kills_cost_little() -> None:
    table = figure_3(scale=0.02)
    assert table.ratio["no backup"] > 1.1
    assert 0.99 < table.ratio["200 killed"] < 1.15
    assert table["run again"]["200 killed"] > 0


@pytest.mark.slow
def test_the_rates_come_one_after_the_other_and_kills_take_input_back() -> None:
    job = sort_job(scale=0.02, killed=200, kill_at=100.0)
    rates = job.timeline(every=10.0)
    assert rates.input.idxmax() < rates.output.idxmax()
    assert rates.input.max() > rates.output.max()
    assert rates.input.min() < 0, "completed map work is lost"
    job.cluster.close()
