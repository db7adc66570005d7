"""What the nodes of a loop tell: MapReduce's events, and those of iterations and caches. Sizes in bytes."""

from __future__ import annotations

from typing import Any

from labkit.systems.mapreduce.events import EVENTS as MAPREDUCE
from labkit.trace.words import Events, plain, quiet, repair

__all__ = ["EVENTS"]

FROM = {
    "reducer input": "map outputs of the first iteration",
    "reducer output": "the file system",
    "mapper input": "the file system",
}


def _what(data: Any) -> str:
    where = f" of partition {data['partition']}" if "partition" in data else f" of {data.get('key')}"
    return f"the {data.get('cache')} cache{where}"


def _iteration(event: Any) -> str:
    data = event.data
    distance, end = data.get("distance"), data.get("end")
    words = f"iteration {data.get('iteration')} is completed"
    if distance is not None:
        words += f"; its distance to the one before is {distance:.6g}"
    return words + (f": the end ({end})" if end else "")


EVENTS = Events(
    "haloop",
    **MAPREDUCE,
    # the master's
    stage_started=plain("iteration {iteration}, step {step}: {M:map task}, {R:reduce task}"),
    iteration_finished=plain(_iteration),
    # the workers'
    cache_written=quiet(lambda event: f"{event.node} keeps {_what(event.data)}: {event.data.get('bytes')} B"),
    cache_read=quiet(lambda event: f"{event.node} reads {_what(event.data)}"),
    cache_reloaded=repair(
        lambda event: (
            f"{event.node} loads {_what(event.data)} again, from {FROM.get(event.data.get('cache', ''))}"
        )
    ),
    output_read_again=quiet("{node} reads the output of partition {partition} of the iteration before"),
)
