"""The single-thread version: thousands of libraries for decades, in one loop, without a message.

The rules are those of the nodes (``holding.py``, ``polls.py``, ``adversaries.py``); what is left out is what
takes time: a poll is one instant, and nobody's machine dies. Content is a model of bytes: of each replica,
the numbers of the versions that are not what was published. With the same seed and options it has the same
polls, damages and repairs as a simulated archive of nodes whose year is long beside its messages; a test
compares them one by one. It is the oracle of the tests, and the engine of the experiments.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from labkit.parts.options import number, whole

from .adversaries import TARGET, Adversary, loyal_remain, minions_of, nominees
from .holding import Holding
from .options import DAYS, Options, given
from .polls import Poll, PollId
from .replicas import LIE, Damage, decay
from .tally import INCONCLUSIVE, INQUORATE, WIN

__all__ = ["Population", "simulate"]

#: What a replica has that is not as published: block to version.
Versions = dict[int, int]
NONE: frozenset[int] = frozenset()


def simulate(
    libraries: int = 1000, years: float = 30.0, adversary: Adversary | None = None, seed: int = 0,
    blocks: int = 100, sample: float = 0.25, until_lost: bool = False, **options: Any,
) -> Population:  # fmt: skip
    """Run an archive of one unit. blocks: of the unit, 1 or more. sample: years between two points of the
    series, > 0. until_lost: stop when the adversary has won. options: see ``Options``.

    Raises ``TypeError`` and ``ValueError`` that say what to write."""
    population = Population(given({"libraries": libraries, **options}, "simulate"), adversary, seed, blocks)
    population.run(years, sample, until_lost)
    return population


@dataclass
class Population:
    """All libraries, and what has happened to them."""

    options: Options
    adversary: Adversary | None
    seed: int = 0
    blocks: int = 100
    day: float = 0.0
    polls: Counter[str] = field(default_factory=Counter)  #: by outcome
    alarms: list[tuple[float, int]] = field(default_factory=list)  #: day, poller
    strikes: int = 0  #: polls in which the minions voted for their version
    damages: int = 0
    repairs: list[tuple[PollId, int, int, int]] = field(default_factory=list)  #: poll, block, source, version
    refused: Counter[str] = field(default_factory=Counter)  #: invitations, by reason
    damaged_days: float = 0.0  #: summed over loyal replicas: days on which something in them was bad
    lost_at: float | None = None  #: day on which half of the loyal replicas had not the good block any more
    #: year, share of damaged loyal replicas, share of minions in reference lists, alarms so far
    series: list[tuple[float, float, float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = self.options
        self.blocks = whole(1, write=100)("blocks", self.blocks)
        loyal_remain(self.adversary, options.libraries)
        self.minions = minions_of(self.adversary, options.libraries, self.seed)
        self.malign = tuple(sorted(self.minions))
        self.loyal = [peer for peer in range(options.libraries) if peer not in self.minions]
        self.holdings = [Holding(peer, 0, options, self.seed) for peer in range(options.libraries)]
        self.bad: list[Versions] = [{} for _ in range(options.libraries)]
        self._bad_since: dict[int, float] = {}
        self._wrong = 0  # loyal replicas whose target block is not as published
        #: (day, peer, block and version of a damage, or nothing for a poll)
        self._todo: list[tuple[float, int, tuple[int, ...]]] = []
        for peer in self.loyal:
            self._todo.append((self.holdings[peer].next_poll, peer, ()))
            self._next_damage(peer, 0.0)
        heapq.heapify(self._todo)

    # time ------------------------------------------------------------

    def run(self, years: float, sample: float = 0.25, until_lost: bool = False) -> None:
        """Go on for so many years, 0 or more."""
        years = number(0, write=30.0)("years", years)
        sample = number(above=0, write=0.25)("sample", sample)
        end, todo = self.day + years * DAYS, self._todo
        next_sample = self.day
        while todo and todo[0][0] <= end and not (until_lost and self.lost_at is not None):
            day, peer, damage = heapq.heappop(todo)
            while next_sample <= day:
                self._sample(next_sample)
                next_sample += sample * DAYS
            self.day = day
            if damage:
                self._damage(peer, *damage)
            else:
                self._poll(self.holdings[peer], day)
                heapq.heappush(todo, (self.holdings[peer].next_poll, peer, ()))
        if self.lost_at is None or not until_lost:
            self.day = end
            while next_sample <= end:
                self._sample(next_sample)
                next_sample += sample * DAYS

    def _sample(self, day: float) -> None:
        bad = len(self._bad_since) / len(self.loyal)
        self.series.append((day / DAYS, bad, self.foothold, len(self.alarms)))

    @property
    def foothold(self) -> float:
        """The share of minions in the reference lists of loyal libraries."""
        if not self.minions:
            return 0.0
        lists = [self.holdings[peer].refs for peer in self.loyal]
        return sum(peer in self.minions for refs in lists for peer in refs) / sum(map(len, lists))

    @property
    def changed(self) -> int:
        """Loyal replicas that have the adversary's version."""
        return sum(self.bad[peer].get(TARGET) == LIE for peer in self.loyal)

    @property
    def damaged_share(self) -> float:
        """Of the loyal replicas, on average over the time so far."""
        open_days = sum(self.day - since for since in self._bad_since.values())
        return (self.damaged_days + open_days) / (len(self.loyal) * self.day) if self.day else 0.0

    # damage ------------------------------------------------------------

    def _next_damage(self, peer: int, since: float) -> None:
        damage = Damage(self.seed, peer, 0, self.holdings[peer].damages, self.blocks)
        at = since + damage.exposure * decay(self.options.rot)
        if at < math.inf:
            heapq.heappush(self._todo, (at, peer, (damage.block, damage.mark)))

    def _damage(self, peer: int, block: int, mark: int) -> None:
        self.damages += 1
        self.holdings[peer].damages += 1
        self._set(peer, block, mark)
        self._next_damage(peer, self.day)

    def _set(self, peer: int, block: int, version: int) -> None:
        """A block of a replica is another version from now on."""
        versions = self.bad[peer]
        was = versions.pop(block, 0)
        if version:
            versions[block] = version
        if versions:
            self._bad_since.setdefault(peer, self.day)
        elif (since := self._bad_since.pop(peer, None)) is not None:
            self.damaged_days += self.day - since
        if block == TARGET:
            self._wrong += bool(version) - bool(was)
            if self.lost_at is None and 2 * self._wrong >= len(self.loyal):
                self.lost_at = self.day

    # a poll ------------------------------------------------------------

    def _poll(self, holding: Holding, due: float) -> None:
        """As ``nodes/library.py`` does it, in one instant."""
        poll, number = Poll(holding, self.seed), holding.number
        self._invite(poll, poll.inner, due)
        outcome, votes, struck = INQUORATE, {}, False
        if not poll.hopeless:
            struck = self._strikes(poll.inner, due)
            poll.discover(self._nominations(poll))
            self._invite(poll, poll.outer, due)
            if not any(voter in self.minions for voter in poll.inner):
                struck = self._strikes(poll.outer, due)  # no minion knows in which circle it is
            for voter in poll.outer:
                if voter not in self.minions:
                    self.holdings[voter].vote_for(number)
            votes = self._votes(number, poll.inner + poll.outer, struck)
            outcome = self._evaluate(poll, votes, struck)
        self.polls[outcome] += 1
        poll.finish(outcome, votes, due)

    def _strikes(self, circle: list[int], day: float) -> bool:
        """Whether the minions in a circle vote for their version."""
        minions = sum(voter in self.minions for voter in circle)
        if not minions or self.adversary is None:
            return False
        struck = self.adversary.strikes(minions, self.options.inner, self.options.verdict, day / DAYS)
        self.strikes += struck
        return struck

    def _invite(self, poll: Poll, circle: list[int], day: float) -> None:
        wave = poll.wave if circle is poll.inner else poll.outer_wave
        flood = self.adversary.flood if self.adversary is not None and self.minions else 0.0
        minions, holdings, (poller, _, number) = self.minions, self.holdings, poll.id
        while peers := wave():
            for peer in peers:
                reason = "" if peer in minions else holdings[peer].admit(poller, number, day, flood)
                if reason:
                    self.refused[reason] += 1
                    poll.refused[peer] = reason
                else:
                    circle.append(peer)

    def _nominations(self, poll: Poll) -> dict[int, list[int]]:
        """Whom each voter of the inner circle names, when it has sealed its vote."""
        found, (poller, _, _), count = {}, poll.id, self.options.nominations
        for voter in poll.inner:
            holding = self.holdings[voter]
            nonce = holding.voter_nonce(poll.nonce)
            if voter in self.minions:
                found[voter] = nominees(self.malign, count, nonce)
            else:
                holding.vote_for(poller)
                found[voter] = holding.nominate(nonce)
        return found

    def _version(self, voter: int, block: int, struck: bool) -> int:
        """Of a block, in a vote."""
        if voter in self.minions:
            return LIE if struck and block == TARGET else 0
        return self.bad[voter].get(block, 0)

    def _votes(self, poller: int, voters: list[int], struck: bool) -> dict[int, frozenset[int]]:
        """Of each voter the blocks on which its vote is not as the poller's replica."""
        mine, bad = self.bad[poller], self.bad
        lie: Versions = {TARGET: LIE} if struck else {}
        votes = dict.fromkeys(voters, NONE)
        for voter in voters:
            theirs = lie if voter in self.minions else bad[voter]
            if mine or theirs:
                blocks = {*mine, *theirs}
                votes[voter] = frozenset(b for b in blocks if mine.get(b, 0) != theirs.get(b, 0))
        return votes

    def _evaluate(self, poll: Poll, votes: dict[int, frozenset[int]], struck: bool) -> str:
        first, number = poll.tally(votes), poll.holding.number
        outcome = first.outcome
        for block in first.lost[: self.options.max_repairs]:
            if not self._repair(poll, block, votes, struck):
                outcome = INCONCLUSIVE
        if outcome == INCONCLUSIVE:
            self.alarms.append((self.day, number))
        return outcome

    def _repair(self, poll: Poll, block: int, votes: dict[int, frozenset[int]], struck: bool) -> bool:
        for source in poll.sources(block, votes):
            version = self._version(source, block, struck)
            if source in self.minions and self.adversary is not None:
                version = LIE if self.adversary.spoils(struck) and block == TARGET else 0
            differ = {voter for voter in votes if self._version(voter, block, struck) != version}
            count = len(poll.inner)
            agree = count - sum(voter in differ for voter in poll.inner)
            if self.options.verdict(agree, count) != WIN:
                continue
            self._set(poll.holding.number, block, version)
            self.repairs.append((poll.id, block, source, version))
            for voter in votes:
                votes[voter] = votes[voter] - {block} | ({block} if voter in differ else NONE)
            return True
        return False
