"""The statistics page (§4.2): "the size of the graph, a histogram of its distribution of out-degrees, the
number of active vertices, the timing and message traffic of recent supersteps, and the values of all
user-defined aggregators"."""

from __future__ import annotations

from html import escape
from typing import Any

from labkit.trace.words import many

from .view import PregelState

__all__ = ["Statistics", "table"]

#: Supersteps of the page; the table has all.
RECENT = 10


def table(view: PregelState) -> Any:
    """A row for each superstep, as a DataFrame. messages: sent by compute; travelled: after the combiner."""
    import pandas as pd

    rows = [
        {
            "superstep": each.number, "seconds": None if each.end is None else each.end - each.began,
            "vertices": each.vertices, "computed": each.computed, "active": each.active,
            "messages": each.sent, "travelled": each.combined, "bytes": each.bytes,
        }
        for _, each in sorted(view.supersteps.items())
    ]  # fmt: skip
    for row, (_, each) in zip(rows, sorted(view.supersteps.items()), strict=True):
        row |= {f"{name} (aggregator)" if name in row else name: v for name, v in each.aggregated.items()}
    return pd.DataFrame(rows).set_index("superstep") if rows else pd.DataFrame(rows)


class Statistics:
    """Text, and a table in a notebook."""

    def __init__(self, view: PregelState, now: float) -> None:
        self.view = view
        self.seconds = (now if view.end is None else view.end) - view.began
        self.table = table(view)

    def degrees(self) -> dict[str, int]:
        """How many vertices have 0, 1, 2 to 3, 4 to 7, … out edges at the beginning."""
        names = ["0", "1", *(f"{1 << bits}–{(2 << bits) - 1}" for bits in range(1, 64))]
        return {name: count for name, count in zip(names, self.view.degrees, strict=False) if count}

    def _lines(self) -> list[str]:
        view = self.view
        running = [worker for worker, state in view.workers.items() if state == "alive"]
        return [
            f"{view.name}: {view.program}, {view.result or 'in progress'}, {self.seconds:.2f} s",
            f"{many(view.vertices, 'vertex')}, {many(view.edges, 'edge')} in "
            f"{many(view.partitions, 'partition')}; {many(len(running), 'worker')}, "
            f"failed: {len(view.workers) - len(running) or 'none'}",
            "out-degrees: " + ", ".join(f"{name}: {count:,}" for name, count in self.degrees().items()),
        ]

    def __repr__(self) -> str:
        return "\n".join([*self._lines(), self.table.tail(RECENT).to_string()])

    def _repr_html_(self) -> str:
        return "<br>".join(map(escape, self._lines())) + self.table.tail(RECENT).to_html()
