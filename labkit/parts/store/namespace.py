"""The master's metadata that must survive: names, and the blocks of each file (GFS §2.6.1).

"GFS logically represents its namespace as a lookup table mapping full pathnames to metadata": a rename, and a
replacement, is one change of that table. Every change is an operation of this state machine, which either
raises and changes nothing, or happens whole; replayed in order they make the same state again.

Where the copies of a block are is not here: the chunkservers say so (``copies.py``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

from .paths import ancestors

__all__ = ["Block", "File", "Namespace", "NewBlock"]

#: Block numbers that one record of the log sets aside, so that not every allocation needs one.
RESERVED = 1000


class Block(NamedTuple):
    """What the master knows of a block."""

    version: int  #: one more with each lease; an older copy is stale (GFS §4.5)
    length: int  #: bytes that count; a copy may have more, of an append that failed
    crc: int | None  #: of these bytes as they were written; None: they are modelled


class NewBlock(NamedTuple):
    """A block that a client has written, and wants in a file."""

    block: int
    length: int
    crc: int | None


class File:
    """A file's blocks, and where in the file each begins."""

    __slots__ = ("blocks", "path", "starts")

    def __init__(self, path: str) -> None:
        self.path = path
        self.blocks: list[int] = []
        self.starts: list[int] = []


class Namespace:
    """See the module's text."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.blocks: dict[int, Block] = {}
        self.homes: dict[int, File] = {}  #: the one file of each block
        self.folders: dict[str, int] = {}  #: how many files are below
        self.reserved = 0  #: block numbers up to here were set aside
        self.freed: list[int] = []  #: blocks that the operations since last asked took out of files

    # looking ------------------------------------------------------------

    def file(self, path: str) -> File:
        """The file of this name; raises what Python's ``open`` would."""
        if path in self.files:
            return self.files[path]
        if path in self.folders or not path:
            raise IsADirectoryError(f"{path!r} is a folder; ls({path!r}) names the files in it")
        parent = path.rpartition("/")[0]
        raise FileNotFoundError(f"there is no file {path!r}; ls({parent!r}) names those that there are")

    def size(self, file: File) -> int:
        """Bytes of a file."""
        return file.starts[-1] + self.blocks[file.blocks[-1]].length if file.blocks else 0

    def pieces(self, file: File, offset: int, size: int) -> Iterator[tuple[int, int, int, int]]:
        """The blocks that hold ``size`` bytes from ``offset``: block, place in the file, bytes to skip,
        bytes."""
        end = min(offset + size, self.size(file))
        index = max(0, bisect_right(file.starts, offset) - 1)
        while offset < end:
            skip = offset - file.starts[index]
            count = min(end - offset, self.blocks[file.blocks[index]].length - skip)
            if count > 0:
                yield file.blocks[index], offset, skip, count
                offset += count
            index += 1

    def is_last(self, block: int) -> bool:
        """Whether a block is the end of its file, so that it may grow."""
        return block in self.homes and self.homes[block].blocks[-1] == block

    def below(self, folder: str) -> list[File]:
        """The files in a folder and in those within it, by name."""
        prefix = f"{folder}/" if folder else ""
        return [self.files[path] for path in sorted(self.files) if path.startswith(prefix)]

    def check_new(self, path: str, replace: bool) -> None:
        """Raise unless a file of this name may be made."""
        if path in self.folders:
            raise IsADirectoryError(f"{path!r} is a folder with files in it; choose another name")
        for folder in ancestors(path):
            if folder in self.files:
                raise NotADirectoryError(f"{path!r}: {folder!r} is a file, so nothing can be in it")
        if not replace and path in self.files:
            raise FileExistsError(f"there is a file {path!r} already; delete it, or write over it on purpose")

    # changing ------------------------------------------------------------

    def apply(self, operation: str, *args: Any) -> Any:
        """One operation of the log."""
        return getattr(self, f"_{operation}")(*args)

    def _create(self, path: str, blocks: tuple[NewBlock, ...], replace: bool) -> None:
        self.check_new(path, replace)
        if path in self.files:
            self._take_out(path)
        self._put_in(File(path))
        self._extend(path, blocks)

    def _extend(self, path: str, blocks: tuple[NewBlock, ...]) -> int:
        """More blocks at the end of a file, which is made if there is none; returns where they begin."""
        if path not in self.files:
            self.check_new(path, replace=False)
            self._put_in(File(path))
        file = self.files[path]
        begin = end = self.size(file)
        for block, length, crc in blocks:
            file.blocks.append(block)
            file.starts.append(end)
            self.blocks[block] = Block(1, length, crc)
            self.homes[block] = file
            end += length
        return begin

    def _delete(self, path: str, recursive: bool) -> int:
        """Returns how many files are gone."""
        doomed = [path]
        if path not in self.files:
            if not (recursive and (path in self.folders or not path)):
                self.file(path)
            doomed = [file.path for file in self.below(path)]
        for each in doomed:
            self._take_out(each)
        return len(doomed)

    def _rename(self, source: str, target: str, replace: bool) -> None:
        """Also of a whole folder, to a name that nothing has."""
        if source == target and source in self.files:
            return
        if source in self.files:
            self.check_new(target, replace)
            self._move(source, target)
            return
        if source not in self.folders:
            self.file(source)
        if target in self.folders or f"{target}/".startswith(f"{source}/"):
            raise FileExistsError(
                f"the folder {source!r} cannot become {target!r}: that is there already, or in it"
            )
        self.check_new(target, replace=False)
        for file in self.below(source):
            self._move(file.path, target + file.path[len(source) :])

    def _move(self, source: str, target: str) -> None:
        file = self._take_out(source, free=False)
        if target in self.files:
            self._take_out(target)
        file.path = target
        self._put_in(file)

    def _grant(self, block: int, version: int) -> None:
        self.blocks[block] = self.blocks[block]._replace(version=version)

    def _grow(self, block: int, length: int, crc: int) -> int:
        """A record was appended to a file's last block; returns its place in the file."""
        before = self.blocks[block]
        self.blocks[block] = before._replace(length=length, crc=crc)
        return self.homes[block].starts[-1] + before.length

    def _reserve(self, last: int) -> None:
        self.reserved = last

    def _put_in(self, file: File) -> None:
        self.files[file.path] = file
        for folder in ancestors(file.path):
            self.folders[folder] = self.folders.get(folder, 0) + 1

    def _take_out(self, path: str, free: bool = True) -> File:
        file = self.files.pop(path)
        for folder in ancestors(path):
            self.folders[folder] -= 1
            if not self.folders[folder]:
                del self.folders[folder]
        for block in file.blocks if free else ():
            del self.blocks[block], self.homes[block]
            self.freed.append(block)
        return file

    # a checkpoint ------------------------------------------------------------

    def dump(self) -> Any:
        """All of it, as plain values."""
        files = [
            (path, [(block, *self.blocks[block]) for block in file.blocks])
            for path, file in self.files.items()
        ]
        return self.reserved, files

    def load(self, state: Any) -> None:
        """What ``dump`` returned."""
        self.reserved, files = state
        for path, blocks in files:
            self._extend(path, tuple(NewBlock(block, length, crc) for block, _, length, crc in blocks))
            for block, version, _, _ in blocks:
                self._grant(block, version)
