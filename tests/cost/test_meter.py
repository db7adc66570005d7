"""The COST meter beside a run, on both engines."""

from __future__ import annotations

import time

import pytest

from labkit.cost import CostMeter
from labkit.runtime.cluster import Cluster
from labkit.runtime.node import Node, rpc
from labkit.runtime.sync import gather


class Worker(Node):
    """Keeps its core busy."""

    @rpc
    def work(self, seconds: float) -> int:
        """So long, of its own processor time."""
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass
        return 1


def one_thread() -> int:
    time.sleep(0.01)
    return 1


def test_the_simulators_seconds_are_not_compared() -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        meter = CostMeter(cluster, one_thread)
        assert meter.verdict().startswith("Nothing is measured yet")
        with meter.run("a second"):
            cluster.run(1.0)
        (row,) = meter.rows
        assert (row.seconds, row.machines, row.cores, row.simulated) == (1.0, 2, None, True)
        assert "measure on Ray" in str(meter)
        assert meter._alone == []  # one thread did not have to run


def test_nothing_is_noted_of_a_run_that_fails() -> None:
    with Cluster(machines=1, engine="sim") as cluster:
        meter = CostMeter(cluster, one_thread)
        with pytest.raises(ZeroDivisionError), meter.run("wrong"):
            _ = 1 / 0
        assert meter.rows == []
        with pytest.raises(TypeError, match="baseline is a function"):
            CostMeter(cluster, 3.5)  # type: ignore[arg-type]


def test_the_picture_grows_with_each_run() -> None:
    with Cluster(machines=1, engine="sim") as cluster:
        meter = CostMeter(cluster, one_thread)
        panel = meter.panel()
        with meter.run("<first>"):
            cluster.run(0.5)
        assert "&lt;first&gt;" in panel.bars.value
        assert "0.5 s" in panel.bars.value
        assert "1 machine, simulated" in panel.bars.value
        page = panel._repr_mimebundle_()
        assert "0.5 s" in (page[0] if isinstance(page, tuple) else page)["text/html"]
        panel.close()
        assert meter._listeners == []


@pytest.mark.ray
@pytest.mark.usefixtures("ray_head")
def test_busy_cores_of_real_processes() -> None:
    with Cluster(machines=2, engine="ray") as cluster:
        workers = [cluster.spawn(Worker, machine=machine.name) for machine in cluster.machines]
        meter = CostMeter(cluster, one_thread, repeat=1)

        async def all_at_once(node: Node) -> None:
            await gather(*(node.call(each, "work", 0.3, timeout=60) for each in workers))

        with meter.run("two workers"):
            cluster.submit(all_at_once).result()
        (row,) = meter.rows
        assert row.busy is not None
        assert row.busy >= 0.55  # the system counts in ticks of 10 ms
        assert meter.beats(row) is False
        assert meter.verdict() == "Unbounded: the run does not beat one thread"
        assert "two workers" in str(meter)
