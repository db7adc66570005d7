"""What the master and the workers tell each other, and what partitions send to partitions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["BUILD", "PLAN", "READ", "Batch", "Order", "Outcome", "Report"]

#: "Supersteps" before the first: what is delivered in them are vertices that a worker has read for another
#: one, and, over arrays, who will get messages.
READ, PLAN = -2, -1
BUILD = -1


class Batch(NamedTuple):
    """Messages that travel together: from one partition to another, sent in one superstep. ``number`` counts
    the batches between the two; sent again, a batch has the same number and is the same one."""

    superstep: int
    source: int
    target: int
    number: int
    messages: int  #: in it, after the combiner
    payload: Any  #: bytes, or arrays that nobody changes


class Order(NamedTuple):
    """The master tells all workers to do the same thing; the answer says that it is done."""

    number: int
    epoch: int  #: counts the recoveries; what belongs to an older one is void
    kind: str  #: assign, read, build, checkpoint, restore, superstep, save
    superstep: int = 0
    #: assign: the worker of each partition.
    places: tuple[str, ...] = ()
    #: read: the worker's own pieces of the input. restore: the partitions to be loaded. superstep, in a
    #: confined recovery: those that compute again; others answer from their logs. None: all.
    only: tuple[Any, ...] | None = None
    aggregated: Any = None  #: superstep: pickled values of the aggregators
    num_vertices: int = 0
    log: bool = False  #: whether outgoing messages are logged
    keep: int = 0  #: logs of earlier supersteps are not needed any more
    path: str = ""  #: of the checkpoint, or of the output


class Report(NamedTuple):
    """How a superstep ended in one partition."""

    partition: int
    superstep: int
    vertices: int = 0
    edges: int = 0
    computed: int = 0  #: calls of compute
    active: int = 0  #: vertices that have not voted to halt
    sent: int = 0  #: messages, before the combiner
    combined: int = 0  #: messages after it: those that travelled
    bytes: int = 0
    requests: int = 0  #: mutations
    missing: int = 0  #: messages to vertices that do not exist
    degrees: tuple[int, ...] = ()  #: build: how many vertices have 0, 1, 2-3, 4-7, … out edges

    @classmethod
    def built(cls, partition: int, degrees: np.ndarray) -> Report:
        """Of a partition that is to begin; degrees: (n,)."""
        bits = np.frexp(degrees.astype(np.float64))[1]  # those that the number has
        return cls(
            partition,
            BUILD,
            vertices=len(degrees),
            edges=int(degrees.sum()),
            degrees=tuple(np.bincount(bits).tolist()),
        )


class Outcome(NamedTuple):
    """How a worker has carried out an order: "ok", or "failed" with the user's traceback."""

    result: str
    error: str = ""
    reports: tuple[Report, ...] = ()
    aggregated: Any = None  #: superstep: of the worker at the root of the tree, pickled
    bytes: int = 0
