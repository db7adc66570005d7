"""What the events add up to at a position of the trace: one fold, read by panel, checks and experiments.

A read was *stale* if, when it began, the server's disk had newer bytes of another client's in a block that it
returned. Nobody in the system knows that: it takes the whole trace to see it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

__all__ = ["Cached", "FileView", "FilesReducer", "FilesState", "Read"]

ROOT = 2
#: The latest changes of a block that are remembered.
CHANGES_KEPT = 16
#: The latest messages, to be drawn.
CALLS_KEPT = 200


@dataclass(frozen=True)
class FileView:
    """A file as the server has it."""

    fileid: int
    generation: int
    kind: str
    size: int = 0
    change: int = 1


@dataclass(frozen=True)
class Cached:
    """A block in a client's memory. change: the file's, when it came."""

    change: int
    dirty: bool = False


@dataclass(frozen=True)
class Read:
    """One read by a program."""

    time: float
    client: str
    fileid: int
    mode: str
    blocks: int
    cached: int  #: of these, from the cache
    stale: int  #: of these, older than what the server had


@dataclass(frozen=True)
class Call:
    """A message that an event tells of, for the picture. kind: request, reply, lost, or hop: once more."""

    seq: int
    time: float
    client: str
    to_server: bool
    kind: str
    words: str


@dataclass
class FilesState:
    """Server and clients so far."""

    lab: Machines = field(default_factory=Machines)
    block: int = 8192
    boots: int = 0  #: of the server
    used: int = 0  #: bytes on its disk, when it last started
    duplicates: bool = False
    files: dict[int, FileView] = field(default_factory=dict)
    names: dict[tuple[int, str], int] = field(default_factory=dict)  #: (directory, name): fileid
    #: (fileid, generation, block): its latest changes: (number, client, time).
    changes: dict[tuple[int, int, int], tuple[tuple[int, str, float], ...]] = field(default_factory=dict)
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)  #: their choices now
    cached: dict[tuple[str, int, int, int], Cached] = field(default_factory=dict)  #: client, …, block
    opened: dict[tuple[str, int], int] = field(default_factory=dict)  #: client, fileid: times open
    reads: list[Read] = field(default_factory=list)
    executed: dict[str, int] = field(default_factory=dict)  #: changes that the server carried out
    seen: dict[tuple[str, int, str], int] = field(default_factory=dict)  #: the same by call
    #: (time, client, procedure, status): calls that were carried out once more.
    twice: list[tuple[float, str, str, str]] = field(default_factory=list)
    resent: int = 0
    answered_again: int = 0
    replies_lost: int = 0
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    waiting: dict[str, bool] = field(default_factory=dict)  #: clients that hear nothing of the server
    #: By handle: (client, owner, start, end, exclusive).
    locks: dict[str, tuple[tuple[Any, ...], ...]] = field(default_factory=dict)
    grace: bool = False

    @property
    def dirty(self) -> int:
        """Blocks that wait in clients to be written."""
        return sum(each.dirty for each in self.cached.values())

    @property
    def stale_reads(self) -> list[Read]:
        """Reads that returned something old."""
        return [each for each in self.reads if each.stale]

    def path(self, fileid: int) -> str:
        """A name of a file, from the root."""
        if fileid == ROOT:
            return "/"
        parents = {each: where for where, each in self.names.items()}
        words: list[str] = []
        while fileid in parents and len(words) < 100:
            fileid, name = parents[fileid]
            words.append(name)
        return "/" + "/".join(reversed(words))

    def look(self, client: str, fileid: int, generation: int, block: int) -> str:
        """A block in a client's memory: fresh, stale or dirty; none if it is not there."""
        found = self.cached.get((client, fileid, generation, block))
        if found is None:
            return "none"
        if found.dirty:
            return "dirty"
        return "stale" if self.newer((fileid, generation, block), client, found.change) else "fresh"

    def newer(self, key: tuple[int, int, int], client: str, change: int, until: float = float("inf")) -> bool:
        """Whether another client's bytes came into a block after this change, up to a time."""
        return any(
            number > change and who != client and time <= until
            for number, who, time in self.changes.get(key, ())
        )


class FilesReducer:
    """Folds the events of the nodes of one server and its clients."""

    def __init__(self, name: str = "", known: Sequence[MachineView] = ()) -> None:
        self.prefix, self.known = f"{name}-" if name else "", known

    def initial(self) -> FilesState:
        """Nothing yet."""
        return FilesState(Machines.known(self.known))

    def apply(self, state: FilesState, event: Any) -> None:
        """Fold one event."""
        if event.kind in ("killed", "machine_died"):
            _forgotten(state, event.machine)
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is not None and event.node is not None and event.node.startswith(self.prefix):
            handler(state, event, event.data)
            if event.kind in _SHOWN:
                to_server, kind, words = _SHOWN[event.kind]
                client = event.data.get("client", event.node)
                words = event.data.get("procedure", words)
                state.calls.append(Call(event.seq, event.time, client, to_server, kind, words))


def _forgotten(state: FilesState, machine: str) -> None:
    """What was in the memory of a machine's clients is gone."""
    here = {node for node, home in state.lab.places.items() if home == machine}
    state.cached = {key: each for key, each in state.cached.items() if key[0] not in here}
    state.opened = {key: each for key, each in state.opened.items() if key[0] not in here}
    state.waiting = {key: each for key, each in state.waiting.items() if key not in here}


# the server ------------------------------------------------------------


def _server_started(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.boots += 1
    state.used, state.duplicates, state.block = data["used"], data["duplicates"], data["block"]
    state.files.setdefault(ROOT, FileView(ROOT, 1, "directory"))


def _entry_made(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    fileid = data["fileid"]
    state.names[data["parent"], data["name"]] = fileid
    state.files[fileid] = FileView(fileid, data["generation"], data["what"], data["size"], data["change"])


def _entry_left(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.names.pop((data["parent"], data["name"]), None)


def _freed(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    found = state.files.get(data["fileid"])
    if found is not None and found.generation == data["generation"]:
        del state.files[data["fileid"]]


def _changed(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    fileid, generation, change = data["fileid"], data["generation"], data["change"]
    found = state.files.get(fileid)
    if found is not None and found.generation == generation:
        state.files[fileid] = replace(found, size=data["size"], change=change)
    if event.kind == "wrote":
        first, last = (
            data["offset"] // state.block,
            (data["offset"] + max(1, data["count"]) - 1) // state.block,
        )
        blocks: Any = range(first, last + 1)
    elif "size" in data["what"]:
        first = data["size"] // state.block
        blocks = [key[2] for key in state.changes if key[:2] == (fileid, generation) and key[2] >= first]
    else:
        return
    for block in blocks:
        key = (fileid, generation, block)
        before = state.changes.get(key, ())[-CHANGES_KEPT + 1 :]
        state.changes[key] = (*before, (change, data["client"], event.time))


def _executed(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    name = data["procedure"]
    state.executed[name] = state.executed.get(name, 0) + 1
    key = (data["client"], data["xid"], name)
    state.seen[key] = state.seen.get(key, 0) + 1
    if state.seen[key] > 1:
        state.twice.append((event.time, data["client"], name, data["status"]))


def _counted(name: str) -> Callable[[FilesState, Any, Mapping[str, Any]], None]:
    def apply(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
        setattr(state, name, getattr(state, name) + 1)

    return apply


def _duplicates_set(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.duplicates = data["on"]


# clients ------------------------------------------------------------


def _client_started(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.clients[event.node] = dict(data)


def _chosen(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.clients[event.node] = {**state.clients.get(event.node, {}), data["name"]: data["value"]}


def _file_opened(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    key = (event.node, data["fileid"])
    state.opened[key] = state.opened.get(key, 0) + 1


def _file_closed(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    key = (event.node, data["fileid"])
    state.opened[key] = state.opened.get(key, 1) - 1
    if state.opened[key] <= 0:
        del state.opened[key]


def _file_read(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    seen, began = data["blocks"], data["began"]
    file = (data["fileid"], data["generation"])
    stale = sum(state.newer((*file, i), event.node, change, began) for i, change, _, _ in seen)
    cached = sum(bool(known) for _, _, known, _ in seen)
    state.reads.append(Read(event.time, event.node, file[0], data["mode"], len(seen), cached, stale))


def _key(event: Any, block: int) -> tuple[str, int, int, int]:
    return event.node, event.data["fileid"], event.data["generation"], block


def _block_cached(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.cached[_key(event, data["block"])] = Cached(data["change"])


def _block_dirty(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    key = _key(event, data["block"])
    found = state.cached.get(key)
    file = state.files.get(data["fileid"])
    state.cached[key] = Cached(found.change if found else file.change if file else 0, dirty=True)


def _block_flushed(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    key = _key(event, data["block"])
    if key in state.cached:
        state.cached[key] = replace(state.cached[key], dirty=False)


def _write_failed(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.cached.pop(_key(event, data["block"]), None)


def _blocks_dropped(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    for block in data["blocks"]:
        state.cached.pop(_key(event, block), None)


def _waits(on: bool) -> Callable[[FilesState, Any, Mapping[str, Any]], None]:
    def apply(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
        state.waiting[event.node] = on

    return apply


def _resent(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.resent += 1


# locks ------------------------------------------------------------


def _locked(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    state.locks[data["fh"]] = tuple(tuple(each) for each in data["held"])


def _locks_freed(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
    for fh, held in state.locks.items():
        state.locks[fh] = tuple(each for each in held if each[0] != data["client"])


def _grace(on: bool) -> Callable[[FilesState, Any, Mapping[str, Any]], None]:
    def apply(state: FilesState, event: Any, data: Mapping[str, Any]) -> None:
        state.grace = on
        state.locks = {} if on else state.locks

    return apply


#: Events that tell of a message: to the server or from it, its kind, what it is about.
_SHOWN = {
    "executed": (True, "request", ""),
    "block_cached": (False, "reply", "read"),
    "block_flushed": (False, "reply", "written"),
    "resent": (True, "hop", ""),
    "answered_again": (False, "hop", ""),
    "reply_lost": (False, "lost", ""),
}

_HANDLERS: dict[str, Callable[[FilesState, Any, Mapping[str, Any]], None]] = {
    "server_started": _server_started,
    "entry_made": _entry_made,
    "entry_left": _entry_left,
    "freed": _freed,
    "wrote": _changed,
    "attributes_set": _changed,
    "executed": _executed,
    "answered_again": _counted("answered_again"),
    "reply_lost": _counted("replies_lost"),
    "duplicates_set": _duplicates_set,
    "client_started": _client_started,
    "chosen": _chosen,
    "file_opened": _file_opened,
    "file_closed": _file_closed,
    "file_read": _file_read,
    "block_cached": _block_cached,
    "block_dirty": _block_dirty,
    "block_flushed": _block_flushed,
    "write_failed": _write_failed,
    "blocks_dropped": _blocks_dropped,
    "resent": _resent,
    "not_responding": _waits(True),
    "server_answers_again": _waits(False),
    "lock_granted": _locked,
    "lock_released": _locked,
    "locks_freed": _locks_freed,
    "grace_began": _grace(True),
    "grace_ended": _grace(False),
}
