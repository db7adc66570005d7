"""A bar for long calls only, which is gone when they end."""

from __future__ import annotations

import io
from typing import Any

import pytest

from labkit import Cluster, progress
from labkit.progress import Progress
from labkit.systems.paramserver import ParameterServer
from labkit.systems.spark import SparkContext


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What every bar shows; every call counts as long."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    seen: list[tuple[int, int]] = []
    show = Progress.show

    def note(self: Progress, done: int, total: int) -> None:
        seen.append((done, total))
        show(self, done, total)

    monkeypatch.setattr(Progress, "show", note)
    return seen


def test_a_short_call_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Cluster(machines=1, engine="sim") as cluster:
        assert SparkContext(cluster).range(10).count() == 10
    assert capsys.readouterr().err == ""


def test_a_job_counts_its_tasks(shown: list[tuple[int, int]], capsys: pytest.CaptureFixture[str]) -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        rdd = SparkContext(cluster).range(10, numSlices=4).map(lambda n: (n % 2, n))
        assert rdd.reduceByKey(lambda a, b: a + b, 3).count() == 2
    assert [done for done, _ in shown] == [1, 2, 3, 4, 5, 6, 7]
    assert {total for _, total in shown} == {7}
    assert "count" in capsys.readouterr().err


def test_a_training_counts_its_iterations(shown: list[tuple[int, int]]) -> None:
    async def train(worker: Any) -> None:
        for _ in worker.rounds():
            await worker.clock()

    with Cluster(machines=3, engine="sim") as cluster:
        ParameterServer(cluster, servers=1, workers=2, replicas=0).run(train, iterations=5)
    assert shown[-1] == (10, 10)
    assert len(shown) == 10


def test_a_variable_turns_every_bar_off_also_in_a_notebook(
    shown: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with Cluster(machines=2, engine="sim") as cluster:
        assert SparkContext(cluster).range(10, numSlices=4).count() == 10
    assert shown == [], "the bar that tqdm makes for a notebook would not ask"


def test_the_bar_is_gone_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    bar = Progress("work", "steps")

    def work() -> None:
        with bar:
            bar.show(1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert bar._bar.disable, "closed"
    assert not bar.due, "what still runs shows nothing any more"
