"""The trace: everything that happened in a run, one frozen event after the other; the only source of every
picture.

Events come from the runtime (machines, faults, crashes, timeouts; at level ``"messages"`` each message sent,
delivered or dropped) and from nodes (``self.emit``). An event knows its *span*, the client operation it
belongs to, and its *parent*, the event that led to it: the runtime carries both through every message, so
``why`` can walk from a symptom back to a fault.

Bounded: beyond ``limit`` events the oldest are forgotten, and ``dropped`` says how many.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.runtime import traceview

if TYPE_CHECKING:
    import pandas

__all__ = ["LEVELS", "Event", "Trace"]

LEVELS = ("off", "domain", "messages")

#: Events kept by default: about 100 MB.
DEFAULT_LIMIT = 200_000

Watcher = Callable[["Event"], None]


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


class Trace:
    """Events in the order in which they were recorded; safe to read from any thread while it grows."""

    def __init__(self, level: str = "domain", limit: int = DEFAULT_LIMIT, first_seq: int = 0) -> None:
        if level not in LEVELS:
            raise ValueError(f"trace is one of {', '.join(map(repr, LEVELS))}, not {level!r}")
        if limit < 1:
            raise ValueError(f"limit is the number of events to keep, >= 1, not {limit!r}")
        self.level = level
        self.limit = limit
        self._full = limit * 5 // 4  # so that forgetting, which moves all rows, is rare
        self.on = level != "off"
        self.messages = level == "messages"
        self.dropped = 0  #: events forgotten because of ``limit``
        self.meta: dict[str, Any] = {}  #: engine, seed, machines, and what a system adds
        self._rows: list[tuple[Any, ...]] = []
        self._seq = first_seq
        self._watchers: list[Watcher] = []
        self._lock = threading.Lock()
        self._forgotten = hashlib.sha256()

    # recording ------------------------------------------------------------

    def record(
        self,
        time: float,
        machine: str,
        node: str | None,
        kind: str,
        span: int | None,
        parent: int | None,
        data: dict[str, Any],
    ) -> int:
        """Append one event; returns its ``seq``. The caller has checked the level."""
        self._seq = seq = self._seq + 1
        self._rows.append((time, seq, machine, node, kind, span, parent, data))
        if self._watchers:
            self._tell(Event(time, seq, machine, node, kind, span, parent, data))
        if len(self._rows) > self._full:
            self._forget()
        return seq

    def record_message(
        self,
        time: float,
        machine: str,
        node: str | None,
        kind: str,
        span: int | None,
        parent: int | None,
        message: int,
        other: str,
        other_machine: str,
        method: str,
        what: str,
        reason: str | None = None,
    ) -> int:
        """As ``record``, for a message event: the rest are the values of ``MESSAGE_KEYS[kind]``."""
        self._seq = seq = self._seq + 1
        row: tuple[Any, ...]
        row = (time, seq, machine, node, kind, span, parent, message, other, other_machine, method, what)
        if reason is not None:
            row = (*row, reason)
        self._rows.append(row)
        if self._watchers:
            self._tell(Event._make(full(row)))
        if len(self._rows) > self._full:
            self._forget()
        return seq

    def extend(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Append events recorded elsewhere."""
        for row in rows:
            self._rows.append(tuple(row))
            if self._watchers:
                self._tell(Event._make(full(tuple(row))))
        if len(self._rows) > self._full:
            self._forget()

    def drain(self) -> list[tuple[Any, ...]]:
        """Take all events out (what a machine's process sends to the client)."""
        with self._lock:
            rows, self._rows = self._rows, []
        return rows

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher(event)`` for each event from now on, while it is being recorded."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Stop doing so."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def _tell(self, event: Event) -> None:
        for watcher in list(self._watchers):
            watcher(event)

    def _forget(self) -> None:
        with self._lock:
            surplus = len(self._rows) - self.limit
            digest(self._forgotten, self._rows[:surplus])
            del self._rows[:surplus]
            self.dropped += surplus

    # reading ------------------------------------------------------------

    @property
    def count(self) -> int:
        """Events ever recorded, including those forgotten."""
        with self._lock:
            return self.dropped + len(self._rows)

    def since(self, index: int) -> list[Event]:
        """The events from the ``index``-th ever recorded on, as far as they are kept."""
        with self._lock:
            rows = self._rows[max(0, index - self.dropped) :]
        return [Event._make(full(row)) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.since(0))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [Event._make(full(row)) for row in self._rows[index]]
        return Event._make(full(self._rows[index]))

    def filter(
        self,
        kind: str | tuple[str, ...] | None = None,
        node: str | None = None,
        machine: str | None = None,
        span: int | None = None,
        **data: Any,
    ) -> list[Event]:
        """The events that match everything given."""
        kinds = (kind,) if isinstance(kind, str) else kind
        return [
            event
            for event in self
            if (kinds is None or event.kind in kinds)
            and (node is None or event.node == node)
            and (machine is None or event.machine == machine)
            and (span is None or event.span == span)
            and all(event.data.get(key) == value for key, value in data.items())
        ]

    def sorted(self) -> list[Event]:
        """All events by time: on Ray, machines report in batches, so the order of arrival differs."""
        return sorted(self, key=lambda event: (event.time, event.seq))

    def frame(self) -> pandas.DataFrame:
        """A DataFrame with a row per event, by time: the event's fields, then a column per key in
        ``data``."""
        return traceview.frame(self)

    def story(self, about: Any, last: int = 40) -> str:
        """The last events of a node, a machine, a key or a span, in plain lines."""
        return traceview.story(self, about, last)

    def why(self, event: Event | int) -> traceview.Chain:
        """How it came to this event: the chain of events before it, from a fault if there is one."""
        return traceview.why(self, event)

    def digest(self) -> str:
        """A hash of all events ever recorded: equal for equal runs, in any process."""
        with self._lock:
            total = self._forgotten.copy()
            rows = list(self._rows)
        digest(total, rows)
        return total.hexdigest()[:16]

    def __repr__(self) -> str:
        lost = f", {self.dropped} forgotten" if self.dropped else ""
        return f"Trace({len(self)} events{lost}, level={self.level!r})"

    # files ------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the trace: Parquet if the name ends in ``.parquet``, else JSON lines (first line:
        ``meta``)."""
        path = Path(path)
        if path.suffix == ".parquet":
            traceview.to_parquet(self, path)
        else:
            with path.open("w", encoding="utf8") as file:
                head = {"meta": self.meta, "level": self.level, "dropped": self.dropped}
                file.write(json.dumps(head, default=plain) + "\n")
                for event in self:
                    file.write(json.dumps([*event[:7], packed(event.data)]) + "\n")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """The trace that ``save`` wrote. Raises ``ValueError`` for a file that is not one."""
        path = Path(path)
        try:
            if path.suffix == ".parquet":
                head, rows = traceview.from_parquet(path)
            else:
                with path.open(encoding="utf8") as file:
                    head, *rows = [json.loads(line, object_hook=unpacked) for line in file]
            events = [Event(*row) for row in rows]
            trace = cls(level=head["level"], limit=max(DEFAULT_LIMIT, len(events)))
            trace.meta, trace.dropped = head["meta"], head["dropped"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not a trace saved by labkit ({error}); Trace.save writes one"
            ) from error
        trace.extend(events)
        trace._seq = max((event.seq for event in trace), default=0)
        return trace

    def to_perfetto(self, path: str | Path) -> Path:
        """Write Chrome's trace format, which ui.perfetto.dev opens: machines as processes, nodes as
        threads."""
        return traceview.to_perfetto(self, Path(path))

    def to_shiviz(self, path: str | Path) -> Path:
        """Write ShiViz's log format: one line an event, with its vector clock. Needs level ``"messages"``."""
        return traceview.to_shiviz(self, Path(path))


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
