"""Consistency models: how far a worker may run ahead of the slowest one.

The parameter server (Li et al., OSDI 2014, section 3.4) sees training as tasks with execute-after
dependencies, task ``t`` being one worker's iteration ``t``. Three of the graphs have names:

* **sequential**: task ``t`` starts when all tasks ``t-1`` are finished (bulk-synchronous, ``BSP()``);
* **eventual**: all tasks start at once (``Async()``);
* **bounded delay** ``τ``: task ``t`` may start if and only if all tasks ``<= t-τ-1`` are finished
  (``Bounded(τ)``). ``τ = 0`` is sequential, ``τ = ∞`` eventual.

``SSP(s)``, stale synchronous parallel (Ho et al., NIPS 2013), has the same bound for clocks, and promises
more: a worker always sees its own updates.

In *rounds* the servers keep the pushes of an iteration until every shard has finished it and apply their sum
at once, in the order of the shards. Bounded delay works in rounds: so the gradients of an iteration stay
together, as delayed block proximal gradient (Alg. 3) wants it. A bound of 0, under whichever name, is in
rounds too, and then the result is bit for bit that of one thread.

    >>> SSP(3).may_start(7, slowest=4), SSP(3).may_start(8, slowest=4)
    (True, False)
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.parts.options import whole

__all__ = ["BSP", "SSP", "Async", "Bounded", "Consistency"]

ITERATIONS = whole(0, says="a number of iterations >= 0", write=3)


@dataclass(frozen=True)
class Consistency:
    """A consistency model; use one of the four below."""

    @property
    def bound(self) -> int | None:
        """Iterations by which a worker may be ahead of the slowest; None: any number."""
        return None

    @property
    def reads_own_writes(self) -> bool:
        """Whether a worker's next iteration sees all its own pushes."""
        return True

    @property
    def rounds(self) -> bool:
        """Whether the pushes of an iteration are applied together, once every shard has finished it."""
        return self.bound == 0

    def may_start(self, t: int, slowest: int) -> bool:
        """Whether iteration ``t`` may start when every shard has finished ``slowest`` iterations (0, 1, …,
        ``slowest - 1``)."""
        return self.bound is None or slowest >= t - self.bound


@dataclass(frozen=True)
class BSP(Consistency):
    """Bulk-synchronous: nobody starts an iteration before everybody has finished the one before."""

    @property
    def bound(self) -> int:
        """0."""
        return 0


@dataclass(frozen=True)
class SSP(Consistency):
    """Stale synchronous parallel: at most ``staleness`` clocks between the fastest and the slowest."""

    staleness: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "staleness", ITERATIONS("staleness", self.staleness, of="SSP"))

    @property
    def bound(self) -> int:
        """``staleness``."""
        return self.staleness


@dataclass(frozen=True)
class Bounded(Consistency):
    """Bounded delay ``tau``, in rounds. Pushes travel while the next iteration computes; it need not see
    them."""

    tau: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", ITERATIONS("tau", self.tau, of="Bounded"))

    @property
    def bound(self) -> int:
        """``tau``."""
        return self.tau

    @property
    def rounds(self) -> bool:
        """Yes, with any delay."""
        return True

    @property
    def reads_own_writes(self) -> bool:
        """Only without any delay."""
        return self.tau == 0


@dataclass(frozen=True)
class Async(Consistency):
    """Eventual: nobody waits for anybody."""

    @property
    def reads_own_writes(self) -> bool:
        """No: its own pushes travel while it goes on."""
        return False
