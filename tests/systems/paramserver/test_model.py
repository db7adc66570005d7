"""What a user does beside training: options, tables, consistency, checkpoints, and how things end."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit import Cluster, MachineDead, NameTaken, Node
from labkit.runtime.errors import LabError, RunOver
from labkit.systems.paramserver import (
    BSP,
    SSP,
    AdaGrad,
    Async,
    Bounded,
    KeyCaching,
    ParameterServer,
    TrainingFailed,
    Update,
    ZeroCompression,
)
from labkit.systems.paramserver.checkpoints import FORMAT, NotACheckpoint
from labkit.systems.paramserver.vectors import VectorSpec

from .conftest import FEATURES, MakePs, build, descend, descend_alone, regression


class Refusing(Update):
    """Raises."""

    def apply(self, values: Any, pushed: Any, extras: Any, share: float = 1.0) -> None:
        raise RuntimeError("not today")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"servers": 0}, ValueError, "servers=0: a whole number >= 1"),
        ({"workers": 1.5}, ValueError, "workers=1.5: a whole number >= 1"),
        ({"servers": 2, "replicas": 2}, ValueError, "write replicas=1 or servers=3"),
        ({"servers": 3}, ValueError, "two copies would share a machine"),
        ({"timeout": -1}, ValueError, "timeout=-1: seconds of silence"),
        ({"on_worker_death": "panic"}, ValueError, 'write on_worker_death="reassign" or'),
        ({"consistency": "BSP"}, TypeError, r"'BSP': one of BSP\(\), SSP\(s\), .*write consistency=BSP"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], match: str) -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        with pytest.raises(error, match=match):
            ParameterServer(cluster, **options)
        assert not cluster.nodes


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": 5}, "name=5: put before the nodes' names"),
        ({"name": "two\nlines"}, "put before the nodes' names"),
        ({"read_at": "middle"}, "read_at='middle': write read_at=\"tail\""),
        ({"timeout": True}, "timeout=True: seconds of silence, 0.01 or more"),
        ({"timeout": 1e-9}, "timeout=1e-09: seconds of silence, 0.01 or more"),
    ],
)
def test_more_bad_options(options: dict[str, Any], match: str) -> None:
    with Cluster(machines=2, engine="sim") as cluster, pytest.raises(ValueError, match=match):
        ParameterServer(cluster, **options)


def test_what_could_not_start_leaves_nothing_behind(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=3)

    for machine in cluster.machines:
        cluster.kill(machine)
    with pytest.raises(MachineDead, match="every machine is dead; restart one"):
        ParameterServer(cluster)
    for machine in cluster.machines:
        cluster.restart(machine)
    cluster.spawn(Node, name="worker-3")
    with pytest.raises(NameTaken, match="a node 'worker-3' exists already"):
        ParameterServer(cluster)
    assert list(cluster.nodes) == ["worker-3"]
    cluster.remove("worker-3")
    w = ParameterServer(cluster, timeout=20.0).vector("w", 4)
    w.push(None, 1.0).result()
    assert w[:].sum() == 4


def test_the_same_cell_twice(sim_ps: MakePs) -> None:
    ps = sim_ps()
    with pytest.raises(NameTaken, match="there is a parameter server on this cluster already: go on with it"):
        ParameterServer(ps.cluster)
    ps.close()
    ParameterServer(ps.cluster)


@pytest.mark.parametrize("model", [SSP, Bounded])
def test_bad_bounds(model: Any) -> None:
    with pytest.raises(ValueError, match=f"a number of iterations >= 0; write {model.__name__}"):
        model(-1)


def test_bad_runs(sim_ps: MakePs) -> None:
    ps = sim_ps()
    with pytest.raises(TypeError, match="a program is an async function"):
        ps.run(None)
    with pytest.raises(ValueError, match="iterations=0"):
        ps.run(descend, iterations=0)
    with pytest.raises(ValueError, match="at least one shard"):
        ps.run(descend, data=[])
    with pytest.raises(TypeError, match=r"data=<generator.*write data=list"):
        ps.run(descend, data=(part for part in range(3)))
    for name in (3, None, "", "two\nlines"):
        with pytest.raises(ValueError, match=r"name=.*; write vector\(name=\"w\"\)"):
            ps.vector(name, 5)
    with pytest.raises(TypeError, match="one of BSP"):
        ps.consistency = 3

    async def forgets(worker: Any) -> None:
        for _ in worker.rounds():
            pass

    with pytest.raises(LabError, match="did not end its iteration: write await"):
        ps.run(forgets, iterations=2)


# consistency ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_consistency_changes_while_it_runs(sim_ps: MakePs) -> None:
    """From BSP through SSP to asynchronous and back, from another thread; nobody waits for ever."""
    data, truth = regression(3)
    ps = sim_ps(consistency=BSP())
    w = ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=80, data=data)
    for model in (SSP(2), Async(), BSP(), Bounded(1), Async(), SSP(0)):
        done = len(ps.cluster.trace.filter(kind="iteration_finished"))
        ps.cluster.run_until(lambda done=done: len(ps.cluster.trace.filter(kind="clock")) > done + 6)
        thread = threading.Thread(target=setattr, args=(ps, "consistency", model))
        thread.start()
        thread.join()
        assert ps.consistency == model
    operation.result()
    assert np.abs(w[:] - truth).max() < 0.5
    changes = ps.cluster.trace.filter(kind="consistency_changed")
    assert [change.data["bound"] for change in changes] == [2, None, 0, 1, None, 0]


def test_leaving_bsp_lets_those_go_who_wait(sim_ps: MakePs) -> None:
    ps = sim_ps(consistency=BSP())
    data, _ = regression(3)
    ps.vector("w", FEATURES)
    ps.cluster.slow("m5", 100)
    operation = ps.start(descend, iterations=10, data=data)
    ps.cluster.run(0.3)
    assert max(event.data["clock"] for event in ps.cluster.trace.filter(kind="clock")) == 0
    ps.consistency = Async()
    ps.cluster.run(0.4)
    assert max(event.data["clock"] for event in ps.cluster.trace.filter(kind="clock")) == 9
    ps.cluster.slow("m5", 1)
    operation.result()


@pytest.mark.slow
def test_waiting_falls_with_the_bound() -> None:
    """One slow worker: the others wait the less, the more they may be ahead."""
    waited = []
    for model in (BSP(), SSP(2), SSP(8), Async()):
        with Cluster(machines=5, engine="sim", seed=3) as cluster:
            ps = build(cluster, consistency=model)
            data, _ = regression(3)
            ps.vector("w", FEATURES)
            cluster.slow("m5", 3)
            ps.run(descend, iterations=40, data=data)
            waited.append(sum(event.data["seconds"] for event in cluster.trace.filter(kind="wait_finished")))
    assert waited == sorted(waited, reverse=True)
    assert waited[0] > waited[1] > waited[2] > waited[3] == 0.0


# tables -----------------------------------------------------------------------------------------------


def test_a_table_reads_from_its_cache_as_long_as_it_may(sim_ps: MakePs) -> None:
    ps = sim_ps(consistency=SSP(2))
    ps.table("L", rows=4, width=3)

    async def program(worker: Any) -> list[float]:
        table, seen = worker.table("L", 3), []
        for _ in worker.rounds():
            await worker.sleep(0.01)
            row = await table.get(1)
            seen.append(float(row[0]))
            table.inc(1, [1.0, 0.0, 0.0])
            row = await table.get(1)
            assert row[0] == seen[-1] + 1  # its own change, at once
            await worker.clock()
        return seen

    results = ps.run(program, iterations=9)
    for seen in results:
        for t, value in enumerate(seen):
            assert value >= t + 2 * max(0, t - 2)  # all own, and of the others those of t-3 and before
            assert value <= 3 * 9
    pulls = [event for event in ps.cluster.trace.filter(kind="pulled") if event.data["worker"] != "client"]
    assert len(pulls) < 3 * 9
    assert ps.vector("L")[3:6].tolist() == [27.0, 0.0, 0.0]


def test_a_table_under_bsp_reads_every_clock(sim_ps: MakePs) -> None:
    ps = sim_ps(consistency=BSP())
    ps.table("L", rows=2, width=2)

    async def program(worker: Any) -> list[float]:
        table, seen = worker.table("L", 2), []
        for _ in worker.rounds():
            rows = await table.get_many([1, 0])
            seen.append(float(rows[0, 1]))
            table.inc(1, 1.0)
            await worker.clock()
        return seen

    assert ps.run(program, iterations=4) == [[0.0, 3.0, 6.0, 9.0]] * 3


# filters ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exact_filters_change_bytes_and_nothing_else(sim_ps: MakePs) -> None:
    """Also when a server dies that had the lists of keys."""

    async def program(worker: Any) -> None:
        keys = np.arange(worker.rank, 900, 3)
        for _ in worker.rounds():
            values = await worker.pull("s", keys)
            step = np.where(keys % 2 == 0, 1.0, 0.0)
            await worker.push("s", keys, step + 0.0 * values)
            await worker.clock()

    bytes_ = {}
    for filters in ((), (KeyCaching(), ZeroCompression())):
        ps = sim_ps(machines=6, servers=3)
        s = ps.vector("s", 900, filters=filters)
        operation = ps.start(program, iterations=10)
        ps.cluster.run(0.05)
        ps.cluster.kill("m1")
        operation.result()
        assert s[:].tolist() == [10.0 if key % 2 == 0 else 0.0 for key in range(900)]
        bytes_[filters] = sum(event.data["bytes"] for event in ps.cluster.trace.filter(kind="pushed"))
    assert bytes_[KeyCaching(), ZeroCompression()] < 0.5 * bytes_[()]


def test_a_push_after_one_that_fails_fails_too(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w, bad = ps.vector("w", 4), ps.vector("bad", 4, update=Refusing())
    later = w.push(None, 1.0, after=bad.push(None, 1.0))
    with pytest.raises(RuntimeError, match="not today"):
        later.result()
    assert w[:].tolist() == [0.0] * 4


async def push_nowhere(worker: Any) -> None:
    for _ in worker.rounds():
        await worker.push(VectorSpec("gone", 4), None, 1.0)
        await worker.clock()


def test_a_vector_of_the_run_before(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w = ps.vector("w", 4)
    ps.reset()
    with pytest.raises(RunOver, match=r"this vector 'w' is of the run before; make it again: ps.vector\('w'"):
        w[:]
    ps.vector("u", 4)
    with pytest.raises(KeyError, match="there is no vector 'gone'; there are: u"):
        ps.run(push_nowhere)
    assert ps.vector("w", 4)[:].tolist() == [0.0] * 4


# checkpoints ------------------------------------------------------------------------------------------


def test_a_checkpoint_is_read_back_with_all_that_belongs_to_it(sim_ps: MakePs, tmp_path: Path) -> None:
    ps = sim_ps()
    w, s = ps.vector("w", 100, update=AdaGrad(0.1)), ps.vector("s", sparse=True)
    w.push(None, np.arange(100.0)).result()
    s.push([5, 1 << 60], [1.0, 2.0]).result()
    path = tmp_path / "parameters.npz"
    assert ps.checkpoint(path) == path.stat().st_size
    before = w[:]
    w.push(None, 5.0).result()
    after = w[:]
    s.push([5], 7.0).result()
    ps.restore(path)
    assert w[:].tolist() == before.tolist()
    assert s[[5, 1 << 60]].tolist() == [1.0, 2.0]
    w.push(None, 5.0).result()
    assert w[:].tolist() == after.tolist()  # the squares of AdaGrad were in it


def test_a_checkpoint_of_a_run_is_between_two_iterations(sim_ps: MakePs, tmp_path: Path) -> None:
    data, _ = regression(3)
    ps = sim_ps(consistency=BSP())
    w = ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=20, data=data)
    ps.cluster.run(0.1)
    ps.checkpoint(tmp_path / "mid.npz")
    finished = len(ps.cluster.trace.filter(kind="iteration_finished")) // 3
    operation.result()
    assert w[:].tobytes() == descend_alone(data, 20).tobytes()
    ps.restore(tmp_path / "mid.npz")
    assert 0 < finished < 20
    assert w[:].tobytes() == descend_alone(data, finished).tobytes()


async def push_slowly(worker: Any) -> None:
    for _ in worker.rounds():
        await worker.compute(len, (), cost=1.0)
        await worker.push("w", None, 1.0)
        await worker.clock()


def test_a_checkpoint_of_a_run_without_a_living_worker(sim_ps: MakePs, tmp_path: Path) -> None:
    ps = sim_ps(consistency=BSP())
    w = ps.vector("w", 4)
    operation = ps.start(push_slowly, iterations=3)
    ps.cluster.run(1.5)
    homes = sorted({ps.machine_of(worker) for worker in ps.workers})
    for home in homes:
        ps.cluster.kill(home)
    assert ps.checkpoint(tmp_path / "mid.npz") > 0
    ps.cluster.restart(homes[0])
    operation.result()
    assert w[:].tolist() == [9.0] * 4


def test_what_is_no_checkpoint(sim_ps: MakePs, tmp_path: Path) -> None:
    ps = sim_ps()
    ps.vector("w", 10)
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(NotACheckpoint, match="is not a checkpoint of a parameter server"):
        ps.restore(tmp_path / "text")
    ps.checkpoint(tmp_path / "good")
    other = sim_ps()
    with pytest.raises(NotACheckpoint, match=r"make it first: ps\.vector\('w', 10\)"):
        other.restore(tmp_path / "good")


def made_by_hand(path: Path, vectors: dict[str, int], parts: list[Any], **arrays: Any) -> Path:
    header = json.dumps({"format": FORMAT, "vectors": vectors, "parts": parts}).encode()
    np.savez(path, header=np.frombuffer(header, np.uint8), **arrays)
    return path


def test_a_checkpoint_that_does_not_fit_changes_nothing(sim_ps: MakePs, tmp_path: Path) -> None:
    ps = sim_ps()
    w = ps.vector("w", 10)
    w.push(None, 1.0).result()
    path, ten = tmp_path / "bad.npz", ["w", 10, [0, 10]]
    made_by_hand(path, {"w": 10}, [ten])
    with pytest.raises(NotACheckpoint, match="is not a checkpoint"):
        ps.restore(path)
    made_by_hand(path, {"w": 10}, [ten], **{"0.values": np.zeros(3)})
    with pytest.raises(NotACheckpoint, match="is not a checkpoint"):
        ps.restore(path)
    made_by_hand(path, {"w": 10}, [["w", 10, [5, 20]]], **{"0.values": np.zeros(15)})
    with pytest.raises(NotACheckpoint, match="is not a checkpoint"):
        ps.restore(path)
    assert w[:].tolist() == [1.0] * 10


def test_a_checkpoint_of_another_update_function_changes_nothing(sim_ps: MakePs, tmp_path: Path) -> None:
    other = sim_ps()
    other.vector("w", 10, update=AdaGrad(0.1)).push(None, 5.0).result()
    other.checkpoint(tmp_path / "adagrad.npz")
    ps = sim_ps()
    w = ps.vector("w", 10)
    w.push(None, 1.0).result()
    with pytest.raises(NotACheckpoint, match=r"holds the squares of another update .* 'w', Sum\(\); make"):
        ps.restore(tmp_path / "adagrad.npz")
    assert w[:].tolist() == [1.0] * 10


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(sim_ps: MakePs, tmp_path: Path) -> None:
    ps = sim_ps()
    ps.vector("w", 10)
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(pipe := tmp_path / "pipe")  # as /dev/null is: it would be gone
    for path in (folder, pipe):
        with pytest.raises(FileExistsError, match="no file that a checkpoint could replace"):
            ps.checkpoint(path)
    with pytest.raises(FileNotFoundError):
        ps.checkpoint(tmp_path / "nowhere" / "w.npz")
    assert sorted(tmp_path.iterdir()) == [folder, pipe]
    assert pipe.is_fifo()


# ends -------------------------------------------------------------------------------------------------


def test_a_run_that_is_cancelled_leaves_all_usable(sim_ps: MakePs) -> None:
    data, _ = regression(3)
    ps = sim_ps()
    w = ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=10**6, data=data)
    ps.cluster.run(0.2)
    with pytest.raises(TrainingFailed, match="a run is under way"):
        ps.run(descend, data=data)
    operation.cancel()
    ps.cluster.run(0.5 * ps.settings.timeout)  # the workers hear of it with their next heartbeat
    w.push(None, -w[:]).result()
    ps.run(descend, iterations=5, data=data)
    assert np.allclose(w[:], descend_alone(data, 5))


def test_two_on_one_cluster_and_their_ends(sim_ps: MakePs) -> None:
    one = sim_ps(machines=5)
    two = build(one.cluster, name="two")
    assert two.servers == ["two-server-0", "two-server-1"]
    one.vector("w", 5).push(None, 1.0).result()
    assert two.vector("w", 5)[:].sum() == 0.0
    two.close()
    assert not [name for name in one.cluster.nodes if name.startswith("two-")]
    assert one.vector("w")[:].sum() == 5.0


def test_servers_that_cannot_go(sim_ps: MakePs) -> None:
    ps = sim_ps(servers=1, replicas=0)
    with pytest.raises(LabError, match="'server-7' is no living server"):
        ps.remove_server("server-7")
    with pytest.raises(LabError, match="is the last server"):
        ps.remove_server("server-0")
