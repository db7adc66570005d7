"""What can be chosen for an archive, and what its nodes are told.

Where a number comes from. **V3**: read in the source of the running daemon (``V3Poller.java``). **M**: from
memory of the SOSP 2003, TOCS 2005 and USENIX 2005 papers, whose bodies could not be read; such a number, and
such a mechanism, is **this lab's model** and no fact about the paper. **lab**: chosen here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from labkit.parts.options import Rule as FieldRule
from labkit.parts.options import checked, number, one_of, probability, settle, switch, whole

from .tally import Landslide, Margin, Rule

__all__ = ["DAYS", "SOSP", "V3", "Options", "Spec", "given"]

#: Of a year.
DAYS = 365.0
#: The parameters of the SOSP 2003 paper as remembered (M-low), for libraries by the thousand. Admission
#: control came with later papers (M).
SOSP: dict[str, Any] = {
    "inner": 20, "quorum": 10, "minority": 3, "outer": 10, "reference": 60, "friends": 30, "refractory": 0.0,
    "drop": 0.0,
}  # fmt: skip
#: Those of the daemon: quorum 5; target size 1.25 × quorum, invitations 1.5 × that, which we round up.
V3: dict[str, Any] = {"rule": "v3", "inner": 10, "quorum": 5, "outer": 10}


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times are days of the archive, unless it says otherwise."""

    libraries: int = 24  #: peers, 4 or more, the adversary's included
    rot: float = 0.2  #: blocks that go bad in a year, in one replica of one archival unit (Poisson), >= 0
    rule: str = "landslide"  #: or "v3": see ``tally.py``
    inner: int = 10  #: N: invited voters whose votes count, at least the quorum (V3: 1.5 × 1.25 × quorum)
    quorum: int = 5  #: Q: votes without which a poll decides nothing (V3)
    minority: int = 2  #: D: votes that may differ, 2 D < Q (lab); not used by "v3"
    margin: float = 0.75  #: of the votes, for "v3" (V3)
    outer: int = 6  #: voters to be discovered in a poll; their votes never count (V3: 10)
    nominations: int = 8  #: peers that a voter of the inner circle names (lab)
    reference: int = 15  #: length of a reference list, at least ``inner`` (lab; M-low: 60)
    friends: int = 5  #: peers that a library trusts from outside the system (lab)
    friend_bias: float = 0.3  #: share of the places free in a reference list that goes to friends (M, lab)
    interval: float = 91.25  #: between two polls of a library on a unit: "roughly quarterly" (as reported)
    jitter: float = 0.25  #: each interval varies by this share, so that nobody can time a poll (lab)
    retry: float = 10.0  #: until a poll that was inquorate is called again (lab); also the least between two
    refractory: float = 1.0  #: after an unknown poller was let in, others are refused (M); 0: never
    drop: float = 0.5  #: probability that an unknown poller, or one in debt, is not heard at all (M)
    busy: int = 10  #: votes that a library has under way at most (V3: max simultaneous pollers)
    effort: float = 2.0  #: units that a poller proves for each vote; a vote costs its voter 1 (lab)
    introductory: float = 0.2  #: share of it that is proved with the invitation (lab)
    max_repairs: int = 1000  #: in one poll (V3)
    symmetric: bool = False  #: the receipt has the poller's own hashes, so that the voter may compare (V3)
    patience: float = 7.0  #: that a poller waits for an answer (lab; V3: a whole poll lasts up to 3 weeks)
    year: float = 10.0  #: seconds of the cluster that are a year of the archive, > 0 (lab)
    content: str = "bytes"  #: or "model": a block is a number that stands for its bytes

    def __post_init__(self) -> None:
        settle(self, RULES)
        if self.quorum > self.inner:
            raise ValueError(f"quorum={self.quorum}: no poll would ever decide; at most inner={self.inner}")
        if 2 * self.minority >= self.quorum:
            raise ValueError(
                f"minority={self.minority}: a tie would be a landslide for both; write less than half of "
                f"quorum={self.quorum}"
            )
        if self.reference < self.inner:
            raise ValueError(f"reference={self.reference}: too short a list; write {self.inner} or more")
        if self.inner >= self.libraries:
            raise ValueError(
                f"inner={self.inner}: only {self.libraries - 1} others; write less, or more libraries"
            )
        if self.retry > self.interval * (1 - self.jitter):
            sooner = self.interval * (1 - self.jitter) / 2
            raise ValueError(f"retry={self.retry}: later than the next poll would be; write {sooner:.2g}")

    @property
    def verdict(self) -> Rule:
        """The rule by which a block is judged."""
        if self.rule == "v3":
            return Margin(self.quorum, self.margin)
        return Landslide(self.quorum, self.minority)

    @property
    def day(self) -> float:
        """Its seconds on the cluster."""
        return self.year / DAYS


#: Fields with a rule of their own; the others are whole numbers from 1, or numbers from 0.
OWN: dict[str, FieldRule] = {
    "libraries": whole(4, says="a poll needs somebody to ask: 4 or more", write=24),
    "rule": one_of(("landslide", "v3")),
    "content": one_of(("bytes", "model")),
    "symmetric": switch,
    "margin": number(0.5, 1, write=0.75),
    "friend_bias": probability(write=0.3),
    "drop": number(0, 0.99, write=0.5),
    "introductory": probability(write=0.2),
    "jitter": number(0, 0.9, write=0.25),
    "interval": number(above=0, write=91.25),
    "retry": number(0.01, write=10.0),
    "year": number(above=0, says="seconds must be positive", write=10.0),
    "patience": number(above=0, write=7.0),
    "minority": whole(0, write=2),
    "outer": whole(0, write=6),
    "nominations": whole(0, write=8),
    "friends": whole(0, write=5),
}


def _rule(field: Field[Any]) -> FieldRule:
    if field.name in OWN:
        return OWN[field.name]
    return whole(1, write=field.default) if field.type == "int" else number(0, write=field.default)


#: What each must be by itself.
RULES = {field.name: _rule(field) for field in fields(Options)}


def given(options: Mapping[str, Any], of: str = "Lockss") -> Options:
    """Options by name; raises ``TypeError`` naming those there are, ``ValueError``."""
    return Options(**checked(of, options, RULES))


@dataclass(frozen=True)
class Spec:
    """One for all nodes of an archive."""

    name: str  #: before the names of its nodes
    options: Options
    seed: int
    #: The blocks (URLs) of each archival unit, in order.
    units: Mapping[str, tuple[str, ...]]
    began: float = 0.0  #: seconds of the cluster at day 0 of the archive

    def peer(self, number: int) -> str:
        """The name of a library's node."""
        return f"{self.name}-{number}"

    @property
    def publisher(self) -> str:
        """From whom the libraries collect."""
        return f"{self.name}-publisher"

    @property
    def mind(self) -> str:
        """The adversary's."""
        return f"{self.name}-mind"
