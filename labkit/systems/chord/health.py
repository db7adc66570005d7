"""A ring's state of health: the invariants judged, what differs from the ideal, and whether every key has its
copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from labkit.trace.words import many

from .ids import NamedId
from .invariants import Pointers, Verdict, judge, not_ideal, with_names
from .options import Settings
from .single import IdealRing

__all__ = ["Health", "examine", "latest_copies"]

Reports = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Health:
    """What the members said about themselves at one moment, judged."""

    members: int
    #: Members whose machine lives but that did not answer or have not joined yet.
    absent: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    #: What stabilisation still has to repair, in words; empty in the ideal state.
    differences: tuple[str, ...] = field(repr=False)
    keys: int
    #: Keys with fewer copies than promised at the members that should hold them.
    scarce: tuple[Any, ...] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether every invariant that the protocol promises holds."""
        return all(verdict.holds for verdict in self.verdicts if verdict.expected)

    @property
    def ideal(self) -> bool:
        """Whether nothing is left to repair: every pointer exact, every key with all its copies."""
        return not self.differences and not self.scarce and not self.absent

    @property
    def state(self) -> str:
        """In one word; nothing can be said of members that do not answer."""
        if not self.verdicts:
            return "silent" if self.members else "dead"
        return "ideal" if self.ideal else "stabilising" if self.ok else "broken"

    def __str__(self) -> str:
        keys = f"{many(self.keys, 'key')}, {len(self.scarce)} with too few copies"
        lines = [f"{many(self.members, 'member')}, {self.state}; {keys}"]
        lines += [f"  {verdict}{_promise(verdict)}" for verdict in self.verdicts]
        lines += [f"  to repair: {difference}" for difference in self.differences[:5]]
        if len(self.differences) > 5:
            lines.append(f"  … and {len(self.differences) - 5} more differences")
        if self.absent:
            lines.append(f"  silent or not joined: {', '.join(self.absent)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(v.name)}</td><td>{'✓ holds' if v.holds else '✗ broken'}</td>"
            f"<td>{'must hold' if v.expected else 'no promise'}</td><td>{escape(v.detail)}</td></tr>"
            for v in self.verdicts
        )
        head = escape(str(self).splitlines()[0])
        columns = "<tr><th>invariant</th><th>now</th><th>theory</th><th></th></tr>"
        return f"<table><caption>{head}</caption>{columns}{rows}</table>"


def _promise(verdict: Verdict) -> str:
    return "" if verdict.holds or verdict.expected else " (the published protocol does not promise it)"


def examine(
    reports: Reports,
    disks: Reports,
    names: Mapping[int, str],
    living: int,
    absent: tuple[str, ...],
    settings: Settings,
    promised: bool,
    fingers: bool,
) -> Health:
    """Judge what the members reported. ``disks``: of all that answered, also of nodes that are members no
    more, or not yet; what they hold is counted, too. ``names``: of all ids, the dead ones' too; ``living``
    members there should be; ``absent`` ones did not report.
    """
    members = {
        report["id"]: Pointers(report["predecessor"], tuple(report["successors"]))
        for report in reports.values()
    }
    members = with_names(members, names)
    bits, length = settings.bits, settings.successors
    verdicts = judge(members, min(length, living - 1), promised) if members else []
    differences = not_ideal(members, length) if members else ["no member answers"]
    if fingers and not differences:
        differences = _finger_differences(reports, names, bits)
    keys, scarce = _keys(reports, disks, bits, settings.replicas)
    return Health(living, absent, tuple(verdicts), tuple(differences), keys, tuple(scarce))


def _finger_differences(reports: Reports, names: Mapping[int, str], bits: int) -> list[str]:
    ring = IdealRing([(report["id"], name) for name, report in reports.items()], bits)
    differences = []
    for name, report in reports.items():
        for k, (real, ideal) in enumerate(zip(report["fingers"], ring.fingers(report["id"]), strict=True), 1):
            if real != ideal.id and ideal.id != report["id"]:
                at = "nobody" if real is None else NamedId.of(real, names)
                differences.append(f"{name} has finger {k} at {at}, ideal is {ideal.name} ({ideal.id})")
    return differences


def latest_copies(reports: Reports) -> dict[Any, tuple[int, Any, bool, list[str]]]:
    """For every key: its id, newest version, whether that is a deletion, and who holds that version."""
    latest: dict[Any, tuple[int, Any, bool, list[str]]] = {}
    for name, report in reports.items():
        for key, key_id, version, deleted in report["copies"]:
            known = latest.get(key)
            if known is None or known[1] < version:
                latest[key] = (key_id, version, deleted, [name])
            elif known[1] == version:
                known[3].append(name)
    return latest


def _keys(reports: Reports, disks: Reports, bits: int, replicas: int) -> tuple[int, list[Any]]:
    """How many keys there are on the disks, and those that lack a copy where one belongs."""
    latest = latest_copies(disks)
    if not reports:
        missing = [key for key, copy in latest.items() if not copy[2]]
        return len(missing), missing
    ring = IdealRing([(report["id"], name) for name, report in reports.items()], bits)
    count, scarce = 0, []
    for key, (key_id, _, deleted, holders) in latest.items():
        wanted = [peer.name for peer in ring.replicas(key_id, replicas)]
        count += not deleted
        if not set(wanted) <= set(holders):
            scarce.append(key)
    return count, scarce
