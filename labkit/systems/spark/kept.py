"""How a kept partition is read by many and changed by none: RDDs are read-only (NSDI 2012, section 2.1).

A function may change the records that it is given, as in a PySpark program, where kept partitions are pickles
and every reader has records of its own. So has it here; but unpickling takes longer than most functions do,
and is the last of three ways:

* What cannot change (numbers, strings, tuples of these) is handed out as it is.
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
from itertools import chain
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


class Copies:
    """Records that could be changed: whoever iterates gets copies. Its pickle is that of a list."""

    __slots__ = ("_copy", "_records")

    def __init__(self, records: list[Any], copy: Callable[[list[Any]], Iterable[Any]]) -> None:
        self._records = list(copy(records))
        self._copy = copy

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._copy(self._records))

    def __reduce__(self) -> Any:
        return list, (self._records,)


#: Records that cannot change, or change without harm, or their pickle.
Kept = list[Any] | Copies | bytes


def keep(records: list[Any]) -> Kept:
    """What to keep of these records, which go on to somebody who may change them."""
    if unchanging(records):
        return records
    copy = _copier(records)
    return dumps(records) if copy is None else Copies(records, copy)


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


def _copier(records: list[Any]) -> Callable[[list[Any]], Iterable[Any]] | None:
    """What copies all of these records, if their types' own methods are enough for that."""
    kinds = set(map(type, records))
    if kinds != {tuple}:
        copy = _copy_of_each(records)
        return None if copy is None or not _all_different(records) else partial(map, copy)
    if len(set(map(len, records))) > 1:
        return None
    columns = [list(map(itemgetter(place), records)) for place in range(len(records[0]))]
    changing = {place: column for place, column in enumerate(columns) if not unchanging(column)}
    copies = {place: _copy_of_each(column) for place, column in changing.items()}
    if None in copies.values() or not _all_different(list(chain.from_iterable(changing.values()))):
        return None
    return partial(_copy_tuples, [copies.get(place) for place in range(len(columns))])


def _copy_tuples(
    copies: Sequence[Callable[[Any], Any] | None], records: list[Any]
) -> Iterator[tuple[Any, ...]]:
    columns = [map(itemgetter(place), records) for place in range(len(copies))]
    return zip(
        *(each if copy is None else map(copy, each) for copy, each in zip(copies, columns, strict=True)),
        strict=True,
    )


def _copy_of_each(values: list[Any]) -> Callable[[Any], Any] | None:
    """What copies a value, if all are of one type and hold nothing that could be changed."""
    kinds = set(map(type, values))
    kind = kinds.pop()
    if kinds:
        return None
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return None if any(value.dtype.hasobject for value in values) else _copy_array
    if kind not in COPIED_BY:
        return None
    if kind is not bytearray:
        inside = chain.from_iterable(map(dict.items, values) if kind is dict else values)
        if not unchanging(list(inside)):
            return None
    return COPIED_BY[kind]


def _all_different(values: list[Any]) -> bool:
    return len(set(map(id, values))) == len(values)
