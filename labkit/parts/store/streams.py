"""File objects: what Python's ``open`` returns for a local file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

__all__ = ["Reader", "Writer", "check_mode"]

MODES = ("r", "rb", "w", "wb", "a", "ab", "x", "xb")


def check_mode(mode: str) -> tuple[str, bool]:
    """What is to be done ("r", "w", "a" or "x"), and whether with text."""
    plain = mode.replace("t", "", 1)
    if plain not in MODES:
        raise ValueError(
            f"mode is one of {', '.join(MODES)}, not {mode!r}: a file is read or written, not both"
        )
    return plain[0], "b" not in plain


class Reader(io.RawIOBase):
    """A file as it was when it was opened. ``fetch(start, size)`` returns its bytes."""

    def __init__(self, name: str, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self.name = name
        self.size = size
        self._fetch = fetch
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, which may be behind the end."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if at < 0:
            raise ValueError(f"there is no place {at} in a file")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        """The next bytes; 0 at the end."""
        count = max(0, min(len(buffer), self.size - self._at))
        if count:
            buffer[:count] = self._fetch(self._at, count)
            self._at += count
        return count


class Writer(io.BytesIO):
    """Keeps what is written, and hands all of it to ``save`` when it is closed."""

    def __init__(self, name: str, save: Callable[[bytes], Any]) -> None:
        super().__init__()
        self.name = name
        self._save = save

    def close(self) -> None:
        """Save it, once."""
        if not self.closed:
            data = self.getvalue()
            super().close()
            self._save(data)
