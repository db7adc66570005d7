"""Planted mistakes: machines that break one rule each, which ``check()`` must catch.

``PowerGraph(..., roles=MISTAKES["no forks"])``
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .asynchronous import Asynchronous
from .forks import READY, Forks
from .gas import Replicas, Told
from .ingress import Edges, Ingress
from .nodes import Coordinator, GraphMachine

__all__ = ["MISTAKES"]


class SendsTwice(Ingress):
    """A loader sends its first edge to two machines."""

    async def _exchanged(self, edges: Edges, cut: Any) -> Edges:
        found = await super()._exchanged(edges, cut)
        if self.rank == 1 and len(edges.eid) and edges.eid[0] not in found.eid:
            found = Edges(*(np.append(a, b[:1]) for a, b in zip(found, edges, strict=True)))
        return found


class ForgetsAlone(Ingress):
    """Vertices without edges get no replica."""

    def _masters(self, heard: list[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], Any]:
        answers, _ = super()._masters(heard)
        return answers, np.zeros(0, np.int64)


class EachItsOwn(Ingress):
    """Every machine takes itself for the master."""

    def _masters(self, heard: list[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], Any]:
        answers, alone = super()._masters(heard)
        return [(answer[0] * 0 + rank, *answer[1:]) for rank, answer in enumerate(answers)], alone


class StaleMirrors(Replicas):
    """A mirror keeps every third value that it had."""

    def take(self, u: int, value: Any, version: int) -> None:
        keeps = version % 3 == 0 and self.master[u] != self.partition.rank
        super().take(u, self.D[u] if keeps else value, version)


class AddsTwice(Replicas):
    """Δa is added to the cached accumulator a second time."""

    def hear(self, u: int, told: Told) -> None:
        super().hear(u, told)
        super().hear(u, told)


class NoForks(Asynchronous):
    """Async+S that does not wait for forks."""

    def begin(self, u: int) -> None:
        """As Async does."""
        forks, self.forks = self.forks, None
        super().begin(u)
        self.forks = forks


class GivesSecretly(Forks):
    """A replica that has told its master that it holds all forks gives one away, and tells nobody."""

    def _ask(self, u: int, v: int, told: list[tuple[str, int]]) -> None:
        if self.state.get(v) == READY:
            fork = (min(u, v), max(u, v))
            if self.holder[fork] == v and self.dirty[fork]:
                self._give(u, fork, told)
                return
        super()._ask(u, v, told)


class SecretForks(Asynchronous):
    """With such replicas."""

    def __init__(self, machine: Any, serializable: bool) -> None:
        super().__init__(machine, serializable)
        self.forks = GivesSecretly(self.replicas.partition.pairs())


def _with(**what: Any) -> tuple[type[Coordinator], type[GraphMachine]]:
    return Coordinator, type("Mistaken", (GraphMachine,), what)


MISTAKES: dict[str, tuple[type[Coordinator], type[GraphMachine]]] = {
    "an edge on two machines": _with(ingress=SendsTwice),
    "vertices without edges forgotten": _with(ingress=ForgetsAlone),
    "several masters": _with(ingress=EachItsOwn),
    "mirrors not updated": _with(replicas_of=StaleMirrors),
    "deltas added twice": _with(replicas_of=AddsTwice),
    "no forks": _with(asynchronous=NoForks),
    "forks given away secretly": _with(asynchronous=SecretForks),
}
