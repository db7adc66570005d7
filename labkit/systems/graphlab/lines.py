"""Lines: messages to other nodes that arrive once, in order, and in few pieces, whatever the network does.

GraphLab's processes talk over TCP. Much rests on its order: a lock's data come before the lock, and nothing
of a step comes after the step's end. Here messages to one node are numbered batches, one on its way at a
time; what accumulates meanwhile is the next, so many small messages cost as little as one.

Lines live for an *epoch*. What a process of an older epoch sends is dropped; what comes from a newer one is
refused, until this node has begun it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.runtime.errors import Definite, Timeout, Unpicklable
from labkit.runtime.loop import Task
from labkit.runtime.node import Node
from labkit.runtime.sync import Event

__all__ = ["Lines"]

#: Seconds until a batch is offered again to somebody who is not that far.
AGAIN_AFTER = 0.02


class Lines:
    """A node's lines to and from others. handle: called with (sender, message) for each that comes.
    fail: told why, if what was posted can never be sent."""

    def __init__(
        self, node: Node, every: float, handle: Callable[[str, Any], None], fail: Callable[[str], None]
    ) -> None:  # fmt: skip
        self.node, self.every, self.handle, self.fail = node, every, handle, fail
        self.epoch = 0
        self.open = False  #: whether messages of this epoch are taken
        self.waiting: dict[str, list[Any]] = {}
        self.wake: dict[str, Event] = {}
        self.heard: dict[str, int] = {}  #: by sender: number of the last batch
        self.senders: list[Task] = []

    def begin(self, epoch: int, open_: bool = True) -> None:
        """Forget the epoch before: what was not sent, and whom one has heard."""
        for task in self.senders:
            task.cancel()
        self.epoch, self.open = epoch, open_
        self.waiting, self.wake, self.heard, self.senders = {}, {}, {}, []

    def post(self, ref: str, message: Any) -> None:
        """Send it, after all that was posted to this node before."""
        if ref not in self.waiting:
            self.waiting[ref], self.wake[ref] = [], Event()
            self.senders.append(self.node.spawn(self._send(ref, self.epoch, self.wake[ref])))
        self.waiting[ref].append(message)
        self.wake[ref].set()

    async def _send(self, ref: str, epoch: int, wake: Event) -> None:
        number = 0
        while True:
            await wake.wait()
            wake.clear()
            batch, self.waiting[ref] = self.waiting[ref], []
            number += 1
            while not await self._offer(ref, epoch, number, batch):
                await self.node.sleep(AGAIN_AFTER)

    async def _offer(self, ref: str, epoch: int, number: int, batch: list[Any]) -> bool:
        try:
            return bool(
                await self.node.call(ref, "deliver", epoch, self.node.name, number, batch, timeout=self.every)
            )
        except Unpicklable as error:
            self.fail(f"a value cannot be sent to another machine: {error}")
            return True
        except (Timeout, Definite):  # lost, or its node has just ended
            return False

    def deliver(self, epoch: int, sender: str, number: int, batch: list[Any]) -> bool:
        """Take a batch; whether it need not be sent again."""
        if epoch != self.epoch or not self.open:
            return epoch < self.epoch
        if number > self.heard.get(sender, 0):
            self.heard[sender] = number
            for message in batch:
                if self.epoch == epoch:
                    self.handle(sender, message)
        return True
