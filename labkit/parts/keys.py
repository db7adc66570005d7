"""The hash of a key that every process agrees on (``portable_hash``), whatever PYTHONHASHSEED says.

Python puts two keys together if they are equal and their hashes are. So must this: what a type inherits its
equality and hash from decides how a key is placed, and a type that brings a hash of its own is refused, since
nobody knows what that is made of.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import ipaddress
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import PurePath, PureWindowsPath
from typing import Any
from zlib import crc32

from labkit.runtime.errors import LabError

__all__ = ["UnstableKey", "portable_hash"]


class UnstableKey(LabError, TypeError):
    """A key without a hash that every process agrees on."""


def portable_hash(x: Any) -> int:
    """A key's hash, the same in every process and on every run.

    As PySpark's for None, numbers and tuples. Python salts its own hash of strings in each process, so str
    and bytes use CRC-32 (PySpark needs PYTHONHASHSEED for that). Equal keys have equal hashes: 1, 1.0 and
    True. What is equal to nothing, itself included (nan, NaT), has the hash 0, and is a key of its own.
    """
    kind = type(x)
    if kind is str:
        return crc32(x.encode("utf-8", "surrogatepass"))
    if kind is int:
        return hash(x)
    if kind is tuple:
        return _hash_of_tuple(x)
    if x is None:
        return 0
    hashed = None if kind.__hash__ is None else HASHES.get(kind.__hash__) or _hash_of_kind(kind)
    if hashed is None:
        raise _unstable(x)
    return hashed(x)


def _hash_of_tuple(x: tuple[Any, ...]) -> int:
    # The mixing of PySpark's portable_hash, so that tuples of numbers are placed as there.
    h = 0x345678
    for item in x:
        h ^= portable_hash(item)
        h *= 1000003
        h &= sys.maxsize
    h ^= len(x)
    return -2 if h == -1 else h


def _hash_of_frozenset(x: frozenset[Any]) -> int:
    return sum(_hash_of_tuple((item,)) for item in x) & sys.maxsize  # in any order of the elements the same


def _hash_of_number(x: Any) -> int:
    return hash(x) if x == x else 0  # of nan, Python hashes the address


def _hash_of_decimal(x: Decimal) -> int:
    return 0 if x.is_nan() else hash(x)


MICROSECOND = datetime.timedelta(microseconds=1)


def _microseconds(x: datetime.datetime | datetime.time) -> int:
    """Since the day began; in UTC, if its zone is known."""
    # Of an hour that a zone has twice, Python's hash takes the first.
    offset = x.replace(fold=0).utcoffset()
    local = ((x.hour * 60 + x.minute) * 60 + x.second) * 1_000_000 + x.microsecond
    return local if offset is None else local - offset // MICROSECOND


def _hash_of_datetime(x: datetime.datetime) -> int:
    return (x.toordinal() * 86_400_000_000 + _microseconds(x)) & sys.maxsize


def _hash_of_timedelta(x: datetime.timedelta) -> int:
    return _hash_of_tuple((x.days, x.seconds, x.microseconds))


def _hash_of_member(x: enum.Enum) -> int:
    return crc32(f"{type(x).__qualname__}.{x.name}".encode())


def _hash_of_dataclass(x: Any) -> int:
    # Two are equal if these fields are.
    return _hash_of_tuple(tuple(getattr(x, each.name) for each in dataclasses.fields(x) if each.compare))


def _hash_of_path(x: PurePath) -> int:
    return portable_hash(str(x).lower() if isinstance(x, PureWindowsPath) else str(x))


def _hash_of_numpy(x: Any) -> int:
    """A scalar: placed as the Python value that it equals. Times that are equal may have different units."""
    kind = x.dtype.kind
    if kind in "biufc":
        return _hash_of_number(x)
    if kind in "US":
        return portable_hash(x.item())
    if kind in "Mm":
        return portable_hash(x.astype(f"{kind}8[us]").item()) if x == x else 0
    raise _unstable(x)


#: From a type's ``__hash__``, which tells where it has its equality from, to what takes its place.
HASHES: dict[Any, Callable[[Any], int]] = {
    str.__hash__: lambda x: crc32(str.encode(x, "utf-8", "surrogatepass")),
    bytes.__hash__: crc32,
    int.__hash__: int.__hash__,
    float.__hash__: _hash_of_number,
    complex.__hash__: _hash_of_number,
    Decimal.__hash__: _hash_of_decimal,
    Fraction.__hash__: hash,
    tuple.__hash__: _hash_of_tuple,
    frozenset.__hash__: _hash_of_frozenset,
    range.__hash__: hash,
    uuid.UUID.__hash__: hash,
    enum.Enum.__hash__: _hash_of_member,
    datetime.datetime.__hash__: _hash_of_datetime,
    datetime.date.__hash__: lambda x: x.toordinal(),
    datetime.time.__hash__: _microseconds,
    datetime.timedelta.__hash__: _hash_of_timedelta,
    ipaddress.IPv4Address.__hash__: int,
    ipaddress.IPv6Address.__hash__: int,
    ipaddress.IPv4Interface.__hash__: int,
    ipaddress.IPv6Interface.__hash__: int,
    #: Of both versions.
    ipaddress.IPv4Network.__hash__: lambda x: int(x.network_address),
    PurePath.__hash__: _hash_of_path,
}


@lru_cache(maxsize=4096)
def _hash_of_kind(kind: type) -> Callable[[Any], int] | None:
    """How keys of a type with a hash of its own are placed; None if that differs from process to process."""
    equality = next(base for base in kind.__mro__ if "__eq__" in base.__dict__)
    if "__dataclass_params__" in equality.__dict__:
        return _hash_of_dataclass if kind.__dataclass_params__.eq else None  # type: ignore[attr-defined]
    package = kind.__module__.partition(".")[0]
    if package == "numpy":
        return _hash_of_numpy
    if package == "pandas" and issubclass(kind, datetime.datetime):
        return lambda x: _hash_of_datetime(x) if x == x else 0
    if package == "pandas" and issubclass(kind, datetime.timedelta):
        return _hash_of_timedelta
    return None


def _unstable(x: Any) -> UnstableKey:
    kind = type(x).__name__
    try:
        hash(x)
    except TypeError:
        better = {"list": "tuple(key)", "set": "frozenset(key)", "dict": "tuple(sorted(key.items()))"}
        return UnstableKey(
            f"a key must be hashable, and {x!r:.80} of type {kind} is not; "
            f"write {better.get(kind, 'a tuple of its fields')} instead"
        )
    return UnstableKey(
        f"{x!r:.80} of type {kind} cannot be a key: its hash differs from process to process. Use a str, "
        "a number, a tuple or a frozen dataclass of these, or give a partition function (partitionFunc)"
    )
