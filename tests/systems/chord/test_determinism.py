"""Program, seed and schedule determine every event."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from labkit import Cluster, Kill, Loss
from labkit.systems.chord import Chord


def digest(seed: int = 3, maintenance: str = "correct") -> str:
    """A run with a bit of everything."""
    schedule = [(1.0, Kill("m3")), (2.0, Loss(0.02))]
    with Cluster(machines=6, engine="sim", seed=seed, trace="messages", schedule=schedule) as cluster:
        ring = Chord(cluster, 12, successors=4, maintenance=maintenance)
        ring.update({f"k{i}": i for i in range(20)})
        cluster.run(1.5)
        ring.join()
        ring.get_many([f"k{i}" for i in range(20)])
        ring.leave(ring.nodes[-1])
        cluster.run(5.0)
        return str(cluster.trace.digest())


@pytest.mark.slow
@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
def test_twice_in_one_process(maintenance: str) -> None:
    assert digest(maintenance=maintenance) == digest(maintenance=maintenance)


@pytest.mark.slow
def test_another_seed_is_another_run() -> None:
    assert digest(seed=3) != digest(seed=4)


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_whatever_the_hash_seed(hash_seed: str) -> None:
    program = "from tests.systems.chord.test_determinism import digest; print(digest())"
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == digest()
