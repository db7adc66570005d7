"""Program, seed and schedule determine every event."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from labkit import Cluster, Kill, Loss, Restart

from .conftest import build


def digest(seed: int = 3) -> str:
    """A run with a bit of everything."""
    schedule = [(0.2, Kill("m1")), (0.6, Restart("m1")), (1.0, Loss(0.02)), (1.5, Kill("m3"))]
    with Cluster(machines=5, engine="sim", seed=seed, trace="messages", schedule=schedule) as cluster:
        fs = build(cluster)
        for number in range(8):
            fs.put("files", {f"{number}-{each}": b"x" * 900 * each for each in range(3)})
            fs.append("log", f"{number}\n")
            if fs.locations(f"files/{number}-2")[0].machines:
                fs.rot(f"files/{number}-2")
                fs.cat(f"files/{number}-2")
        fs.rm("files", recursive=True)
        cluster.run(5.0)
        return str(cluster.trace.digest())


@pytest.mark.slow
def test_twice_in_one_process_and_another_seed() -> None:
    assert digest() == digest() != digest(seed=4)


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_whatever_the_hash_seed(hash_seed: str) -> None:
    program = "from tests.parts.store.test_determinism import digest; print(digest())"
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == digest()
