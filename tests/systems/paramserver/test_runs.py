"""Training: bulk-synchronous runs equal the single thread, whoever dies; other models converge."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.systems.paramserver import BSP, SSP, Async, Bounded

from .conftest import FEATURES, MakePs, descend, descend_alone, regression


@pytest.mark.parametrize("consistency", [BSP(), SSP(0), Bounded(0)], ids=repr)
def test_a_bound_of_zero_equals_one_thread_bit_for_bit(sim_ps: MakePs, consistency: BSP) -> None:
    data, _ = regression(3)
    ps = sim_ps(consistency=consistency)
    w = ps.vector("w", FEATURES)
    ps.run(descend, iterations=12, data=data)
    assert w[:].tobytes() == descend_alone(data, 12).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("consistency", [SSP(2), Bounded(2), Async()], ids=repr)
def test_other_models_converge_too(sim_ps: MakePs, consistency: SSP) -> None:
    data, truth = regression(3)
    ps = sim_ps(consistency=consistency)
    w = ps.vector("w", FEATURES)
    ps.cluster.slow("m5", 5)
    ps.run(descend, iterations=150, data=data)
    assert np.abs(w[:] - truth).max() < 0.01


def test_a_server_dies_during_training(make_ps: MakePs) -> None:
    """The oracle is met bit for bit: no acknowledged push is lost, none is applied twice."""
    data, _ = regression(3)
    ps = make_ps(machines=6, servers=3, consistency=BSP())
    w = ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=30, data=data)
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="round_applied")), timeout=300)
    ps.cluster.kill(ps.machine_of("server-0"))
    operation.result()
    assert w[:].tobytes() == descend_alone(data, 30).tobytes()
    ps.cluster.run_until(lambda: ps.servers == ["server-1", "server-2"], timeout=300)


def test_a_worker_dies_during_training(make_ps: MakePs) -> None:
    """Its shard goes on elsewhere, from the iteration that was lost: the oracle is met all the same."""
    data, _ = regression(3)
    ps = make_ps(machines=6, consistency=BSP())
    w = ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=30, data=data)
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="round_applied")), timeout=300)
    home = ps.machine_of("worker-1")
    ps.cluster.pause(home)  # at once, before the last round: a process takes a while to be gone
    ps.cluster.kill(home)
    operation.result()
    moved = ps.cluster.trace.filter(kind="shard_reassigned")
    assert (1, "worker-1") in [(event.data["shard"], event.data["from"]) for event in moved]
    assert w[:].tobytes() == descend_alone(data, 30).tobytes()


def test_the_programs_arrays_stay_its_own(make_ps: MakePs) -> None:
    """What is pushed is what the arrays held then; what is pulled may be written to."""
    ps = make_ps(machines=3, servers=1, workers=1, replicas=0, timeout=20.0)
    w = ps.vector("w", 6)
    w.push(None, np.arange(6.0)).result()

    async def train(worker):
        keys, values = np.array([0, 1]), np.ones(2)
        pushes = [
            worker.push(w, keys, values),
            worker.push(w, [4, 5], np.broadcast_to(values[:1], 2)),
        ]
        keys[:], values[:] = [2, 3], 50.0
        for push in pushes:
            await push
        wanted = np.array([1, 2])
        pull = worker.pull(w, wanted)
        wanted[:] = 5
        pulled = await pull
        found = pulled.tolist()
        pulled[:] = -1.0
        return found, (await worker.pull(w)).tolist()

    assert ps.run(train, iterations=1) == [([1.0, 2.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])]  # a round's pulls
    after = [1.0, 2.0, 2.0, 3.0, 5.0, 6.0]
    read = w[:]
    read[:] = 9.0
    assert w[:].tolist() == after
    numbers = np.ones(6)
    pending = w.push(None, numbers)
    numbers[:] = 100.0
    pending.result()
    assert w[:].tolist() == [x + 1 for x in after]
