"""A block of a replica, how it rots, and how it is hashed for a vote.

A block's content is bytes, or a whole number that stands for them (``content="model"``): 0 is what was
published, any other number what something else has made of it. None: the block is not there. The same code
hashes both, and both must give the same run (there is a test of it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from random import Random

from labkit.runtime.copying import stream

__all__ = ["Content", "Damage", "commitment", "damaged", "decay", "digest", "hashes", "tampered", "vote_hash"]

Content = bytes | int | None
#: What the adversary writes into a document; as a number, in a model of bytes.
TAMPERED, LIE = b"\n# what really happened was different\n", -1


def _bytes(content: bytes | int) -> bytes:
    return content if isinstance(content, bytes) else content.to_bytes(8, "big", signed=True)


def vote_hash(poller_nonce: int, voter_nonce: int, url: str, content: Content) -> str | None:
    """A vote on a block. Both nonces are fresh, so no hash can be kept from the time when the block was
    whole, and none can be copied from another voter; the hash covers challenge, URL and content (V3)."""
    if content is None:
        return None
    head = f"{poller_nonce} {voter_nonce} {url}\n".encode()
    return hashlib.sha256(head + _bytes(content)).hexdigest()[:16]


def hashes(
    poller_nonce: int, voter_nonce: int, urls: Sequence[str], contents: Sequence[Content]
) -> tuple[str | None, ...]:
    """A vote on all blocks of a unit."""
    return tuple(map(lambda u, c: vote_hash(poller_nonce, voter_nonce, u, c), urls, contents))


@lru_cache(maxsize=4096)
def digest(content: Content) -> str:
    """A version's name in the trace and in version counts; "" for none."""
    return "" if content is None else hashlib.sha256(_bytes(content)).hexdigest()[:8]


def commitment(vote: object) -> str:
    """What a voter leaves with the poller before anybody shows a vote: so none can be changed after."""
    return hashlib.sha256(repr(vote).encode()).hexdigest()[:16]


def tampered(content: bytes | int) -> Content:
    """The adversary's version: the same, whoever of its minions shows it."""
    return content + TAMPERED if isinstance(content, bytes) else LIE


def damaged(content: Content, random: Random, mark: int) -> Content:
    """A block after a bit has flipped. mark: what the number stands for, different at every damage."""
    if not isinstance(content, bytes):
        return None if content is None else mark
    if not content:
        return b"\x00"
    place, bit = random.randrange(len(content)), 1 << random.randrange(8)
    return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]


class Damage:
    """The n-th damage to a replica: how much exposure it takes since the last, and which block it hits."""

    def __init__(self, seed: int, peer: int, unit: int, n: int, blocks: int) -> None:
        self.random = stream(seed, "lockss rot", peer, unit, n)
        self.exposure = self.random.expovariate(1.0)  #: rate × time
        self.block = self.random.randrange(blocks)
        self.mark = (peer * 1000 + unit) * 1_000_000 + n + 1


def decay(rate: float) -> float:
    """Days in which a unit of exposure passes, at so many damages in a year."""
    return 365.0 / rate if rate > 0 else float("inf")
