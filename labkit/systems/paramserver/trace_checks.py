"""The invariants at every step of a recorded run. For traces of the simulator, which are in causal order.

The servers' events tell each change that was made to each copy of each range; replaying them gives every
server's history at every instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labkit.parts.checks import Findings, Violation

from .invariants import Change, applied_twice, runs_ahead, unseen

__all__ = ["Report", "Violation", "check_trace"]

Bounds = tuple[int, int]


@dataclass
class Report(Findings):
    """What replaying a trace found."""

    pushes: int = 0
    reads: int = 0
    clocks: int = 0
    #: Why some promises are off: more servers died than there are copies.
    suspended: str = ""

    def __str__(self) -> str:
        lines = self.lines({"push": self.pushes, "read": self.reads, "clock": self.clocks})
        return "\n".join([*lines, f"not all was judged: {self.suspended}"] if self.suspended else lines)


class Copy:
    """A server's copy of a range: its history, and what a read of it sees."""

    def __init__(self, history: Iterable[Change] = ()) -> None:
        self.history: list[Change] = []
        self.parts: dict[tuple[str, str, int], list[Change]] = {}  #: by push
        self.visible: dict[tuple[str, str, int], None] = {}
        self.judged: dict[str, int] = {}  #: by run: iterations that reads of it were found to see
        for change in history:
            self.add(change)

    def add(self, change: Change) -> None:
        """One more change."""
        self.history.append(change)
        if change.source:
            self.parts.setdefault(change.push, []).append(change)
        if change.kind == "applied":
            self.visible[change.push] = None
        for push in change.pushes:
            self.visible[push] = None


class _Replay:
    def __init__(self) -> None:
        self.report = Report()
        self.copies: dict[str, dict[Bounds, Copy]] = {}
        self.chains: dict[Bounds, list[str]] = {}
        self.machine_of: dict[str, str] = {}
        self.dead: dict[str, None] = {}
        self.empty: dict[str, None] = {}  #: servers that were started and have been given no range since
        #: By range: the latest view in which somebody took a push for it, and who.
        self.masters: dict[Bounds, tuple[int, str]] = {}
        self.run = ""  #: what the sources of the run under way begin with
        self.finished: dict[int, int] = {}  #: by living shard
        self.bounds: dict[str, int | None] = {}  #: by source: the bound under which it runs
        self.clock_of: dict[tuple[str, str, int], tuple[int, int]] = {}  #: by push: shard and iteration
        #: By shard and iteration: the source that has finished it.
        self.finished_by: dict[tuple[int, int], str] = {}
        #: By run and range: the latest iteration that a read of it had to see.
        self.horizons: dict[tuple[str, Bounds], int] = {}
        self.sources: dict[int, str] = {}  #: by shard: who it is to the servers now
        #: Acknowledged pushes: the keys they were applied to.
        self.acknowledged: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
        #: By iteration: its acknowledged pushes.
        self.of_clock: dict[int, list[tuple[str, str, int]]] = {}

    def apply(self, event: Any) -> None:
        """One event."""
        handler = getattr(self, f"on_{event.kind}", None)
        if handler is not None:
            handler(event, event.data)

    # who is there ------------------------------------------------------------

    def on_node_started(self, event: Any, data: Any) -> None:
        self.machine_of[event.node] = event.machine
        self.dead.pop(event.node, None)
        self.empty[event.node] = None
        self.copies.pop(event.node, None)

    def on_killed(self, event: Any, data: Any) -> None:
        for node, machine in self.machine_of.items():
            if machine == event.machine:
                self.dead[node] = None
        # The manager will say so only when it has noticed.
        gone = self.dead.keys() | self.empty.keys()
        if any(chain and gone.issuperset(chain) for chain in self.chains.values()):
            self._all_copies_died()

    def on_replaced(self, event: Any, data: Any) -> None:
        self.copies.pop(event.node, None)

    def on_view(self, event: Any, data: Any) -> None:
        bounds = [tuple(each) for each in data["bounds"]]
        self.chains = {b: chain for b, (_, _, chain) in zip(bounds, data["ranges"], strict=True)}

    def on_range_lost(self, event: Any, data: Any) -> None:
        self._all_copies_died()

    def _all_copies_died(self) -> None:
        self.report.suspended = "every copy of a range was lost"

    def on_became(self, event: Any, data: Any) -> None:
        """A server has a range now: what it had, or what it was sent."""
        self.empty.pop(event.node, None)
        bounds, seq = tuple(data["range"]), data["seq"]
        own = self.copies.setdefault(event.node, {})
        if bounds in own and len(own[bounds].history) == seq:
            return
        chain = [self.copies.get(server, {}) for server in self.chains.get(bounds, [])]
        for copies in [own, *chain, *self.copies.values()]:
            for (lo, hi), copy in copies.items():
                if lo <= bounds[0] and bounds[1] <= hi and len(copy.history) >= seq:
                    own[bounds] = Copy(copy.history[:seq])
                    return
        own[bounds] = Copy([Change("other")] * seq)

    # changes ------------------------------------------------------------

    def _master(self, event: Any, data: Any) -> Copy:
        bounds, view = tuple(data["range"]), data.get("view")
        if view is not None:
            for other, (latest, who) in self.masters.items():
                overlap = other[0] < bounds[1] and bounds[0] < other[1]
                if overlap and (view < latest or (view == latest and who != event.node)):
                    self.report.broken(
                        event, "OneMaster", f"{event.node} in view {view}, {who} in view {latest}"
                    )
            self.masters = {
                other: known
                for other, known in self.masters.items()
                if not (other[0] < bounds[1] and bounds[0] < other[1])
            } | {bounds: (view, event.node)}
        return self.copies.setdefault(event.node, {}).setdefault(bounds, Copy())

    def _changed(self, event: Any, copy: Copy, seq: int, change: Change) -> None:
        while len(copy.history) < seq - 1:  # changes from before the trace begins
            copy.add(Change("other"))
        if applied_twice(copy.parts.get(change.push, ()), change):
            self.report.broken(event, "AppliedOnce", f"{event.node} applies {change.push} again")
        copy.add(change)

    def on_applied(self, event: Any, data: Any) -> None:
        copy = self._master(event, data)
        change = Change(event.kind, data["vector"], data["source"], data["timestamp"], data["lo"], data["hi"])
        self._changed(event, copy, data["seq"], change)
        self.report.pushes += 1
        if data["clock"] is not None:
            self.clock_of[change.push] = (data["shard"], data["clock"])
            if event.kind == "applied":
                self._judge_late(event, change.push, tuple(data["range"]))

    on_buffered = on_assigned = on_applied

    def on_round_applied(self, event: Any, data: Any) -> None:
        copy = self._master(event, data)
        pushes = tuple(tuple(push) for push in data["pushes"])
        self._changed(event, copy, data["seq"], Change("round_applied", pushes=pushes))
        for push in pushes:
            self._judge_late(event, push, tuple(data["range"]))

    def on_copied(self, event: Any, data: Any) -> None:
        """A replica has applied a record: the changes first … last of its predecessor's."""
        bounds = tuple(data["range"])
        own = self.copies.setdefault(event.node, {}).setdefault(bounds, Copy())
        source = self.copies.get(data["source"], {}).get(bounds)
        if data["first"] != len(own.history) + 1 or source is None or len(source.history) < data["last"]:
            self.report.broken(
                event, "PrefixOfPredecessor", f"{event.node} applies {data} to {len(own.history)} changes"
            )
            return
        for change in source.history[data["first"] - 1 : data["last"]]:
            own.add(change)

    # promises ------------------------------------------------------------

    def on_acknowledged(self, event: Any, data: Any) -> None:
        push = (data["vector"], data["source"], data["timestamp"])
        covered: list[tuple[int, int]] = []
        for bounds, chain in self.chains.items():
            copies = {
                server: self.copies.get(server, {}).get(bounds) for server in chain if server not in self.dead
            }
            parts = {server: copy.parts.get(push, []) for server, copy in copies.items() if copy is not None}
            if not any(parts.values()):
                continue
            missing = [server for server, found in parts.items() if not found]
            if missing and not self.report.suspended:
                self.report.broken(event, "AcknowledgedIsCopied", f"{push} is not at {', '.join(missing)}")
            covered += [(part.lo, part.hi) for part in next(found for found in parts.values() if found)]
        self.acknowledged[push] = sorted(covered)
        if push in self.clock_of:
            self.of_clock.setdefault(self.clock_of[push][1], []).append(push)

    def on_read(self, event: Any, data: Any) -> None:
        bounds = tuple(data["range"])
        copy = self.copies.get(event.node, {}).get(bounds)
        self.report.reads += 1
        if copy is None:
            return
        for server in self.chains.get(bounds, []):
            other = self.copies.get(server, {}).get(bounds)
            if other is not None and server not in self.dead and len(other.history) < data["seq"]:
                self.report.broken(
                    event,
                    "ReadsAreCommitted",
                    f"{event.node} shows {data['seq']} changes, {server} has {len(other.history)}",
                )
        self._judge_past(event, data, copy)

    def _judge_past(self, event: Any, data: Any, copy: Copy) -> None:
        """Is everything there that was acknowledged and is old enough?"""
        bound, clock = self.bounds.get(data["source"]), data["clock"]
        if bound is None or clock is None:
            return
        horizon = clock - bound - 1
        run = data["source"].split("/")[0]
        known = self.horizons.get((run, tuple(data["range"])), -1)
        self.horizons[run, tuple(data["range"])] = max(known, horizon)
        for past in range(copy.judged.get(run, 0), horizon + 1):
            pushes = [push for push in self.of_clock.get(past, []) if push[1].split("/")[0] == run]
            # What a worker pushed before it died, in an iteration that was done again, is in no round.
            wanted = [push for push in pushes if push in copy.parts and self._counts(push)]
            for push in unseen(wanted, copy.visible):
                self.report.broken(event, "ReadsSeeTheirPast", f"{data} without {push} of iteration {past}")
        copy.judged[run] = max(copy.judged.get(run, 0), horizon + 1)

    def _counts(self, push: tuple[str, str, int]) -> bool:
        return self.finished_by.get(self.clock_of[push]) == push[1]

    def _judge_late(self, event: Any, push: tuple[str, str, int], bounds: Bounds) -> None:
        """A push appears now: has somebody read who should have seen it?"""
        shard, clock = self.clock_of.get(push, (-1, -1))
        run = push[1].split("/")[0]
        horizon = self.horizons.get((run, bounds), -1)
        if shard in self.finished and self.sources.get(shard) == push[1] and 0 <= clock <= horizon:
            self.report.broken(
                event,
                "ReadsSeeTheirPast",
                f"{push} of iteration {clock} is applied after a read that had to see iteration {horizon}",
            )

    # clocks ------------------------------------------------------------

    def on_training_started(self, event: Any, data: Any) -> None:
        self.run = f"run-{data['run']}/"
        self.finished = dict.fromkeys(range(data["shards"]), 0)
        self.of_clock.clear()

    def on_iteration_finished(self, event: Any, data: Any) -> None:
        if data["shard"] in self.finished:
            self.finished[data["shard"]] = data["iterations"]
        self.finished_by[data["shard"], data["iterations"] - 1] = data["source"]

    def on_shard_over(self, event: Any, data: Any) -> None:
        self.finished.pop(data["shard"], None)

    def on_clock(self, event: Any, data: Any) -> None:
        if not data["source"].startswith(self.run):
            return  # of a run that was cancelled: the worker has not heard of it yet
        self.report.clocks += 1
        self.bounds[data["source"]] = data["bound"]
        self.sources[data["shard"]] = data["source"]
        behind = runs_ahead(data["clock"], data["bound"], self.finished)
        if behind:
            self.report.broken(
                event,
                "BoundedDelay",
                f"shard {data['shard']} begins {data['clock']} (bound {data['bound']}); "
                f"finished: {[(shard, self.finished[shard]) for shard in behind]}",
            )

    # the end ------------------------------------------------------------

    def finish(self, last: Any) -> None:
        """What was acknowledged is still there, at every server that is to have it."""
        if self.report.suspended:
            return
        for push, covered in self.acknowledged.items():
            found: list[tuple[int, int]] = []
            for bounds, chain in self.chains.items():
                alive = [server for server in chain if server not in self.dead]
                copies = [self.copies.get(server, {}).get(bounds) for server in alive]
                parts = [copy.parts.get(push, []) for copy in copies if copy is not None]
                if parts:
                    found += [(part.lo, part.hi) for part in min(parts, key=len)]
            lost = [(lo, hi) for lo, hi in covered if not any(a <= lo and hi <= b for a, b in found)]
            if lost:
                self.report.broken(last, "AcknowledgedSurvives", f"{push} is gone from keys {lost}")


def check_trace(trace: Iterable[Any]) -> Report:
    """Replay a trace of level "domain" or "messages", of one parameter server in the simulator."""
    replay = _Replay()
    last = None
    for last in trace:
        replay.apply(last)
    if last is not None:
        replay.finish(last)
    return replay.report
