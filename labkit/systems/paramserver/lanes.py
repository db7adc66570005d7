"""What a worker has pushed and is not acknowledged yet.

A push is cut at the bounds of the ranges. The parts for one server travel together in its *lane*, one message
at a time, so that the server sees them in the order of their timestamps: it tells a part it has seen from a
new one by that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from labkit.runtime.loop import Future

from .chain import Identity, Round
from .filters import Keys
from .ring import KeyRange
from .updates import Array
from .vectors import VectorSpec, span_of

__all__ = ["Lane", "Part", "Push"]

#: Bytes of values in one message of pushes, if more than one waits.
MESSAGE_BYTES = 64 << 20


class Push:
    """One push, until all its parts are acknowledged."""

    __slots__ = ("clock", "future", "missing", "round", "share", "timestamp", "vector")

    def __init__(
        self,
        vector: VectorSpec,
        timestamp: int,
        round_: Round | None,
        clock: int | None,
        share: float,
        future: Future,
    ) -> None:
        self.vector = vector
        self.timestamp = timestamp
        self.round = round_
        self.clock = clock  #: the iteration it was pushed in
        self.share = share
        self.future = future
        self.missing = 0  #: parts that are not acknowledged


class Part:
    """The part of a push that lies in one range, until it is acknowledged."""

    __slots__ = ("full", "keys", "push", "range", "resent", "stale", "values")

    def __init__(self, push: Push, range_: KeyRange, keys: Keys, values: Array, resent: int) -> None:
        self.push = push
        self.range = range_
        self.keys = keys
        self.values = values
        self.stale = False  #: cut anew since: others stand for it
        self.full = False  #: the server does not know its list of keys
        self.resent = resent

    def identity(self, source: str, worker: str, shard: int | None) -> Identity:
        """Who, when, and which keys."""
        push, (first, end) = self.push, span_of(self.keys)
        return Identity(push.vector.name, source, push.timestamp, first, end, worker, shard, push.clock)


class Lane:
    """What waits to be sent to one server, by timestamp."""

    def __init__(self) -> None:
        self.queue: deque[Part] = deque()
        self.busy = False  #: a message is under way

    def next_message(self) -> list[Part]:
        """The parts that go together now."""
        batch = [self.queue.popleft()]
        size = batch[0].values.nbytes
        while self.queue and size + self.queue[0].values.nbytes <= MESSAGE_BYTES:
            batch.append(self.queue.popleft())
            size += batch[-1].values.nbytes
        return batch

    def put_back(self, parts: Sequence[Part]) -> None:
        """They are to be sent again, before all that waits."""
        self.queue.extendleft(reversed(parts))

    def forget_stale(self) -> None:
        """What was cut anew is not sent; what came of it is where its timestamp belongs."""
        waiting = [part for part in self.queue if not part.stale]
        self.queue = deque(sorted(waiting, key=lambda part: part.push.timestamp))
