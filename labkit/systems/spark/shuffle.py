"""The shuffle: how the records of one stage reach the tasks of the next (NSDI 2012, section 5.1).

A map task divides its records into one bucket for each reduce task and writes them as one file on its own
machine. A reduce task fetches its bucket of every map task. So the output of a map task outlives the task,
and is lost with its machine: then the map task is run again (``MapOutputs`` knows which).
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.parts.buckets import Buckets
from labkit.runtime.disk import Files

from .closures import dumps

__all__ = ["MapOutputs", "Output", "ShuffleFiles", "Source"]


class Source(NamedTuple):
    """One life of an executor: after a restart it has the same name, and nothing of what it had."""

    executor: str
    incarnation: int


class ShuffleFiles:
    """The map outputs on one executor's machine."""

    def __init__(self, files: Files, prefix: str = "") -> None:
        self._buckets = Buckets(files, prefix)

    def write(self, shuffle: int, map_task: int, buckets: Sequence[list[Any]]) -> list[int]:
        """Write a map task's buckets; returns their sizes in bytes."""
        pickled = [_dump(bucket) if bucket else b"" for bucket in buckets]
        return self._buckets.write(_name(shuffle, map_task), pickled)

    def read(self, shuffle: int, reduce_task: int, map_tasks: Iterable[int]) -> tuple[bytes, ...]:
        """One bucket of each of these map tasks; ``KeyError`` if one is not there."""
        return self._buckets.read_many([_name(shuffle, each) for each in map_tasks], reduce_task)

    def remove(self, shuffle: int) -> None:
        """Delete all outputs of a shuffle."""
        for name in self._buckets.names():
            if name.startswith(_name(shuffle, "")):
                self._buckets.remove(name)


def _name(shuffle: int, map_task: int | str) -> str:
    return f"shuffle-{shuffle}-{map_task}"


def _dump(bucket: list[Any]) -> bytes:
    """Most buckets hold plain pairs, for which ``pickle`` is enough and several times faster."""
    try:
        data = pickle.dumps(bucket, protocol=5)
    except Exception:
        return dumps(bucket)
    return data if b"__main__" not in data else dumps(bucket)


@dataclass(frozen=True)
class Output:
    """A map task's output: where it is, and the bytes of each bucket."""

    source: Source
    machine: str
    sizes: tuple[int, ...]


class MapOutputs:
    """The driver's table: for each shuffle and map task its ``Output``, or None while it is missing."""

    def __init__(self) -> None:
        self._outputs: dict[int, list[Output | None]] = {}

    def add_shuffle(self, shuffle: int, map_tasks: int) -> None:
        """A shuffle that was not known yet has no outputs."""
        self._outputs.setdefault(shuffle, [None] * map_tasks)

    def knows(self, shuffle: int) -> bool:
        """Whether somebody may still read it."""
        return shuffle in self._outputs

    def missing(self, shuffle: int) -> list[int]:
        """The map tasks whose output nobody has."""
        return [index for index, output in enumerate(self._outputs[shuffle]) if output is None]

    def complete(self, shuffle: int) -> bool:
        """Whether every map task's output is there."""
        outputs = self._outputs.get(shuffle)
        return outputs is not None and None not in outputs

    def store(self, shuffle: int, map_task: int, output: Output) -> bool:
        """Note an output, unless there is one already or nobody can read it now; whether it was noted."""
        outputs = self._outputs.get(shuffle)
        if outputs is None or outputs[map_task] is not None:
            return False
        outputs[map_task] = output
        return True

    def sources(self, shuffle: int) -> dict[Source, list[int]] | None:
        """Which map outputs are where; None unless they are complete."""
        if not self.complete(shuffle):
            return None
        found: dict[Source, list[int]] = {}
        for index, output in enumerate(self._outputs[shuffle]):
            assert output is not None
            found.setdefault(output.source, []).append(index)
        return found

    def lose(
        self, source: Source, shuffle: int | None = None, maps: Iterable[int] | None = None
    ) -> dict[int, list[int]]:
        """Forget what this life of an executor has: all of it, or these outputs of one shuffle.

        Returns the map tasks by shuffle; those that meanwhile are elsewhere are not touched.
        """
        lost: dict[int, list[int]] = {}
        for number in self._outputs if shuffle is None else {shuffle} & self._outputs.keys():
            outputs = self._outputs[number]
            for index in range(len(outputs)) if maps is None else maps:
                output = outputs[index]
                if output is not None and output.source == source:
                    outputs[index] = None
                    lost.setdefault(number, []).append(index)
        return lost

    def remove(self, shuffle: int) -> None:
        """Nobody can read it any more."""
        self._outputs.pop(shuffle, None)
