"""The library's vertices (§4.1): map, reduce, distribute, join, merge, sort, and a program of the system's.

Each is a graph of one vertex, to be cloned and composed. Functions that are given may be lambdas.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from labkit.parts.keys import portable_hash
from labkit.runtime.raised import short

from .channels import Reader, Writer, any_of
from .model import Graph, vertex

__all__ = ["distribute", "flat_map", "join", "map", "merge", "merge_any", "process", "reduce", "sort"]

Function = Callable[[Any], Any]


def map(function: Function, name: str = "map") -> Graph:
    """``function(item)`` for each item of all inputs in turn, to every output."""
    return flat_map(lambda item: (function(item),), name)


def flat_map(function: Callable[[Any], Iterable[Any]], name: str = "map") -> Graph:
    """Every item of ``function(item)``, to every output."""

    async def program(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        for reader in readers:
            async for item in reader:
                for found in function(item):
                    for writer in writers:
                        await writer.write(found)

    return vertex(program, name)


def distribute(key: Function | None = None, by: Callable[[Any, int], int] | None = None,
               name: str = "distribute") -> Graph:  # fmt: skip
    """Each item to one output: by the hash of its key (itself, unless given), or ``by(item, outputs)``."""

    def choose(item: Any, outputs: int) -> int:
        return by(item, outputs) if by is not None else portable_hash(key(item) if key else item) % outputs

    async def program(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        for reader in readers:
            async for item in reader:
                port = choose(item, len(writers))
                if not 0 <= port < len(writers):
                    raise ValueError(
                        f"by({short(item)}, {len(writers)}) is {port!r}, not 0 to {len(writers) - 1}"
                    )
                await writers[port].write(item)

    return vertex(program, name)


def merge(name: str = "merge") -> Graph:
    """All items, input by input."""
    return map(lambda item: item, name)


def merge_any(name: str = "merge") -> Graph:
    """All items as they come. It is not deterministic: put a sort behind it, by a FIFO, so that both are
    executed again together and nobody reads half of one order and half of another."""

    async def program(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        async for item in any_of(readers):
            for writer in writers:
                await writer.write(item)

    return vertex(program, name)


def sort(key: Function | None = None, distinct: bool = False, name: str = "sort") -> Graph:
    """All items in increasing order of the key. distinct: of equal items only one."""

    async def program(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        items = [item for reader in readers async for item in reader]
        items.sort(key=key)
        before: Any = program
        for item in items:
            if not distinct or item != before:
                for writer in writers:
                    await writer.write(item)
            before = item

    return vertex(program, name)


def reduce(function: Callable[[Any, Any], Any], name: str = "reduce") -> Graph:
    """Pairs (key, value) with one value for each key, made of all by ``function(value, value)``; by key."""

    async def program(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        found: dict[Any, Any] = {}
        for reader in readers:
            async for key, value in reader:
                found[key] = function(found[key], value) if key in found else value
        for key in sorted(found):
            for writer in writers:
                await writer.write((key, found[key]))

    return vertex(program, name)


def join(left: Function, right: Function, make: Callable[[Any, Any], Any] = lambda a, b: (a, b),
         name: str = "join") -> Graph:  # fmt: skip
    """``make(a, b)`` for items a of the first input, b of the others, with ``left(a) == right(b)``. It keeps
    the first input in memory and streams the others."""

    async def program(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        table: dict[Any, list[Any]] = {}
        async for item in readers[0]:
            table.setdefault(left(item), []).append(item)
        for reader in readers[1:]:
            async for item in reader:
                for found in table.get(right(item), ()):
                    for writer in writers:
                        await writer.write(make(found, item))

    return vertex(program, name)


def process(*command: str, name: str = "") -> Graph:
    """The process wrapper (§4.1): a program of the system's, lines in and lines out. It must end well."""

    async def program(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        lines = [f"{item}\n" for reader in readers async for item in reader]
        run = subprocess.run(command, input="".join(lines), capture_output=True, text=True)
        if run.returncode:
            raise OSError(
                f"{' '.join(command)} ended with status {run.returncode}: {run.stderr.strip()[:240]}"
            )
        for line in run.stdout.splitlines():
            for writer in writers:
                await writer.write(line)

    return vertex(program, name or (command[0] if command else "process"))
