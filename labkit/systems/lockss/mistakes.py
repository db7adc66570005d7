"""Planted mistakes: libraries that break one rule each, which ``archive.check()`` must catch.

``Lockss(cluster, roles=(MISTAKES["outer votes count"], Minion))``
"""

from __future__ import annotations

from typing import Any

from .effort import NOTHING
from .holding import Holding
from .messages import Vote
from .nodes import Library
from .polls import Poll, PollId
from .replicas import Content

__all__ = ["MISTAKES"]


class OuterCounts(Library):
    """Takes the outer circle's votes for the inner one's: whoever names his friends decides."""

    async def _evaluate(self, poll: Poll, unit: str, votes: Any, against: Any) -> str:
        inner, poll.inner = poll.inner, [*poll.inner, *poll.outer]
        try:
            return await super()._evaluate(poll, unit, votes, against)
        finally:
            poll.inner = inner


class RepairsAnything(Library):
    """Copies whatever the first voter with another version has, landslide or not."""

    async def _evaluate(self, poll: Poll, unit: str, votes: Any, against: Any) -> str:
        for block in sorted(frozenset().union(*against.values())):
            await self._repair(poll, unit, block, votes, against)
        return await super()._evaluate(poll, unit, votes, against)

    def _accepts(self, poll: Poll, differ: set[int], votes: Any) -> bool:
        return True


class TrustsRepairs(Library):
    """Does not tally again after a repair."""

    def _accepts(self, poll: Poll, differ: set[int], votes: Any) -> bool:
        return True


class VotesForNothing(Library):
    """Hashes, but proves no effort; and its like does not look for a proof."""

    def _vote(self, holding: Holding, poll: PollId, nonce: int, contents: list[Content]) -> Vote:
        return super()._vote(holding, poll, nonce, contents)._replace(proof=NOTHING)

    def _invalid(self, poll: Poll, voter: int, vote: Vote, sealed: str) -> str:
        return ""


class SameNonce(Library):
    """Its voter's nonce never changes, so an old vote would do."""

    def _own_nonce(self, holding: Holding, nonce: int) -> int:
        return 42


class Impatient(Library):
    """Calls polls as often as it likes."""

    async def _poll(self, holding: Holding, due: float) -> None:
        await super()._poll(holding, due)
        holding.next_poll = self.day + 1.0


class Silent(Library):
    """Rings no alarm."""

    def _alarm(self, poll: Poll, unit: str) -> None:
        pass


class Nervous(Library):
    """Rings one more."""

    def _alarm(self, poll: Poll, unit: str) -> None:
        super()._alarm(poll, unit)
        super()._alarm(poll, unit)


class Lazy(Library):
    """Does not repair."""

    async def _repair(self, *args: Any) -> bool:
        return True


class Curious(Library):
    """Edits its own replica between two polls."""

    async def _poll(self, holding: Holding, due: float) -> None:
        await super()._poll(holding, due)
        if holding.polls == 2 and self.number == 1:
            self.disk["block", holding.unit, 0] = b"edited"


MISTAKES: dict[str, type[Library]] = {
    "outer votes count": OuterCounts,
    "repairs without a landslide": RepairsAnything,
    "repairs are not tallied again": TrustsRepairs,
    "votes without effort": VotesForNothing,
    "the same nonce again": SameNonce,
    "polls without a rate limit": Impatient,
    "no alarm": Silent,
    "two alarms": Nervous,
    "lost blocks stay": Lazy,
    "a replica edited by hand": Curious,
}
