"""What a client keeps of a file: its attributes, names in it, blocks; and what it has not written yet."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from labkit.runtime.sync import Lock

from .protocol import Attributes, Credentials

__all__ = ["Block", "BlockCache", "Vnode"]


@dataclass(eq=False)
class Block:
    """A block of a file in a client's memory."""

    data: bytes
    change: int  #: the file's, when the block came from the server
    valid: bool = True  #: False: only what was written here is known of it
    low: int | None = None  #: bytes from here …
    high: int = 0  #: … to here wait to be written
    user: Credentials = field(default_factory=Credentials)  #: whose bytes these are
    lock: Lock = field(default_factory=Lock)  #: held by who writes it

    @property
    def dirty(self) -> bool:
        """Whether something waits to be written."""
        return self.low is not None

    @property
    def busy(self) -> bool:
        """Whether it must stay: it is dirty, or on its way to the server."""
        return self.dirty or self.lock.locked()


@dataclass(eq=False)
class Vnode:
    """A file as the client knows it; one for each handle."""

    fh: bytes
    attributes: Attributes
    asked: float  #: when the server said so
    names: dict[str, bytes] = field(default_factory=dict)  #: of a directory: handles (the name cache)
    blocks: dict[int, Block] = field(default_factory=dict)
    fetching: dict[int, Any] = field(default_factory=dict)  #: blocks on their way here
    mine: set[int] = field(default_factory=set)  #: changes that this client made since ``asked``
    writes: int = 0  #: made here so far: whether a block that comes is older than one of them
    next_block: int = 0  #: where a reader that reads in order goes on
    error: str = ""  #: of a write behind the user's back, to be told at fsync or close
    opens: int = 0
    silly: tuple[bytes, str, Any] | None = None  #: removed while open: directory, the name meanwhile, who

    @property
    def dirty(self) -> list[int]:
        """Blocks with something to be written, or on its way."""
        return [i for i, block in self.blocks.items() if block.busy]

    def size(self, block: int) -> int:
        """Bytes of the file, with what waits here."""
        ends = [i * block + each.high for i, each in self.blocks.items() if each.high]
        return max([self.attributes.size, *ends])


class BlockCache:
    """Which blocks of all files a client keeps: those used last."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._used: OrderedDict[tuple[bytes, int], Vnode] = OrderedDict()
        self._bytes = 0

    def get(self, vnode: Vnode, i: int) -> Block | None:
        """A block that is here; it is now the one used last."""
        block = vnode.blocks.get(i)
        if block is not None:
            self._used.move_to_end((vnode.fh, i))
        return block

    def put(self, vnode: Vnode, i: int, block: Block) -> None:
        """Keep it; the one that was used longest ago and is not busy may go."""
        self.drop(vnode, i)
        vnode.blocks[i] = block
        self._used[vnode.fh, i] = vnode
        self._bytes += len(block.data)
        if self._bytes > self.capacity:
            self._make_room((vnode.fh, i))

    def grown(self, more: int) -> None:
        """A block that is here has so many bytes more."""
        self._bytes += more

    def _make_room(self, but: tuple[bytes, int]) -> None:
        for key, vnode in list(self._used.items()):
            if self._bytes <= self.capacity:
                return
            if key != but and not vnode.blocks[key[1]].busy:
                self.drop(vnode, key[1])

    def drop(self, vnode: Vnode, i: int) -> None:
        """Forget a block, if it is here."""
        block = vnode.blocks.pop(i, None)
        if block is not None:
            del self._used[vnode.fh, i]
            self._bytes -= len(block.data)
