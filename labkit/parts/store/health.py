"""How a file system is: what has too few copies, what is lost, what has rotted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .copies import Copies
from .namespace import Namespace
from .repair import Repair

__all__ = ["Health", "examine", "survey"]


@dataclass(frozen=True)
class Health:
    """``under_replicated`` and ``lost``: (path, block of the file, from 0); ``corrupt``: and the machine
    whose copy was found rotten, until another has taken its place."""

    files: int
    blocks: int
    bytes: int
    machines: tuple[str, ...]  #: those whose chunkserver lives, as the master thinks
    under_replicated: tuple[tuple[str, int], ...]
    lost: tuple[tuple[str, int], ...]
    corrupt: tuple[tuple[str, int, str], ...]
    copying: int  #: copies under way
    deleting: int  #: copies that a chunkserver has been told to delete
    garbage: int  #: blocks of deleted files that are still there, and of files being written
    recovering: bool  #: the master waits for the chunkservers' reports

    @property
    def ok(self) -> bool:
        """Every block has its copies."""
        return not (self.recovering or self.under_replicated or self.lost or self.corrupt)

    @property
    def settled(self) -> bool:
        """Nothing will change by itself any more."""
        return self.ok and not (self.copying or self.deleting or self.garbage)

    def __str__(self) -> str:
        lines = [
            f"{self.files} files, {self.blocks} blocks, {self.bytes} bytes on {len(self.machines)} machines"
        ]
        for word, found in (
            ("under-replicated", self.under_replicated), ("lost", self.lost), ("corrupt", self.corrupt)
        ):  # fmt: skip
            if found:
                shown = ", ".join(f"{path} block {block}" for path, block, *_ in found[:5])
                lines.append(f"{len(found)} {word}: {shown}{', …' if len(found) > 5 else ''}")
        if self.recovering:
            lines.append("the master waits for reports")
        return "; ".join(lines)


def examine(survey: dict[str, Any]) -> Health:
    """The master's survey as a person reads it."""
    blocks = [block for file in survey["files"].values() for block in file]
    return Health(
        files=len(survey["files"]),
        blocks=len(blocks),
        bytes=sum(length for _, _, length, _, _ in blocks),
        machines=tuple(survey["living"]),
        under_replicated=tuple(survey["short"]),
        lost=tuple(survey["lost"]),
        corrupt=tuple(survey["rotten"]),
        copying=survey["copying"],
        deleting=survey["doomed"],
        garbage=survey["garbage"],
        recovering=survey["recovering"],
    )


def survey(namespace: Namespace, copies: Copies, repair: Repair) -> dict[str, Any]:
    """What the master knows, as plain values: what health and the invariants are judged on."""

    def named(block: int) -> tuple[str, int]:
        file = namespace.homes[block]
        return file.path, file.blocks.index(block)

    blocks, wanted = namespace.blocks, repair.settings.replicas
    return {
        "files": {
            path: [(block, *blocks[block], copies.holders(block)) for block in file.blocks]
            for path, file in namespace.files.items()
        },
        "recovering": not repair.begun,
        "short": [named(block) for block in blocks if 0 < copies.count(block) < wanted],
        "lost": [named(block) for block in blocks if not copies.count(block)],
        "rotten": [(*named(block), machine) for block, machine in repair.rotten.items()],
        "copying": len(repair.under_way),
        "doomed": sum(len(server.doomed) for server in copies.servers.values()),
        "living": list(copies.servers),
    }
