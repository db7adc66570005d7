"""Reading and writing files: text as Hadoop splits it, pickles, checkpoints.

Every machine must see the same files, on a shared file system or because all are on one host. A task writes
to a file of its own and renames it, so a task that runs twice leaves one whole file; the driver then adds
``_SUCCESS``.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.runtime.errors import LabError

from .closures import dumps, loads
from .rdd import RDD, Partition

if TYPE_CHECKING:
    from .model import BaseContext

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

CODECS: dict[str, tuple[str, Callable[..., Any]]] = {
    "org.apache.hadoop.io.compress.GzipCodec": (".gz", gzip.compress),
    "org.apache.hadoop.io.compress.DefaultCodec": (".gz", gzip.compress),
    "org.apache.hadoop.io.compress.BZip2Codec": (".bz2", bz2.compress),
}
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}


class FilePartition(Partition):
    """A range of bytes of a file."""

    __slots__ = ("bytes", "length", "path", "start")

    def __init__(self, index: int, path: str, start: int = 0, length: int = -1) -> None:
        super().__init__(index)
        self.path = path
        self.start = start
        self.length = length
        self.bytes = length if length >= 0 else sum(map(os.path.getsize, path.split("\0")))


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
        super().__init__(ctx, file_splits(input_files(paths), minPartitions))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        assert isinstance(partition, FilePartition)
        lines = read_split(partition)
        return [line.decode("utf-8", "replace") for line in lines] if self.use_unicode else lines


def input_files(paths: str) -> list[str]:
    """The files that a path names: one or several with commas; a directory; a pattern. Hidden files do not
    count.
    """
    found: list[str] = []
    for path in str(paths).removeprefix("file://").split(","):
        matches = sorted(glob.glob(path)) if glob.has_magic(path) else [path] if os.path.exists(path) else []
        if not matches:
            raise FileNotFoundError(f"Input path does not exist: {path}")
        for match in matches:
            inside = (
                sorted(os.path.join(match, name) for name in os.listdir(match))
                if os.path.isdir(match)
                else [match]
            )
            found += [
                each for each in inside if os.path.isfile(each) and os.path.basename(each)[0] not in "._"
            ]
    return found


def file_splits(files: Sequence[str], minPartitions: int) -> list[FilePartition]:
    """About minPartitions splits or more; a compressed file cannot be split, an empty one has one empty
    split.
    """
    sizes = [os.path.getsize(path) for path in files]
    goal = max(1, min(LARGEST_SPLIT, sum(sizes) // max(1, minPartitions)))
    splits: list[FilePartition] = []
    for path, size in zip(files, sizes, strict=True):
        start = 0
        if Path(path).suffix not in OPENERS:
            while (size - start) / goal > SLACK:
                splits.append(FilePartition(len(splits), path, start, goal))
                start += goal
        if start < size or size == 0:
            splits.append(FilePartition(len(splits), path, start, size - start))
    return splits


def read_split(split: FilePartition) -> list[bytes]:
    """The lines of a split, without their ends."""
    opener = OPENERS.get(Path(split.path).suffix)
    if opener is not None:
        with opener(split.path, "rb") as file:
            return file.read().splitlines()
    end = split.start + split.length
    with open(split.path, "rb") as file:
        file.seek(split.start)
        if split.start:
            file.readline()  # it began in the split before, or at its end
        here = file.tell()
        if here > end:
            return []
        # And the rest of the last line, or, if the split ends with a line's end, the line after it.
        return (file.read(end - here) + file.readline()).splitlines()


class WholeTextFileRDD(FileRDD):
    """Pairs of a file's path and its text."""

    def __init__(self, ctx: BaseContext, paths: str, minPartitions: int, use_unicode: bool) -> None:
        self.use_unicode = use_unicode
        super().__init__(ctx, _groups(input_files(paths), minPartitions))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        for path in partition.path.split("\0"):  # type: ignore[attr-defined]
            data = _read(path)
            yield (
                f"file:{os.path.abspath(path)}",
                data.decode("utf-8", "replace") if self.use_unicode else data,
            )


class BinaryFilesRDD(FileRDD):
    """Pairs of a file's path and its bytes."""

    def __init__(self, ctx: BaseContext, paths: str, minPartitions: int) -> None:
        super().__init__(ctx, _groups(input_files(paths), minPartitions))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        for path in partition.path.split("\0"):  # type: ignore[attr-defined]
            yield f"file:{os.path.abspath(path)}", Path(path).read_bytes()


def _read(path: str) -> bytes:
    opener = OPENERS.get(Path(path).suffix, open)
    with opener(path, "rb") as file:
        data: bytes = file.read()
        return data


def _groups(files: Sequence[str], partitions: int) -> list[FilePartition]:
    """Whole files in so many groups (or one each, if they are fewer)."""
    count = max(1, min(partitions, len(files)))
    bounds = [group * len(files) // count for group in range(count + 1)]
    groups = [files[bounds[group] : bounds[group + 1]] for group in range(count)]
    return [FilePartition(index, "\0".join(group)) for index, group in enumerate(groups) if group]


class PickleFileRDD(FileRDD):
    """The records of a directory that ``saveAsPickleFile`` wrote."""

    def __init__(self, ctx: BaseContext, path: str) -> None:
        super().__init__(ctx, [FilePartition(index, each) for index, each in enumerate(input_files(path))])

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        assert isinstance(partition, FilePartition)
        return _read_pickles(partition.path)


def _read_pickles(path: str) -> Iterator[Any]:
    with open(path, "rb") as file:
        while head := file.read(8):
            yield from loads(file.read(int.from_bytes(head, "big")))


class CheckpointRDD(FileRDD):
    """The partitions of a checkpointed RDD, read from its directory."""

    def __init__(self, ctx: BaseContext, path: str, partitions: int) -> None:
        super().__init__(ctx, [FilePartition(index, part_file(path, index)) for index in range(partitions)])
        self.path = path

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        assert isinstance(partition, FilePartition)
        return loads(Path(partition.path).read_bytes())


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


# --- writing ----------------------------------------------------------------------------------------------


def part_file(directory: str, index: int, suffix: str = "") -> str:
    """The file of one partition."""
    return os.path.join(directory, f"part-{index:05d}{suffix}")


class _Write:
    """Writes a partition to its file: how many bytes."""

    def __init__(self, directory: str, suffix: str = "") -> None:
        self.directory = directory
        self.suffix = suffix

    def content(self, records: Iterable[Any]) -> bytes:
        raise NotImplementedError

    def __call__(self, index: int, records: Iterable[Any]) -> int:
        data = self.content(records)
        path = part_file(self.directory, index, self.suffix)
        # Two attempts at the task may write at the same time; each renames a whole file.
        unfinished = os.path.join(self.directory, f"_{os.path.basename(path)}.{os.getpid()}.{id(data)}")
        Path(unfinished).write_bytes(data)
        os.replace(unfinished, path)
        return len(data)


class _WriteText(_Write):
    def content(self, records: Iterable[Any]) -> bytes:
        lines = [x if isinstance(x, bytes) else str(x).encode("utf-8", "surrogatepass") for x in records]
        data = b"\n".join([*lines, b""])
        compress = {".gz": gzip.compress, ".bz2": bz2.compress}.get(self.suffix)
        return data if compress is None else compress(data)


class _WritePickles(_Write):
    def __init__(self, directory: str, batch: int) -> None:
        super().__init__(directory)
        self.batch = batch

    def content(self, records: Iterable[Any]) -> bytes:
        everything = list(records)
        size = self.batch if self.batch > 0 else max(1, len(everything))
        batches = (dumps(everything[start : start + size]) for start in range(0, len(everything), size))
        return b"".join(len(batch).to_bytes(8, "big") + batch for batch in batches)


class WriteCheckpoint(_Write):
    """Writes a partition of a checkpoint."""

    def content(self, records: Iterable[Any]) -> bytes:
        return dumps(list(records))


def save_text(rdd: RDD, path: str, codec: str | None) -> None:
    """``saveAsTextFile``."""
    if codec is not None and codec not in CODECS:
        raise ValueError(f"compressionCodecClass={codec!r}: there are {', '.join(CODECS)}")
    _save(rdd, _WriteText(_new_directory(path), "" if codec is None else CODECS[codec][0]), "saveAsTextFile")


def save_pickles(rdd: RDD, path: str, batch: int) -> None:
    """``saveAsPickleFile``."""
    _save(rdd, _WritePickles(_new_directory(path), batch), "saveAsPickleFile")


def _save(rdd: RDD, write: _Write, action: str) -> None:
    rdd.ctx._execute(rdd, write, action)
    Path(write.directory, "_SUCCESS").touch()


def _new_directory(path: str) -> str:
    path = path.removeprefix("file://")
    if os.path.exists(path):
        raise FileExistsError(f"Output directory {path} already exists: remove it, or write to another")
    os.makedirs(path)
    return path
