"""`StalenessPanel` of a parameter server on the simulator: what it shows, and what its control does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labkit import Cluster
from labkit.systems.paramserver import BSP, SGD, SSP, Async, Bounded, ParameterServer
from labkit.systems.paramserver.view import StalenessReducer
from labkit.trace.fold import History, fold
from labkit_widgets import StalenessPanel
from tests.widgets import acting


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Five simulated machines: two for the servers, three for the workers."""
    with Cluster(5, "sim", seed=3, name="staleness") as cluster:
        yield cluster


@pytest.fixture
def ps(cluster: Cluster) -> ParameterServer:
    return ParameterServer(cluster, servers=2, workers=3, consistency=BSP(), virtual_servers=2, timeout=1.0)


async def train(worker: Any) -> None:
    """Shard 0 is three times as slow."""
    for iteration in worker.rounds():
        weights = await worker.pull("w")
        seconds = 0.03 if worker.rank == 0 else 0.01
        await worker.compute(np.sum, weights, cost=seconds)
        await worker.push("w", None, weights - 1.0)
        worker.report(loss=1.0 / (1 + iteration))
        await worker.clock()


def training(ps: ParameterServer, iterations: int = 400) -> Any:
    ps.vector("w", size=40, update=SGD(0.01))
    return ps.start(train, iterations)


def acted(panel: StalenessPanel) -> None:
    """Without an error."""
    acting.acted(panel)
    assert panel.error == ""


def move(panel: StalenessPanel, bound: int | None) -> None:
    """What the browser sends when a hand has moved the control."""
    panel.control._handle_custom_msg({"action": "consistency", "bound": bound}, [])


def shown(panel: StalenessPanel) -> str:
    """Where the control stands."""
    head = panel.control.head
    return head["places"][head["place"]]


def number(panel: StalenessPanel, label: str) -> str:
    return next(n["value"] for n in panel.numbers.numbers if n["label"] == label)


@pytest.mark.slow
def test_one_control_moves_from_bsp_to_async_while_it_trains(cluster: Cluster, ps: ParameterServer) -> None:
    panel = StalenessPanel(ps, live=False)
    operation = training(ps)
    cluster.run(0.5)
    panel.refresh()
    assert shown(panel) == "BSP"
    assert panel.control.head["words"].startswith("Each iteration")
    assert int(number(panel, "Fastest ahead by")) <= 1
    move(panel, 3)
    acted(panel)
    assert ps.consistency == SSP(3)
    cluster.run(0.5)
    panel.refresh()
    assert shown(panel) == "SSP(3)"
    assert int(number(panel, "Fastest ahead by")) in (2, 3)
    move(panel, None)
    acted(panel)
    assert ps.consistency == Async()
    cluster.run(1.0)
    panel.refresh()
    assert panel.control.head["words"] == "Nobody waits for anybody"
    assert int(number(panel, "Fastest ahead by")) > 10
    assert {p.kind for p in panel.frame(None).points} == {"BSP", "SSP", "Async"}
    move(panel, 0)
    acted(panel)
    cluster.run(3.0)
    panel.refresh()
    assert int(number(panel, "Fastest ahead by")) <= 1, "the fast ones have waited for the slow one"
    operation.cancel()


def test_the_control_follows_what_a_program_does(cluster: Cluster, ps: ParameterServer) -> None:
    panel = StalenessPanel(ps, live=False)
    operation = training(ps)
    cluster.run(0.2)
    ps.consistency = Bounded(5)
    cluster.run(0.2)
    panel.refresh()
    assert shown(panel) == "Bounded(5)"
    assert ps.consistency == Bounded(5), "showing it does not change it"
    moment = cluster.now - 0.05
    ps.consistency = Async()
    cluster.run(0.2)
    panel.act("seek", position=moment)
    panel.refresh()
    assert (shown(panel), panel.control.head["off"]) == ("Bounded(5)", True)
    assert ps.consistency == Async(), "the past is shown, not made"
    panel.act("consistency", bound=0)
    panel.refresh()
    assert "this is the past" in panel.error
    panel.act("dismiss")
    panel.act("live")
    panel.refresh()
    assert (shown(panel), panel.control.head["off"]) == ("Async", False)
    operation.cancel()


def test_a_server_dies_and_its_ranges_move(cluster: Cluster, ps: ParameterServer) -> None:
    panel = StalenessPanel(ps, live=False)
    operation = training(ps)
    cluster.run(0.3)
    panel.refresh()
    ranges = len(panel.frame(None).ranges)
    assert number(panel, "Ranges copied") == f"{ranges} of {ranges}"
    panel.act("kill", machine="m1")
    acted(panel)
    assert panel.stage.scene["marks"][-2]["state"] == "dead"
    assert number(panel, "Ranges copied") == f"0 of {ranges}"
    cluster.run(4.0)
    panel.refresh()
    lines = [line["text"] for line in panel.events.lines]
    assert any("server-0 is taken for dead" in line for line in lines), lines
    assert {each.chain for each in panel.frame(None).ranges} == {("server-1",)}
    before = min(w.clock for w in panel.frame(None).workers)
    cluster.run(1.0)
    assert min(w.clock for w in panel.frame(None).workers) > before, "training goes on"
    operation.cancel()


@pytest.mark.slow
def test_a_worker_dies_and_its_shard_goes_on(cluster: Cluster, ps: ParameterServer) -> None:
    ps.consistency = SSP(2)
    panel = StalenessPanel(ps, live=False)
    operation = training(ps)
    cluster.run(0.3)
    cluster.kill(ps.machine_of("worker-1"))
    cluster.run(4.0)
    panel.refresh()
    workers = panel.frame(None).workers
    assert workers[1].name in ("worker-0", "worker-2")
    assert workers[1].state in ("computing", "waiting")
    assert any("shard 1" in line["text"] for line in panel.events.lines)
    operation.cancel()


def test_pushes_move_from_workers_to_servers(cluster: Cluster, ps: ParameterServer) -> None:
    ps.consistency = Async()
    panel = StalenessPanel(ps, live=False)
    operation = training(ps)
    cluster.run(0.3)
    pulses, _ = panel.pulses(panel.frame(None), 0.0, panel.scene(panel.frame(None)))
    ends = {(pulse.source, pulse.target) for pulse in pulses}
    assert any(source.startswith("shard-") and target.startswith("server-") for source, target in ends)
    assert ("server-0", "server-1") in ends or ("server-1", "server-0") in ends
    operation.cancel()


def test_pulls_from_outside_are_no_worker_s(cluster: Cluster, ps: ParameterServer) -> None:
    panel = StalenessPanel(ps, live=False)
    ps.vector("w", size=40)[:]
    assert panel.frame(None).workers == ()
    assert number(panel, "On the wire") == "0.00 MB"


@pytest.mark.slow
def test_a_real_run_remembered_equals_from_scratch(cluster: Cluster, ps: ParameterServer) -> None:
    history = History(cluster.trace, StalenessReducer())
    operation = training(ps)
    for _ in range(4):
        cluster.run(0.5)
        history.at()
    operation.cancel()
    for position in (None, 0.1, 0.77, 1.5, 3.0, None):
        scratch = fold(StalenessReducer(), cluster.trace, position)
        assert history.at(position).view(position) == scratch.view(position)


def test_reset_and_runs_to_go_back_to(ps: ParameterServer, cluster: Cluster) -> None:
    training(ps, 10).result()
    panel = StalenessPanel(ps, live=False)
    [(at, words)] = panel.top.runs["items"]
    assert words.startswith("run 1: BSP, ended")
    cluster.run(1.0)
    panel.act("seek", position=at)
    panel.refresh()
    assert panel.top.clock["position"] == at
    panel.act("reset")
    acted(panel)
    assert (panel.top.runs["items"], panel.top.clock["position"]) == ([], None)
    training(ps, 10).result()


def test_the_run_as_code(ps: ParameterServer) -> None:
    panel = StalenessPanel(ps, live=False)
    panel.act("code")
    panel.refresh()
    names: dict[str, Any] = {}
    exec(panel.events.code, names)
    with names["again"]:
        twin = names["ps_again"]
        assert (twin.settings, twin.consistency, twin.shards) == (ps.settings, BSP(), 3)
    ps.consistency = SSP(2)
    assert "ps_again.consistency = SSP(staleness=2)" in panel.code()
    bundle = panel._repr_mimebundle_()
    assert "Parameter server" in bundle["text/html"]
