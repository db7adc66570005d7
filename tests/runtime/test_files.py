"""Large files: whole or not at all, beside the disk's mapping, kept by a crash and taken by a lost disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit import Node, rpc
from labkit.runtime.disk import Files, FolderFiles, MemoryFiles
from tests.engines import MakeCluster


@pytest.fixture(params=["memory", "folder"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Both kinds."""
    return MemoryFiles() if request.param == "memory" else FolderFiles(tmp_path / "files")


def test_files_are_written_read_replaced_and_removed(files: Files) -> None:
    assert files.names() == []
    files.write("shuffle 0/map 1", b"abc")
    files.write("../up", bytearray(b"de"))
    files.write("shuffle 0/map 1", b"abcd")
    assert files.names() == ["../up", "shuffle 0/map 1"]
    assert files.read("shuffle 0/map 1") == b"abcd"
    assert (files.read("shuffle 0/map 1", 1, 2), files.read("shuffle 0/map 1", 3)) == (b"bc", b"d")
    assert (files.read("shuffle 0/map 1", 2, 9), files.read("shuffle 0/map 1", 4, 1)) == (b"cd", b"")
    assert (files.read("../up"), files.size("../up")) == (b"de", 2)
    files.remove("../up")
    files.remove("../up")
    for look in (files.read, files.size):
        with pytest.raises(KeyError, match=r"\.\./up"):
            look("../up")


def test_a_write_that_was_interrupted_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "+7").write_bytes(b"half")
    assert FolderFiles(tmp_path).names() == []


class Archive(Node):
    """Writes in a computation, which on Ray is another thread."""

    @rpc
    async def put(self, name: str, data: bytes) -> None:
        await self.compute(self.files.write, name, data)

    @rpc
    def look(self) -> dict[str, bytes]:
        return {name: self.files.read(name) for name in self.files.names()}


def test_a_crash_keeps_files_and_a_lost_disk_takes_them(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2)
    mine = cluster.spawn(Archive, machine="m1")
    other = cluster.spawn(Archive, machine="m2")
    for node in (mine, other):
        cluster.call(node, "put", "a/b", node.encode())
    assert cluster.call(mine, "look") == {"a/b": mine.encode()}
    cluster.kill("m1")
    cluster.restart("m1")
    assert cluster.call(mine, "look") == {"a/b": mine.encode()}
    cluster.kill("m1")
    cluster.disk_loss("m1")
    cluster.restart("m1")
    assert cluster.call(mine, "look") == {}
    assert cluster.call(other, "look") == {"a/b": other.encode()}


class Worker(Node):
    """Does work that costs as much as its result is long."""

    @rpc
    async def work(self, word: str) -> Any:
        begun = self.now
        answer = await self.compute(str.upper, word, cost=len)
        return answer, self.now - begun


def test_a_cost_may_depend_on_the_result(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=1)
    worker = cluster.spawn(Worker)
    answer, took = cluster.call(worker, "work", "ab")
    assert answer == "AB"
    if cluster.engine == "sim":
        assert took == pytest.approx(2.0)
        cluster.slow("m1", 1.5)
        assert cluster.call(worker, "work", "ab")[1] == pytest.approx(3.0)
