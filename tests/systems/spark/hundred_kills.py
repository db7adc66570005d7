"""A machine killed in the middle of a shuffle, a hundred times in a row, on real processes.

    python -m tests.systems.spark.hundred_kills --kills 100

Outside CI's default run, for it takes minutes: each round kills a process, waits until the executor is
missed, and starts the machine again. It ends with an error at the first wrong answer, violated invariant, or
job that takes longer than `PATIENCE`.
"""

from __future__ import annotations

import argparse
import random
import time
from operator import add
from typing import Any

from labkit import Cluster, Kill, when
from labkit.systems.spark import SingleContext, SparkContext
from labkit.systems.spark.trace_checks import check_trace

#: Events of which the n-th sets off a kill.
TRIGGERS = ["outputs_stored", "task_started", "task_running", "task_finished"]
#: Seconds that a job may take, a kill included, before it counts as hanging.
PATIENCE = 60.0


def program(sc: Any) -> Any:
    """Two shuffles and a join; every partition of each needs every map task."""
    pairs = sc.parallelize(range(6000), 8).map(lambda n: (n * n % 101, n))
    sums = pairs.reduceByKey(add, 6)
    groups = pairs.groupByKey(6).mapValues(len)
    return sums.join(groups).map(lambda pair: (pair[0] % 7, pair[1])).groupByKey(4).mapValues(sorted)


def main() -> None:
    """Count the kills that were survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    expected = sorted(program(SingleContext(4)).collect())
    kills = armed = 0
    with Cluster(machines=arguments.machines, engine="ray", name="hundred-kills") as cluster:
        sc = SparkContext(cluster, executor_timeout=1.0, fetch_timeout=0.5)
        while kills < arguments.kills:
            if armed == kills:  # else the last one waits for more tasks than the job had
                trigger = when(draw.choice(TRIGGERS), count=draw.randint(1, 20))
                cluster.play([(trigger, Kill(draw.choice(cluster.machines).name))])
                armed += 1
            begun = time.monotonic()
            assert sorted(program(sc).collect()) == expected, f"wrong answer after {kills} kills"
            seconds = time.monotonic() - begun
            assert seconds < PATIENCE, f"{seconds:.1f} s after {kills} kills"
            kills = sum(event.kind == "killed" for event in cluster.trace)
            for machine in cluster.machines:
                if not machine.alive:
                    cluster.restart(machine)
            cluster.run_until(lambda: len(sc._driver.executors) == arguments.machines, timeout=PATIENCE)
            report = check_trace(cluster.trace, sc.options.cores)
            assert report.ok, str(report)
            again = sum(map(len, report.run_again.values()))
            print(f"{kills} kills, {seconds:.2f} s, {again} map tasks again so far", flush=True)
        failed = sum(event.data.get("result") == "fetch_failed" for event in cluster.trace)
        print(f"{kills} kills survived; {again} map tasks ran again, {failed} fetches failed")


if __name__ == "__main__":
    main()
