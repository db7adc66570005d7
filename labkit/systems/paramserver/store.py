"""A server's part of one vector: the values of a range of keys, and what the update function keeps beside
them."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np

from .filters import Keys
from .updates import Array, Sum, step
from .vectors import VectorSpec, count, part_of

__all__ = ["Contents", "DenseStore", "SparseStore", "Store", "new_store"]


#: Numbers in a read that is worth lending rather than copying.
LENT_FROM = 8192


class Contents(NamedTuple):
    """Some entries of a vector: what replicas, newcomers and checkpoints are sent."""

    keys: Keys
    values: Array
    extras: dict[str, Array]


class Store:
    """Keys [first, end) of a vector. What both kinds have in common."""

    def __init__(self, vector: VectorSpec, first: int, end: int) -> None:
        self.vector = vector
        self.first = first
        self.end = end
        self.values = np.zeros(0)
        self.extras: dict[str, Array] = {}

    def apply(self, keys: Keys, pushed: Array, share: float) -> None:
        """Let the vector's update function loose on these keys. The values stay as they were if it raises, or
        leaves what is not finite: ``ValueError``."""
        self.prepare()
        where = self.places(keys, make=True)
        if type(self.vector.update) is Sum:  # in place, twice as fast as a copy there and back
            if isinstance(where, slice):
                self.values[where] += pushed
            else:
                np.add.at(self.values, where, pushed)
            return
        values = _own(self.values[where])
        extras = {name: _own(array[where]) for name, array in self.extras.items()}
        vector = self.vector
        step(vector.update, values, pushed, extras, share, finite=vector.finite, vector=vector.name)
        self.values[where] = values
        for name, array in extras.items():
            self.extras[name][where] = array

    def take(self, keys: Keys) -> Contents:
        """Copies of these entries, read-only, so that a message need not copy them again."""
        where = self.places(keys, make=True)
        copies = {name: _frozen(array[where]) for name, array in self.extras.items()}
        return Contents(keys, _frozen(self.values[where]), copies)

    def put(self, contents: Contents) -> None:
        """Overwrite these entries."""
        self.prepare()
        where = self.places(contents.keys, make=True)
        self.values[where] = contents.values
        for name, array in contents.extras.items():
            self.extras[name][where] = array

    def read(self, keys: Keys) -> Array:
        """Values, zero where there are none; read-only, and they stay as they are."""
        raise NotImplementedError

    def prepare(self) -> None:
        """The arrays are about to be written."""

    def all(self) -> Contents:
        """Every entry there is."""
        raise NotImplementedError

    def places(self, keys: Keys, make: bool) -> Any:
        """Where in the arrays these keys stand: a slice, or indices."""
        raise NotImplementedError


def _own(array: Array) -> Array:
    """A copy, unless it is one (an index array has copied already)."""
    return array.copy() if array.base is not None else array


def _frozen(array: Array) -> Array:
    """A copy that cannot be written."""
    copy = _own(array)
    copy.flags.writeable = False
    return copy


class DenseStore(Store):
    """An array with a place for every key.

    A large read is not copied: it *lends* the array, which is read-only from then on. A write that comes
    while a message still holds it goes on with a copy.
    """

    def __init__(self, vector: VectorSpec, first: int, end: int) -> None:
        super().__init__(vector, first, end)
        self.values = np.zeros(end - first)
        self._lent: list[weakref.ref[Array]] = []
        self.extras = {name: np.zeros(end - first) for name in vector.update.extras}

    def places(self, keys: Keys, make: bool) -> Any:
        """Key minus first key."""
        if isinstance(keys, tuple):
            return slice(keys[0] - self.first, keys[1] - self.first)
        return keys - self.first

    def read(self, keys: Keys) -> Array:
        """See ``Store``."""
        where = self.places(keys, make=False)
        if not isinstance(where, slice) or count(keys) < LENT_FROM:
            return _frozen(self.values[where])
        self.values.flags.writeable = False
        view = self.values[where]
        self._lent.append(weakref.ref(view))
        return view

    def prepare(self) -> None:
        """See ``Store``."""
        if self._lent:
            if any(view() is not None for view in self._lent):
                self.values = self.values.copy()
            self.values.flags.writeable = True
            self._lent.clear()

    def all(self) -> Contents:
        """See ``Store``."""
        return self.take((self.first, self.end))


class SparseStore(Store):
    """Sorted keys, and their values in the same order."""

    def __init__(self, vector: VectorSpec, first: int, end: int) -> None:
        super().__init__(vector, first, end)
        self.keys = np.zeros(0, np.int64)
        self.extras = {name: np.zeros(0) for name in vector.update.extras}

    def places(self, keys: Keys, make: bool) -> Any:
        """Found by bisection; with ``make``, keys that are missing are put in first."""
        wanted = np.arange(*keys, dtype=np.int64) if isinstance(keys, tuple) else keys
        where = np.searchsorted(self.keys, wanted)
        if make:
            known = where < len(self.keys)
            known[known] = self.keys[where[known]] == wanted[known]
            if not known.all():
                new, at = wanted[~known], where[~known]
                self.keys = np.insert(self.keys, at, new)
                self.values = np.insert(self.values, at, 0.0)
                self.extras = {name: np.insert(array, at, 0.0) for name, array in self.extras.items()}
                where = np.searchsorted(self.keys, wanted)
        return where

    def read(self, keys: Keys) -> Array:
        """See ``Store``."""
        wanted = np.arange(*keys, dtype=np.int64) if isinstance(keys, tuple) else keys
        where = self.places(wanted, make=False)
        found = np.zeros(len(wanted))
        known = where < len(self.keys)
        known[known] = self.keys[where[known]] == wanted[known]
        found[known] = self.values[where[known]]
        found.flags.writeable = False
        return found

    def all(self) -> Contents:
        """See ``Store``."""
        copies = {name: array.copy() for name, array in self.extras.items()}
        return Contents(self.keys.copy(), self.values.copy(), copies)


def new_store(vector: VectorSpec, first: int, end: int) -> Store:
    """An empty store: every value is zero."""
    return (SparseStore if vector.sparse else DenseStore)(vector, first, end)


def cut_contents(contents: Contents, first: int, end: int) -> Contents:
    """The entries with keys in [first, end)."""
    keys, where = part_of(contents.keys, first, end)
    return Contents(keys, contents.values[where], {n: a[where] for n, a in contents.extras.items()})
