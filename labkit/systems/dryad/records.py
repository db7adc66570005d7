"""The items of a job's input and output files: pickled lists, or the lines of a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.packing import dumps

__all__ = ["ITEMS", "items_of", "parts_of", "stored", "temporary"]

#: How the name of a file of items ends; every other file is a text.
ITEMS = ".items"


def stored(items: Iterable[Any]) -> bytes:
    """Items as the bytes of a file."""
    return dumps(list(items))


def items_of(path: str, data: bytes) -> list[Any]:
    """Chunks of items: those of a file channel (no path) or of a file of items are unpickled when they are
    read; of a text the lines."""
    if not path or path.endswith(ITEMS):
        return [data] if data else []
    return [data.decode("utf8", "surrogatepass").splitlines()]


def loaded(data: bytes) -> list[Any]:
    """The items of a file."""
    return list(loads_keeping_classes(data)) if data else []


def parts_of(output: str, count: int) -> list[str]:
    """The names of the output files."""
    return [f"{output}/part-{number:05}{ITEMS}" for number in range(count)]


def temporary(output: str) -> str:
    """The folder of what is in the output's folder while a job writes there."""
    return f"{output}/_temporary"
