"""The sort of §5.3 in the simulator's virtual time: Figure 3, without backup tasks, and with workers killed.

Nobody sorts here: a *modelled* task takes as long as its bytes take to move. Everything else, that is who
runs what and when, what is pushed to whom, deaths and backup tasks, is the master's and the workers' own.

Of the paper: machines, tasks, bytes of a split. Set by us, so that the undisturbed run has the paper's
length: seconds of a map task and the rates of shuffle and output. Left out: locality, and the network's own
limits.
"""

from __future__ import annotations

import pickle
from typing import Any

import pandas as pd

from labkit.parts.experiments import sweep
from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster
from labkit.runtime.node import rpc

from .job import Job, MapReduce
from .messages import MAP, Outcome
from .nodes import Master, Worker
from .nodes.worker import Running
from .options import Options

__all__ = ["figure_3", "sort_job"]

#: Of the paper (§5.3): bytes of a split, workers, map and reduce tasks.
SPLIT, WORKERS, MAPS, REDUCES = 64_000_000, 1746, 15_000, 4_000
#: Ours: seconds of a map task and the spread of its logarithm; bytes per second that a reduce task fetches
#: and writes.
MAP_SECONDS, SIGMA, FETCH_RATE, WRITE_RATE = 18.0, 0.1, 2.0e6, 2.0e6
#: One machine in so many is a straggler, so many times slower (the paper gives no number).
SLOW_ONE_IN, SLOWNESS = 100, 5.0
#: Events of one reduce task's fetching, and of its writing.
STEPS = 10
#: The paper's seconds (§5.3 to §5.5).
PAPER = {"normal": 891.0, "no backup": 1283.0, "200 killed": 933.0}


class ModelledMaster(Master):
    """Tells reduce workers how many map outputs there are, not where: nobody reads them."""

    async def _places(self) -> list[tuple[str, ...]]:
        return [()] * len(self.job.splits)

    def _news_for(self, member: Any) -> tuple[int, bytes]:
        if not self._lacks_news(member):
            return member.told, b""
        return member.told, pickle.dumps((len(self.news), len(self.outputs)))


class ModelledWorker(Worker):
    """Its tasks take time, and nothing else."""

    available = 0

    @rpc
    def ping(self, life: int, first: int, news: bytes) -> Any:
        """As a worker's."""
        if life != self.life:
            return None
        self.pinged = self.now
        if news:
            self.told, self.available = pickle.loads(news)
            self.news.fire()
        return self.told, {}

    async def map(self, running: Running) -> Outcome:
        """Read 64 MB, leave them in R regions."""
        order = running.order
        size = sum(end - start for _, start, end in order.split)
        await self.compute(int, cost=MAP_SECONDS * self.random.lognormvariate(0.0, SIGMA))
        self.emit("input_read", task=order.task, attempt=order.attempt, bytes=size)
        return Outcome("ok", sizes=(size,), pairs=(0,), bytes_in=size, bytes_out=size)

    async def reduce(self, running: Running) -> Outcome:
        """Fetch what there is as it comes, sort, write."""
        order, total = running.order, self.job.maps
        fetched, size = 0, SPLIT // self.options.R
        while fetched < total:
            if self.available <= fetched:
                await self.news.wait()
                continue
            some = min(self.available - fetched, max(1, total // STEPS))
            await self.compute(int, cost=some * size / FETCH_RATE)
            fetched += some
            self.emit("shuffled", task=order.task, attempt=order.attempt, bytes=some * size, maps=some)
        self.emit("task_running", kind=order.kind, task=order.task, attempt=order.attempt, sources=())
        for _ in range(STEPS):
            await self.compute(int, cost=total * size / WRITE_RATE / STEPS)
            self.emit("output_written", task=order.task, attempt=order.attempt, bytes=total * size // STEPS)
        return Outcome("ok", pairs=(0,), bytes_in=total * size, bytes_out=total * size)


def sort_job(
    scale: float = 0.1, backup: bool = True, killed: int = 0, kill_at: float = 250.0, seed: int = 0
) -> Job:
    """One run, over: the paper's tasks and workers times ``scale``. ``killed``: of the paper's 1746 workers,
    several minutes into the computation (§5.5); a worker process is killed there, and begins anew here."""
    workers = max(4, round(WORKERS * scale))
    cluster = Cluster(machines=workers, engine="sim", seed=seed, trace_limit=2_000_000)
    fs = FileSystem(cluster, replicas=1, machines=["m1"])
    for number in range(1, workers + 1, SLOW_ONE_IN):
        cluster.slow(f"m{min(workers, number + SLOW_ONE_IN // 2)}", SLOWNESS)
    options = Options(
        M=round(MAPS * scale), R=round(REDUCES * scale), backup=backup, ping_every=5.0, timeout=20.0,
        call_timeout=5.0,
    )  # fmt: skip
    files = [("records", SPLIT * options.M)]
    job = Job(
        MapReduce(cluster, fs), cluster, fs, files, "out", None, (ModelledMaster, ModelledWorker), options
    )
    if killed:
        cluster.run(kill_at)
        for number in range(round(killed * scale)):
            cluster.kill(f"m{2 + number * (workers - 2) // round(killed * scale)}")
        cluster.run(1.0)
        for machine in cluster.machines:
            if not machine.alive:
                cluster.restart(machine)
    job.result()
    return job


def figure_3(scale: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Seconds of the three runs, their ratio to the first, and the paper's."""
    runs: dict[str, dict[str, Any]] = {
        "normal": {}, "no backup": {"backup": False}, "200 killed": {"killed": 200},
    }  # fmt: skip

    def run(name: str) -> dict[str, Any]:
        job = sort_job(scale, seed=seed, **runs[name])
        view = job.view()
        again = sum(each.why == "lost" for each in view.executions.values())
        backups = sum(each.why == "backup" for each in view.executions.values())
        seconds = (view.end or 0.0) - view.began
        maps = max(e.end or 0.0 for e in view.executions.values() if e.kind == MAP) - view.began
        job.cluster.close()
        figures = {"seconds": seconds, "paper": PAPER[name], "maps done": maps}
        return {**figures, "backups": backups, "run again": again}

    table = sweep("run", runs, run)
    table["ratio"] = table.seconds / table.seconds["normal"]
    table["paper's ratio"] = table.paper / table.paper["normal"]
    return table
