"""Planted mistakes: roles that break one rule of the paper each, which ``job.check()`` must catch."""

from __future__ import annotations

from typing import Any

from labkit.systems.mapreduce.messages import MAP, Order, Output

from .caches import InputCache, Joined
from .nodes import LoopMaster, LoopWorker

__all__ = ["MISTAKES"]


class ForgetsHomes(LoopMaster):
    """Its scheduler knows nothing of the iteration before (§3)."""

    def _near(self, kind: str, task: int) -> tuple[str, ...]:
        if kind == MAP:
            return super()._near(kind, task)
        workers = sorted(self.members)
        return (workers[(task + self.plan.iteration) % len(workers)],)


class ReadsAgain(LoopMaster):
    """Runs the map tasks of invariant tables in every iteration (§4.1)."""

    def _keep_outputs(self, iteration: int, step: int) -> list[int]:
        return []


class HalfACache(LoopWorker):
    """What it has lost of the invariant tables it takes for empty, and loads nothing again (§4.1)."""

    def sort_of(self, order: Order) -> Joined:
        """With an empty cache where there is none."""
        sort = super().sort_of(order)
        if sort.cache is None and order.plan.invariant and order.plan.iteration > 1:
            known: dict[int, int] = {
                task: output.attempt
                for task, output in self._outputs(order).items()
                if task < order.plan.invariant
            }
            sort.cache = InputCache(self.files, f"{self.life}-nothing-{order.attempt}", iter(()), known)
            sort.known = dict(known)
        return sort

    def _outputs(self, order: Order) -> dict[int, Output]:
        return self.outputs.get(order.stage, {})


class TellsHalf(LoopWorker):
    """Tells half of the distance."""

    async def before_commit(self, order: Order, data: bytes) -> Any:
        """Half of what it is."""
        distance = await super().before_commit(order, data)
        return None if distance is None else distance / 2


class NeverEnds(LoopMaster):
    """Goes on one iteration too far."""

    def _over(self, iteration: int, distance: float | None) -> str:
        why, self._late = getattr(self, "_late", ""), super()._over(iteration, distance)
        return why


MISTAKES: dict[str, tuple[type[LoopMaster], type[LoopWorker]]] = {
    "partitions move": (ForgetsHomes, LoopWorker),
    "invariant tables read again": (ReadsAgain, LoopWorker),
    "a lost cache is an empty one": (LoopMaster, HalfACache),
    "a wrong distance": (LoopMaster, TellsHalf),
    "an iteration too many": (NeverEnds, LoopWorker),
}
