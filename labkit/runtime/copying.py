"""Messages are copied when they are sent, so that no node ever sees another's memory; and hashes that are the same everywhere."""

from __future__ import annotations

import hashlib
import pickle
from random import Random
from typing import Any

import cloudpickle

from labkit.runtime.errors import Unpicklable

__all__ = ["copy_value", "stable_hash", "stream"]

#: Values of these types cannot change, and pass as they are.
ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})


def copy_value(value: Any) -> Any:
    """An equal value that shares no memory that could change.

    Raises ``Unpicklable`` for what cannot leave its process, such as a lock or an open file.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is tuple:
        for item in value:
            if type(item) not in ATOMS:
                return tuple([copy_value(item) for item in value])
        return value
    try:
        return pickle.loads(dumps(value))
    except Exception as error:
        raise Unpicklable(
            f"{_short(value)} of type {kind.__module__}.{kind.__qualname__} cannot be sent: {error}. "
            "Send plain data (numbers, strings, tuples, lists, dicts, arrays, dataclasses) instead."
        ) from error


def event_value(value: Any) -> Any:
    """As ``copy_value``, with sets as sorted lists: the trace never depends on the order of a set."""
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind in (set, frozenset):
        return sorted(map(event_value, value), key=repr)
    if kind in (list, tuple):
        return kind([event_value(item) for item in value])
    if kind is dict:
        return {event_value(key): event_value(item) for key, item in value.items()}
    return copy_value(value)


def dumps(value: Any) -> bytes:
    """The value's pickle; by value where it can only be so."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # a lambda, or a class from a notebook cell: only cloudpickle takes it by value
        return bytes(cloudpickle.dumps(value))


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = "a value without a repr"
    return text if len(text) <= 80 else text[:77] + "..."


def stable_hash(*parts: Any, bits: int = 64) -> int:
    """A number of ``bits`` bits from the parts' text: equal in every process, unlike ``hash()``."""
    text = "\x1f".join(f"{type(part).__name__}:{part!r}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=(bits + 7) // 8).digest()
    return int.from_bytes(digest, "big") >> (-bits % 8)


def stream(seed: int, *purpose: Any) -> Random:
    """The random stream of one purpose; a draw from it changes no other stream."""
    return Random(stable_hash(seed, *purpose))
