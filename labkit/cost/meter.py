"""The COST meter: beside a run of any system, its seconds, the cores it kept busy, and one thread's
seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

import psutil

from labkit.cost.report import hardware
from labkit.parts.options import whole
from labkit.trace.words import many

__all__ = ["CostMeter", "Measured"]


@dataclass(frozen=True)
class Measured:
    """One run. seconds: of the clock; simulated: of the simulator's clock. machines: how many were alive at
    its end. busy: processor seconds of all machines and of the user's program; None in the simulator.
    """

    what: str
    seconds: float
    machines: int
    busy: float | None
    simulated: bool

    @property
    def cores(self) -> float | None:
        """How many cores were busy in the mean."""
        return None if self.busy is None or not self.seconds else self.busy / self.seconds


class CostMeter:
    """Measures what runs inside ``with meter.run(name):`` on a cluster, and one thread doing the same.

    system: any system, or a cluster. baseline: one thread's way to the same result: called with the graph if
    there is one, else without arguments; measured ``repeat`` times, when it is first needed.

        meter = CostMeter(job, baseline=lambda: single.run(texts))
        with meter.run("four workers"):
            job.wait()
        meter.panel()
    """

    def __init__(self, system: Any, baseline: Callable[..., Any], graph: Any = None, repeat: int = 3) -> None:
        if not callable(baseline):
            raise TypeError(f"baseline is a function that does the same on one thread, not {baseline!r}")
        repeat = whole(1, write=3)("repeat", repeat)
        self.cluster = getattr(system, "cluster", system)
        if not hasattr(self.cluster, "machines"):
            raise TypeError(f"the meter is for a system or a cluster, not {system!r:.60}")
        self.name = self.cluster.name if system is self.cluster else type(system).__name__
        self.baseline, self.repeat = baseline, repeat
        self.arguments = () if graph is None else (graph,)
        self.rows: list[Measured] = []
        self._alone: list[float] = []
        self._listeners: list[Callable[[], None]] = []

    @contextmanager
    def run(self, what: str) -> Iterator[None]:
        """Measure the block; nothing is noted if it raises."""
        simulated = self.cluster.engine == "sim"
        clock = (lambda: self.cluster.now) if simulated else time.perf_counter
        before = {} if simulated else self._busy()
        start = clock()
        yield
        seconds = clock() - start
        after = {} if simulated else self._busy()
        # A machine that died meanwhile takes its count with it; one that was restarted begins at 0.
        busy = (
            None if simulated else sum(max(0.0, used - before.get(who, 0.0)) for who, used in after.items())
        )
        alive = sum(machine.alive for machine in self.cluster.machines)
        self.rows.append(Measured(what, seconds, alive, busy, simulated))
        for told in list(self._listeners):
            told()

    @property
    def one_thread(self) -> list[float]:
        """Seconds of each repetition of the baseline."""
        if not self._alone:
            if (warm := getattr(self.baseline, "warm", None)) is not None:
                warm()
            for _ in range(self.repeat):
                start = time.perf_counter()
                self.baseline(*self.arguments)
                self._alone.append(time.perf_counter() - start)
        return self._alone

    def listen(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call this after each measurement; returns what ends it."""
        self._listeners.append(told)
        return lambda: self._listeners.remove(told) if told in self._listeners else None

    def beats(self, row: Measured) -> bool | None:
        """Whether that run was faster than one thread; None if its seconds are the simulator's."""
        return None if row.simulated else row.seconds < median(self.one_thread)

    def verdict(self) -> str:
        """In one sentence: who beats one thread, if any."""
        if not self.rows:
            return "Nothing is measured yet: with meter.run(name): …"
        if all(row.simulated for row in self.rows):
            return "These seconds are the simulator's, no computer's: measure on Ray to compare them"
        real = [row for row in self.rows if not row.simulated]
        winners = [row for row in real if self.beats(row)]
        if not winners:
            return f"Unbounded: {'the run does not beat' if len(real) == 1 else 'no run beats'} one thread"
        best = min(winners, key=lambda row: (row.machines, row.seconds))
        return f"{best.what!r} beats one thread with {many(best.machines, 'machine')}"

    def to_pandas(self) -> Any:
        """A row for one thread and one for each run."""
        import pandas as pd

        rows = [(str(row.what), row.seconds, row.machines, row.cores) for row in self.rows]
        alone = (
            [("one thread", median(self.one_thread), 1, 1.0)]
            if any(not r.simulated for r in self.rows)
            else []
        )
        return pd.DataFrame([*alone, *rows], columns=["run", "seconds", "machines", "cores busy"])

    def __str__(self) -> str:
        return (
            f"{self.verdict()}\n{self.to_pandas().to_string(index=False, float_format='%.3g')}\n{hardware()}"
        )

    def panel(self) -> Any:
        """The meter as a picture that grows with each run (needs a notebook)."""
        import labkit_widgets.panels.cost

        return labkit_widgets.panels.cost.CostPanel(self)

    def _busy(self) -> dict[tuple[str, int | None], float]:
        """Processor seconds so far: of the machines, and of this program."""
        pids: dict[str, int | None] = {machine.name: machine.pid for machine in self.cluster.machines}
        found: dict[tuple[str, int | None], float] = {}
        for name, pid in [*pids.items(), ("the user's program", psutil.Process().pid)]:
            if pid is None:
                continue
            with suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                found[name, pid] = times.user + times.system
        return found
