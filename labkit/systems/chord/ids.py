"""Identifiers: consistent hashing on a circle of 2**bits points (Stoica et al., SIGCOMM 2001, section 4.2).

Nodes and keys get their place on the *identifier circle* from SHA-1, so placement needs no agreement and
spreads keys evenly. Everything in Chord is then a question about an arc of that circle, and every arc is
cyclic: 14 lies between 12 and 3. The functions here are the only place where that arithmetic is done.

    >>> between(12, 14, 3), between(12, 5, 3)
    (True, False)
    >>> in_half_open(12, 3, 3)              # (12, 3] contains its end
    True
    >>> [finger_start(1, k, bits=3) for k in (1, 2, 3)]
    [2, 3, 5]
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from sys import intern
from typing import NamedTuple

__all__ = [
    "MAX_BITS",
    "NamedId",
    "Peer",
    "between",
    "distance",
    "finger_start",
    "identifier",
    "in_half_open",
    "shared_peer",
]

#: SHA-1 yields 160 bits; an identifier is its first `bits` bits.
MAX_BITS = 160


class Peer(NamedTuple):
    """What one node must know to talk about another: where it is on the circle, and its address."""

    id: int
    name: str


class NamedId(int):
    """An identifier that says whose it is: the same number, read by people as "chord-3 (3851936801)"."""

    name: str

    @classmethod
    def of(cls, id: int, names: Mapping[int, str]) -> int:
        """The identifier with its node's name, if that is known."""
        if id not in names:
            return id
        named = cls(id)
        named.name = names[id]
        return named

    def __repr__(self) -> str:
        return f"{self.name} ({int(self)})"


@lru_cache(maxsize=1 << 16)
def shared_peer(id: int, name: str) -> Peer:
    """The peer as one object for the whole process: ten thousand simulated nodes know a hundred thousand."""
    return Peer(id, intern(name))


def identifier(name: str | bytes, bits: int) -> int:
    """The place of a node's or a key's name on the circle: the first `bits` bits of its SHA-1."""
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(
            f"bits={bits!r}: SHA-1 gives identifiers of 1 to {MAX_BITS} bits; write e.g. bits=32"
        )
    data = name.encode() if isinstance(name, str) else name
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest(), "big") >> (MAX_BITS - bits)


def between(a: int, x: int, b: int) -> bool:
    """Whether x lies strictly inside the arc from a clockwise to b; (a, a) is the whole circle without a."""
    if a < b:
        return a < x < b
    return a < x or x < b


def in_half_open(a: int, x: int, b: int) -> bool:
    """Whether x lies in the arc (a, b]; (a, a] is the whole circle: a lone node owns every key."""
    if a < b:
        return a < x <= b
    return a < x or x <= b


def distance(a: int, b: int, bits: int) -> int:
    """Steps from a clockwise to b: 0 to 2**bits - 1."""
    return (b - a) & ((1 << bits) - 1)


def finger_start(n: int, k: int, bits: int) -> int:
    """`finger[k].start` of node n, (n + 2**(k-1)) mod 2**bits for k = 1 … bits (SIGCOMM Table 1)."""
    return (n + (1 << (k - 1))) & ((1 << bits) - 1)
