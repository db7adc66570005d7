"""The file system as its user holds it.

::

    fs = FileSystem(cluster, replicas=3)
    fs.put("corpus/", {"a.txt": "some text", "b.bin": b"bytes"})
    with fs.open("corpus/a.txt") as file: ...
    pandas.read_csv("labkit://table.csv")                  # every library that knows fsspec

A path is text with "/" between its parts; a folder is there as long as a file is in it.
"""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from labkit.parts.options import checked, whole
from labkit.parts.system import OnCluster
from labkit.runtime.again import Repeatable
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import Timeout
from labkit.runtime.node import Node
from labkit.runtime.sync import gather

from .blocks import Data, Modelled
from .chunkserver import Chunkserver
from .files import Files, Location, in_parallel
from .health import Health, examine
from .invariants import Report, judge
from .master import Master
from .paths import matcher, normal
from .settings import Settings, rules
from .streams import Reader, Writer, check_mode

__all__ = ["FileSystem", "file_systems"]

#: Files that ``put`` writes at the same time.
FILES_AT_ONCE = 16
#: Heartbeats that a master hears in a second when all is well: in a large cluster they come less often, and a
#: death is noticed later (HDFS takes ten minutes).
HEARTBEATS_PER_SECOND = 100
#: Characters of a path, as Linux has them.
LONGEST_PATH = 4095

_all: weakref.WeakSet[FileSystem] = weakref.WeakSet()


def file_systems() -> list[FileSystem]:
    """Those of this process whose cluster is open, oldest first."""
    return sorted((fs for fs in list(_all) if not fs.over), key=lambda fs: fs.cluster.run_number)


class FileSystem(OnCluster, Repeatable):
    """Files on the disks of a cluster's machines.

    replicas: copies of each block, 1 to the number of machines; 3, or as many as there are machines.
    block_size: bytes of a block at most. An appended record has its whole block written anew.
    machines: those with a chunkserver; all that are alive.
    master: the master's machine; the first.
    heartbeat_every, timeout: seconds; see ``Settings``. Unless given they grow with the cluster beyond 50
    machines. bandwidth: bytes per second through a machine's network card, for files of ``put_sized``; the
    network's. name: its nodes are called ``name-master`` and ``name-m1``, ….
    """

    def __init__(
        self,
        cluster: Cluster,
        replicas: int | None = None,
        block_size: int = 64 * 1024,
        *,
        machines: Iterable[str] | None = None,
        master: str | None = None,
        heartbeat_every: float | None = None,
        timeout: float | None = None,
        bandwidth: float | None = None,
        name: str = "files",
        **options: Any,
    ) -> None:
        alive = tuple(machine.name for machine in cluster.machines if machine.alive)
        homes = alive if machines is None else tuple(cluster.machine(machine).name for machine in machines)
        usual = max(0.5, len(homes) / HEARTBEATS_PER_SECOND) if heartbeat_every is None else heartbeat_every
        given = {
            "name": name,
            "replicas": min(3, len(homes)) if replicas is None else replicas,
            "block_size": block_size,
            "heartbeat_every": usual,
            "bandwidth": cluster._engine.network.bandwidth if bandwidth is None else bandwidth,
            **options,
            **({} if timeout is None else {"timeout": timeout}),
        }
        chosen = checked("FileSystem", given, rules(len(homes)))
        self.cluster = cluster
        self.machines = homes
        #: What a node needs for ``Files(node, settings)``.
        self.settings = Settings(**{"timeout": 4 * chosen["heartbeat_every"], **chosen})
        settings = self.settings
        nodes: list[tuple[Any, ...]] = [
            (Master, (settings, len(homes)), {}, settings.master, master or homes[0])
        ]
        nodes += [(Chunkserver, (settings,), {}, settings.server(machine), machine) for machine in homes]
        cluster.spawn_many(nodes)
        cluster.call(settings.master, "ready", timeout=settings.give_up_after)
        self._client: Files | None = None
        #: What was put into it, by name: contents, or size and block size.
        self.given: dict[str, Any] = {}
        _all.add(self)

    def reset(self) -> None:
        """The same file system once more, on the same cluster begun anew, with what was put into it; what was
        written otherwise is gone."""
        given = self.given
        self._cluster.reset()
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]
        self._put(given)

    def put_all_of(self, other: FileSystem) -> None:
        """Put in what was put into another file system, whether or not it is still there."""
        self._put(other.given)

    def _put(self, given: dict[str, Any]) -> None:
        self.put("", [(name, each) for name, each in given.items() if not isinstance(each, tuple)])
        for name, each in given.items():
            if isinstance(each, tuple):
                self.put_sized(name, *each)

    # files in ------------------------------------------------------------

    def put(self, path: str, contents: Any) -> int:
        """Write files; returns how many. What is there under these names is replaced.

        ``contents``: bytes, for one file; the path of a local file or folder; a mapping or iterable of names
        and bytes or text, for files in the folder ``path``.
        """
        if isinstance(contents, (bytes, bytearray, memoryview)):
            files: list[tuple[str, Any]] = [(path, contents)]
        elif isinstance(contents, str) and ("\n" in contents or len(contents) > LONGEST_PATH):
            raise ValueError(
                f"put({path!r:.60}, text): text is the path of a local file, and {contents!r:.40} is none; "
                "to write it, give bytes: text.encode()"
            )
        elif isinstance(contents, (str, os.PathLike)):
            files = _local_files(path, Path(contents))
        else:
            pairs = contents.items() if isinstance(contents, Mapping) else contents
            files = [(f"{path}/{name}" if path else name, content) for name, content in pairs]

        async def write_all(store: Files) -> None:
            async def write(file: tuple[str, Any]) -> None:
                name, content = file
                await store.write(name, content.read_bytes() if isinstance(content, Path) else content)

            await in_parallel(write, files, FILES_AT_ONCE)

        self._run("put", path, write_all)
        self.given.update((normal(name), content) for name, content in files)
        return len(files)

    def put_sized(self, path: str, size: int, block_size: int | None = None, replace: bool = True) -> None:
        """A file of so many bytes that nobody has, for experiments at a paper's scale: its blocks are on the
        machines at once, and only how long they take to move is modelled, by ``bandwidth``."""
        size = whole(0, says="bytes >= 0")("size", size)

        async def make(store: Files) -> None:
            order = (normal(path), size, block_size or self.settings.block_size, replace)
            await store.change("create_modelled", *order)

        self._run("put_sized", path, make)
        self.given[normal(path)] = (size, block_size)

    def append(self, path: str, record: bytes | str) -> int:
        """Add to the end of a file, once and whole; returns where in it that is."""
        return int(self._run("append", path, lambda store: store.append(path, record)))

    # files out ------------------------------------------------------------

    def cat(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """A file's bytes, or ``length`` of them from ``offset``."""
        data = self._run("cat", path, lambda store: store.read(path, offset, length))
        return _real(path, data)

    def open(
        self, path: str, mode: str = "r", encoding: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """A file object, as Python's ``open`` makes it. What is written is in the file when it is closed:
        all of it, at once."""
        what, text = check_mode(mode)
        name = normal(path)
        raw: IO[bytes] = self._reader(name) if what == "r" else self._writer(name, what)
        return io.TextIOWrapper(raw, encoding or "utf-8", newline=newline) if text else raw

    def _reader(self, name: str) -> IO[bytes]:
        parts = self.locations(name)

        def fetch(start: int, size: int) -> bytes:
            data = self._run("read", name, lambda store: store.read_parts(parts, start, size))
            return _real(name, data)

        size = parts[-1].offset + parts[-1].length if parts else 0
        return io.BufferedReader(Reader(name, size, fetch), max(self.settings.block_size, 64 * 1024))

    def _writer(self, name: str, what: str) -> IO[bytes]:
        there = self._run("info", name, lambda store: store.info(name))
        if there is not None and there[0] == "folder":
            raise IsADirectoryError(f"{name!r} is a folder; fs.ls({name!r}) names the files in it")
        if there is not None and what == "x":
            raise FileExistsError(f"there is a file {name!r} already; mode 'w' replaces it")

        def save(data: bytes) -> None:
            if what == "a":
                self.append(name, data)
            else:
                self._run("write", name, lambda store: store.write(name, data, exclusive=what == "x"))

        return Writer(name, save)

    # names ------------------------------------------------------------

    def ls(self, path: str = "") -> list[str]:
        """What is in a folder, by name, folders with a "/" at the end; or the file itself."""
        folder = normal(path, folder=True)
        files = self._list(folder)
        if not files and folder:
            raise FileNotFoundError(f"there is no file or folder {folder!r}; fs.ls() names what there is")
        if [name for name, _ in files] == [folder]:
            return [folder]
        skip = len(folder) + 1 if folder else 0
        inside = {name[: name.find("/", skip) + 1] or name for name, _ in files}
        return sorted(inside)

    def glob(self, pattern: str) -> list[str]:
        """The files whose names fit a shell's pattern; ``**`` stands for any folders."""
        fits = matcher(normal(pattern)).fullmatch
        folder = pattern.split("*")[0].split("?")[0].split("[")[0].rpartition("/")[0]
        return [name for name, _ in self._list(folder) if fits(name)]

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder of this name."""
        return bool(self._run("exists", path, lambda store: store.exists(path)))

    def info(self, path: str) -> dict[str, Any]:
        """name, type ("file" or "directory"), size in bytes, and the number of its blocks, or of the files in
        it."""
        found = self._run("info", path, lambda store: store.info(path))
        if found is None:
            raise FileNotFoundError(f"there is no file or folder {path!r}; fs.ls() names what there is")
        kind, size, count = found
        name = normal(path, folder=True)
        if kind == "file":
            return {"name": name, "type": "file", "size": size, "blocks": count}
        return {"name": name, "type": "directory", "size": size, "files": count}

    def du(self, path: str = "") -> int:
        """Bytes of a file, or of all in a folder; not counting copies."""
        return int(self.info(path)["size"])

    def rm(self, path: str, recursive: bool = False) -> int:
        """Delete a file, or a folder with all in it; returns how many files that were."""
        return int(self._run("rm", path, lambda store: store.delete(path, recursive)))

    def mv(self, source: str, target: str, exclusive: bool = False) -> None:
        """Give a file or folder another name, in one step. A file of that name is replaced, unless
        ``exclusive``."""
        self._run("mv", source, lambda store: store.rename(source, target, exclusive))

    def locations(self, path: str) -> tuple[Location, ...]:
        """Which block of a file is on which machines."""
        found: tuple[Location, ...] = self._run("locations", path, lambda store: store.locations(path))
        return found

    def _list(self, folder: str) -> tuple[tuple[str, int], ...]:
        found: tuple[tuple[str, int], ...] = self._run("ls", folder, lambda store: store.list(folder))
        return found

    # how it is ------------------------------------------------------------

    def health(self) -> Health:
        """What has too few copies, what is lost, what has rotted."""
        return examine(self._survey())

    def settle(self, timeout: float = 300.0) -> Health:
        """Let time pass until the master knows who lives, and nothing is left to be mended or deleted; raises
        ``Timeout`` saying what is."""
        deadline = self.cluster.now + timeout
        while True:
            health = self.health()
            states = {machine: self.cluster.machine(machine).state for machine in self.machines}
            living = {machine for machine, state in states.items() if state in ("alive", "slow")}
            if health.settled and set(health.machines) == living:
                return health
            if self.cluster.now >= deadline:
                raise Timeout(f"the file system has not settled within {timeout:g} s: {health!r}; {states}")
            self.cluster.run(self.settings.heartbeat_every)

    def check(self) -> Report:
        """The invariants, judged on what is on the disks of the living machines; ``settle()`` first."""
        report: Report = self._run("check", "", self._audit)
        return report

    async def _audit(self, store: Files) -> Report:
        found = await store.ask("survey")
        lengths = {block: length for blocks in found["files"].values() for block, _, length, *_ in blocks}
        servers = [self.settings.server(machine) for machine in found["living"]]
        audits = await gather(
            *(store.node.call(server, "audit", lengths, timeout=60.0) for server in servers)
        )
        return judge(found, dict(zip(found["living"], audits, strict=True)), self.settings.replicas)

    def scrub(self) -> int:
        """Have every chunkserver verify all its copies; returns how many were rotten."""

        async def all_of_them(store: Files) -> int:
            living = (await store.ask("survey"))["living"]
            calls = [store.node.call(self.settings.server(m), "scrub", timeout=60.0) for m in living]
            return sum(await gather(*calls))

        return int(self._run("scrub", "", all_of_them))

    def rot(self, path: str, block: int = 0, machine: str | None = None) -> str:
        """A fault: bytes of a block (the file's first is 0) change on the disk of a machine, the first that
        has it unless given; returns the machine. Nobody is told."""
        places = self.locations(path)
        if not 0 <= block < len(places):
            raise ValueError(
                f"{path!r} has {len(places)} blocks, counted from 0; there is no block {block!r}"
            )
        place = places[block]
        if not place.machines or machine not in (None, *place.machines):
            where = ", ".join(place.machines) or "no machine now"
            raise ValueError(f"{machine or 'a machine'} has no copy of that block; it is on {where}")
        machine = machine or place.machines[0]
        self.cluster.call(self.settings.server(machine), "spoil", place.block)
        return machine

    def _survey(self) -> dict[str, Any]:
        found: dict[str, Any] = self._run("health", "", lambda store: store.ask("survey"))
        return found

    # how ------------------------------------------------------------

    def _run(self, name: str, path: str, program: Callable[[Files], Any]) -> Any:
        """Run a client's program as one span of the trace."""

        async def run(client: Node) -> Any:
            if self._client is None:
                self._client = Files(client, self.settings)
            return await program(self._client)

        with self.cluster.span(name, path=str(path)):
            return self.cluster.submit(run).result()

    def _in_short(self) -> str:
        return (
            f"file system {self.settings.name!r}: {self.settings.replicas} copies on "
            f"{len(self.machines)} machines of {self.cluster.name!r}"
        )


def _real(path: str, data: Data) -> bytes:
    if isinstance(data, Modelled):
        raise ValueError(f"{path!r} holds no bytes, only their number: put_sized made it")
    return data


def _local_files(path: str, local: Path) -> list[tuple[str, Any]]:
    """A local file under the name ``path`` (in it, if that ends in "/"); of a folder, all files below."""
    if local.is_file():
        return [(f"{path}{local.name}" if path.endswith("/") or not path else path, local)]
    if not local.is_dir():
        raise FileNotFoundError(
            f"there is no local file or folder {str(local)!r}; text for a file is given as bytes"
        )
    below = sorted(each for each in local.rglob("*") if each.is_file())
    return [(f"{path}/{each.relative_to(local).as_posix()}", each) for each in below]
