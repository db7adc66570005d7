"""The fourth column of the comparison: the same collection over Chord.

Each word of a file's name is a key; its value is the list of the files that have it. A search looks one of
its words up, the longest, and takes those that have the others too. So a query costs a lookup and a fetch,
and words are found as they are written only. The lists are written by the user's program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError
from labkit.systems.chord import Chord

from .collection import SharedFile, fits, keywords
from .descriptor import Hit
from .options import Options, profile
from .results import Search, SharingFailed

__all__ = ["ChordColumn"]


class ChordColumn:
    """Lists of files by word, on a ring that has a member for each peer."""

    def __init__(self, cluster: Cluster, options: Options) -> None:
        self.cluster, self.options = cluster, options
        self.ring = Chord(
            cluster, options.peers, name=f"{options.name}-ring", stabilize_every=options.ping_every,
            timeout=options.call_timeout, announce=options.announced,
        )  # fmt: skip
        #: The ring's member of each peer, by number.
        self._members = dict(enumerate(self.ring.ids))

    def publish(self, libraries: Mapping[int, tuple[SharedFile, ...]]) -> None:
        """Add files to the lists of their words."""
        lists: dict[str, list[tuple[Any, ...]]] = {}
        for number, library in libraries.items():
            for file in library:
                for word in sorted(keywords(file.name)):
                    lists.setdefault(word, []).append((number, file.name, file.size, file.root))
        self.ring.put_many({word: self._old(word) + entries for word, entries in lists.items()})

    def _old(self, word: str) -> list[Any]:
        try:
            return list(self.ring[word]) if len(self.ring) else []
        except KeyError:
            return []

    def withdraw(self, number: int, root: bytes, name: str) -> None:
        """Take a file out of the lists."""
        for word in keywords(name):
            kept = [entry for entry in self._old(word) if (entry[0], entry[3]) != (number, root)]
            self.ring[word] = kept

    def fail(self, number: int) -> None:
        """The peer's member of the ring stops, too."""
        if self._members.get(number) in self.ring.ids:
            self.ring.fail(self._members[number])

    def join(self, number: int, machine: str | None) -> None:
        """A member more, for a peer that has come."""
        self._members[number] = self.ring.start_joining(machine).name

    def search(self, text: str, peer: Any) -> Search:
        """A lookup of the longest word from the peer's own member, and a fetch of its list."""
        word = max(sorted(keywords(text)), key=len)
        begun = self.cluster.now
        origin = self._members.get(peer.number)
        try:
            lookup = self.ring.lookup(word, origin if origin in self.ring.ids else None)
            entries = self.ring[word]
        except KeyError:
            entries = []
        except LabError as error:
            raise SharingFailed(str(error)) from error
        hits = tuple(
            self._hit(*entry) for entry in entries if fits(text, entry[1]) and entry[0] != peer.number
        )
        # The hops to the predecessor, the last to the owner, and its answer.
        return Search(text, peer.name, hits, (), self.cluster.now - begun, lookup.hops + 2, lookup.hops + 1)

    def _hit(self, number: int, name: str, size: int, root: bytes) -> Hit:
        host = profile(self.cluster.seed, number, self.options.firewalled)
        return Hit(number, name, size, root, host.speed, host.firewalled, b"\0" * 16)
