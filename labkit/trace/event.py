"""One event, and the forms in which it is kept: a row in memory, JSON in a file, bytes in a digest."""

from __future__ import annotations

import hashlib
import marshal
from typing import Any, NamedTuple

__all__ = ["FIELDS", "MESSAGE_KEYS", "Event", "canonical", "digest", "full", "packed", "plain", "unpacked"]


class Event(NamedTuple):
    """One thing that happened.

    ``time`` in seconds since the run began; ``parent`` is another event's ``seq``.
    """

    time: float
    seq: int
    machine: str
    node: str | None
    kind: str
    span: int | None
    parent: int | None
    data: dict[str, Any]

    def __str__(self) -> str:
        where = self.node or self.machine
        words = " ".join(f"{key}={value}" for key, value in self.data.items())
        return f"{self.time:10.4f}  {where:<12} {self.kind:<20} {words}".rstrip()


#: The fields of an event but ``data``.
FIELDS = Event._fields[:7]

#: Message events are nearly all of a trace at level "messages", so they are kept flat: these keys, then their
#: values at the end of the row.
MESSAGE_KEYS = {
    "sent": ("message", "to", "to_machine", "method", "what"),
    "delivered": ("message", "from", "from_machine", "method", "what"),
    "dropped": ("message", "to", "to_machine", "method", "what", "reason"),
}


def full(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fields of the event that is kept as this row."""
    if len(row) == len(Event._fields):
        return row
    return (*row[:7], dict(zip(MESSAGE_KEYS[row[4]], row[7:], strict=True)))


def packed(value: Any) -> Any:
    """What JSON can hold of an event's data, such that ``unpacked`` gives back what JSON has no word for."""
    kind = type(value)
    if kind is list:
        return [packed(item) for item in value]
    if kind is tuple:
        return {"$tuple": [packed(item) for item in value]}
    if kind is bytes:
        return {"$bytes": value.decode("latin1")}
    if kind is dict:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: packed(item) for key, item in value.items()}
        return {"$dict": [[packed(key), packed(item)] for key, item in value.items()]}
    return value if value is None or kind in (bool, int, float, str) else plain(value)


def unpacked(found: dict[str, Any]) -> Any:
    """The value that ``packed`` wrote as this object."""
    if len(found) == 1:
        ((kind, content),) = found.items()
        if kind == "$tuple":
            return tuple(content)
        if kind == "$bytes":
            return content.encode("latin1")
        if kind == "$dict":
            return dict(content)
    return found


def plain(value: Any) -> Any:
    """What JSON can hold of a value: sets sorted, arrays as lists, bytes as text, the rest as its text."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, bytes):
        return value.decode("latin1")
    if hasattr(value, "tolist"):
        return value.tolist()
    return repr(value)


def flat(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row that ``full`` makes this of."""
    keys = MESSAGE_KEYS.get(row[4])
    if keys is None or len(row) != len(Event._fields) or tuple(row[7]) != keys:
        return tuple(row)
    return (*row[:7], *row[7].values())


def digest(total: Any, rows: list[tuple[Any, ...]]) -> None:
    """Add rows to a hash, whichever way they are kept, and however many at a time."""
    for begin in range(0, len(rows), 10_000):
        some = [flat(row) for row in rows[begin : begin + 10_000]]
        try:
            total.update(marshal.dumps(some, MARSHAL)[LIST_HEAD:])  # all at once: ten times quicker
        except ValueError:
            for row in some:
                total.update(canonical(row))


#: The last version of the format without references, which depend on how values came about; and what a list
#: begins with.
MARSHAL = 2
LIST_HEAD = len(marshal.dumps([], MARSHAL))


def canonical(value: Any) -> bytes:
    """Bytes that are equal for equal values in every process: no address, no order of a set."""
    try:
        return marshal.dumps(value, MARSHAL)
    except ValueError:  # not plain data only
        return _text(value).encode("utf8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(k)}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    if hasattr(value, "tobytes"):
        return hashlib.sha256(value.tobytes()).hexdigest()
    if getattr(type(value), "__repr__", None) is object.__repr__:  # it would show an address
        return f"{type(value).__qualname__}({_text(vars(value))})"
    return repr(value)
