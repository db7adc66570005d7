"""Program, seed and schedule determine every event."""

from __future__ import annotations

import os
import subprocess
import sys
from operator import add

import pytest

from labkit import Cluster, Kill, Loss, Restart, when
from labkit.systems.spark import SparkContext, StorageLevel

pytestmark = pytest.mark.slow


def digest(seed: int = 3) -> str:
    """A run with a bit of everything."""
    schedule = [(when("outputs_stored", count=3), Kill("m3")), (0.2, Loss(0.02)), (4.0, Restart("m3"))]
    with Cluster(machines=4, engine="sim", seed=seed, trace="messages", schedule=schedule) as cluster:
        sc = SparkContext(cluster, memory=20_000, speculation=True, seconds_per_task=0.02)
        words = sc.parallelize([f"w{n % 17}" for n in range(500)], 8).persist(StorageLevel.MEMORY_AND_DISK_2)
        counts = words.map(lambda w: (w, 1)).reduceByKey(add, 4)
        counts.join(counts.mapValues(str)).sortByKey().collect()
        words.distinct().count()
        words.sample(False, 0.3, 7).count()
        cluster.run(3.0)
        words.unpersist()
        counts.groupByKey().count()
        return str(cluster.trace.digest())


def test_twice_in_one_process() -> None:
    assert digest() == digest()


def test_another_seed_is_another_run() -> None:
    assert digest(3) != digest(4)


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_whatever_the_hash_seed(hash_seed: str) -> None:
    program = "from tests.systems.spark.test_determinism import digest; print(digest())"
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == digest()
