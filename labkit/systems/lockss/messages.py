"""What peers tell each other, by the names of the V3 protocol: Poll, PollAck, PollProof, Nominate,
VoteRequest, Vote, RepairRequest, Repair, EvaluationReceipt. A request is a handler of ``nodes/library.py``;
these are the answers that have several parts.

A peer may answer what it likes, so each is read with care: ``read`` raises ``TypeError`` or ``ValueError``
for nonsense."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from .effort import Proof
from .replicas import Content

__all__ = ["Nominate", "PollAck", "Vote", "read_repair"]


class PollAck(NamedTuple):
    """An invitation is accepted, or refused for a reason."""

    reason: str
    proof: Proof

    @classmethod
    def read(cls, answer: Any) -> PollAck:
        """Of a peer."""
        reason, proof = answer
        return cls(_text(reason), _proof(proof))


class Nominate(NamedTuple):
    """Peers for the outer circle, and the seal on a vote that is computed and not shown yet."""

    peers: tuple[int, ...]
    commitment: str

    @classmethod
    def read(cls, answer: Any, libraries: int) -> Nominate:
        """Of a peer. Names of nobody are left out. libraries: how many there are."""
        peers, commitment = answer
        there = (each for each in tuple(peers) if type(each) is int and 0 <= each < libraries)
        return cls(tuple(there), _text(commitment))


class Vote(NamedTuple):
    """A voter's replica, hashed."""

    nonce: int  #: the voter's
    hashes: tuple[str | None, ...]  #: for each block; None: it has none
    #: Without nonces, to count versions with (V3). They decide nothing; nobody can copy them into a vote,
    #: since all votes are sealed before the first is shown.
    versions: tuple[str, ...]
    proof: Proof  #: of the effort of hashing

    @classmethod
    def read(cls, answer: Any) -> Vote:
        """Of a peer."""
        nonce, hashes, versions, proof = answer
        if type(nonce) is not int:
            raise TypeError(f"nonce={nonce!r:.40}")
        hashes = tuple(each if each is None else _text(each) for each in hashes)
        return cls(nonce, hashes, tuple(map(_text, versions)), _proof(proof))


def read_repair(answer: Any, like: type) -> Content:
    """A block that a peer sends. like: bytes, or int in a model of bytes."""
    (content,) = answer
    if content is not None and type(content) is not like:
        raise TypeError(f"content={content!r:.40}")
    return cast(Content, content)


def _proof(value: Any) -> Proof:
    units, seal = value
    return Proof(float(units), _text(seal))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value
