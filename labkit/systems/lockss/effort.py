"""Effort balancing: who wants work of another has worked before, and provably.

The papers use a memory-bound function, whose answer takes long to find and little to check (M). Here it is a
stub with a meter: a proof is a seal on the challenge and the units, its maker's meter runs, and a proof of
less, of another challenge, or none at all is refused. Nobody's processor gets warm.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["NOTHING", "Proof", "prove", "proves"]


class Proof(NamedTuple):
    """So many units of effort, spent on one challenge."""

    units: float
    seal: str


#: Of somebody who has done nothing.
NOTHING = Proof(0.0, "")


def _seal(challenge: object, units: float) -> str:
    return hashlib.blake2b(f"{challenge!r} {units!r}".encode(), digest_size=6).hexdigest()


def prove(challenge: object, units: float) -> Proof:
    """Work for a challenge: plain values that the verifier knows too, and that nobody used before."""
    return Proof(units, _seal(challenge, units))


def proves(proof: Proof, challenge: object, units: float) -> bool:
    """Whether it proves so many units at least, for this challenge."""
    return proof[0] >= units and proof[1] == _seal(challenge, proof[0])
