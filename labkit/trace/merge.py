"""One order for the events of many machines.

On real processes each machine records its own events and reports them in batches, so the batches of different
machines arrive interleaved. ``MergedTrace`` puts every event into its place by time, and knows how far the
order is final: up to the *watermark*, the earliest time up to which every machine that is waited for has
reported. Views and panels read up to there (``Trace.settled``), and so see one order, as in the simulator.

A machine that is dead or paused is not waited for, nor is one that has not reported for ``PATIENCE`` seconds.
What it reports later than that goes to its place all the same, is marked (``Trace.late``), and makes a view
fold again from there (``Trace.rewritten``).

Who has been answered may look at once for what the answer comes from. So a program that reads waits until the
order is final up to then (``catch_up``), which is one question to each machine; of one that does not report,
what others may have heard of is read where it has recorded it. Panels, which look ten times a second, do not
wait.

The clocks of processes on one host are one clock. A machine on another host has a clock of its own: its
events are shifted by what the first exchange with it said (``Stream.offset``), and further wherever an event
would come before the event that caused it, as Lamport's clocks are (Time, Clocks, and the Ordering of Events
in a Distributed System, CACM 1978, rule IR2).
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from math import inf, nextafter
from typing import Any

from labkit.trace.event import Event
from labkit.trace.trace import PLACE, TIME, Row, Trace

__all__ = ["PATIENCE", "MergedTrace", "Stream"]

#: Seconds that the order waits for a machine's report. Machines report ten times a second.
PATIENCE = 1.0
#: Seconds for which somebody who has asked how far the order is final is taken to be interested.
INTEREST = 5.0
#: Events whose times are remembered, to compare with those that they cause on hosts with other clocks.
CAUSES = 20_000


@dataclass
class Stream:
    """What is known of one machine's reports."""

    until: float  #: it has reported every event up to this time
    heard: float  #: when it last did so, on our clock
    own_clock: bool = False  #: its clock is not ours
    offset: float = 0.0  #: what is added to its times


class MergedTrace(Trace):
    """A trace that several threads write, and several machines report to; see the module's text."""

    def __init__(self, *args: Any, clock: Callable[[], float] = time.monotonic, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._writing = threading.RLock()
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self._quiet: dict[str, Stream] = {}  #: who is not waited for, as it was when it last was
        self._asked = float("-inf")
        self._times: dict[int, float] = {}  #: an event's seq to its time, where clocks differ
        self._silent: dict[str, float] = {}  #: who is not waited for, and up to when it has reported
        self._lost: list[tuple[str, float]] = []  #: who died, and up to when it had reported
        self._caught_up = float("-inf")
        self.before_reading: Callable[[bool], None] = lambda whole: None  #: the engine's part of ``catch_up``

    # machines ------------------------------------------------------------

    def expect(self, machine: str, now: float, own_clock: bool = False, offset: float = 0.0) -> None:
        """From now on the machine reports: ``now`` is our time, ``offset`` is ours minus its own."""
        with self._writing:
            self._streams[machine] = Stream(now, self._clock(), own_clock, offset)
            self._silent.pop(machine, None)
            self._quiet.pop(machine, None)

    def goes_on(self, machine: str, now: float) -> None:
        """It was paused: it reports again, and its clock is what it was."""
        with self._writing:
            before = self._quiet.get(machine, Stream(now, now))
            self.expect(machine, now, before.own_clock, before.offset)

    def forget(self, machine: str) -> None:
        """It is paused: nobody waits for what it may still report."""
        with self._writing:
            stream = self._streams.pop(machine, None)
            if stream is not None:
                self._silent[machine] = stream.until
                self._quiet[machine] = stream

    def died(self, machine: str) -> None:
        """It is dead: what it had not reported yet nobody will ever know."""
        with self._writing:
            self.forget(machine)
            if machine in self._silent:
                self._lost.append((machine, self._silent.pop(machine)))

    def overdue(self, until: float) -> list[str]:
        """Machines that live and have not reported everything up to this time."""
        with self._writing:
            reported = {**self._silent, **{name: each.until for name, each in self._streams.items()}}
            return [name for name, moment in reported.items() if moment <= until]

    def overheard(self, machine: str, rows: Iterable[Row]) -> list[Row]:
        """Events that a machine had recorded before others could notice anything of them, and has not
        reported; with our times."""
        with self._writing:
            stream = self._streams.get(machine) or self._quiet.get(machine)
            batch = self._on_our_clock(stream, [tuple(row) for row in rows])
            self.extend(batch)
            return batch

    def recovered(self, machine: str, rows: Iterable[Row]) -> None:
        """As ``overheard``, of a dead machine."""
        with self._writing:
            batch = self.overheard(machine, rows)
            for number in range(len(self._lost) - 1, -1, -1):
                if batch and self._lost[number][0] == machine:
                    self._lost[number] = machine, max(self._lost[number][1], batch[-1][0])
                    break

    @property
    def awaited(self) -> bool:
        """Whether somebody reads up to the watermark, so that silent machines should report, too."""
        return self._clock() - self._asked < INTEREST

    # writing ------------------------------------------------------------

    def record(self, *row: Any) -> int:
        """See ``Trace.record``."""
        with self._writing:
            seq = super().record(*row)
            self._settle_last()
            return seq

    def record_message(self, *row: Any) -> int:
        """See ``Trace.record_message``."""
        with self._writing:
            seq = super().record_message(*row)
            self._settle_last()
            return seq

    def _settle_last(self) -> None:
        """The event just recorded may belong before some that others have reported."""
        if len(self._rows) > 1 and PLACE(self._rows[-2]) > PLACE(self._rows[-1]):
            with self._lock:
                row = self._rows.pop()
                insort(self._rows, row, key=PLACE)
                if row[0] <= self._shown:
                    self._came_late([row])

    def report(self, machine: str, rows: Iterable[Row], until: float) -> None:
        """A machine's events since its last report, in its order, and the time up to which these are all."""
        with self._writing:
            stream = self._streams.get(machine)
            batch = self._on_our_clock(stream or self._quiet.get(machine), [tuple(row) for row in rows])
            if stream is not None:
                stream.until = max(stream.until, until + stream.offset)
                stream.heard = self._clock()
            self.extend(batch)

    def extend(self, rows: Iterable[Row]) -> None:
        """See ``Trace.extend``."""
        with self._writing:
            super().extend(rows)

    def _on_our_clock(self, stream: Stream | None, batch: list[Row]) -> list[Row]:
        """The events with our times. No event comes before the one that caused it."""
        known = [*self._streams.values(), *self._quiet.values()]
        if stream is not None and any(each.own_clock for each in known):
            batch = [self._after_its_cause(stream, row) for row in batch]
            while len(self._times) > CAUSES:
                del self._times[next(iter(self._times))]
        return batch

    def _after_its_cause(self, stream: Stream, row: Row) -> Row:
        cause = self._times.get(row[6], float("-inf"))
        if stream.own_clock and row[0] + stream.offset < cause:
            stream.offset = cause - row[0]
        moment = row[0] + stream.offset
        self._times[row[1]] = moment
        return (moment, *row[1:])

    # reading ------------------------------------------------------------

    def catch_up(self, whole: bool = False) -> None:
        """See ``Trace.catch_up``."""
        self.before_reading(whole)

    def watermark(self) -> float:
        """The time before which every machine that is waited for has reported everything."""
        with self._writing:
            patient = self._clock() - PATIENCE
            awaited = [each.until for each in self._streams.values() if each.heard >= patient]
            return min(awaited, default=float("inf"))

    def complete_until(self, machines: Collection[str]) -> tuple[float, str]:
        """See ``Trace.complete_until``."""
        with self._writing:
            gaps = [*self._lost, *self._silent.items()]
            return min(
                ((until, machine) for machine, until in gaps if machine in machines),
                default=(float("inf"), ""),
            )

    def settled(self) -> int:
        """See ``Trace.settled``: the events before the watermark."""
        self._asked = self._clock()
        return self.dropped + bisect_left(self._rows, max(self.watermark(), self._caught_up), key=TIME)

    def caught_up(self, until: float) -> None:
        """All up to this time is here that anybody can have heard of. An old report that comes now, of a
        machine that was not waited for, does not change that."""
        self._caught_up = max(self._caught_up, nextafter(until, inf))

    def fresh(self, count: int, rewritten: int) -> tuple[int, list[Event], int]:
        """See ``Trace.fresh``."""
        with self._writing:
            return super().fresh(count, rewritten)
