"""What must hold of every file server, judged on its trace (SYSTEMS.md §1(f)); on both engines.

======================  ==============================================================================
I1 AcknowledgedStays    a write that a client was told of is there after any restart of the server
I2 SameServer           a restarted server has the files of the one that crashed (simulator only: a
                        killed process cannot tell of its last change)
I3 HandleOfOneFile      no two files ever have the same handle, and none is changed when it is gone
I5 ExecutedOnce         with the duplicate request cache no change is carried out twice in its window
I6 Tree                 link counts, entries and directories fit; no two hold locks that exclude each other
I7 NoStaleRead          without a cache a read has all that was on the disk when it began; with
                        close-to-open it has all that was closed before the file was opened
======================  ==============================================================================

I4, that idempotent calls can be repeated, is a property of the procedures: it is tested by repeating them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from labkit.parts.checks import Findings, Violation
from labkit.trace.words import many

from .view import FilesReducer, FilesState

__all__ = ["Replay", "Report", "judge"]

File = tuple[int, int]  # fileid, generation


@dataclass
class Report(Findings):
    """What replaying a run found."""

    changes: int = 0
    reads: int = 0
    stale: int = 0  #: reads of something old; where the consistency allows them they are no violation
    restarts: int = 0

    def __str__(self) -> str:
        reads = f"{many(self.reads, 'read')} ({self.stale} stale)"
        head = f"{many(self.changes, 'change')}, {reads} and {many(self.restarts, 'restart')}"
        return "\n".join(self.lines(head))


class Replay:
    """Judges the events of one server and its clients, in their order."""

    def __init__(self, name: str, exact: bool) -> None:
        self.prefix, self.exact = f"{name}-", exact
        self.report = Report()
        self.reducer = FilesReducer(name)
        self.view: FilesState = self.reducer.initial()
        self.started = False
        self.state: int | None = None
        self.acknowledged: dict[File, int] = {}
        self.by_client: dict[tuple[str, File], int] = {}
        self.closed: dict[File, tuple[float, int]] = {}
        self.opened: dict[tuple[str, File], tuple[float, int]] = {}
        self.known: set[File] = set()
        self.freed: set[File] = set()
        self.replies: dict[tuple[str, int, str], tuple[int, float]] = {}
        self.carried_out, self.window, self.seconds = 0, 0, 0.0

    def apply(self, event: Any) -> None:
        """Judge one event."""
        if event.kind == "disk_lost" and event.machine == self.view.lab.places.get(f"{self.prefix}server"):
            self.acknowledged.clear()  # no server promises anything about a disk that was replaced
            self.started = False
        if event.node is not None and event.node.startswith(self.prefix):
            handler = getattr(self, f"on_{event.kind}", None)
            if handler is not None:
                handler(event, event.data)
            if "state" in event.data and event.kind != "server_started":
                self.state = event.data["state"]
        self.reducer.apply(self.view, event)

    def on_server_started(self, event: Any, data: Any) -> None:
        self.window, self.seconds = data["window"], data["window_seconds"]
        self.replies.clear()
        self.report.restarts += self.started
        if self.started and self.exact and data["state"] != self.state:
            self.report.broken(event, "SameServer", "the files are not those of before the crash")
        for (fileid, generation), change in self.acknowledged.items():
            if (fileid, generation) in self.freed:
                continue
            found = data["changes"].get(fileid, data["changes"].get(str(fileid)))
            lost = found is not None and found[0] == generation and found[1] < change
            if lost or (self.exact and found is None and data["files"] == len(data["changes"])):
                self.report.broken(
                    event, "AcknowledgedStays", f"change {change} of file {fileid} is not there"
                )
        self.started, self.state = True, data["state"]

    def on_write_acknowledged(self, event: Any, data: Any) -> None:
        file = (data["fileid"], data["generation"])
        self.acknowledged[file] = max(self.acknowledged.get(file, 0), data["change"])
        key = (event.node, file)
        self.by_client[key] = max(self.by_client.get(key, 0), data["change"])

    def on_executed(self, event: Any, data: Any) -> None:
        self.report.changes += 1
        self.carried_out += 1
        key = (data["client"], data["xid"], data["procedure"])
        if not data["remembered"]:
            return
        before = self.replies.get(key)
        if before and self.carried_out - before[0] < self.window and event.time - before[1] < self.seconds:
            self.report.broken(event, "ExecutedOnce", f"{data['procedure']} of {data['client']} twice")
        self.replies[key] = (self.carried_out, event.time)

    def on_duplicates_set(self, event: Any, data: Any) -> None:
        self.replies.clear()

    def on_entry_made(self, event: Any, data: Any) -> None:
        file = (data["fileid"], data["generation"])
        if data["new"] and file in self.known:
            self.report.broken(event, "HandleOfOneFile", f"{data['name']!r} has the handle of another file")
        self.known.add(file)

    def on_freed(self, event: Any, data: Any) -> None:
        self.freed.add((data["fileid"], data["generation"]))

    def on_wrote(self, event: Any, data: Any) -> None:
        if (data["fileid"], data["generation"]) in self.freed:
            self.report.broken(event, "HandleOfOneFile", f"file {data['fileid']} is changed, and is gone")

    on_attributes_set = on_wrote

    def on_lock_granted(self, event: Any, data: Any) -> None:
        for one, other in combinations(data["held"], 2):
            overlap = one[2] < other[3] and other[2] < one[3]
            if overlap and tuple(one[:2]) != tuple(other[:2]) and (one[4] or other[4]):
                self.report.broken(event, "Tree", f"{one[0]} and {other[0]} hold locks on the same bytes")

    def on_file_closed(self, event: Any, data: Any) -> None:
        file = (data["fileid"], data["generation"])
        change = self.by_client.get((event.node, file), 0)
        if change > self.closed.get(file, (0.0, 0))[1]:
            self.closed[file] = (event.time, change)

    def on_file_opened(self, event: Any, data: Any) -> None:
        file = (data["fileid"], data["generation"])
        self.opened[event.node, file] = (event.time, data["change"])
        when, change = self.closed.get(file, (float("inf"), 0))
        if data["mode"] == "close-to-open" and when <= data["began"] and data["change"] < change:
            self.report.broken(
                event, "NoStaleRead",
                f"{event.node} opened {data['path']} at change {data['change']}; {change} was closed before",
            )  # fmt: skip

    def on_file_read(self, event: Any, data: Any) -> None:
        file, began = (data["fileid"], data["generation"]), data["began"]
        self.report.reads += 1
        since, validated = self.opened.get((event.node, file), (float("inf"), 0))
        stale = False
        for i, change, _, dirty in data["blocks"]:
            later = [
                number
                for number, who, time in self.view.changes.get((*file, i), ())
                if number > change and who != event.node and time <= began
            ]
            stale = stale or bool(later)
            bad = data["mode"] == "no cache" and later
            if data["mode"] == "close-to-open" and since <= began and not dirty:
                bad = [number for number in later if number <= validated]
            if bad:
                self.report.broken(
                    event, "NoStaleRead",
                    f"{event.node} read block {i} of file {file[0]} of change {change}, without {min(bad)}",
                )  # fmt: skip
        self.report.stale += stale


def judge(events: Iterable[Any], name: str, faults: list[str], now: float, exact: bool) -> Report:
    """All events of a run. faults: what the server's own audit has found; exact: nothing was left untold."""
    replay = Replay(name, exact)
    for event in events:
        replay.apply(event)
    replay.report.violations += [Violation(now, "Tree", fault) for fault in faults]
    return replay.report
