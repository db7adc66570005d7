"""Writing RDDs to files: ``saveAsTextFile``, ``saveAsPickleFile``, checkpoints."""

from __future__ import annotations

import bz2
import gzip
import os
import posixpath
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from .above import RDD
from .closures import dumps
from .paths import check_seen, file_system, open_file, part_file, shown, whole

__all__ = ["WriteCheckpoint", "save_pickles", "save_text"]

CODECS: dict[str, tuple[str, Callable[..., Any]]] = {
    "org.apache.hadoop.io.compress.GzipCodec": (".gz", gzip.compress),
    "org.apache.hadoop.io.compress.DefaultCodec": (".gz", gzip.compress),
    "org.apache.hadoop.io.compress.BZip2Codec": (".bz2", bz2.compress),
}


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
        own = f"_{posixpath.basename(path)}.{os.getpid()}.{id(data)}"
        unfinished = posixpath.join(self.directory, own)
        with open_file(unfinished, "wb") as file:
            file.write(data)
        fs, inside = file_system(path)
        fs.mv(file_system(unfinished)[1], inside)
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
    suffix = "" if codec is None else CODECS[codec][0]
    _save(rdd, path, lambda directory: _WriteText(directory, suffix), "saveAsTextFile")


def save_pickles(rdd: RDD, path: str, batch: int) -> None:
    """``saveAsPickleFile``."""
    _save(rdd, path, lambda directory: _WritePickles(directory, batch), "saveAsPickleFile")


def _save(rdd: RDD, path: str, make: Callable[[str], _Write], action: str) -> None:
    directory = _new_directory(rdd, path)
    fs, inside = file_system(directory)
    # As Hadoop's committer: tasks write where nobody reads, and the driver moves what is whole. A task of an
    # earlier save that wakes up late writes nothing here. What is not finished does not stay.
    write = make(posixpath.join(directory, f"_temporary-{uuid.uuid4().hex}"))
    try:
        fs.makedirs(file_system(write.directory)[1])
        rdd.ctx._execute(rdd, write, action)
        for index in range(rdd.getNumPartitions()):
            part, place = (part_file(each, index, write.suffix) for each in (write.directory, directory))
            fs.mv(file_system(part)[1], file_system(place)[1])
        fs.rm(file_system(write.directory)[1], recursive=True)
        open_file(posixpath.join(directory, "_SUCCESS"), "wb").close()
    except BaseException:
        with suppress(OSError):
            fs.rm(inside, recursive=True)
        raise


def _new_directory(rdd: RDD, path: str) -> str:
    path = whole(path)
    check_seen(rdd.ctx, path)
    fs, inside = file_system(path)
    if fs.exists(inside):
        raise FileExistsError(
            f"Output directory {shown(path)} already exists: remove it, or write to another"
        )
    fs.makedirs(inside)
    return path
