"""What must hold of a file system at rest: each block's copies, by what is really on the disks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Report", "judge"]

#: Violations that a report prints; the others are counted.
SHOWN = 10


@dataclass
class Report:
    """What was looked at, and what was wrong."""

    files: int
    blocks: int
    copies: int
    violations: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.violations

    def __str__(self) -> str:
        head = (
            f"{self.files} files, {self.blocks} blocks, {self.copies} copies judged, "
            f"{len(self.violations)} violations"
        )
        return "\n".join([head, *self.violations[:SHOWN]])


def judge(
    survey: dict[str, Any], audits: dict[str, dict[int, tuple[int, int, int | None]]], replicas: int
) -> Report:
    """``audits``: by living machine, each copy's version, length, and checksum of the bytes that count.

    1. No two files share a block.
    2. Each block has ``replicas`` copies, or one on each living machine if those are fewer; the master knows
       exactly the machines that have one.
    3. Each copy has the version that the master knows, and the bytes that were written.
    4. There is no copy of a block that no file has.
    """
    report = Report(len(survey["files"]), 0, sum(map(len, audits.values())))
    owner: dict[int, str] = {}
    for path, blocks in survey["files"].items():
        for block, version, length, crc, machines in blocks:
            report.blocks += 1
            if block in owner:
                report.violations.append(f"block {block} is in {owner[block]!r} and in {path!r}")
            owner[block] = path
            holders = sorted(machine for machine, held in audits.items() if block in held)
            what = f"block {block} of {path!r}"
            if len(holders) != min(replicas, len(audits)):
                report.violations.append(f"{what} has {len(holders)} copies, on {holders}, not {replicas}")
            if holders != sorted(machines):
                report.violations.append(f"{what} is on {holders}; the master thinks on {sorted(machines)}")
            for machine in holders:
                copy = audits[machine][block]
                if copy[0] != version or copy[1] < length or copy[2] != crc:
                    report.violations.append(
                        f"the copy of {what} on {machine} has (version, length, checksum) {copy}, not "
                        f"{(version, length, crc)}"
                    )
    for machine, held in audits.items():
        report.violations += [
            f"{machine} has block {block}, of no file" for block in held if block not in owner
        ]
    return report
