"""The adversary's library: what malign peers do. All of it is this lab's model (M), not a paper's fact.

An adversary has a share of the libraries from the start. Its minions work as one: they know each other, tell
each other which poll invited whom, keep a good copy of everything, and name only each other when a poller
asks for peers. What the others' replicas hold they can only guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from labkit.parts.options import Rule, number, probability, settle
from labkit.runtime.copying import stream

from .tally import INCONCLUSIVE, LOSS
from .tally import Rule as Verdict

__all__ = [
    "ADVERSARIES",
    "TARGET",
    "Adversary",
    "Attrition",
    "Lurking",
    "Nuisance",
    "Stealth",
    "loyal_remain",
    "minions_of",
    "nominees",
]

#: The block that the adversary would like to be another.
TARGET = 0


@dataclass(frozen=True)
class Adversary:
    """Base of all: subverted libraries that vote with what was published, and name each other."""

    fraction: float = 0.33  #: of the libraries, subverted before the first poll, from 0 to 1

    title: ClassVar[str] = "lurking"
    rules: ClassVar[dict[str, Rule]] = {"fraction": probability(write=0.33)}

    def __post_init__(self) -> None:
        settle(self, self.rules)

    @property
    def flood(self) -> float:
        """Invitations a day to each library that lead to no poll."""
        return 0.0

    def strikes(self, minions: int, invited: int, rule: Verdict, year: float) -> bool:
        """Whether the minions in an inner circle vote for their own version. invited: the whole circle.

        Nobody tells a minion in which circle it is: where none is in the inner one, those in the outer one
        are counted, and what they do is in vain."""
        return False

    def spoils(self, struck: bool) -> bool:
        """Whether a minion that is asked for a repair sends its own version."""
        return struck


class Lurking(Adversary):
    """Gains a foothold in reference lists, and never uses it."""


@dataclass(frozen=True)
class Stealth(Adversary):
    """Changes a document without being noticed: it strikes only where it wins by a landslide, all other
    votes against it."""

    lurk: float = 0.0  #: years before the first strike, >= 0
    title: ClassVar[str] = "stealth"
    rules: ClassVar[dict[str, Rule]] = {**Adversary.rules, "lurk": number(0, write=0.0)}

    def strikes(self, minions: int, invited: int, rule: Verdict, year: float) -> bool:
        """A landslide is certain, and the waiting is over."""
        return year >= self.lurk and rule(invited - minions, invited) == LOSS


@dataclass(frozen=True)
class Nuisance(Adversary):
    """Rings alarms: it votes for another version where that makes a poll inconclusive, and sends bad
    repairs."""

    title: ClassVar[str] = "nuisance"

    def strikes(self, minions: int, invited: int, rule: Verdict, year: float) -> bool:
        """Enough for an alarm, too few for a landslide."""
        return rule(invited - minions, invited) == INCONCLUSIVE

    def spoils(self, struck: bool) -> bool:
        """Whoever asks."""
        return True


@dataclass(frozen=True)
class Attrition(Adversary):
    """Keeps the others busy: invitations by names that nobody knows, whose poll never comes."""

    rate: float = 10.0  #: invitations a day to each library, > 0
    title: ClassVar[str] = "attrition"
    rules: ClassVar[dict[str, Rule]] = {**Adversary.rules, "rate": number(above=0, write=10.0)}

    @property
    def flood(self) -> float:
        """As chosen."""
        return self.rate


#: By the words for them.
ADVERSARIES: dict[str, type[Adversary]] = {
    each.title: each for each in (Lurking, Stealth, Nuisance, Attrition)
}


def loyal_remain(adversary: Any, libraries: int) -> None:
    """Raises ``TypeError`` for what is no adversary, ``ValueError`` for one that has all libraries."""
    if adversary is not None and not isinstance(adversary, Adversary):
        raise TypeError(f"adversary={adversary!r:.80}: write adversary=Stealth(0.3), an object, or None")
    if adversary is not None and round(adversary.fraction * libraries) >= libraries:
        raise ValueError(f"adversary={adversary!r}: no library is loyal; write a smaller fraction")


def minions_of(adversary: Any, libraries: int, seed: int) -> frozenset[int]:
    """The subverted libraries, by number."""
    if adversary is None:
        return frozenset()
    count = round(adversary.fraction * libraries)
    return frozenset(stream(seed, "lockss minions").sample(range(libraries), count))


def nominees(minions: Sequence[int], count: int, nonce: int) -> list[int]:
    """Whom a minion names, when a poller asks for peers: minions."""
    return [minions[(nonce + k) % len(minions)] for k in range(min(count, len(minions)))]
