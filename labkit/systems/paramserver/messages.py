"""What travels between a worker and a server.

Many small pushes go in one message. An array costs a message some 50 µs, whatever its length; so a message
holds one array with the keys and one with the numbers of all small pushes, and a *head* for each push: plain
numbers and names, which say where in them its own are. A large array is not copied into another first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .chain import Identity, Round
from .filters import Coded, Wire
from .updates import Array

__all__ = ["DONE", "MOVED", "UNKNOWN_KEYS", "PullPart", "PushPart", "pack_pushes", "unpack_pushes"]

#: What a server says to each part of a message.
DONE, MOVED, UNKNOWN_KEYS = "done", "moved", "unknown keys"

#: Arrays of at least this many bytes are not joined to others.
LARGE = 256 * 1024

#: Where an array is: which of the message's, its first number, and how many.
Place = tuple[int, int, int]


class PushPart(NamedTuple):
    """The part of a push that lies in the range [lo, hi) of the ring."""

    lo: int
    hi: int
    identity: Identity
    wire: Wire
    round_: Round | None
    share: float


class PullPart(NamedTuple):
    """The part of a pull that lies in the range [lo, hi) of the ring."""

    lo: int
    hi: int
    vector: str
    source: str
    wire: Wire


class Joined:
    """Arrays of one kind of number, the small ones joined to one."""

    def __init__(self, arrays: list[Array], at: int) -> None:
        self.arrays = arrays  #: the message's; the joined one will be number ``at``
        self.at = at
        self.small: list[Array] = []
        self.count = 0

    def add(self, array: Array) -> Place:
        """Where it will be found, flat."""
        flat = array.ravel()
        if flat.nbytes >= LARGE:
            self.arrays.append(flat)
            return len(self.arrays) - 1, 0, len(flat)
        start = self.count
        self.small.append(flat)
        self.count += len(flat)
        return self.at, start, len(flat)

    def join(self) -> None:
        """Put the joined array where it was said to be."""
        if self.small:
            joined = self.small[0] if len(self.small) == 1 else np.concatenate(self.small)
            if joined.flags.writeable:
                joined.flags.writeable = False  # so that sending does not copy it
            self.arrays[self.at] = joined


_NOTHING = np.zeros(0)
_NOTHING.flags.writeable = False


def pack_pushes(parts: Sequence[PushPart]) -> tuple[tuple[Any, ...], tuple[Array, ...]]:
    """Heads and arrays."""
    arrays: list[Array] = [_NOTHING] * 3
    lists, numbers, bits = (Joined(arrays, at) for at in range(3))
    heads = []
    for lo, hi, identity, wire, round_, share in parts:
        assert wire.coded is not None
        values, shape, there = wire.coded
        keys: Any = wire.keys
        if keys is not None and not isinstance(keys, tuple):
            keys = lists.add(keys)
        heads.append((
            lo, hi, tuple(identity), wire.signature, keys, numbers.add(values), shape,
            None if there is None else bits.add(there), round_, share,
        ))  # fmt: skip
    for each in (lists, numbers, bits):
        each.join()
    return tuple(heads), tuple(arrays)


def unpack_pushes(heads: Sequence[Any], arrays: Sequence[Array]) -> Iterator[PushPart]:
    """The parts again; their arrays are views of the message's."""
    # An array from a pickle has a dtype of its own, equal to NumPy's but not the same: ``np.add.at`` then
    # takes a way that is thirty times slower.
    arrays = [array.view(array.dtype.type) for array in arrays]
    for lo, hi, identity, signature, keys, values, shape, there, round_, share in heads:
        if keys is not None and len(keys) == 3:
            keys = _at(keys, arrays)
        numbers = _at(values, arrays)
        if len(shape) > 1 and there is None:
            numbers = numbers.reshape(shape)
        coded = Coded(numbers, shape, None if there is None else _at(there, arrays))
        yield PushPart(lo, hi, Identity(*identity), Wire(signature, keys, coded), round_, share)


def _at(place: Place, arrays: Sequence[Array]) -> Array:
    array, start, size = place
    return arrays[array][start : start + size]
