"""What must hold of a parameter server, one function for each promise; ``trace_checks.py`` asks them at every
step of a recorded run.

Sources: Li et al. (OSDI 2014) for the bounded delay and the single application of a push; Ho et al. (NIPS
2013) for what a read must see; van Renesse and Schneider (OSDI 2004) for the chain. A *history* is the list
of changes that a server has applied to its copy of a range, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["INVARIANTS", "Change", "applied_twice", "not_a_prefix", "runs_ahead", "unseen"]

#: Name and what it promises.
INVARIANTS = {
    "BoundedDelay": "an iteration t begins when every shard has finished all iterations <= t - bound - 1",
    "ReadsSeeTheirPast": "a read in iteration t sees every push of iterations <= t - bound - 1",
    "AppliedOnce": "no push is applied twice to a key",
    "PrefixOfPredecessor": "a server's history is a prefix of its predecessor's in the chain",
    "OneMaster": "at any time one server at most takes pushes for a key",
    "ReadsAreCommitted": "a read sees only what every copy has",
    "AcknowledgedIsCopied": "an acknowledged push is in the history of every copy",
    "AcknowledgedSurvives": "an acknowledged push is never lost, unless every copy died",
}


class Change(NamedTuple):
    """One entry of a history: a push that was applied (or kept for its round), or a round applied."""

    kind: str  #: "applied", "buffered", "assigned", "round_applied" or "other"
    vector: str = ""
    source: str = ""
    timestamp: int = 0
    lo: int = 0
    hi: int = 0
    pushes: tuple[tuple[str, str, int], ...] = ()  #: of a round: (vector, source, timestamp)

    @property
    def push(self) -> tuple[str, str, int]:
        """Which push."""
        return self.vector, self.source, self.timestamp


def runs_ahead(t: int, bound: int | None, finished: Mapping[int, int]) -> list[int]:
    """The shards that should have kept another from beginning iteration ``t``: they have finished too few."""
    if bound is None:
        return []
    return [shard for shard, iterations in finished.items() if iterations < t - bound]


def applied_twice(history: Sequence[Change], change: Change) -> bool:
    """Whether a key of this push is in an earlier change of the same push."""
    return change.source != "" and any(
        change.push == before.push and before.lo < change.hi and change.lo < before.hi for before in history
    )


def not_a_prefix(history: Sequence[Change], of: Sequence[Change]) -> int | None:
    """The first place where ``history`` is not the beginning of ``of``; None: it is."""
    for at, change in enumerate(history):
        if at >= len(of) or of[at] != change:
            return at
    return None


def unseen(
    wanted: Iterable[tuple[str, str, int]], visible: Mapping[tuple[str, str, int], object]
) -> list[tuple[str, str, int]]:
    """The pushes that should be visible and are not."""
    return [push for push in wanted if push not in visible]
