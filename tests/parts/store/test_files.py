"""What a user and a node do with files when nothing goes wrong, on both engines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from labkit import Node, gather
from labkit.parts.store import EVENTS, Files, FileSystem, Modelled
from labkit.runtime import Network

from .conftest import MakeFs

TEXT = "".join(f"line {number}\n" for number in range(500))  # several blocks


def test_begun_anew_with_what_was_put_into_it(make_fs: MakeFs) -> None:
    fs = make_fs(nobody_dies=True)
    fs.put("corpus/", {"a": "first", "b": b"bytes"})
    fs.put("/corpus/a", b"second")
    fs.put_sized("large", 5_000, block_size=2_000)
    fs.append("corpus/b", b" and more")
    fs.reset()
    assert fs.ls("corpus") == ["corpus/a", "corpus/b"]
    assert (fs.cat("corpus/a"), fs.cat("corpus/b")) == (b"second", b"bytes")
    assert fs.info("large") == {"name": "large", "type": "file", "size": 5_000, "blocks": 3}


def test_a_corpus(make_fs: MakeFs, tmp_path: Path) -> None:
    fs = make_fs(nobody_dies=True)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "local.bin").write_bytes(b"local")
    contents = {"a.txt": TEXT, "empty": b"", "ein Ordner/größer als ß.txt": b"\x00\xff"}
    assert fs.put("corpus/", contents) == 3
    assert fs.put("corpus/pairs", [("one", b"1"), ("two", b"2")]) == 2
    assert fs.put("from disk", str(tmp_path)) == 1
    assert fs.put("from disk/", tmp_path / "deep" / "local.bin") == 1
    assert fs.cat("corpus/a.txt") == TEXT.encode()
    assert fs.cat("/corpus//a.txt", 995, 10) == TEXT.encode()[995:1005]  # over a block's end
    assert fs.cat("corpus/a.txt", 10**6, 5) == b""
    assert fs.cat("corpus/empty") == b""
    assert fs.cat("from disk/local.bin") == fs.cat("from disk/deep/local.bin") == b"local"
    assert fs.ls() == ["corpus/", "from disk/"]
    assert fs.ls("corpus/") == ["corpus/a.txt", "corpus/ein Ordner/", "corpus/empty", "corpus/pairs/"]
    assert fs.ls("corpus/empty") == ["corpus/empty"]
    assert fs.glob("corpus/*/t*") == ["corpus/pairs/two"]
    assert fs.glob("**/*.txt") == ["corpus/a.txt", "corpus/ein Ordner/größer als ß.txt"]
    assert fs.du("corpus/pairs") == 2
    assert fs.info("corpus/a.txt") == {
        "name": "corpus/a.txt", "type": "file", "size": len(TEXT), "blocks": -(-len(TEXT) // 1000)
    }  # fmt: skip
    assert fs.exists("corpus/pairs")
    assert not fs.exists("corpus/pair")
    assert fs.rm("corpus", recursive=True) == 5
    assert fs.ls() == ["from disk/"]


def test_each_block_is_on_different_machines(make_fs: MakeFs) -> None:
    fs = make_fs(machines=5, nobody_dies=True)
    fs.put("a", TEXT.encode())
    parts = fs.locations("a")
    assert [part.offset for part in parts] == list(range(0, len(TEXT), 1000))
    assert all(len(set(part.machines)) == 3 for part in parts)
    assert fs.check().ok
    assert fs.health().ok
    assert "1 files, 5 blocks" in str(fs.health())


def test_names_change_in_one_step(make_fs: MakeFs) -> None:
    fs = make_fs(machines=2, nobody_dies=True)
    assert fs.settings.replicas == 2
    fs.put("tmp/part-0", b"new")
    fs.put("out/part-0", b"old")
    with pytest.raises(FileExistsError, match="'out/part-0' already"):
        fs.mv("tmp/part-0", "out/part-0", exclusive=True)
    fs.mv("tmp/part-0", "out/part-0")
    assert fs.cat("out/part-0") == b"new"
    assert not fs.exists("tmp")
    fs.mv("out", "final")
    assert fs.ls("final") == ["final/part-0"]
    with pytest.raises(ValueError, match="the root has no other name"):
        fs.mv("final", "/")


def test_file_objects(make_fs: MakeFs) -> None:
    fs = make_fs(nobody_dies=True)
    with fs.open("a", "w") as file:
        file.write(TEXT)
        assert not fs.exists("a")  # there at once, or not at all
    with fs.open("a") as first, fs.open("a") as second:
        assert first.readline() == second.readline() == "line 0\n"
        fs.put("a", b"other")
        assert first.read() == TEXT[7:]  # as it was when it was opened
    with fs.open("a", "rb") as file:
        assert file.seek(-2, 2) == 3
        assert file.read() == b"er"
        with pytest.raises(ValueError, match="no place -1"):
            file.raw.seek(-1)
    with fs.open("a", "ab") as file:
        file.write(b"!")
    assert fs.cat("a") == b"other!"
    with pytest.raises(FileExistsError, match="mode 'w' replaces it"):
        fs.open("a", "x")
    with pytest.raises(ValueError, match="read or written, not both"):
        fs.open("a", "r+")
    with pytest.raises(FileNotFoundError, match="there is no file 'b'"):
        fs.open("b")
    with fs.open("folder/a", "x") as file:
        file.write("x")
    with pytest.raises(IsADirectoryError, match="'folder' is a folder"):
        fs.open("folder", "w")


def test_an_open_file_that_is_gone(sim_fs: MakeFs) -> None:
    fs = sim_fs(garbage_after=1.0)
    fs.put("a", TEXT.encode())
    with fs.open("a", "rb") as file:
        fs.rm("a")
        assert file.read(10) == b"line 0\nlin"  # its blocks are still there, for a while
        fs.settle()
        file.raw.seek(0)
        with pytest.raises(OSError, match="deleted or written anew while it was read"):
            file.raw.readall()


class Appender(Node):
    """Appends records of its own, as fast as it can."""

    def __init__(self, settings: Any, count: int) -> None:
        self.settings = settings
        self.count = count
        self.places: list[int] = []

    async def start(self) -> None:
        store = Files(self, self.settings)
        for number in range(self.count):
            record = f"{self.name} {number}{'.' * (50 * number % 90)}\n"
            self.places.append(await store.append("log", record))


def test_two_that_append_at_once_lose_nothing(make_fs: MakeFs) -> None:
    append_from_two(make_fs(nobody_dies=True))


@pytest.mark.parametrize("seed", range(8))
def test_a_record_on_its_way_while_the_file_gets_a_block(sim_fs: MakeFs, seed: int) -> None:
    append_from_two(sim_fs(seed=seed, block_size=200))


def append_from_two(fs: FileSystem) -> None:
    """Two nodes append records, and every one is there, in each one's order."""
    names = [fs.cluster.spawn(Appender, fs.settings, 20, machine=machine) for machine in ("m2", "m3")]
    fs.cluster.run_until(
        lambda: all(len(fs.cluster.state(name, "places")["places"]) == 20 for name in names), 300
    )
    lines = fs.cat("log").decode().splitlines()
    for name in names:
        own = [line.rstrip(".") for line in lines if line.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(20)]
    assert len(lines) == 40
    place = fs.cluster.state(names[0], "places")["places"][7]
    assert fs.cat("log", place).decode().startswith(f"{names[0]} 7")


def test_appends_fill_blocks_and_a_large_one_has_its_own(sim_fs: MakeFs) -> None:
    fs = sim_fs()
    assert [fs.append("log", b"x" * size) for size in (600, 300, 300, 2500, 10)] == [0, 600, 900, 1200, 3700]
    assert fs.cat("log") == b"x" * 3710
    assert [part.length for part in fs.locations("log")] == [900, 300, 1000, 1000, 510]


class Worker(Node):
    """What a system's node does from inside."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.found: list[Any] = []

    async def start(self) -> None:
        store = Files(self, self.settings)
        await gather(*(store.write(f"out/{number}", bytes([number]) * 1500) for number in range(5)))
        await store.rename("out/0", "out/zero", exclusive=True)
        parts = await store.locations("out/1")
        found = [
            await store.list("out"),
            await store.exists("out/0"),
            await store.read("out/2", 1400, 500),
            [self.machine in part.machines for part in parts],
            await store.read_block(parts[1]),
            await store.delete("out/4"),
        ]
        for attempt in (
            store.create("out/1"),
            store.read("out/0"),
            store.read("out/1", -1),
            store.write("x", 3),
        ):
            try:
                await attempt
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
        self.found = found


def test_from_inside_a_node(make_fs: MakeFs) -> None:
    fs = make_fs(nobody_dies=True)
    name = fs.cluster.spawn(Worker, fs.settings, machine="m3")
    fs.cluster.run_until(lambda: fs.cluster.state(name, "found")["found"], 300)
    listed, exists, part, near, block, deleted, *errors = fs.cluster.state(name, "found")["found"]
    assert listed == tuple((f"out/{number}", 1500) for number in (1, 2, 3, 4, "zero"))
    assert (exists, part, block, deleted) == (False, b"\x02" * 100, b"\x01" * 500, 1)
    assert near == [True, True]  # the first copy stays on the writer's machine
    assert [error.partition(":")[0] for error in errors] == [
        "FileExistsError", "FileNotFoundError", "ValueError", "TypeError"
    ]  # fmt: skip


def test_a_node_reads_from_its_own_machine(sim_fs: MakeFs) -> None:
    fs = sim_fs(network=Network(bandwidth=1e6), block_size=100_000, replicas=1)
    fs.put_sized("input", 400_000)
    homes = [part.machines[0] for part in fs.locations("input")]
    cluster = fs.cluster

    class Reads(Node):
        took = -1.0

        def __init__(self, settings: Any) -> None:
            self.settings = settings

        async def start(self) -> None:
            store = Files(self, self.settings)
            parts = await store.locations("input")
            begun = self.now
            assert await store.read_block(parts[0]) == Modelled(100_000)
            self.took = self.now - begun

    near = cluster.spawn(Reads, fs.settings, machine=homes[0])
    far = cluster.spawn(Reads, fs.settings, machine=next(m for m in fs.machines if m != homes[0]))
    cluster.run(1.0)
    assert cluster.peek(near).took < 0.01
    assert 0.1 < cluster.peek(far).took < 0.12  # 100 kB at 1 MB/s


def test_modelled_files(sim_fs: MakeFs) -> None:
    fs = sim_fs(network=Network(bandwidth=1e8), block_size=64 * 2**20)
    fs.put_sized("input", 10**10)
    assert fs.info("input")["blocks"] == 150
    begun = fs.cluster.now
    read = fs.cluster.submit(lambda client: Files(client, fs.settings).read("input")).result()
    assert read == Modelled(10**10)
    assert 25.0 <= fs.cluster.now - begun < 40.0  # from four machines at 100 MB/s each
    with pytest.raises(ValueError, match="put_sized made it"):
        fs.cat("input")
    fs.cluster.submit(lambda client: Files(client, fs.settings).write("copy", Modelled(10**9))).result()
    assert fs.du("copy") == 10**9
    with pytest.raises(ValueError, match="no bytes of block"):
        fs.rot("copy")
    with pytest.raises(ValueError, match="bytes >= 0"):
        fs.put_sized("input", -1)


def test_many_small_files_and_a_huge_one(sim_fs: MakeFs) -> None:
    fs = sim_fs(block_size=1_000_000, machines=5)
    fs.put("small", {f"{number:04}": str(number) for number in range(1000)})
    assert len(fs.ls("small")) == 1000
    assert fs.cat("small/0777") == b"777"
    data = bytes(range(250)) * 200_000
    fs.put("huge", data)
    assert fs.cat("huge") == data
    assert fs.cat("huge", 24_321_000, 3) == data[24_321_000:24_321_003]
    held = [len(fs.cluster.peek(fs.settings.server(machine)).held) for machine in fs.machines]
    assert max(held) < 1.1 * min(held)  # every machine has its share


def test_what_is_wrong_is_said(sim_fs: MakeFs) -> None:
    fs = sim_fs()
    fs.put("folder/a", b"a")
    for error, text, action in (
        (FileNotFoundError, "no file or folder 'x'", lambda: fs.ls("x")),
        (FileNotFoundError, "no file or folder 'x'", lambda: fs.info("x")),
        (FileNotFoundError, r"ls\('folder'\) names", lambda: fs.cat("folder/b")),
        (FileNotFoundError, "no local file or folder 'no such'", lambda: fs.put("x", "no such")),
        (IsADirectoryError, "'folder' is a folder", lambda: fs.cat("folder")),
        (IsADirectoryError, "'folder' is a folder", lambda: fs.put("folder", b"")),
        (IsADirectoryError, "a file is 'folder'", lambda: fs.put("folder/", b"")),
        (IsADirectoryError, "'folder' is a folder", lambda: fs.rm("folder")),
        (NotADirectoryError, "'folder/a' is a file", lambda: fs.put("folder/a/b", b"")),
        (ValueError, "no block 1", lambda: fs.rot("folder/a", 1)),
        (ValueError, "no place|has no copy", lambda: fs.rot("folder/a", 0, "m9")),
        (
            ValueError,
            "replicas=5: copies are on different machines, 1 to 4 of them here",
            lambda: FileSystem(fs.cluster, 5, name="more"),
        ),
        (
            ValueError,
            "block_size=0: bytes >= 1; write block_size=65536",
            lambda: FileSystem(fs.cluster, block_size=0, name="none"),
        ),
    ):
        with pytest.raises(error, match=text):
            action()


def test_every_event_is_in_the_table() -> None:
    import labkit.parts.store

    folder = Path(labkit.parts.store.__file__).parent
    source = "".join(path.read_text() for path in sorted(folder.glob("*.py")))
    emitted = dict(re.findall(r'emit\(\s*"(\w+)",?([^)]*)', source))
    assert set(emitted) == set(EVENTS)
    for kind, data in emitted.items():
        fields = {*re.findall(r"(\w+)=", data), "node", "machine"}
        assert set(re.findall(r"{(\w+)[:}]", str(EVENTS[kind].text))) <= fields, kind


@pytest.mark.parametrize("text", ["two\nlines", "x" * 5000])
def test_text_is_no_path_of_a_file_here(sim_fs: MakeFs, text: str) -> None:
    fs = sim_fs()
    with pytest.raises(ValueError, match=r"to write it, give bytes: text\.encode\(\)"):
        fs.put("a", text)
    fs.put("a", text.encode())
    assert fs.cat("a") == text.encode()
