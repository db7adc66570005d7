"""What a library remembers of one archival unit beside its content: whom to ask, and whom to hear.

No message and no clock is in this file: a node (``nodes/library.py``) and the single-thread simulation
(``single.py``) both call it, so both keep the same rules. Peers are numbers, times are days.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from labkit.runtime.copying import stream

from .options import Options

__all__ = ["CREDIT", "DEBT", "EVEN", "Holding", "mix", "shuffled"]

#: How a peer stands with us: it voted for us, nothing is owed, we voted for it (M).
CREDIT, EVEN, DEBT = 1, 0, -1
MASK = (1 << 64) - 1


def mix(a: int, b: int, c: int = 0) -> int:
    """A number of 64 bits that looks random and is the same everywhere: a multiplicative hash."""
    found = (a ^ b * 0x9E3779B97F4A7C15 ^ c * 0xC2B2AE3D27D4EB4F) & MASK
    found = ((found ^ (found >> 32)) * 0xD6E8FEB86659FD93) & MASK
    found = ((found ^ (found >> 32)) * 0xD6E8FEB86659FD93) & MASK
    return found ^ (found >> 32)


def shuffled(random: Random, items: Sequence[int]) -> list[int]:
    """In random order; several times quicker than ``random.sample``, and there are millions of them."""
    draw = random.random
    return [item for _, item in sorted([(draw(), item) for item in items])]


class Holding:
    """One library's lists, grades and clock for one archival unit."""

    __slots__ = (
        "damages", "exposed", "friends", "grade", "heard", "next_poll", "number", "options", "polls",
        "proven",        "refractory_until", "refs", "secret", "spent", "unit",
    )  # fmt: skip

    def __init__(self, number: int, unit: int, options: Options, seed: int) -> None:
        self.number, self.unit, self.options = number, unit, options
        draw = stream(seed, "lockss", number, unit)
        self.secret = draw.getrandbits(64)
        others = [peer for peer in range(options.libraries) if peer != number]
        self.friends = tuple(draw.sample(others, min(options.friends, len(others))))
        #: The reference list: peers from whom inner circles are drawn.
        self.refs = draw.sample(others, min(options.reference, len(others)))
        self.grade: dict[int, int] = {}  #: how a peer stands with us: CREDIT, EVEN or DEBT
        self.heard: dict[int, float] = {}  #: the day on which a peer was let in last
        self.proven: set[int] = set()  #: pollers that have shown us that they hold the content (symmetric)
        self.refractory_until = -math.inf
        self.polls = 0  #: called so far
        self.next_poll = options.interval * draw.random()
        self.damages, self.exposed = 0, 0.0  #: so far, and the day of the last
        self.spent = 0.0  #: units of effort

    def state(self) -> dict[str, Any]:
        """What a restarted library must know again."""
        return {
            name: getattr(self, name) for name in self.__slots__ if name not in ("options", "number", "unit")
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """As it was."""
        for name, value in state.items():
            setattr(self, name, value)

    def begin_again(self, day: float, number: int) -> None:
        """With a new disk, whose owner is not new. number: of its next poll, larger than any before."""
        self.next_poll = day + max(self.next_poll, self.options.retry)
        self.polls = self.damages = number
        self.exposed = day

    # as a poller ------------------------------------------------------------

    def draw(self, seed: int) -> Random:
        """The random numbers of its next poll, whatever else happens."""
        return stream(seed, "lockss poll", self.number, self.unit, self.polls)

    def voted_for_us(self, voters: Iterable[int]) -> None:
        """They have done us a favour."""
        self.grade.update(dict.fromkeys(voters, CREDIT))

    def update(self, used: set[int], agreeing: list[int], discovered: list[int], random: Random) -> None:
        """After a poll: its voters leave the reference list; friends, then agreeing voters of the outer
        circle take the places; what is still free goes to the inner circle's that agreed (M, lab).

        used: the inner circle. agreeing: those of it that agreed. discovered: of the outer circle.
        """
        size = min(self.options.reference, self.options.libraries - 1)
        refs = [peer for peer in self.refs if peer not in used]
        there = set(refs)
        free = size - len(refs)
        friends = shuffled(random, self.friends)
        for peer in friends[: round(self.options.friend_bias * free)] + discovered + agreeing:
            if len(refs) < size and peer not in there and peer != self.number:
                refs.append(peer)
                there.add(peer)
        for peer in self.refs:  # never a shorter list: those that disagreed may come back
            if len(refs) < size and peer not in there:
                refs.append(peer)
                there.add(peer)
        self.refs = refs

    # as a voter ------------------------------------------------------------

    def admit(self, poller: int, poll: int, day: float, flood: float = 0.0) -> str:
        """Whether an invitation is heard: "" or the reason why not (admission control, M).

        A known poller is heard once in a refractory period. One that is unknown or in debt is ignored with
        a probability, and not heard while another such was let in a short time ago: so a thousand new
        identities get no more of our time than one. flood: invitations of unknown pollers a day that come
        beside this one, where nobody sends them (``single.py``).
        """
        options = self.options
        if not options.refractory and not options.drop:
            return ""  # no admission control
        if self.grade.get(poller, DEBT) > DEBT or poller in self.friends:
            if day < self.heard.get(poller, -math.inf) + options.refractory:
                return "heard a short time ago"
        else:
            if flood and day >= self.refractory_until:
                self._flooded(flood, day, mix(self.secret, poller, poll + (1 << 32)))
            if day < self.refractory_until:
                return "refractory"
            if mix(self.secret, poller, poll) < options.drop * 2**64:
                return "ignored"
            self.refractory_until = day + options.refractory
            self.grade.setdefault(poller, EVEN)
        self.heard[poller] = day
        return ""

    def _flooded(self, flood: float, day: float, chance: int) -> None:
        """Whether one of those came first: with r let in a day, r R of 1 + r R days are refractory."""
        busy = flood * (1 - self.options.drop) * self.options.refractory
        share = chance / 2**64 * (1 + busy)
        if share < busy:
            self.refractory_until = day + self.options.refractory * share / busy

    def vote_for(self, poller: int) -> None:
        """We do it a favour, so it owes us one."""
        self.grade[poller] = DEBT if self.grade.get(poller, EVEN) < CREDIT else EVEN

    def voter_nonce(self, poller_nonce: int) -> int:
        """Ours for a poll: fresh, since the poller's is."""
        return mix(self.secret, poller_nonce)

    def nominate(self, nonce: int) -> list[int]:
        """Some of our reference list, for the poller's outer circle. nonce: ours."""
        refs = self.refs
        count = min(self.options.nominations, len(refs))
        start = nonce % len(refs) if refs else 0
        return refs[start : start + count] + refs[: max(0, start + count - len(refs))]
