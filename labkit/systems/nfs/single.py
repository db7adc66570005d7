"""The same calls on this computer's own files: the oracle, and what a program without NFS would see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

__all__ = ["Local"]


class Local:
    """A folder of this computer, with the calls of a ``Client``: its "/" is the folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def _real(self, path: str) -> str:
        return f"{self.folder}/{path.lstrip('/')}"

    def open(self, path: str, mode: str = "r", buffering: int = -1) -> IO[Any]:
        """A file object."""
        return open(self._real(path), mode, buffering)

    def read_bytes(self, path: str) -> bytes:
        """All of a file."""
        with self.open(path, "rb") as file:
            data: bytes = file.read()
        return data

    def write_bytes(self, path: str, data: bytes) -> None:
        """Truncate or make, and write."""
        with self.open(path, "wb") as file:
            file.write(data)

    def stat(self, path: str) -> os.stat_result:
        """As ``os.stat``."""
        return os.stat(self._real(path))

    def listdir(self, path: str = "/") -> list[str]:
        """Names."""
        return os.listdir(self._real(path))

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """A new directory."""
        os.mkdir(self._real(path), mode)

    def rmdir(self, path: str) -> None:
        """An empty directory less."""
        os.rmdir(self._real(path))

    def unlink(self, path: str) -> None:
        """A name less."""
        os.unlink(self._real(path))

    def rename(self, path: str, to: str) -> None:
        """Another name."""
        os.rename(self._real(path), self._real(to))

    def link(self, path: str, to: str) -> None:
        """One more name."""
        os.link(self._real(path), self._real(to))

    def symlink(self, target: str, path: str) -> None:
        """A name that stands for a path; only relative ones stay in the folder."""
        os.symlink(target, self._real(path))

    def readlink(self, path: str) -> str:
        """What it stands for."""
        return os.readlink(self._real(path))

    def truncate(self, path: str, size: int) -> None:
        """Another size."""
        os.truncate(self._real(path), size)
