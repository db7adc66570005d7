"""Planted mistakes: roles that break one rule of the paper each, which ``job.check()`` must catch.

``Pregel(cluster, fs).start(..., roles=MISTAKES["a message delivered twice"])``
"""

from __future__ import annotations

from typing import Any

from .messages import Batch, Order, Outcome
from .nodes import Master, Worker
from .objects import Partition

__all__ = ["MISTAKES"]


class NoBarrier(Master):
    """Begins the next superstep when the first worker has done with this one (§2)."""

    async def _everyone(self, kind: str, own: Any = None, **what: Any) -> list[Outcome]:
        if kind != "superstep" or self.superstep != 2:
            return await super()._everyone(kind, own, **what)
        answers: dict[str, Outcome] = {}
        self.orders += 1
        for worker in sorted(set(self.places)):
            order = Order(self.orders, self.epoch, kind, **what)
            self.spawn(self._order(worker, self.members[worker], order, answers))
        while not answers:
            await self._news(self.options.timeout)
        return [answers[worker] for worker in sorted(answers)]


class LateAggregator(Master):
    """Tells in S+1 what was given in S-1 (§3.3)."""

    def _aggregated(self, S: int, found: dict[str, Any]) -> dict[str, Any]:
        self.kept: list[dict[str, Any]] = [*getattr(self, "kept", []), super()._aggregated(S, found)]
        return self.kept[-2] if len(self.kept) > 1 else {}


class TakesAll(Partition):
    """A batch that comes twice is two batches to it."""

    def put(self, batch: Batch) -> None:
        """Under a number of its own."""
        box = self.inbox.setdefault(batch.superstep, {})
        super().put(batch._replace(number=batch.number + 1000 * len(box)))


class DeliversTwice(Worker):
    """Sends messages once more, as after a lost answer, and does not know those that it has (§2.2)."""

    def _new(self, number: int) -> Any:
        return TakesAll(number, self.program, self.whereabouts)

    async def _deliver(self, batches: list[Batch], epoch: int) -> None:
        await super()._deliver(batches, epoch)
        await super()._deliver([batch for batch in batches if batch.superstep == 1], epoch)


class LosesBatches(Worker):
    """Does not wait until the others have its messages (§4.3)."""

    async def _send(self, worker: str, batches: list[Batch], epoch: int) -> None:
        if batches[0].superstep == 1 and batches[0].source == 0:
            return
        await super()._send(worker, batches, epoch)


class ForgetsMessages(Partition):
    """A checkpoint without the incoming messages (§4.2)."""

    def take_none(self) -> list[Batch]:
        """None."""
        return []


class SavesVerticesOnly(Worker):
    """Its partitions' checkpoints lack the messages."""

    def _new(self, number: int) -> Any:
        return ForgetsMessages(number, self.program, self.whereabouts)


class DrawsAnew(Partition):
    """Random numbers that another life does not draw again (§4.2: confined recovery needs determinism)."""

    lives = 0

    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        DrawsAnew.lives += 1
        self.life = DrawsAnew.lives

    @property
    def random(self) -> Any:  # type: ignore[override]
        """Seeded by the life of the partition, too."""
        if self._random is None:
            super().random.seed(self.life)
        return self._random


class RandomLives(Worker):
    """Draws other numbers when it computes again."""

    def _new(self, number: int) -> Any:
        return DrawsAnew(number, self.program, self.whereabouts)


MISTAKES: dict[str, tuple[type[Master], type[Worker]]] = {
    "compute before the barrier": (NoBarrier, Worker),
    "an aggregator late": (LateAggregator, Worker),
    "a message delivered twice": (Master, DeliversTwice),
    "a message lost": (Master, LosesBatches),
    "a checkpoint without messages": (Master, SavesVerticesOnly),
    "random numbers drawn anew": (Master, RandomLives),
}
