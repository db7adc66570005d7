"""What a GraphX tells of itself; what Spark does for it is told by Spark's own nodes. Sizes are counts."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, many, plain, quiet

__all__ = ["EVENTS"]


def _shipment(event: Any) -> str:
    d = event.data
    if d.get("what") == "messages":
        return f"messages go to the vertices by shuffle {d.get('shuffle')}"
    sides = " and ".join(
        name for name, on in zip(("sources", "targets"), d.get("sides", ()), strict=False) if on
    )
    what = "what changed of the vertices" if d.get("incremental") else "vertices"
    what = f"{what} goes to edges, as {sides}" if sides else "the active set goes to the edges"
    return f"{what}, by shuffle {d.get('shuffle')}"


def _iteration(event: Any) -> str:
    d = event.data
    return (
        f"iteration {d.get('iteration')} of {d.get('run')}: "
        f"{many(d.get('active', 0), 'vertex')} with messages, "
        f"{many(d.get('received', 0), 'attribute')} shipped, {many(d.get('touched', 0), 'edge')} looked at"
    )


EVENTS = Events(
    "GraphX",
    graph_measured=plain(
        "graph {graph} by {strategy}: {vertices:vertex}, {edges:edge}, {replication:.2f} replicas of a vertex"
    ),
    run_started=plain("{run} begins on graph {graph}"),
    iteration_started=quiet("iteration {iteration} of {run} begins"),
    iteration_planned=quiet("iteration {iteration} of {run} is computed: RDDs {rdds}"),
    switched=plain("from now on: {options}"),
    shipment=quiet(_shipment),
    iteration_finished=plain(_iteration),
    run_finished=plain("{run} is over after {iterations:iteration}: {why}"),
)
