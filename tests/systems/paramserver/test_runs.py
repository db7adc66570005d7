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
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="round_applied")))
    ps.cluster.kill(ps.machine_of("server-0"))
    operation.result()
    assert w[:].tobytes() == descend_alone(data, 30).tobytes()
    assert ps.servers == ["server-1", "server-2"]


def test_a_worker_dies_during_training(make_ps: MakePs) -> None:
    """Its shard goes on elsewhere, from the iteration that was lost: the oracle is met all the same."""
    data, _ = regression(3)
    ps = make_ps(machines=6, consistency=BSP())
    w = ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=30, data=data)
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="round_applied")))
    ps.cluster.kill(ps.machine_of("worker-1"))
    operation.result()
    moved = ps.cluster.trace.filter(kind="shard_reassigned")
    assert [(event.data["shard"], event.data["from"]) for event in moved] == [(1, "worker-1")]
    assert w[:].tobytes() == descend_alone(data, 30).tobytes()
