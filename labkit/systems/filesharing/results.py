"""What a search and a download give their user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from labkit.trace.words import many, size

from .descriptor import Hit
from .downloads import Loaded

__all__ = ["Accounts", "Found", "Search", "SharingFailed"]


class SharingFailed(Exception):
    """A search could not be made, or a file not be loaded; the text says why."""


@dataclass(frozen=True)
class Found:
    """A file that was found, and the peers that have it."""

    name: str
    size: int  #: bytes
    root: bytes = field(repr=False)
    hits: tuple[Hit, ...] = field(repr=False)

    @property
    def peers(self) -> tuple[int, ...]:
        """Numbers of the peers that have it."""
        return tuple(sorted(hit.peer for hit in self.hits))

    def __str__(self) -> str:
        return f"{self.name} ({size(self.size)}) at {many(len(self.hits), 'peer')}"


@dataclass(frozen=True)
class Search:
    """What a query has found, and what it took. Iterate over it for the files."""

    text: str
    origin: str
    hits: tuple[Hit, ...]
    queries: tuple[str, ...]  #: beginnings of the GUIDs
    seconds: float
    messages: int | None = None  #: copies of the query that were sent; None if the trace was not told
    reached: int | None = None  #: nodes that looked for it, besides the origin

    @property
    def files(self) -> list[Found]:
        """Files, those that most peers have first."""
        by_root: dict[bytes, list[Hit]] = {}
        for hit in self.hits:
            by_root.setdefault(hit.root, []).append(hit)
        found = [Found(hits[0].name, hits[0].size, root, tuple(hits)) for root, hits in by_root.items()]
        return sorted(found, key=lambda file: (-len(file.hits), file.name))

    def __iter__(self) -> Iterator[Found]:
        return iter(self.files)

    def __len__(self) -> int:
        return len({hit.root for hit in self.hits})

    def __getitem__(self, index: int) -> Found:
        return self.files[index]

    def __str__(self) -> str:
        nodes = "" if self.reached is None else f", {many(self.reached, 'node')} reached"
        cost = "" if self.messages is None else f", {many(self.messages, 'message')}"
        found = f"{many(len(self), 'file')} in {many(len(self.hits), 'hit')}"
        head = f"“{self.text}” from {self.origin}: {found}{cost}{nodes}"
        return "\n".join([head, *(f"  {file}" for file in self.files[:8])])


@dataclass(frozen=True)
class Accounts:
    """Messages and bytes since the system began, and who had most of them."""

    messages: int
    bytes: int
    by_kind: dict[str, int]
    busiest: str  #: the node that received most messages
    busiest_share: float  #: its part of all received
    uploaded: int  #: bytes of files

    def __sub__(self, other: Accounts) -> Accounts:
        kinds = {kind: n - other.by_kind.get(kind, 0) for kind, n in self.by_kind.items()}
        return Accounts(
            self.messages - other.messages, self.bytes - other.bytes, kinds, self.busiest, self.busiest_share,
            self.uploaded - other.uploaded,
        )  # fmt: skip


def loaded(answer: Loaded) -> Loaded:
    """A download that has succeeded. Raises ``SharingFailed``."""
    if answer.result not in ("done", "had it"):
        raise SharingFailed(f"{answer.name!r} could not be loaded: {answer.result}")
    return answer
