"""Map outputs on a worker's own disk: a file for each map task, its R regions one after the other (§3.1
step 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from labkit.runtime.disk import Files

__all__ = ["Regions"]


class Regions:
    """``prefix``: before the names of its files."""

    def __init__(self, files: Files, prefix: str = "") -> None:
        self._files, self._prefix = files, prefix
        self._offsets: dict[str, list[int]] = {}

    def write(self, name: str, regions: Sequence[bytes]) -> list[int]:
        """Keep a map task's regions; returns their sizes."""
        sizes = [len(region) for region in regions]
        self._files.write(self._prefix + name, b"".join(regions))
        self._offsets[name] = list(accumulate(sizes, initial=0))
        return sizes

    def read(self, name: str, region: int) -> bytes:
        """One region; raises ``KeyError``."""
        start, end = self._offsets[name][region : region + 2]
        return self._files.read(self._prefix + name, start, end - start) if end > start else b""

    def read_many(self, names: Iterable[str], region: int) -> tuple[bytes, ...]:
        """The same region of several map tasks."""
        return tuple(self.read(name, region) for name in names)
