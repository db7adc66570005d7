"""Plain data, as it passes between a student's process and the one that judges: JSON, and nothing that runs.

A pickle runs code in whoever loads it; JSON does not. What JSON has no word for travels as an object with one
key that begins with ``$``: tuples, sets, bytes, arrays of numbers, and the few records of ``RECORDS``.

    >>> decode(encode({"ids": (1, 2), "names": {"b"}}))
    {'ids': (1, 2), 'names': {'b'}}
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from labkit.runtime.unawaited import forgotten

__all__ = ["RECORDS", "NotPlain", "State", "decode", "encode"]

#: Named tuples that both sides know, by their names in small letters: the ``records`` of exercises.
RECORDS: dict[str, type[Any]] = {}

#: Types of the numbers in an array.
DTYPES = ("<f8", "<f4", "<i8", "<i4", "|b1", "|u1")

#: Elements of one array.
MOST_ELEMENTS = 1_000_000


class NotPlain(TypeError):
    """A value that is not plain data, or text that does not say one."""


class State(dict[str, Any]):
    """A node's attributes by name; on the student's side it becomes the node ``n`` of a function."""


def encode(value: Any) -> str:
    """The value as text. Raises ``NotPlain`` for what is not plain data."""
    try:
        return json.dumps(_packed(value), separators=(",", ":"))
    except (RecursionError, ValueError) as error:
        raise NotPlain(f"a value cannot be sent: {error}") from None


def decode(text: str | bytes, node: Any = State, nan: bool = True) -> Any:
    """The value that ``encode`` wrote; ``node`` makes a node from its attributes. nan: whether NaN, which no
    comparison finds wrong, is a value. Raises ``NotPlain``.
    """
    try:
        return json.loads(
            text,
            object_hook=lambda found: _unpacked(found, node, nan),
            parse_constant=None if nan else _constant,
        )
    except NotPlain:
        raise
    except (RecursionError, ValueError, TypeError, KeyError) as error:
        raise NotPlain(f"not a value: {error}") from None


def _packed(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is State:
        return {"$node": _packed(dict(value))}
    if kind is list:
        return [_packed(item) for item in value]
    if RECORDS.get(kind.__name__.lower()) is kind:
        return {f"${kind.__name__.lower()}": [_packed(item) for item in value]}
    if isinstance(value, tuple):
        return {"$tuple": [_packed(item) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"$set": sorted((_packed(item) for item in value), key=repr)}
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: _packed(item) for key, item in value.items()}
        return {"$dict": [[_packed(key), _packed(item)] for key, item in value.items()]}
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return _packed_array(value)
    raise NotPlain(
        forgotten(value)
        or f"{value!r:.80} of type {kind.__name__} is not plain data; give numbers, text, lists, tuples, "
        "sets or dictionaries of them"
    )


def _packed_array(value: Any) -> Any:
    if value.shape == ():
        return _packed(value.item())
    if value.dtype.str not in DTYPES:
        return _packed(value.tolist())
    return {"$array": [value.dtype.str, list(value.shape), base64.b64encode(value.tobytes()).decode()]}


def _constant(name: str) -> float:
    if name == "NaN":
        raise NotPlain("NaN is not a number")
    return float(name)


def _unpacked(found: dict[str, Any], node: Any, nan: bool) -> Any:
    if len(found) != 1:
        return found
    ((kind, content),) = found.items()
    match kind:
        case "$node":
            return node(content)
        case "$tuple":
            return tuple(content)
        case "$set":
            return set(content)
        case "$bytes":
            return base64.b64decode(content)
        case "$dict":
            return dict(content)
        case "$array":
            return _array(*content, nan=nan)
    if kind[1:] in RECORDS and kind.startswith("$"):
        return RECORDS[kind[1:]](*content)
    return found


def _array(dtype: str, shape: list[int], data: str, nan: bool) -> Any:
    import numpy as np

    if dtype not in DTYPES or math.prod(shape) > MOST_ELEMENTS or any(side < 0 for side in shape):
        raise NotPlain(f"an array of {dtype} and shape {shape} is refused")
    found = np.frombuffer(base64.b64decode(data), dtype=dtype).reshape(shape).copy()
    if not nan and np.isnan(found).any():
        raise NotPlain("an array holds NaN, which is not a number")
    return found
