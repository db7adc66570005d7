"""How a kept partition is read by many and changed by none: RDDs are read-only (NSDI 2012, section 2.1).

A function may change the records that it is given, as in a PySpark program, where kept partitions are pickles
and every reader has records of its own. So has it here; but unpickling takes longer than most functions do,
and is the last of three ways:

* What cannot change (numbers, strings, tuples of these) is handed out as it is. So is a value of a class
  that says so itself, by an attribute ``unchanging``: GraphX's partitions, made of read-only arrays.
* Arrays, lists, dicts and sets of such values, alone or in tuples of one length, are copied one by one while
  they are read.
* Everything else is kept as a pickle, and unpickled for each reader.

Two places in which the same object stands stay one object for each reader: only a pickle knows of that.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, compress
from operator import itemgetter, methodcaller
from typing import Any

from labkit.runtime.copying import ATOMS

from .closures import dumps, loads

__all__ = ["Copies", "Kept", "OwnCopies", "hand_out", "keep"]

#: Types without anything that could be changed, besides Python's plain ones.
UNCHANGING = ATOMS | {
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
    decimal.Decimal, fractions.Fraction, range, uuid.UUID,
}  # fmt: skip
#: Types whose values are made of others and cannot be changed themselves.
FROZEN = frozenset({tuple, frozenset})
#: What copies a value of a type; the copy has the same items. Arrays keep the order of their dimensions.
COPIED_BY: dict[type, Callable[[Any], Any]] = {
    list: list.copy, dict: dict.copy, set: set.copy, bytearray: bytearray.copy,
}  # fmt: skip
_copy_array = methodcaller("copy", "A")

#: Records that are looked at together.
CHUNK = 4096
#: Bytes of an array that is copied together with its neighbours, and how many are: who holds one holds all.
SMALL_ARRAY, ROWS = 1024, 64


class Copies:
    """Records that could be changed: whoever iterates gets copies. Its pickle is that of a list."""

    __slots__ = ("_length", "_read")

    def __init__(self, length: int, read: Callable[[], Iterable[Any]]) -> None:
        self._length = length
        self._read = read

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())

    def __reduce__(self) -> Any:
        return list, (list(self),)


#: Records that cannot change, or change without harm, or their pickle.
Kept = list[Any] | Copies | bytes


def keep(records: list[Any]) -> Kept:
    """What to keep of these records, which go on to somebody who may change them."""
    if unchanging(records):
        return records
    read = _reader(records)
    return dumps(records) if read is None else Copies(len(records), read)


def hand_out(kept: Kept) -> list[Any] | Copies:
    """The records for one reader, who may change what can be changed of them."""
    return loads(kept) if isinstance(kept, bytes) else kept


class OwnCopies(Mapping[int, Any]):
    """The values of broadcast variables as one task sees them: its own, made when it first asks."""

    def __init__(self, kept: Mapping[int, Kept]) -> None:
        self._kept = kept
        self._own: dict[int, Any] = {}

    def __getitem__(self, number: int) -> Any:
        if number not in self._own:
            (value,) = hand_out(self._kept[number])
            self._own.setdefault(number, value)
        return self._own[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def unchanging(values: Sequence[Any]) -> bool:
    """Whether neither these values nor what they are made of can be changed."""
    return all(_unchanging(values[start : start + CHUNK]) for start in range(0, len(values), CHUNK))


def _unchanging(values: Iterable[Any]) -> bool:
    while values:
        kinds = set(map(type, values))
        if any(hasattr(kind, "unchanging") for kind in kinds):
            return len(kinds) == 1 and all(value.unchanging for value in values)
        if not all(kind in FROZEN or _cannot_change(kind) for kind in kinds):
            return False
        inside = (value for value in values if type(value) in FROZEN) if len(kinds) > 1 else values
        values = list(chain.from_iterable(inside)) if kinds & FROZEN else []
    return True


@lru_cache(maxsize=4096)
def _cannot_change(kind: type) -> bool:
    if kind in UNCHANGING or issubclass(kind, enum.Enum):
        return True
    # A number of NumPy's; a record of NumPy's ("void") can be written to.
    scalar = kind.__module__ == "numpy" and any(base.__name__ == "generic" for base in kind.__mro__)
    return scalar and kind.__name__ != "void"


def _reader(records: list[Any]) -> Callable[[], Iterable[Any]] | None:
    """What reads copies of all of these records, if their types' own methods are enough for that."""
    if set(map(type, records)) != {tuple}:
        return _reader_of_each(records) if _all_different(records) else None
    if len(set(map(len, records))) > 1:
        return None
    columns = [list(map(itemgetter(place), records)) for place in range(len(records[0]))]
    changing = [not unchanging(column) for column in columns]
    if not _all_different(list(chain.from_iterable(compress(columns, changing)))):
        return None
    readers = [
        _reader_of_each(column) if changes else partial(iter, column)
        for column, changes in zip(columns, changing, strict=True)
    ]
    return None if None in readers else lambda: zip(*(read() for read in readers), strict=True)


def _reader_of_each(values: list[Any]) -> Callable[[], Iterable[Any]] | None:
    """What reads copies of these values, if all are of one type and hold nothing that could be changed."""
    kinds = set(map(type, values))
    kind = kinds.pop()
    if kinds:
        return None
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return _reader_of_arrays(values)
    if kind not in COPIED_BY:
        return None
    if kind is not bytearray:
        inside = chain.from_iterable(map(dict.items, values) if kind is dict else values)
        if not unchanging(list(inside)):
            return None
    copy = COPIED_BY[kind]
    return partial(map, copy, list(map(copy, values)))


def _reader_of_arrays(arrays: list[Any]) -> Callable[[], Iterable[Any]] | None:
    """Small arrays of one shape, such as the points of a regression, lie in one, whose rows are copied many
    at a time: one by one the copying takes a third of what a program does with a point.
    """
    if any(array.dtype.hasobject for array in arrays):
        return None
    first = arrays[0]
    if (
        first.ndim > 0
        and first.nbytes <= SMALL_ARRAY
        and len({(array.shape, array.dtype) for array in arrays}) == 1
        and all(array.flags.c_contiguous for array in arrays)
    ):
        import numpy

        stacked = numpy.empty((len(arrays), *first.shape), first.dtype)  # which keeps the order of the bytes
        numpy.stack(arrays, out=stacked)
        blocks = [stacked[start : start + ROWS] for start in range(0, len(stacked), ROWS)]
        return lambda: chain.from_iterable(map(_copy_array, blocks))
    return partial(map, _copy_array, list(map(_copy_array, arrays)))


def _all_different(values: list[Any]) -> bool:
    return len(set(map(id, values))) == len(values)
