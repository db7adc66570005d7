"""Reading and writing files: text as Hadoop splits it, pickles, checkpoints.

Every machine must see the same files, on a shared file system or because all are on one host; how they are
named is in ``paths.py``. A task writes to a file of its own and renames it, so a task that runs twice leaves
one whole file. What a program saves is in its place once all of it is there, and then the driver adds
``_SUCCESS``.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.raised import named

from .above import BaseContext
from .closures import loads
from .paths import check_seen, file_system, input_files, open_file, part_file, shown
from .rdd import RDD, Partition

__all__ = [
    "BinaryFilesRDD",
    "CheckpointRDD",
    "FilePartition",
    "HadoopRDD",
    "PickleFileRDD",
    "WholeTextFileRDD",
]

#: The most bytes of one split (Hadoop's local file system: 32 MiB).
LARGEST_SPLIT = 32 << 20
#: The last split may be this much larger, instead of leaving a tiny one (Hadoop's FileInputFormat: 1.1).
SLACK = 1.1

DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".bz2": bz2.decompress}


class FilePartition(Partition):
    """A range of bytes of a file."""

    __slots__ = ("bytes", "length", "path", "start")

    def __init__(self, index: int, path: str, start: int = 0, length: int = -1) -> None:
        super().__init__(index)
        self.path = path
        self.start = start
        self.length = length
        self.bytes = length if length >= 0 else sum(map(_size, path.split("\0")))


class FileRDD(RDD):
    """An RDD whose leaves are files or parts of them."""

    leaf = True
    _STAY = RDD._STAY | {"_parts"}

    def __init__(self, ctx: BaseContext, parts: Sequence[FilePartition]) -> None:
        super().__init__(ctx, [], len(parts))
        self._parts = list(parts)

    def partitions(self) -> list[Partition]:
        return list(self._parts)


class HadoopRDD(FileRDD):
    """The lines of text files. A line belongs to the split in which it begins, or at whose end it begins."""

    def __init__(self, ctx: BaseContext, paths: str, minPartitions: int, use_unicode: bool) -> None:
        self.use_unicode = use_unicode
        super().__init__(ctx, file_splits(_inputs(ctx, paths), minPartitions))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        assert isinstance(partition, FilePartition)
        lines = read_split(partition)
        return [line.decode("utf-8", "replace") for line in lines] if self.use_unicode else lines


def _inputs(ctx: BaseContext, names: str) -> list[str]:
    files = input_files(names)
    for path in files:
        check_seen(ctx, path)
    return files


def file_splits(files: Sequence[str], minPartitions: int) -> list[FilePartition]:
    """About minPartitions splits or more; a compressed file cannot be split, an empty one has one empty
    split.
    """
    sizes = [_size(path) for path in files]
    goal = max(1, min(LARGEST_SPLIT, sum(sizes) // max(1, minPartitions)))
    splits: list[FilePartition] = []
    for path, size in zip(files, sizes, strict=True):
        start = 0
        if Path(path).suffix not in DECOMPRESS:
            while (size - start) / goal > SLACK:
                splits.append(FilePartition(len(splits), path, start, goal))
                start += goal
        if start < size or size == 0:
            splits.append(FilePartition(len(splits), path, start, size - start))
    return splits


def read_split(split: FilePartition) -> list[bytes]:
    """The lines of a split, without their ends. A mark at the file's beginning that says UTF-8 is no text."""
    if Path(split.path).suffix in DECOMPRESS:
        return _read(split.path).removeprefix(codecs.BOM_UTF8).splitlines()
    end = split.start + split.length
    with open_file(split.path) as file:
        file.seek(split.start)
        if split.start:
            file.readline()  # it began in the split before, or at its end
        here = file.tell()
        if here > end:
            return []
        # And the rest of the last line, or, if the split ends with a line's end, the line after it.
        data = file.read(end - here) + file.readline()
        return (data if split.start else data.removeprefix(codecs.BOM_UTF8)).splitlines()


class WholeTextFileRDD(FileRDD):
    """Pairs of a file's path and its text."""

    def __init__(self, ctx: BaseContext, paths: str, minPartitions: int, use_unicode: bool) -> None:
        self.use_unicode = use_unicode
        super().__init__(ctx, _groups(_inputs(ctx, paths), minPartitions))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        for path in partition.path.split("\0"):  # type: ignore[attr-defined]
            data = _read(path)
            yield (
                shown(path),
                data.decode("utf-8", "replace") if self.use_unicode else data,
            )


class BinaryFilesRDD(FileRDD):
    """Pairs of a file's path and its bytes."""

    def __init__(self, ctx: BaseContext, paths: str, minPartitions: int) -> None:
        super().__init__(ctx, _groups(_inputs(ctx, paths), minPartitions))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        for path in partition.path.split("\0"):  # type: ignore[attr-defined]
            yield shown(path), _bytes(path)


def _read(path: str) -> bytes:
    """What is in a file, or was before it was compressed."""
    with _naming(path):
        return DECOMPRESS.get(Path(path).suffix, bytes)(_bytes(path))


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Inside, what is wrong with a file's content is told with its name."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise LabError(f"{shown(path)} cannot be read: {named(error)}") from error


def _bytes(path: str) -> bytes:
    with open_file(path) as file:
        data: bytes = file.read()
        return data


def _size(path: str) -> int:
    fs, inside = file_system(path)
    return int(fs.size(inside))


def _groups(files: Sequence[str], partitions: int) -> list[FilePartition]:
    """Whole files in so many groups (or one each, if they are fewer)."""
    count = max(1, min(partitions, len(files)))
    bounds = [group * len(files) // count for group in range(count + 1)]
    groups = [files[bounds[group] : bounds[group + 1]] for group in range(count)]
    return [FilePartition(index, "\0".join(group)) for index, group in enumerate(groups) if group]


class PickleFileRDD(FileRDD):
    """The records of a directory that ``saveAsPickleFile`` wrote."""

    def __init__(self, ctx: BaseContext, path: str) -> None:
        super().__init__(ctx, [FilePartition(index, each) for index, each in enumerate(_inputs(ctx, path))])

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        assert isinstance(partition, FilePartition)
        return _read_pickles(partition.path)


def _read_pickles(path: str) -> Iterator[Any]:
    with _naming(path), open_file(path) as file:
        size = _size(path)
        while head := file.read(8):
            length = int.from_bytes(head, "big")
            if file.tell() + length > size:
                raise ValueError("it is no file of records that saveAsPickleFile wrote")
            yield from loads(file.read(length))


class CheckpointRDD(FileRDD):
    """The partitions of a checkpointed RDD, read from its directory."""

    def __init__(self, ctx: BaseContext, path: str, partitions: int) -> None:
        super().__init__(ctx, [FilePartition(index, part_file(path, index)) for index in range(partitions)])
        self.path = path

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        assert isinstance(partition, FilePartition)
        with _naming(partition.path):
            return loads(_bytes(partition.path))


class LocalCheckpointRDD(RDD):
    """The end of a locally checkpointed RDD's lineage."""

    leaf = True

    def __init__(self, of: RDD) -> None:
        super().__init__(of.ctx, [], of.getNumPartitions())
        self.of = of.id()

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        raise LabError(
            f"partition {partition.index} of RDD {self.of} was lost, and its local checkpoint is all there "
            "was of it: use checkpoint() for what must survive a machine"
        )
