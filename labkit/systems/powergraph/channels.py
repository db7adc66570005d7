"""Channels between the machines: what one posts to another arrives once and in order, or the epoch ends.

Items for one destination wait while a batch is under way to it; they are the next batch. A batch that is not
answered is sent again under its number, and the receiver knows a number that it has had. So an item is *on
its way* until its batch is acknowledged, and a machine with empty channels knows that all it has said has
been heard.

At a barrier (``exchange``) everybody tells everybody something, and that is answer enough: it takes one
message where a call takes two. Who misses one sends its own again and asks for that of the other.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from labkit.parts.retry import insist
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import Definite, LabError, Timeout, Unpicklable
from labkit.runtime.node import Node
from labkit.runtime.packing import dumps
from labkit.runtime.raised import Ending, named
from labkit.runtime.sync import Signal, wait_for

__all__ = ["Channels", "Item"]


class Item(NamedTuple):
    """What one machine tells another."""

    sender: int  #: rank
    kind: str
    what: Any
    arrays: tuple[Any, ...] = ()  #: at a barrier: large ones, beside the pickle


class Channels:
    """A machine's channels to its peers in one epoch. ``node`` has the method ``deliver``."""

    def __init__(self, node: Node, epoch: int, rank: int, members: tuple[str, ...], every: float) -> None:
        self.node, self.epoch, self.rank, self.members, self.every = node, epoch, rank, members, every
        self.outboxes: list[deque[Item]] = [deque() for _ in members]
        self.posted: list[tuple[int, Item]] = []  #: not yet flushed: a piece of work may be in another thread
        self.under_way = [False] * len(members)
        self.sent = [0] * len(members)  #: batches, by destination
        self.heard = [0] * len(members)  #: by sender, the number of the last batch
        self.inbox: deque[Item] = deque()
        self.news = Signal()  #: something has come in, or an outbox has become empty
        self.others = [peer for peer in range(len(members)) if peer != rank]
        self.round = self.passed = 0  #: the last barrier that was begun, and that is over
        self.kept: deque[list[Any]] = deque(maxlen=2)  #: what was told at the last two, by rank
        self.arrived: dict[tuple[int, int], Item] = {}  #: by barrier and rank
        self.told = Signal()
        self.messages = self.bytes = 0  #: sent to other machines
        self.closed = False

    @property
    def empty(self) -> bool:
        """Whether all that was posted has been acknowledged."""
        return not (any(self.under_way) or any(self.outboxes) or self.posted)

    def post(self, to: int, kind: str, what: Any = None) -> None:
        """Send an item to a rank, or to oneself; ``flush`` sends it off."""
        item = Item(self.rank, kind, what)
        if to == self.rank:
            self.inbox.append(item)
        else:
            self.posted.append((to, item))

    def flush(self) -> None:
        """Send off what was posted."""
        for to, item in self.posted:
            self.outboxes[to].append(item)
        self.posted.clear()
        for to, outbox in enumerate(self.outboxes):
            if outbox and not self.under_way[to] and not self.closed:
                self.under_way[to] = True
                self.node.spawn(self._send(to))

    async def _send(self, to: int) -> None:
        outbox = self.outboxes[to]
        while outbox and not self.closed:
            items = list(outbox)
            outbox.clear()
            try:
                packed = _packed([(item.kind, item.what) for item in items])
            except Unpicklable as error:  # to whoever works, for this task has nobody to tell
                self.inbox.append(Item(self.rank, "unsendable", error))
                self.news.fire()
                return
            self.sent[to] += 1
            self.messages += 1
            self.bytes += len(packed)
            batch = (self.epoch, self.rank, self.sent[to], packed)
            try:
                known = await insist(
                    self.node, self.members[to], "deliver", *batch, every=self.every,
                    wanted=lambda: not self.closed,
                )  # fmt: skip
            except (Timeout, Definite):
                known = False
            if not known:  # the other is in another epoch: this one is over
                self.closed = True
        self.under_way[to] = False
        self.news.fire()

    def take(self, sender: int, number: int, packed: bytes) -> None:
        """A batch has come; the same one twice is one."""
        if number <= self.heard[sender]:
            return
        self.heard[sender] = number
        self.inbox.extend(Item(sender, kind, what) for kind, what in loads_keeping_classes(packed))
        self.news.fire()

    # barriers ------------------------------------------------------------

    async def exchange(
        self, kind: str, whats: list[Any], arrays: list[tuple[Any, ...]] | None = None
    ) -> list[Item]:
        """Send one item to each rank, oneself too, and wait for one from each: a barrier that nobody leads.
        Returns them by rank."""
        self.round += 1
        self.kept.append(
            [(kind, _packed(what), arrays[to] if arrays else ()) for to, what in enumerate(whats)]
        )
        for to in self.others:
            self._tell(to, self.round, False)
        while not all((self.round, peer) in self.arrived for peer in self.others):
            try:
                await wait_for(self.told.wait(), self.every)
            except Timeout:
                for peer in self.others:
                    if (self.round, peer) not in self.arrived:
                        self._tell(peer, self.round, True)
        own = Item(self.rank, kind, whats[self.rank], arrays[self.rank] if arrays else ())
        found = [own if r == self.rank else self.arrived.pop((self.round, r)) for r in range(len(whats))]
        self.passed = self.round
        if wrong := [item for item in found if item.kind != kind]:
            raise LabError(
                f"{self.members[wrong[0].sender]} is at the barrier {wrong[0].kind!r}, not {kind!r}"
            )
        return found

    def _tell(self, to: int, number: int, please: bool) -> None:
        """Send an item of a barrier, perhaps once more. please: the other is to send its own again."""
        kind, packed, arrays = self.kept[number - self.round - 1][to]
        self.messages += 1
        self.bytes += len(packed) + sum(array.nbytes for array in arrays)
        self.node.send(
            self.members[to], "barrier", self.epoch, self.rank, number, please, kind, packed, arrays
        )

    def arrive(
        self, sender: int, number: int, please: bool, kind: str, packed: bytes, arrays: tuple[Any, ...]
    ) -> None:
        """An item of a barrier has come; the other may be one barrier behind, or ahead."""
        if please and self.round - len(self.kept) < number <= self.round:
            self._tell(sender, number, False)
        if number > self.passed and (number, sender) not in self.arrived:
            self.arrived[number, sender] = Item(sender, kind, loads_keeping_classes(packed), _own(arrays))
            self.told.fire()


def _packed(what: Any) -> bytes:
    try:
        return dumps(what)
    except Ending:
        raise
    except Exception as error:
        raise Unpicklable(
            f"what the program gave cannot be sent to another machine: {named(error)}; give plain data "
            "(numbers, strings, tuples, lists, dicts, arrays)"
        ) from error


def _own(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """An array from a pickle has a dtype of its own, with which NumPy is slow."""
    return tuple(a.view(a.dtype.type) if isinstance(a, np.ndarray) else a for a in arrays)
