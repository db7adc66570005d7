"""Vectors of (key, value) pairs with ordered keys, and the many ways in which a program names some of them.

A dense vector has keys 0 … size-1, and a server keeps an array. A sparse one has any keys below ``size``, and
a server keeps those that were pushed; a key that is missing counts as 0. Everything below this module speaks
of ``Keys``: a range ``(first, one past the last)``, or sorted, different int64 numbers.
"""

from __future__ import annotations

import mmap
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labkit.runtime.copying import is_frozen
from labkit.runtime.unawaited import forgotten

from .filters import Filter, Keys
from .updates import Array, Sum, Update, all_finite

__all__ = [
    "SPARSE_SIZE",
    "Recycled",
    "VectorSpec",
    "as_keys",
    "as_numbers",
    "as_push",
    "count",
    "overlap",
    "own_array",
    "part_of",
    "span_of",
]

#: Keys of a sparse vector whose size nobody gave: 0 … 2**62 - 1.
SPARSE_SIZE = 1 << 62


@dataclass(frozen=True)
class VectorSpec:
    """What everybody knows of a vector."""

    name: str
    size: int
    sparse: bool = False
    update: Update = field(default_factory=Sum)
    filters: tuple[Filter, ...] = ()
    #: Whether every number must be finite.
    finite: bool = True

    def __len__(self) -> int:
        return self.size

    def position(self, key: int) -> int:
        """Where on the ring a key stands, 0 … 2**64 - 1."""
        return (key << 64) // self.size

    def first_key(self, position: int) -> int:
        """The first key at or after a position of the ring."""
        return -(-(position * self.size) >> 64)

    def keys_in(self, lo: int, hi: int) -> tuple[int, int]:
        """The keys of a range of the ring, as (first, one past the last)."""
        return self.first_key(lo), self.first_key(hi)


class Recycled:
    """Room for large arrays, used again when the array that had it is gone.

    A program pulls the same vector again and again. Fresh memory would cost it more than the numbers: the
    system gives it page by page, each cleared and, on a virtual machine, fetched from the host.
    """

    #: Bytes from which this pays, and arrays whose room is kept.
    LARGE, KEPT = 1 << 20, 4

    def __init__(self) -> None:
        self._rooms: list[tuple[mmap.mmap, weakref.ref[Array]]] = []

    def empty(self, size: int) -> Array:
        """As ``np.empty(size)``."""
        bytes_ = size * 8
        if bytes_ < self.LARGE:
            return np.empty(size)
        free = [each for each in self._rooms if each[1]() is None and bytes_ <= len(each[0]) <= 2 * bytes_]
        room = free[0][0] if free else _fresh(bytes_)
        array = np.frombuffer(room, np.float64, size)
        self._rooms = [each for each in self._rooms if each[0] is not room][-self.KEPT + 1 :]
        self._rooms.append((room, weakref.ref(array)))
        return array


def _fresh(size: int) -> mmap.mmap:
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        room.madvise(mmap.MADV_HUGEPAGE)
    return room


def count(keys: Keys) -> int:
    """How many keys."""
    return keys[1] - keys[0] if isinstance(keys, tuple) else len(keys)


def span_of(keys: Keys) -> tuple[int, int]:
    """The smallest range that holds them all."""
    return keys if isinstance(keys, tuple) else (int(keys[0]), int(keys[-1]) + 1)


def part_of(keys: Keys, first: int, end: int) -> tuple[Keys, slice]:
    """Those keys that are in [first, end), and where they stand among ``keys``."""
    if isinstance(keys, tuple):
        lo, hi = max(keys[0], first), min(keys[1], end)
        return (lo, max(lo, hi)), slice(lo - keys[0], max(lo, hi) - keys[0])
    begin, stop = np.searchsorted(keys, (first, end))
    return keys[begin:stop], slice(int(begin), int(stop))


def overlap(keys: Keys, pieces: list[tuple[int, int]]) -> list[tuple[Keys, slice]]:
    """The parts of ``keys`` in each of these ranges; empty parts are left out."""
    parts = [part_of(keys, *piece) for piece in pieces]
    return [part for part in parts if count(part[0])]


def own_array(array: Array) -> Array:
    """The same numbers where nobody writes: the program may go on writing in the array that it gave."""
    if is_frozen(array):
        return array
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def as_keys(vector: VectorSpec, keys: Any) -> tuple[Keys, Callable[[Array], Any]]:
    """``Keys`` for whatever names them, and how to give pulled values the order and shape asked for.

    keys: None (all of a dense vector), a slice, a range, one number, or any array of numbers, in any order,
    repeated or not. Raises ``IndexError`` for a key that the vector does not have.
    """
    if keys is None:
        keys = slice(None)
    if isinstance(keys, range) and keys.step == 1:
        if keys and not 0 <= keys[0] <= keys[-1] < vector.size:
            raise _no_such_key(vector, keys[0] if keys[0] < 0 else keys[-1])
        keys = slice(keys.start, keys.stop) if keys else slice(0)
    if isinstance(keys, slice):
        return _range(vector, keys), _as_it_is
    asked = np.asarray(keys)
    if asked.dtype.kind not in "iu" and asked.size:
        raise TypeError(
            f"keys of {vector.name!r} are whole numbers, not {keys!r}; give a slice or an array of integers"
        )
    if asked.dtype.kind == "u" and asked.size and asked.max() >= vector.size:  # may be no int64
        raise _no_such_key(vector, asked.max())
    flat = own_array(asked.astype(np.int64, copy=False).ravel())
    in_order = bool((flat[1:] > flat[:-1]).all())
    if flat.size:
        first, last = (flat[0], flat[-1]) if in_order else (flat.min(), flat.max())
        if first < 0 or last >= vector.size:
            raise _no_such_key(vector, first if first < 0 else last)
    if in_order and flat.ndim == asked.ndim:
        return flat, _as_it_is
    unique, inverse = np.unique(flat, return_inverse=True)
    return unique, lambda values: values[inverse].reshape(asked.shape)[()]


def _no_such_key(vector: VectorSpec, key: Any) -> IndexError:
    return IndexError(f"{vector.name!r} has keys 0 to {vector.size - 1}, not {int(key)}")


def _as_it_is(values: Array) -> Array:
    return values


def _range(vector: VectorSpec, asked: slice) -> tuple[int, int]:
    if asked.step not in (None, 1):
        raise TypeError(f"a slice of {vector.name!r} has step 1, not {asked.step}; write np.arange(...)")
    for bound in (asked.start, asked.stop):
        if bound is not None and not hasattr(bound, "__index__"):
            raise TypeError(f"keys of {vector.name!r} are whole numbers, not {bound!r}; write int({bound!r})")
    if vector.sparse and asked.stop is None:
        raise TypeError(f"{vector.name!r} is sparse: name its keys, or read all there are with .items()")
    lo, hi, _ = asked.indices(vector.size)
    return lo, max(lo, hi)


def as_push(vector: VectorSpec, keys: Any, values: Any) -> tuple[Keys, Array]:
    """``Keys`` and float64 values, one (or one row of ``update.columns``) for each key.

    values: an array, one number for all keys, or a SciPy sparse row or column (then ``keys`` may be None: its
    own). A key given twice counts twice. Raises ``ValueError`` if the numbers do not fit the keys.
    """
    if _is_scipy(values):
        if keys is not None:
            raise TypeError(f"a sparse matrix names its keys itself: write push(None, values), not {keys!r}")
        keys, values = _from_scipy(values)
    columns = vector.update.columns
    shape: tuple[int, ...] = () if columns == 1 else (columns,)
    if keys is not None and not isinstance(keys, (slice, range)):
        return _push_of_numbers(vector, keys, values, shape)
    wanted, _ = as_keys(vector, keys)
    return wanted, _fit(vector, values, (count(wanted), *shape))


def _push_of_numbers(
    vector: VectorSpec, keys: Any, values: Any, shape: tuple[int, ...]
) -> tuple[Keys, Array]:
    flat = np.asarray(keys).ravel()
    wanted, order = as_keys(vector, flat)
    numbers = _fit(vector, values, (len(flat), *shape))
    if order is _as_it_is:
        return wanted, numbers
    inverse = np.searchsorted(wanted, flat)
    total = np.zeros((len(wanted), *shape))
    np.add.at(total, inverse, numbers)
    return wanted, total


def _fit(vector: VectorSpec, values: Any, shape: tuple[int, ...]) -> Array:
    numbers = as_numbers(vector, values, "push to")
    if numbers.ndim == 0:
        return np.full(shape, float(numbers))
    if numbers.shape != shape and numbers.size == int(np.prod(shape)):
        numbers = numbers.reshape(shape)
    if numbers.shape != shape:
        raise ValueError(
            f"push to {vector.name!r}: {shape[0]} keys need values of shape {shape}, not {numbers.shape}"
        )
    return numbers


def as_numbers(vector: VectorSpec, values: Any, where: str) -> Array:
    """The values as float64. Raises what says why they cannot enter the vector: ``TypeError``, or
    ``ValueError`` for numbers that are not finite."""
    where = f"{where} {vector.name!r}"
    if values is None:
        raise TypeError(f"{where}: no values; write push(keys, values), or push(None, values) for all keys")
    if missing := forgotten(values):
        raise TypeError(f"{where}: {missing}")
    try:
        given = np.asarray(values)
    except ValueError:
        raise ValueError(f"{where}: {values!r:.80} is no array; give rows of one length") from None
    if given.dtype.kind not in "fiub" and given.size:
        raise TypeError(f"{where}: values are real numbers, not {values!r:.80} of dtype {given.dtype}")
    if np.ma.is_masked(values):
        raise ValueError(
            f"{where}: some values are masked; write values.filled(0.0), or push the others alone"
        )
    numbers = given.astype(np.float64, copy=False)
    if vector.finite and not all_finite(numbers):
        first = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ValueError(
            f"{where}: value number {first} is {numbers.flat[first]}; see where it comes from, "
            f"or allow it: ps.vector({vector.name!r}, ..., finite=False)"
        )
    return numbers


def _is_scipy(values: Any) -> bool:
    """Whether it is a SciPy sparse matrix; SciPy is not imported for the question."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and scipy.issparse(values)


def _from_scipy(matrix: Any) -> tuple[Array, Array]:
    if 1 not in matrix.shape and matrix.ndim != 1:
        raise ValueError(f"a push is one sparse row or column, not a matrix of shape {matrix.shape}")
    entries = matrix.reshape((1, -1)).tocoo() if matrix.ndim == 2 else matrix.tocoo()
    return np.asarray(entries.coords[-1], dtype=np.int64), np.asarray(entries.data)
