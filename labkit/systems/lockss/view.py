"""What an archive's events add up to at a position of the trace: one fold, read by the panel, the time line
and the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

__all__ = ["ArchiveReducer", "ArchiveState", "PeerView", "PollView", "VoteView"]


@dataclass(frozen=True)
class PeerView:
    """A library."""

    name: str
    number: int
    malign: bool
    machine: str


@dataclass(frozen=True)
class VoteView:
    """One vote, as its poller has it."""

    time: float
    seq: int
    voter: str
    circle: str  #: inner or outer
    against: tuple[int, ...]  #: blocks that are not as the poller's


@dataclass(frozen=True)
class PollView:
    """A library's poll, under way or over."""

    poller: str
    unit: str
    number: int
    began: float
    votes: tuple[VoteView, ...] = ()
    outcome: str = ""  #: win, loss, inconclusive or inquorate
    ended: float | None = None
    repaired: int = 0
    alarm: bool = False


@dataclass
class ArchiveState:
    """An archive so far. A replica is (library, unit)."""

    lab: Machines = field(default_factory=Machines)
    peers: dict[str, PeerView] = field(default_factory=dict)
    good: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: unit: versions that were published
    versions: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    bad: dict[tuple[str, str], int] = field(default_factory=dict)  #: replica: how many blocks, if any
    refs: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    polls: dict[tuple[str, str], PollView] = field(default_factory=dict)  #: of each library the last
    latest: tuple[str, str] | None = None  #: whose poll was called, or had a vote, last
    outcomes: Counter[str] = field(default_factory=Counter)
    alarms: list[tuple[float, str, str]] = field(default_factory=list)  #: time, library, unit
    strikes: list[float] = field(default_factory=list)
    damages: int = 0
    repairs: int = 0
    rejected: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    rate: float | None = None  #: of rot, if it was changed
    #: time, loyal replicas with a bad block
    damage: list[tuple[float, int]] = field(default_factory=list)
    #: time, share of minions in the reference lists of loyal libraries
    foothold: list[tuple[float, float]] = field(default_factory=list)
    malign: frozenset[int] = frozenset()

    @property
    def loyal(self) -> int:
        """Loyal replicas."""
        return sum(not self.peers[name].malign for name, _ in self.versions)

    @property
    def bad_loyal(self) -> int:
        """Loyal replicas in which something is bad."""
        return sum(not self.peers[name].malign for name, _ in self.bad)

    def lost(self) -> list[tuple[str, int]]:
        """(unit, block) that half of the loyal replicas, or more, have not as published any more: from here
        on votes are against the good one (our definition of irrecoverable)."""
        found = []
        for unit, good in self.good.items():
            mine = [v for (name, u), v in self.versions.items() if u == unit and not self.peers[name].malign]
            for block, version in enumerate(good):
                if mine and 2 * sum(each[block] != version for each in mine) >= len(mine):
                    found.append((unit, block))
        return found

    def share(self, replica: tuple[str, str]) -> float:
        """Of minions in a reference list."""
        refs = self.refs.get(replica, ())
        return sum(peer in self.malign for peer in refs) / len(refs) if refs else 0.0

    def set_versions(self, replica: tuple[str, str], versions: tuple[str, ...], time: float) -> None:
        """A replica is like this from now on."""
        self.versions[replica] = versions
        good = self.good.get(replica[1], versions)
        wrong = sum(a != b for a, b in zip(versions, good, strict=False))
        before = self.bad_loyal
        self.bad.pop(replica, None)
        if wrong:
            self.bad[replica] = wrong
        if self.bad_loyal != before:
            self.damage.append((time, self.bad_loyal))

    def set_block(self, replica: tuple[str, str], block: int, version: str, time: float) -> None:
        """One block of it is."""
        old = self.versions.get(replica)
        if old is not None:
            self.set_versions(replica, (*old[:block], version, *old[block + 1 :]), time)

    def set_refs(self, replica: tuple[str, str], refs: tuple[int, ...], time: float) -> None:
        """A reference list is like this from now on."""
        self.refs[replica] = tuple(refs)
        shares = [self.share(each) for each in self.refs if not self.peers[each[0]].malign]
        if shares and self.malign:
            self.foothold.append((time, sum(shares) / len(shares)))


class ArchiveReducer:
    """Folds the events of one archive, beginning with machines that are known, if any."""

    def __init__(self, name: str = "", known: Sequence[MachineView] = ()) -> None:
        self.prefix, self.known = f"{name}-" if name else "", known

    def initial(self) -> ArchiveState:
        """Nothing yet."""
        return ArchiveState(Machines.known(self.known))

    def apply(self, state: ArchiveState, event: Any) -> None:
        """Fold one event."""
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is None or event.node is None:
            return
        if event.node.startswith(self.prefix) or f"{event.data.get('archive')}-" == self.prefix:
            handler(state, event, event.data)


def _opened(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    number, replica = data["number"], (event.node, data["unit"])
    state.peers[event.node] = PeerView(event.node, number, data["malign"], event.machine)
    if data["malign"]:
        state.malign |= {number}
    state.set_versions(replica, tuple(data["versions"]), event.time)
    state.set_refs(replica, data["refs"], event.time)


def _collected(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.good.setdefault(data["unit"], tuple(data["versions"]))


def _poll_called(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    replica = state.latest = (event.node, data["unit"])
    state.polls[replica] = PollView(event.node, data["unit"], data["number"], event.time)


def _of(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> tuple[tuple[str, str], PollView] | None:
    """The poll that an event of its poller is about."""
    unit = data.get("unit")
    for replica, poll in state.polls.items() if unit is None else (((event.node, unit), None),):
        poll = poll or state.polls.get(replica)
        if poll is not None and replica[0] == event.node and poll.number == data["poll"][2]:
            return replica, poll
    return None


def _vote_received(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    if (found := _of(state, event, data)) is not None:
        replica, poll = found
        vote = VoteView(event.time, event.seq, data["voter"], data["circle"], tuple(data["against"]))
        state.polls[replica] = replace(poll, votes=(*poll.votes, vote))
        state.latest = replica


def _evaluated(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    if (found := _of(state, event, data)) is not None:
        state.polls[found[0]] = replace(found[1], outcome=data["outcome"])


def _finished(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.outcomes[data["outcome"]] += 1
    if (found := _of(state, event, data)) is not None:
        state.polls[found[0]] = replace(found[1], outcome=data["outcome"], ended=event.time)
    state.set_refs((event.node, data["unit"]), data["refs"], event.time)


def _repaired(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.repairs += 1
    if (found := _of(state, event, data)) is not None:
        state.polls[found[0]] = replace(found[1], repaired=found[1].repaired + 1)
    state.set_block((event.node, data["unit"]), data["block"], data["version"], event.time)


def _damaged(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.damages += 1
    state.set_block((event.node, data["unit"]), data["block"], data["version"], event.time)


def _alarm(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.alarms.append((event.time, event.node, data["unit"]))
    if (found := _of(state, event, data)) is not None:
        state.polls[found[0]] = replace(found[1], alarm=True)


def _struck(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.strikes.append(event.time)


def _rejected(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.rejected += 1


def _refused(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.refused[data["reason"]] += 1


def _rot_changed(state: ArchiveState, event: Any, data: Mapping[str, Any]) -> None:
    state.rate = data["rate"]


_HANDLERS: dict[str, Callable[[ArchiveState, Any, Mapping[str, Any]], None]] = {
    "opened": _opened, "collected": _collected, "poll_called": _poll_called, "vote_received": _vote_received,
    "poll_evaluated": _evaluated, "poll_finished": _finished, "repaired": _repaired, "damaged": _damaged,
    "alarm": _alarm, "struck": _struck, "repair_rejected": _rejected, "refused": _refused,
    "rot_changed": _rot_changed,
}  # fmt: skip
