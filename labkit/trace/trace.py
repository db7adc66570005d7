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
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.runtime.errors import LabError
from labkit.trace import export, files, why
from labkit.trace.event import Event, digest, full

if TYPE_CHECKING:
    import pandas

__all__ = ["DEFAULT_LIMIT", "LEVELS", "PLACE", "TIME", "Row", "Trace"]

LEVELS = ("off", "domain", "messages")

#: Events kept by default: about 100 MB.
DEFAULT_LIMIT = 200_000

Watcher = Callable[[Event], None]


Row = tuple[Any, ...]
#: Where a row belongs: by time, then by seq.
PLACE = itemgetter(0, 1)
TIME = itemgetter(0)


class Trace:
    """Events in the order of their times; safe to read from any thread while it grows.

    In the simulator the order in which events are recorded is the order of their times. Where many processes
    record, ``merge.MergedTrace`` brings their events into one order.
    """

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
        self.late: set[int] = set()  #: seqs of events that came after their place was taken for final
        self.rewritten: list[int] = []  #: places, counted over all events ever recorded, to which they went
        self.meta: dict[str, Any] = {}  #: engine, seed, machines, and what a system adds
        self._rows: list[Row] = []
        self._seq = first_seq
        self._watchers: list[Watcher] = []
        self._shown = float("-inf")  #: the time of the latest event that a fold has been given
        self._lock = threading.RLock()
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
        row: Row
        row = (time, seq, machine, node, kind, span, parent, message, other, other_machine, method, what)
        if reason is not None:
            row = (*row, reason)
        self._rows.append(row)
        if self._watchers:
            self._tell(Event._make(full(row)))
        if len(self._rows) > self._full:
            self._forget()
        return seq

    def extend(self, rows: Iterable[Row]) -> None:
        """Put events that were recorded elsewhere into their places."""
        batch = sorted(map(tuple, rows), key=PLACE)
        if not batch:
            return
        with self._lock:
            begin = bisect_left(self._rows, PLACE(batch[0]), key=PLACE)
            tail = self._rows[begin:]
            self._rows[begin:] = sorted([*tail, *batch], key=PLACE) if tail else batch
            self._came_late([row for row in batch if tail and row[0] <= self._shown])
        for row in batch if self._watchers else ():
            self._tell(Event._make(full(row)))
        if len(self._rows) > self._full:
            self._forget()

    def _came_late(self, rows: list[Row]) -> None:
        """Note events that went to a place before one that has been shown as final."""
        if rows:
            self.late.update(row[1] for row in rows)
            self.rewritten.append(self.dropped + bisect_left(self._rows, PLACE(rows[0]), key=PLACE))

    def drain(self) -> list[Row]:
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
            if self.late:
                self.late.difference_update(row[1] for row in self._rows[:surplus])
            del self._rows[:surplus]
            self.dropped += surplus

    # reading ------------------------------------------------------------

    def catch_up(self, whole: bool = False) -> None:
        """Before the user's program reads: all that its answers come from is here (``whole``: all that
        happened up to now). Pictures do not wait."""

    @property
    def count(self) -> int:
        """Events ever recorded, including those forgotten."""
        with self._lock:
            return self.dropped + len(self._rows)

    def watermark(self) -> float:
        """The time before which everything that will be told has been told."""
        return float("inf")

    def complete_until(self, machines: Collection[str]) -> tuple[float, str]:
        """Up to when every event of these machines is there, and whose end is missing then ("": nobody's). A
        process that dies takes with it what it had not reported yet."""
        return float("inf"), ""

    def settled(self) -> int:
        """How many of the events ever recorded are in an order that is final (but see ``late``)."""
        return self.dropped + len(self._rows)

    def fresh(self, count: int, rewritten: int) -> tuple[int, list[Event], int]:
        """For a fold of the first ``count`` events that has heeded so many entries of ``rewritten``: the
        number of events from which it must be made again, the settled events from there on, and the entries
        heeded then."""
        with self._lock:
            begin = max(self.dropped, min([count, *self.rewritten[rewritten:]]))
            end = self.settled()
            rows = self._rows[begin - self.dropped : max(begin, end) - self.dropped]
            if rows:
                self._shown = max(self._shown, rows[-1][0])
            return begin, [Event._make(full(row)) for row in rows], len(self.rewritten)

    def upto(self, position: float) -> int:
        """How many of the events ever recorded had happened at ``position`` seconds."""
        with self._lock:
            return self.dropped + bisect_right(self._rows, position, key=TIME)

    def since(self, index: int, until: int | None = None) -> list[Event]:
        """The events from the ``index``-th ever recorded on (up to the ``until``-th), as far as they are
        kept."""
        with self._lock:
            end = None if until is None else max(0, until - self.dropped)
            rows = self._rows[max(0, index - self.dropped) : end]
        return [Event._make(full(row)) for row in rows]

    def __len__(self) -> int:
        self.catch_up()
        return len(self._rows)

    def __iter__(self) -> Iterator[Event]:
        self.catch_up()
        return iter(self.since(0))

    def __getitem__(self, index: int | slice) -> Any:
        self.catch_up()
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
        """All events by time."""
        return list(self)

    def frame(self) -> pandas.DataFrame:
        """A DataFrame with a row per event, by time: the event's fields, then a column per key in
        ``data``."""
        return why.frame(list(self))

    def story(self, about: Any, last: int = 40) -> str:
        """The last events of a node, a machine, a key or a span, in plain lines."""
        return why.story(list(self), about, last)

    def why(self, event: Event | int) -> why.Chain:
        """How it came to this event: the chain of events before it, from a fault if there is one."""
        return why.why(list(self), event)

    def digest(self) -> str:
        """A hash of all events ever recorded: equal for equal runs, in any process."""
        self.catch_up()
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
        head = {"meta": self.meta, "level": self.level, "dropped": self.dropped}
        files.save(Path(path), head, self)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """The trace that ``save`` wrote. Raises ``ValueError`` for a file that is not one."""
        head, events = files.load(Path(path))
        trace = cls(level=head["level"], limit=max(DEFAULT_LIMIT, len(events)))
        trace.meta, trace.dropped = head["meta"], head["dropped"]
        trace.extend(events)
        trace._seq = max((event.seq for event in events), default=0)
        return trace

    def to_perfetto(self, path: str | Path) -> Path:
        """Write Chrome's trace format, which ui.perfetto.dev opens: machines as processes, nodes as
        threads."""
        return export.to_perfetto(list(self), Path(path))

    def to_shiviz(self, path: str | Path) -> Path:
        """Write ShiViz's log format: one line an event, with its vector clock. Needs level ``"messages"``."""
        if not self.messages:
            raise LabError(
                "ShiViz draws messages, and this trace has none: make the cluster with "
                f'trace="messages", not {self.level!r}'
            )
        return export.to_shiviz(list(self), Path(path))
