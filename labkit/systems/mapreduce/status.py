"""Status information (§4.8): a page of how far the computation is, and the rates of Figure 3."""

from __future__ import annotations

from html import escape
from typing import Any

from labkit.trace.words import many

from .messages import MAP, REDUCE
from .view import RATES, JobState

__all__ = ["Status", "rates", "timeline"]

#: Points of a curve unless told otherwise.
POINTS = 40


def rates(
    view: JobState, now: float, every: float | None = None
) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds since the beginning, and at each the bytes per second of input, shuffle and output. A map
    output that is lost is taken back: the input's rate may be negative."""
    end = view.end if view.end is not None else now
    span = max(end - view.began, 1e-9)
    every = every or span / POINTS
    seconds = [n * every for n in range(int(span / every) + 1)]
    found = {what: [0.0] * len(seconds) for what in RATES}
    for time, what, size, _ in view.moved:
        found[what][min(len(seconds) - 1, max(0, int((time - view.began) / every)))] += size / every
    return seconds, found


def timeline(view: JobState, now: float, every: float | None = None) -> Any:
    """``rates`` as a DataFrame."""
    import pandas as pd

    seconds, found = rates(view, now, every)
    return pd.DataFrame(found, index=pd.Index(seconds, name="seconds"))


class Status:
    """Text, and a table in a notebook."""

    def __init__(self, view: JobState, now: float, counters: dict[str, int]) -> None:
        self.seconds = (view.end if view.end is not None else now) - view.began
        self.result = view.result or "in progress"
        self.name, self.counters = view.name, counters
        self.failed = [name for name, state in view.workers.items() if state == "failed"]
        self.workers = len(view.workers)
        moved = {what: sum(m[2] for m in view.moved if m[1] == what) for what in RATES}
        running = [each for each in view.executions.values() if each.end is None]
        self.rows = [
            (kind, total, view.done(kind), sum(each.kind == kind for each in running))
            for kind, total in ((MAP, view.M), (REDUCE, view.R))
        ]
        self.moved = moved

    def _lines(self) -> list[str]:
        lines = [f"{self.name}: {self.result}, {self.seconds:.2f} s"]
        lines += [
            f"{k} tasks: {done} of {total} completed, {now} in progress" for k, total, done, now in self.rows
        ]
        lines.append(", ".join(f"{what} {size:,} bytes" for what, size in self.moved.items()))
        lines.append(f"{many(self.workers, 'worker')}, failed: {', '.join(self.failed) or 'none'}")
        return lines + [f"{name} = {count:,}" for name, count in self.counters.items()]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return "<br>".join(map(escape, self._lines()))
