"""The two rules by which the votes on a block are judged. They are not the same protocol.

``Landslide`` is this lab's model of the rule of the SOSP 2003 paper, told from memory: with V votes and D the
largest minority that is still nobody's worry, V - D agreeing votes or more are a landslide for the poller's
block, D or fewer one against it, and anything between rings the alarm.

``Margin`` is the rule of the running daemon (``BlockTally.java`` of the V3 protocol, read in its source): the
larger side needs 75 % of the votes; a block that a quorum of voters lacks, or that the poller lacks and a
quorum has, is judged before that.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["INCONCLUSIVE", "INQUORATE", "LOSS", "WIN", "Landslide", "Margin", "Rule"]

#: How the votes on a block, and a poll, can end.
WIN, LOSS, INCONCLUSIVE, INQUORATE = "win", "loss", "inconclusive", "inquorate"


@dataclass(frozen=True)
class Landslide:
    """An absolute number of votes (SOSP 2003, this lab's model of it)."""

    quorum: int  #: Q: fewer votes of the inner circle decide nothing
    minority: int  #: D: so many votes may differ, 2 D < Q

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.minority < self.quorum:
            raise ValueError(
                f"minority={self.minority} with quorum={self.quorum}: a tie would be a landslide for both; "
                "write a minority of less than half of the quorum"
            )

    def __call__(self, agree: int, votes: int, lacking: int = 0, missing: bool = False) -> str:
        """The verdict on a block. agree: votes that are as the poller's; votes: all that count; lacking:
        voters who have no such block; missing: the poller has none."""
        _count(agree, votes)
        if votes < self.quorum:
            return INQUORATE
        if agree >= votes - self.minority:
            return WIN
        return LOSS if agree <= self.minority else INCONCLUSIVE


@dataclass(frozen=True)
class Margin:
    """A share of the votes (V3)."""

    quorum: int
    margin: float  #: of the votes, that the larger side must have: 0.75

    def __post_init__(self) -> None:
        if not 0.5 <= self.margin <= 1:
            raise ValueError(f"margin={self.margin}: a share of the votes, 0.5 to 1; write margin=0.75")

    def __call__(self, agree: int, votes: int, lacking: int = 0, missing: bool = False) -> str:
        """The verdict on a block, see ``Landslide``."""
        _count(agree, votes)
        if votes < self.quorum:
            return INQUORATE
        if missing and votes - lacking >= self.quorum:
            return LOSS  # "lost, missing block"
        if not missing and lacking >= self.quorum:
            return WIN  # "lost, extra block": the daemon deletes none unless it is told to
        if max(agree, votes - agree) < self.margin * votes:
            return INCONCLUSIVE  # "too close"
        return WIN if 2 * agree > votes else LOSS


def _count(agree: int, votes: int) -> None:
    if not 0 <= agree <= votes:
        raise ValueError(f"{agree} of {votes} votes agree: agree is a number from 0 to votes={votes}")


Rule = Landslide | Margin
