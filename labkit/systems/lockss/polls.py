"""A poll, seen by its poller: whom to invite next, what the votes add up to, whom to know afterwards.

As ``holding.py``, it sends nothing: a node and the single-thread simulation drive it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from .holding import Holding, shuffled
from .tally import INCONCLUSIVE, INQUORATE, LOSS, WIN

__all__ = ["Poll", "Tally"]

#: A poller, a unit, and the number of the poll: known to nobody else before.
PollId = tuple[int, int, int]


class Tally(NamedTuple):
    """What the votes of the inner circle say of the poller's replica."""

    outcome: str  #: win, loss, inconclusive or inquorate
    votes: int
    lost: tuple[int, ...]  #: blocks against which there is a landslide
    unclear: tuple[int, ...]  #: blocks without one
    agree: int  #: votes for the block that has the fewest


class Poll:
    """One opinion poll."""

    def __init__(self, holding: Holding, seed: int) -> None:
        self.holding, self.options = holding, holding.options
        self.random = holding.draw(seed)
        self.id: PollId = (holding.number, holding.unit, holding.polls)
        holding.polls += 1
        self.nonce = self.random.getrandbits(64)
        self._todo: Iterator[int] = iter(shuffled(self.random, holding.refs))
        self.inner: list[int] = []  #: accepted; only their votes count
        self.outer: list[int] = []  #: accepted; their votes only introduce them
        self.refused: dict[int, str] = {}

    # inviting ------------------------------------------------------------

    def wave(self) -> list[int]:
        """Whom to invite into the inner circle now: as many as are lacking; nobody, if it is complete or the
        reference list is at its end."""
        return self._next(self.options.inner - len(self.inner))

    def _next(self, lacking: int) -> list[int]:
        return list(islice(self._todo, max(0, lacking)))

    def accepted(self, circle: list[int], peer: int, reason: str) -> None:
        """A peer has answered: "" or why it does not vote."""
        if reason:
            self.refused[peer] = reason
        else:
            circle.append(peer)

    def discover(self, nominations: Mapping[int, Sequence[int]]) -> None:
        """From now on ``outer_wave`` gives those that the inner circle has named. All voters' first names
        come before anybody's second, so that who names many does not fill the circle."""
        order = shuffled(self.random, sorted(nominations))
        self._todo = self._named([nominations[voter] for voter in order])

    def _named(self, columns: list[Sequence[int]]) -> Iterator[int]:
        taken = {self.holding.number, *self.holding.refs, *self.refused}
        for k in range(max(map(len, columns), default=0)):
            for column in columns:
                if k < len(column) and column[k] not in taken:
                    taken.add(column[k])
                    yield column[k]

    def outer_wave(self) -> list[int]:
        """As ``wave``, for the outer circle."""
        return self._next(self.options.outer - len(self.outer))

    @property
    def hopeless(self) -> bool:
        """Whether too few have accepted for any outcome."""
        return len(self.inner) < self.options.quorum

    # judging ------------------------------------------------------------

    def tally(
        self, votes: Mapping[int, frozenset[int]], lacking: Mapping[int, int] | None = None,
        missing: frozenset[int] = frozenset(),
    ) -> Tally:  # fmt: skip
        """Judge all blocks. votes: of each voter, inner and outer, the blocks that are not as the poller's.
        lacking: block: voters of the inner circle without it. missing: blocks that the poller lacks."""
        counted = [votes[voter] for voter in self.inner if voter in votes]
        count = len(counted)
        if count < self.options.quorum:
            return Tally(INQUORATE, count, (), (), 0)
        against: dict[int, int] = {}
        for blocks in counted:
            for block in blocks:
                against[block] = against.get(block, 0) + 1
        against |= {block: 0 for block in missing if block not in against}
        lost, unclear, rule = [], [], self.options.verdict
        for block, n in sorted(against.items()):
            verdict = rule(count - n, count, (lacking or {}).get(block, 0), block in missing)
            if verdict == LOSS:
                lost.append(block)
            elif verdict == INCONCLUSIVE or block in missing:  # nobody has it: that is not sound (lab)
                unclear.append(block)
        outcome = INCONCLUSIVE if unclear else LOSS if lost else WIN
        return Tally(outcome, count, tuple(lost), tuple(unclear), count - max(against.values(), default=0))

    def sources(self, block: int, votes: Mapping[int, frozenset[int]]) -> list[int]:
        """Whom to ask for a block, in this order: the voters of the inner circle that have another one."""
        found = [voter for voter in self.inner if block in votes.get(voter, ())]
        return shuffled(self.random, found)

    # afterwards ------------------------------------------------------------

    def finish(self, outcome: str, votes: Mapping[int, frozenset[int]], day: float) -> None:
        """Bring the reference list up to date, and set the next poll's day. day: when this one was due.
        votes: as they are after the repairs."""
        holding, options = self.holding, self.options
        holding.voted_for_us(votes)
        if outcome in (WIN, LOSS):
            used = {voter for voter in self.inner if voter in votes}
            agreeing = [voter for voter in self.inner if voter in votes and not votes[voter]]
            discovered = [voter for voter in self.outer if voter in votes and not votes[voter]]
            holding.update(used, agreeing, discovered, self.random)
        wait = options.retry if outcome == INQUORATE else options.interval
        wait *= 1 + options.jitter * (2 * self.random.random() - 1)
        holding.next_poll = day + max(options.retry, wait)
