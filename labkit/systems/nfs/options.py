"""What can be chosen for a server and its clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from labkit.parts.options import Rule, checked, number, one_of, seconds, settle, switch, text, whole

from .protocol import Export, NfsError, check_name

__all__ = ["CONSISTENCY", "LIVE", "Options", "given"]

#: How a client keeps its caches in step with the server: it has none; it never asks again; attributes are
#: good for a while; besides, it asks at each open and writes back at each close.
CONSISTENCY = ("no cache", "none", "timeouts", "close-to-open")


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds, sizes in bytes. Defaults in brackets are nfs(5)'s."""

    consistency: str = "close-to-open"
    write_behind: bool = True  #: writes wait in the client; False: each waits for the server's disk
    name_cache: bool = True  #: a client remembers the handles of names
    duplicates: bool = False  #: the server has a duplicate request cache
    hard: bool = True  #: a client asks for ever; False (soft): it gives up with ETIMEDOUT
    timeo: float = 0.7  #: until a call is sent once more; each wait is twice the one before [0.7, over UDP]
    longest_wait: float = 10.0  #: between two of them [60]
    retrans: int = 3  #: calls sent again before a soft mount gives up and a hard one says so [3]
    block: int = 8192  #: of a transfer, 512 to 1 MiB; 8 KiB is version 2's most
    read_ahead: int = 1  #: blocks fetched before they are asked for, when a file is read in order
    biods: int = 4  #: blocks that a client writes or reads ahead at a time (block I/O daemons)
    cache_bytes: int = 16_000_000  #: of a client's block cache
    flush_every: float = 5.0  #: until what waits in a client is written, if nobody closes the file
    file_seconds: tuple[float, float] = (3.0, 60.0)  #: attributes of a file are good so long [acregmin, -max]
    folder_seconds: tuple[float, float] = (30.0, 60.0)  #: and of a directory [acdirmin, acdirmax]
    window: int = 256  #: replies that the duplicate request cache keeps
    window_seconds: float = 120.0  #: and for how long (Linux's number)
    grace: float = 5.0  #: after the lock service's restart, in which only old locks are reclaimed [45]
    capacity: int = 1_000_000_000  #: of the server's disk
    disk_seconds: float = 0.005  #: of one forced write, in the simulator
    exports: tuple[Export, ...] = (Export(),)

    def __post_init__(self) -> None:
        settle(self, RULES)


def _pair(value: Any) -> tuple[float, float]:
    low, high = value
    if not 0 <= low <= high:
        raise ValueError
    return float(low), float(high)


def _exports(value: Any) -> tuple[Export, ...]:
    """From "/path", an ``Export``, several of them, or a mapping of paths to the fields of one."""
    if isinstance(value, (str, Export)):
        value = [value]
    if isinstance(value, Mapping):
        value = [Export(path, **more) for path, more in value.items()]
    if not isinstance(value, Iterable):
        raise TypeError
    found = [each if isinstance(each, Export) else Export(each) for each in value]
    found = [each._replace(path=_path(each.path), machines=_machines(each)) for each in found]
    if not found or len({each.path for each in found}) < len(found):
        raise ValueError
    return tuple(found)


def _path(path: str) -> str:
    """A folder's, with one "/" between the names; "." and ".." are none."""
    names = [name for name in path.split("/") if name]
    if not path.startswith("/") or {".", ".."} & set(names):
        raise ValueError
    try:
        for name in names:
            check_name(name)
    except NfsError as error:
        raise ValueError from error
    return "/" + "/".join(names)


def _machines(export: Export) -> tuple[str, ...] | None:
    """One name is one machine, and not the letters in it."""
    machines = export.machines
    return (machines,) if isinstance(machines, str) else None if machines is None else tuple(machines)


def _rule(name: str, default: Any) -> Rule:
    if isinstance(default, bool):
        return switch
    if isinstance(default, int):
        return whole(0, write=default)
    return seconds(0, write=default)


RULES: dict[str, Rule] = {
    field.name: _rule(field.name, field.default)
    for field in fields(Options)
    if isinstance(field.default, (bool, int, float))
}
for _name in ("file_seconds", "folder_seconds"):
    RULES[_name] = Rule(_pair, "two numbers of seconds, the first at most the second", ((3.0, 60.0),))
RULES |= {
    "consistency": one_of(CONSISTENCY),
    "timeo": seconds(write=0.7),
    "longest_wait": seconds(write=10.0),
    "block": whole(512, 1 << 20, write=8192),
    "biods": whole(1, write=4),
    "window": whole(1, write=256),
    "flush_every": seconds(write=5.0),
    "capacity": number(above=0, write=1_000_000_000),
    "exports": Rule(_exports, "paths of folders, each once", ("/", {"/": {}, "/pub": {"read_only": True}})),
}

#: What may be changed while it runs.
LIVE = ("consistency", "write_behind", "name_cache", "duplicates", "hard", "read_ahead")

#: Of ``NFS.lose_reply``.
TIMES = whole(0, says="so many replies are lost", write=1)

#: Of ``NFS(…)`` itself.
SYSTEM = {
    "clients": whole(1, says="a file server is for at least one client", write=2),
    "name": text(says="its nodes are called after it", write="nfs"),
}


def given(options: Mapping[str, Any]) -> tuple[dict[str, Any], Options]:
    """What is for the system itself, and the options; raises ``TypeError``, ``ValueError``."""
    chosen = checked("NFS", options, {**SYSTEM, **RULES})
    own = {name: chosen.pop(name) for name in SYSTEM if name in chosen}
    return {"clients": 2, "name": "nfs", **own}, Options(**chosen)
