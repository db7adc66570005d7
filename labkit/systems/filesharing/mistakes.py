"""Planted mistakes: peers that break one rule each, which ``sharing.check()`` must catch.

``FileSharing(cluster, peer_class=MISTAKES["no GUID cache"])``
"""

from __future__ import annotations

from typing import Any

from .collection import SharedFile
from .descriptor import Hit
from .downloads import Download
from .nodes import Servent

__all__ = ["MISTAKES"]


class NoGuidCache(Servent):
    """Takes each copy of a query for a new one; only the TTL ends the flood."""

    def on_duplicate(self, source: str, data: bytes, seen: tuple[str, int]) -> None:
        """Once more."""
        if seen[0]:
            self.on_query(source, data, self.links[source])


class SendsBack(Servent):
    """Hands a query on to its sender, too."""

    def onward_to(self, source: str, data: bytes, text: str) -> list[str]:
        """All neighbours."""
        return list(self.links)


class KeepsTheTTL(Servent):
    """Counts hops and does not lower the TTL."""

    def hand_on(self, to: list[str], data: bytes) -> None:
        """With a TTL that is one too high."""
        super().hand_on(to, data[:17] + bytes([data[17] + (data[18] > 0)]) + data[18:])


class SendsItAsItCame(Servent):
    """Hands a query on with TTL and hops as they were: their sum stays right, and the flood ends nowhere."""

    def hand_on(self, to: list[str], data: bytes) -> None:
        """With the header that it came with."""
        was = bytes([data[17] + 1, data[18] - 1]) if data[18] else data[17:19]
        super().hand_on(to, data[:17] + was + data[19:])


class ForgetsItsOwn(Servent):
    """Does not know its own queries again."""

    def ask(self, guid: bytes, text: str, ttl: int, strategy: str) -> None:
        """And forget it."""
        super().ask(guid, text, ttl, strategy)
        del self.seen[guid]


class AnswersAnyNeighbour(Servent):
    """Sends hits to its first neighbour, not to the one that the query came from."""

    def _answer(self, guid: bytes, source: str, hops: int, hits: list[Hit]) -> None:
        others = [host for host in self.links if host != source]
        super()._answer(guid, others[0] if others else source, hops, hits)


class Boasts(Servent):
    """Answers with files that it does not have."""

    def answers(self, text: str) -> list[Hit]:
        """Whatever was asked for."""
        return [self.hit(self.number, SharedFile(f"{text} - the very best.mp3", 1, bytes(20)))]


class Trusting(Download):
    """Does not look at hashes."""

    def right(self, number: int, data: bytes) -> bool:
        """It will be."""
        return True


class Believes(Servent):
    """Loads what it gets; and sends pieces that are wrong."""

    download_class = Trusting

    def cut(self, data: bytes, number: int) -> bytes:
        """Another byte at the end."""
        piece: Any = super().cut(data, number)
        return piece[:-1] + bytes([piece[-1] ^ 1])


MISTAKES: dict[str, type[Servent]] = {
    "no GUID cache": NoGuidCache,
    "sent back to its sender": SendsBack,
    "TTL not lowered": KeepsTheTTL,
    "header left as it is": SendsItAsItCame,
    "own query forgotten": ForgetsItsOwn,
    "hits by another way": AnswersAnyNeighbour,
    "answers what it does not share": Boasts,
    "hashes not checked": Believes,
}
