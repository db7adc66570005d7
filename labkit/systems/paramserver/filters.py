"""Filters: fewer bytes on the wire (Li et al., OSDI 2014, section 3.5).

Two are exact. **Key caching**: workers push and pull the same keys again and again; the receiver remembers a
list of keys by its signature, and from the second time on only the signature travels. **Zero-value
compression**: values that are zero are left out; a bit a key says where they were.

Two are the user's choice, and change what is pushed. **Significantly modified**: an entry is held back until
what has gathered for it exceeds a threshold. **KKT**: a weight that is zero and, by the optimality condition
of the l1 penalty, would stay zero needs no gradient.

A worker has one ``Filters`` a vector, a server one ``Receiver`` a worker and vector. Entries are chosen
first, in the order of the list, then coded.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from labkit.parts.options import number, probability
from labkit.runtime.errors import Definite

from .updates import Array

__all__ = [
    "KKT",
    "Coded",
    "Filter",
    "Filters",
    "KeyCaching",
    "Keys",
    "Receiver",
    "SignificantlyModified",
    "UnknownKeys",
    "Wire",
    "ZeroCompression",
    "decode_values",
    "encode_values",
    "raw_bytes",
]

THRESHOLD = number(above=0, says="the threshold is a number > 0", write=0.01)
MARGIN = probability(says="a fraction of the threshold, 0 <= margin <= 1", write=0.1)

#: Which keys: sorted and unique int64, or a range (first, one past the last).
Keys = Array | tuple[int, int]

#: Bytes of a number, of a key, of a signature, and of a range (two keys).
NUMBER = KEY = SIGNATURE = 8
RANGE = 16
#: Key lists that a receiver remembers for one worker and vector; a forgotten one is asked for again.
REMEMBERED = 64


class UnknownKeys(Definite):
    """The receiver does not know the list of keys of that signature: nothing was done; send the list."""


# -- what the user chooses ------------------------------------------------------------


@dataclass(frozen=True)
class Filter:
    """A filter of a vector. It has no state; what it remembers is a worker's own, see ``begin``."""

    #: Whether it changes what is pushed.
    lossy: ClassVar[bool] = False

    def begin(self) -> Any:
        """What one worker remembers for it."""
        return None

    def select(self, memory: Any, keys: Array, values: Array) -> tuple[Array, Array]:
        """The entries to push; ``memory`` is what ``begin`` gave."""
        return keys, values

    def pulled(self, memory: Any, keys: Array, values: Array) -> None:
        """The worker has pulled these values."""


@dataclass(frozen=True)
class KeyCaching(Filter):
    """Send a list of keys once; later its signature only. Exact."""


@dataclass(frozen=True)
class ZeroCompression(Filter):
    """Leave out the values that are zero. Exact."""


@dataclass(frozen=True)
class SignificantlyModified(Filter):
    """Push an entry only when what has gathered for it is larger than ``threshold``.

    What is held back is not lost: it is added to the entry's next push. So the servers are never further
    from the sum of all pushes than ``threshold`` for each key and worker. For pushes that the server adds or
    multiplies by a rate (``Sum``, ``SGD``); an entry of several columns counts by its largest.
    """

    threshold: float
    lossy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        THRESHOLD("threshold", self.threshold, of="SignificantlyModified")

    def begin(self) -> Held:
        """The entries held back."""
        return Held()

    def select(self, memory: Held, keys: Array, values: Array) -> tuple[Array, Array]:
        """Those that have gathered enough; the others are held back."""
        gathered = values + memory.take(keys, values)
        sizes = np.abs(gathered)
        enough = (sizes if sizes.ndim == 1 else sizes.max(axis=1)) > self.threshold
        memory.hold(keys[~enough], gathered[~enough])
        return keys[enough], gathered[enough]


@dataclass(frozen=True)
class KKT(Filter):
    """Do not push the entry of a weight that is zero and will stay zero. For ``Proximal``.

    For ``loss + l1 · |w|₁`` the Karush-Kuhn-Tucker condition of ``w = 0`` is ``|g| <= l1``: the step does not
    reach beyond the threshold. ``g`` is the gradient over *all* data, and a worker sees only its part; it
    compares that with its part of the threshold. If that holds at every worker, it holds for the sum, and
    nothing is wrong; if it holds at some, their parts are missed. ``margin``, a fraction of the threshold,
    keeps entries that come close.
    """

    margin: float = 0.0
    lossy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        MARGIN("margin", self.margin, of="KKT")

    def begin(self) -> Held:
        """The weights as last pulled; what is not in there is zero."""
        return Held()

    def select(self, memory: Held, keys: Array, values: Array) -> tuple[Array, Array]:
        """All but the inactive entries."""
        if values.ndim != 2:
            raise TypeError("KKT needs pushes of two columns, a step and a threshold: use update=Proximal()")
        step, threshold = values[:, 0], values[:, 1]
        active = (memory.look(keys, step) != 0) | (np.abs(step) > (1 - self.margin) * threshold)
        return keys[active], values[active]

    def pulled(self, memory: Held, keys: Array, values: Array) -> None:
        """Remember the weights that are not zero."""
        memory.take(keys, values)
        alive = values != 0
        memory.hold(keys[alive], values[alive])


class Held:
    """Numbers by key: sorted keys and their values; absent is zero."""

    def __init__(self) -> None:
        self.keys = np.empty(0, np.int64)
        self.values: Array | None = None

    def look(self, keys: Array, like: Array) -> Array:
        """The numbers of these keys, shaped as ``like``."""
        found = np.zeros_like(like, dtype=float)
        if self.values is not None and len(self.keys):
            places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            hit = self.keys[places] == keys
            found[hit] = self.values[places[hit]]
        return found

    def take(self, keys: Array, like: Array) -> Array:
        """As ``look``, and forget them."""
        found = self.look(keys, like)
        if self.values is not None:
            stay = ~np.isin(self.keys, keys, assume_unique=True)
            self.keys, self.values = self.keys[stay], self.values[stay]
        return found

    def hold(self, keys: Array, values: Array) -> None:
        """Remember numbers of keys that are not held."""
        if self.values is None:
            self.values = np.empty((0, *values.shape[1:]))
        both = np.concatenate([self.keys, keys])
        order = np.argsort(both, kind="stable")
        self.keys, self.values = both[order], np.concatenate([self.values, values])[order]


# -- coding ------------------------------------------------------------


class Coded(NamedTuple):
    """Values as they travel: all, or those that are not zero and a bit for each (``there``, packed)."""

    values: Array
    shape: tuple[int, ...]
    there: Array | None = None

    @property
    def bytes(self) -> int:
        """Size on the wire."""
        return self.values.nbytes + (0 if self.there is None else self.there.nbytes)


def encode_values(values: Array, compress: bool) -> Coded:
    """Values for the wire; zeros are left out if that is asked for and is shorter."""
    if not compress:
        return Coded(values, values.shape)
    there = values.ravel() != 0
    packed = np.packbits(there)
    coded = Coded(values.ravel()[there], values.shape, packed)
    return coded if coded.bytes < values.nbytes else Coded(values, values.shape)


def decode_values(coded: Coded) -> Array:
    """The values again."""
    if coded.there is None:
        return coded.values
    count = int(np.prod(coded.shape))
    values = np.zeros(count)
    values[np.unpackbits(coded.there, count=count).astype(bool)] = coded.values
    return values.reshape(coded.shape)


class Wire(NamedTuple):
    """One request as it travels: a push, or (without values) a pull."""

    signature: int | None
    keys: Keys | None  # None: the receiver knows the list
    coded: Coded | None

    @property
    def bytes(self) -> int:
        """Size on the wire of keys and values; the few bytes of a message's head are not counted."""
        size = 0 if self.signature is None else SIGNATURE
        if self.keys is not None:
            size += RANGE if isinstance(self.keys, tuple) else KEY * len(self.keys)
        return size + (0 if self.coded is None else self.coded.bytes)


def raw_bytes(keys: Keys, values: Array | None) -> int:
    """Size of a request without any filter."""
    size = RANGE if isinstance(keys, tuple) else KEY * len(keys)
    return size + (0 if values is None else values.nbytes)


def signature_of(keys: Array) -> int:
    """64 bits of a hash of the list, the same on every machine."""
    digest = hashlib.blake2b(np.ascontiguousarray(keys, np.int64).tobytes(), digest_size=SIGNATURE)
    return int.from_bytes(digest.digest(), "big")


class Filters:
    """A vector's filters at one worker, and what they remember."""

    def __init__(self, filters: Iterable[Filter] = ()) -> None:
        self.filters = tuple(filters)
        self._memories = [each.begin() for each in self.filters]
        #: Signatures that were sent to each peer with their list, the latest last.
        self._sent: dict[str, OrderedDict[int, None]] = {}
        self.caching = any(isinstance(each, KeyCaching) for each in self.filters)
        self.compressing = any(isinstance(each, ZeroCompression) for each in self.filters)
        self.lossy = any(each.lossy for each in self.filters)

    def select(self, keys: Keys, values: Array) -> tuple[Keys, Array]:
        """The entries to push, of those that the program pushes.

        With key caching and zero compression the others stay in the list, as zeros: the list is then the same
        every time, and a zero costs a bit.
        """
        if not self.lossy:
            return keys, values
        everything = np.arange(*keys, dtype=np.int64) if isinstance(keys, tuple) else keys
        chosen = everything
        for each, memory in zip(self.filters, self._memories, strict=True):
            chosen, values = each.select(memory, chosen, values)
        if not (self.caching and self.compressing):
            return chosen, values
        padded = np.zeros((len(everything), *values.shape[1:]))
        padded[np.searchsorted(everything, chosen)] = values
        return keys, padded

    def pulled(self, keys: Keys, values: Array) -> None:
        """A pull has brought these values."""
        if not self.lossy:
            return
        brought = np.arange(*keys, dtype=np.int64) if isinstance(keys, tuple) else keys
        for each, memory in zip(self.filters, self._memories, strict=True):
            each.pulled(memory, brought, values)

    def encode(self, peer: str, keys: Keys, values: Array | None = None, full: bool = False) -> Wire:
        """A request to one server. ``full``: with the list of keys even if it was sent before."""
        coded = None if values is None else encode_values(values, self.compressing)
        if isinstance(keys, tuple) or not self.caching:
            return Wire(None, keys, coded)
        signature, sent = signature_of(keys), self._sent.setdefault(peer, OrderedDict())
        known = signature in sent and not full
        sent[signature] = None
        sent.move_to_end(signature)
        while len(sent) > REMEMBERED:
            sent.popitem(last=False)
        return Wire(signature, None if known else keys, coded)


class Receiver:
    """The server's side of one worker's filters."""

    def __init__(self) -> None:
        self._lists: OrderedDict[int, Array] = OrderedDict()

    def decode(self, wire: Wire) -> tuple[Keys, Array | None]:
        """Keys and values (None in a pull). Raises ``UnknownKeys`` if the list never came or is forgotten."""
        values = None if wire.coded is None else decode_values(wire.coded)
        if wire.signature is None:
            assert wire.keys is not None
            return wire.keys, values
        if wire.keys is None:
            if wire.signature not in self._lists:
                raise UnknownKeys(
                    f"no list of keys has the signature {wire.signature:#x} here: send the list"
                )
        else:
            assert not isinstance(wire.keys, tuple)
            self._lists[wire.signature] = wire.keys.copy()  # of the message it would keep all
        self._lists.move_to_end(wire.signature)
        while len(self._lists) > REMEMBERED:
            self._lists.popitem(last=False)
        return self._lists[wire.signature], values
