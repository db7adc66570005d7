"""What the nodes of a job tell of themselves: each event's data, and how it reads. Sizes in bytes."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS"]


def _recovery(event: Any) -> str:
    data = event.data
    lost, back = data.get("lost", ()), data.get("back_to")
    where = "the input" if back is None else f"superstep {back}"
    what = "the lost partitions go" if data.get("kind") == "confined" else "all partitions go"
    return f"{what} back to {where}; {len(lost)} were lost in superstep {data.get('superstep')}"


EVENTS = Events(
    "pregel",
    # the master's
    job_started=plain("{job}: {partitions:partition} on {workers:worker}"),
    graph_loaded=plain("the graph is loaded: {vertices:vertex}, {edges:edge}"),
    superstep_started=quiet("superstep {superstep} begins"),
    superstep_finished=plain(
        "superstep {superstep} is over: {active:vertex} active, {sent:message}",
        "superstep", "{total:superstep} done",
    ),
    checkpoint_written=plain("checkpoint of superstep {superstep}: {bytes:bytes} in {seconds:.2g} s"),
    worker_registered=repair("{worker} is ready"),
    worker_failed=fault("{worker} is marked as failed: {why}"),
    partitions_assigned=quiet("the partitions are assigned"),
    recovery_started=repair(_recovery),
    recovery_finished=repair("recovered: superstep {superstep} goes on"),
    recovery_chosen=plain("from now on recovery is {recovery}"),
    job_finished=plain("{job} is over: {result}"),
    # the workers'
    input_read=quiet("{node} read {pieces:piece} of the input: {vertices:vertex}"),
    partition_built=quiet("{node} has partition {partition}: {vertices:vertex}, {edges:edge}"),
    partition_computed=quiet("{node} computed partition {partition}, superstep {superstep}"),
    partition_saved=quiet("{node} saved partition {partition}: {bytes:bytes}"),
    partition_restored=repair("{node} loaded partition {partition} as it was in superstep {superstep}"),
    partition_replayed=quiet("{node} has superstep {superstep} of partition {partition} in its log"),
    worker_finished=quiet("{node} has finished superstep {superstep}"),
    aggregated=quiet("{node} reduced the aggregators of superstep {superstep}"),
    invariant_broken=trouble("partition {partition}, superstep {superstep}: {detail}"),
    output_written=quiet("{node} wrote the values of partition {partition}"),
    terminated=repair("{node} was not pinged: it ends itself, and begins anew"),
)  # fmt: skip
