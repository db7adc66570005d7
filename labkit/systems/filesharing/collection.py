"""The shared collection: who shares which files, and what the files hold.

Files have names of a few words, as ``river moon - copper bird 17.mp3``; a query is some words, and fits a
name that has all of them. A file's *root* is the hash of the hashes of its pieces, so that each piece can be
checked when it comes, whoever sent it; FastTrack's and Gnutella's later clients did so by hash trees.

Popularity is Zipf's. Some peers share nothing: about 26 % of Gnutella's users when Saroiu et al. looked (as
reported), almost 70 % when Adar and Huberman did.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from bisect import bisect
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

from labkit.runtime.copying import stream

__all__ = ["PIECE", "SharedFile", "Tree", "collection", "file_of", "fits", "generated", "keywords", "tree_of"]

#: Bytes of a piece.
PIECE = 4096
WORDS = [
    "amber",
    "bird",
    "blue",
    "copper",
    "dawn",
    "deep",
    "echo",
    "ember",
    "field",
    "fire",
    "glass",
    "gold",
    "grey",
    "hollow",
    "iron",
    "island",
    "ivory",
    "jade",
    "lake",
    "lantern",
    "leaf",
    "light",
    "lime",
    "loud",
    "marble",
    "mild",
    "mist",
    "moon",
    "night",
    "north",
    "ocean",
    "olive",
    "pale",
    "pearl",
    "quiet",
    "rain",
    "red",
    "river",
    "rose",
    "rust",
    "sand",
    "silver",
    "slow",
    "smoke",
    "snow",
    "song",
    "south",
    "star",
    "stone",
    "storm",
    "sun",
    "tide",
    "velvet",
    "violet",
    "west",
    "wild",
    "wind",
    "winter",
    "wolf",
    "wood",
]


class SharedFile(NamedTuple):
    """A file of a library. ``seed``: from which its bytes are made; 0: they are kept."""

    name: str
    size: int
    root: bytes
    seed: int = 0


class Tree(NamedTuple):
    """The hashes of a file's pieces; their hash is the root, by which the file is known."""

    size: int
    pieces: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """20 bytes."""
        return hashlib.sha1(b"".join((self.size.to_bytes(8, "big"), *self.pieces))).digest()


def tree_of(data: bytes) -> Tree:
    """The tree of these bytes."""
    return Tree(
        len(data), tuple(hashlib.sha1(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE))
    )


@lru_cache(maxsize=256)
def generated(seed: int, size: int) -> bytes:
    """The bytes of a file of the collection: the same in every process."""
    return Random(seed).randbytes(size)


def file_of(name: str, data: bytes) -> SharedFile:
    """A file with bytes of its own."""
    return SharedFile(name, len(data), tree_of(data).root)


@lru_cache(maxsize=65536)
def keywords(text: str) -> frozenset[str]:
    """The words of a name or a query, in any case; an accent may be part of its letter or a character of its
    own, as in names from a Mac."""
    return frozenset(re.findall(r"\w+", unicodedata.normalize("NFC", text.casefold())))


def fits(text: str, name: str) -> bool:
    """Whether a name has all words of a query; a query without words fits nothing."""
    words = keywords(text)
    return bool(words) and words <= keywords(name)


def collection(
    seed: int, peers: int, files: int, copies: float, free_riders: float, piece_count: int = 5
) -> list[tuple[SharedFile, ...]]:
    """The library of each peer.

    files: different ones; copies: of each on average, at least one; free_riders: part of the peers that share
    nothing. What the others share is as unequal as what is looked for: a few have much.
    """
    random = stream(seed, "collection")
    catalogue = [_made(seed, random, number, piece_count) for number in range(files)]
    riders = set(random.sample(range(peers), min(peers - 1, round(peers * free_riders))))
    sharers = [peer for peer in range(peers) if peer not in riders]
    libraries: list[dict[bytes, SharedFile]] = [{} for _ in range(peers)]
    generosity = list(itertools.accumulate(random.paretovariate(1.5) for _ in sharers))
    popularity = zipf(files)
    for number in range(max(files, round(files * copies))):
        file = catalogue[number if number < files else pick(random, popularity)]
        owner = sharers[pick(random, generosity)]
        libraries[owner][file.root] = file
    return [tuple(library.values()) for library in libraries]


def zipf(count: int) -> list[float]:
    """Cumulative weights 1/1, 1/2, 1/3 …"""
    return list(itertools.accumulate(1 / rank for rank in range(1, count + 1)))


def pick(random: Random, cumulative: list[float]) -> int:
    """An index, drawn by cumulative weights."""
    return min(bisect(cumulative, random.random() * cumulative[-1]), len(cumulative) - 1)


def _made(seed: int, random: Any, number: int, piece_count: int) -> SharedFile:
    words = random.sample(WORDS, 4)
    size = random.randint(1, piece_count * PIECE)
    own = (seed * 1_000_003 + number + 1) & 0xFFFFFFFF
    root = tree_of(Random(own).randbytes(size)).root
    return SharedFile(f"{words[0]} {words[1]} - {words[2]} {words[3]} {number}.mp3", size, root, own or 1)
