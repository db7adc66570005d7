"""Files as programs use them, on both engines; and compared with this computer's own file system."""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

from labkit import Cluster
from labkit.systems.nfs import NFS, Export
from labkit.systems.nfs.single import Local

from .conftest import judged, name_of

Serve = Callable[..., NFS]


def test_two_clients_share_files(serve: Serve) -> None:
    """One test for both engines: what a first-year student does in the first ten minutes."""
    # With the server's memory of requests: one that is slow to answer is asked again.
    nfs = serve(flush_every=0.5, duplicates=True)
    one, other = nfs.clients
    one.mkdir("/course")
    one.write_text("/course/a.txt", "first")
    assert other.read_text("/course/a.txt") == "first"
    with other.open("/course/a.txt", "a") as file:
        file.write(" second")
    assert one.read_text("/course/a.txt") == "first second"
    data = random.Random(1).randbytes(50_000)
    one.write_bytes("/big", data)
    assert other.read_bytes("/big") == data
    with other.open("/big", "r+b") as file:
        file.seek(30_000)
        file.write(b"here")
    assert one.read_bytes("/big") == data[:30_000] + b"here" + data[30_004:]
    pandas.DataFrame({"x": [1, 2]}).to_csv(one.fs.open("/table.csv", "wb"), index=False)
    assert pandas.read_csv("labkit-nfs://table.csv", storage_options={"client": other}).x.tolist() == [1, 2]
    held = other.open("/big", "rb", buffering=0)
    one.unlink("/big")  # another client's: the handle of the one who has it open is stale
    one.write_bytes("/big", b"a new one")
    other.drop_caches()
    assert name_of(held.read) == "ESTALE"
    # Caches without consistency: the other sees the old file, and the trace knows.
    assert other.read_text("/course/a.txt") == "first second"
    nfs.consistency = "none"
    one.write_text("/course/a.txt", "newer")
    nfs.settle(timeout=300)
    assert other.read_text("/course/a.txt") == "first second"
    assert len(nfs.view().stale_reads) == 1
    nfs.consistency = "close-to-open"
    assert other.read_text("/course/a.txt") == "newer"
    with one.open("/course/a.txt", "r+b", 0) as mine, other.open("/course/a.txt", "r+b", 0) as yours:
        mine.lock()
        assert name_of(yours.lock) == "EAGAIN"
        mine.unlock()
        yours.lock()
    # Lost reply: without that memory mkdir is done twice, and the user told that it was there.
    nfs.duplicates = False
    nfs.lose_reply("mkdir")
    assert name_of(one.mkdir, "/twice") == "EEXIST"
    nfs.duplicates = True
    nfs.lose_reply("mkdir")
    one.mkdir("/once")
    # The server dies: what was acknowledged is there, and the clients need not be told.
    nfs.cluster.kill("m1")
    nfs.cluster.restart("m1")
    assert other.read_bytes("/big") == b"a new one"
    assert sorted(other.listdir("/")) == ["big", "course", "once", "table.csv", "twice"]
    assert "EEXIST" in {status for _, _, _, status in nfs.view().twice}


@pytest.fixture
def nfs() -> Iterator[NFS]:
    with Cluster(machines=3, engine="sim", seed=2) as cluster:
        nfs = NFS(cluster, exports={"/": {}, "/public": {"read_only": True}, "/root": {"root_squash": False}})
        yield nfs
        judged(nfs)


def test_errors_have_their_names(nfs: NFS) -> None:
    one, other = nfs.clients
    one.mkdir("/d")
    one.write_text("/f", "x")
    one.symlink("/loop", "/loop")
    cases: list[tuple[str, Any]] = [
        ("ENOENT", lambda: one.stat("/none")),
        ("ENOENT", lambda: one.open("/none/f", "w")),
        ("ENOENT", lambda: one.stat("")),
        ("EEXIST", lambda: one.mkdir("/d")),
        ("EEXIST", lambda: one.open("/f", "x")),
        ("EEXIST", lambda: one.link("/f", "/d")),
        ("EEXIST", lambda: one.mkdir("/")),
        ("ENOTDIR", lambda: one.stat("/f/x")),
        ("ENOTDIR", lambda: one.stat("/f/")),
        ("ENOTDIR", lambda: one.rmdir("/f")),
        ("ENOTDIR", lambda: one.rename("/d", "/f")),
        ("EISDIR", lambda: one.unlink("/d")),
        ("EISDIR", lambda: one.open("/d", "w")),
        ("EISDIR", lambda: one.open("/d")),
        ("EISDIR", lambda: one.rename("/f", "/d")),
        ("EISDIR", lambda: one.truncate("/d", 0)),
        ("EINVAL", lambda: one.rename("/d", "/d/inside")),
        ("EINVAL", lambda: one.truncate("/f", -1)),
        ("EINVAL", lambda: one.readlink("/f")),
        ("EINVAL", lambda: one.stat("/a\0b")),
        ("EINVAL", lambda: one.rmdir("/d/.")),
        ("EBUSY", lambda: one.rmdir("/")),
        ("EPERM", lambda: one.link("/d", "/e")),
        ("EPERM", lambda: other.user(2000).chmod("/f", 0o777)),
        ("EPERM", lambda: one.chown("/f", 0)),
        ("EACCES", lambda: other.user(2000).open("/f", "w")),
        ("EACCES", lambda: other.user(2000).mkdir("/d/x")),
        ("ENAMETOOLONG", lambda: one.mkdir("/" + "n" * 256)),
        ("ENAMETOOLONG", lambda: one.mkdir("/" + "ü" * 128)),
        ("ENAMETOOLONG", lambda: one.stat("/d" * 513)),
        ("ELOOP", lambda: one.stat("/loop")),
        ("EFBIG", lambda: one.truncate("/f", 1 << 40)),
    ]
    found = [(name, name_of(call)) for name, call in cases]
    assert [wanted for wanted, _ in found] == [got for _, got in found]
    one.mkdir("/" + "n" * 255)
    one.stat("/d/" + "./" * 510 + ".")  # 1,024 bytes
    with pytest.raises(FileNotFoundError, match=r"ENOENT.*'/none'"):
        one.stat("/none")
    one.write_text("/d/x", "")
    assert name_of(one.rmdir, "/d") == "ENOTEMPTY"
    one.mkdir("/d2")
    assert name_of(one.rename, "/d2", "/d") == "ENOTEMPTY"
    assert one.stat("/d2").st_nlink == 2
    assert one.stat("/").st_nlink == 7


def test_exports_mounts_and_root(nfs: NFS) -> None:
    one, other = nfs.clients
    one.mkdir("/mnt")
    one.write_text("/public/f", "x")
    other.mkdir("/mnt2")
    other.mount("/public", "/mnt2")
    assert other.listdir("/mnt2") == ["f"]
    assert other.read_text("/mnt2/f") == "x"
    assert name_of(other.mkdir, "/mnt2/d") == "EROFS"
    assert name_of(other.rename, "/mnt2/f", "/f") == "EXDEV"
    assert name_of(other.rmdir, "/mnt2") == "EBUSY"
    assert other.stat("/mnt2/../public").st_ino == other.stat("/mnt2").st_ino
    nfs.cluster.kill("m3")
    nfs.cluster.restart("m3")
    assert other.listdir("/mnt2") == ["f"]  # mounted again
    other.umount("/mnt2")
    assert other.listdir("/mnt2") == []
    # Root of another machine is nobody, where the export says so.
    root = one.user(0)
    root.write_text("/by-root", "")
    assert root.stat("/by-root").st_uid == 65534
    assert name_of(root.chown, "/by-root", 0) == "EPERM"
    one.mount("/root", "/mnt")
    root.write_text("/mnt/f", "")
    assert root.stat("/mnt/f").st_uid == 0
    with pytest.raises(OSError, match="EACCES"):
        NFS(nfs.cluster, clients=1, name="other", exports=[Export("/x", machines=("m9",))])


def test_permissions_and_sticky_directories(nfs: NFS) -> None:
    one, other = nfs.clients
    one.mkdir("/tmp")
    one.chmod("/tmp", 0o1777)
    friend = other.user(2000, (1000,))
    one.write_text("/tmp/mine", "x")
    assert name_of(friend.unlink, "/tmp/mine") == "EPERM"
    assert name_of(friend.rename, "/tmp/mine", "/tmp/yours") == "EPERM"
    one.chmod("/tmp/mine", 0o640)
    assert friend.read_text("/tmp/mine") == "x"  # of the file's group
    assert friend.access("/tmp/mine", os.R_OK)
    assert not friend.access("/tmp/mine", os.W_OK)
    with one.open("/tmp/mine", "w") as file:
        one.chmod("/tmp/mine", 0)  # who owns a file and has it open may go on: the server asks who owns it
        file.write("still")
    one.chmod("/tmp/mine", 0o600)
    assert one.read_text("/tmp/mine") == "still"
    one.mkdir("/closed", 0o700)
    one.write_text("/closed/f", "")
    assert name_of(friend.stat, "/closed/f") == "EACCES" == name_of(friend.listdir, "/closed")


def test_times_and_link_counts(nfs: NFS) -> None:
    one, _ = nfs.clients
    nfs.consistency = "no cache"

    def moved(change: Callable[[], Any], path: str = "/f") -> str:
        before = one.lstat(path)
        nfs.cluster.run(1.0)
        change()
        after = one.lstat(path)
        times = {"a": "st_atime", "m": "st_mtime", "c": "st_ctime"}
        return "".join(key for key, name in times.items() if getattr(after, name) > getattr(before, name))

    one.write_text("/f", "x")
    assert moved(lambda: one.read_text("/f")) == "a"
    assert moved(lambda: one.write_text("/f", "longer")) == "mc"
    assert moved(lambda: one.chmod("/f", 0o600)) == "c"
    assert moved(lambda: one.link("/f", "/g")) == "c"
    assert moved(lambda: one.truncate("/f", 2)) == "mc"
    assert moved(lambda: one.stat("/f")) == ""
    assert moved(lambda: one.unlink("/f"), "/g") == "c"
    assert moved(lambda: one.write_text("/new", ""), "/") == "mc"
    assert moved(lambda: one.rename("/new", "/newer"), "/") == "mc"
    assert one.stat("/g").st_nlink == 1
    one.utime("/g", (5.0, 6.0))
    assert (one.stat("/g").st_atime, one.stat("/g").st_mtime) == (5.0, 6.0)
    assert stat.S_ISREG(one.stat("/g").st_mode)


def test_cookies_survive_changes(nfs: NFS) -> None:
    """Two hundred names in parts; some are removed and made between two calls: each other comes once."""
    one, _ = nfs.clients
    names = [f"{n:03}-{'x' * 60}" for n in range(200)]
    for name in names:
        one.write_text("/" + name, "")

    async def list_and_change(client: Any) -> list[str]:
        found, cookie, last = [], 0, False
        root = await client.call("probe", "ask_plain", "mnt", "/")
        while not last:
            some, last = await client.call("probe", "ask_plain", "readdir", root, cookie, 2000)
            found += [name for name, _, _ in some]
            cookie = some[-1][2]
            if len(found) < 100:
                await client.call("probe", "ask_plain", "remove", root, names[len(found) - 3])
                await client.call("probe", "ask_plain", "remove", root, names[len(found) + 40])
        return found

    probe(nfs)
    found = nfs.cluster.submit(list_and_change).result()
    found = [name for name in found if name not in ("public", "root")]
    assert len(found) == len(set(found))
    assert found == sorted(found)
    assert set(one.listdir("/")) - {"public", "root"} <= set(found)


def probe(nfs: NFS) -> None:
    """A node that calls procedures as they are."""
    from labkit.runtime import rpc
    from labkit.systems.nfs.nodes.rpc import RpcClient

    class Probe(RpcClient):
        def __init__(self, server: str, options: Any) -> None:
            self.server, self.options, self.hard = server, options, True

        def start(self) -> None:
            self._start_rpc()

        @rpc
        async def ask_plain(self, procedure: str, *args: Any) -> Any:
            return await self.ask(procedure, (1000, (1000,)), *args)

    nfs.cluster.spawn(Probe, nfs.server, nfs.options, name="probe", machine="m2")


def test_disk_full_is_told_at_close(nfs: NFS) -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        small = NFS(cluster, clients=1, capacity=50_000)
        (one,) = small.clients
        file = one.open("/f", "wb", buffering=0)
        file.write(b"x" * 40_000)
        file.write(b"y" * 40_000)  # into the cache: nobody knows yet
        with pytest.raises(OSError, match="ENOSPC"):
            file.close()
        one.unlink("/f")
        one.write_bytes("/f", b"x" * 40_000)
        small.write_behind = False
        with one.open("/g", "wb", buffering=0) as file:
            assert name_of(file.write, b"y" * 20_000) == "ENOSPC"  # at once
        assert one.statvfs().free <= 1
        judged(small)


def test_open_files_that_are_removed_or_replaced(nfs: NFS) -> None:
    one, other = nfs.clients
    one.write_text("/f", "old")
    held = one.open("/f", "rb", buffering=0)
    one.unlink("/f")
    assert not one.exists("/f")
    assert held.read() == b"old"
    assert [name[:4] for name in one.listdir("/")] == ["publ", "root", ".nfs"]
    held.close()
    assert one.listdir("/") == ["public", "root"]
    one.write_text("/f", "x")
    held = one.open("/f", "rb", buffering=0)
    one.unlink("/f")
    other.unlink("/" + other.listdir("/")[-1])  # somebody tidies up
    held.close()
    one.write_text("/f", "old")
    held = one.open("/f", "rb", buffering=0)
    one.write_text("/g", "new")
    one.rename("/g", "/f")
    held.seek(0)
    assert held.read() == b"old"
    assert one.read_text("/f") == "new"
    one.mkdir("/d")
    one.mkdir("/closed", 0o755)
    one.write_text("/closed/f", "mine")
    other = nfs.clients[1].user(2000)
    kept = other.open("/f", "rb", buffering=0)  # what cannot be renamed takes nobody's name
    assert name_of(other.rename, "/closed/f", "/f") == "EACCES"
    assert name_of(other.rename, "/d", "/f") == "ENOTDIR"
    assert other.read_text("/f") == kept.read().decode() == "new"
    one.write_text("/h", "newest")
    nfs.lose_reply("rename")  # the silly rename's
    other.rename("/h", "/f")
    assert other.read_text("/f") == "newest"
    kept.close()
    one.rmdir("/d")
    one.unlink("/closed/f")
    one.rmdir("/closed")
    nfs.cluster.kill("m2")  # the client dies in between: garbage is left, as the paper says
    nfs.cluster.restart("m2")
    assert [name[:4] for name in other.listdir("/")] == ["publ", "root", ".nfs", "f"]


def test_files_of_a_machines_former_life_are_closed(nfs: NFS) -> None:
    """After a restart another file has the number: closing or reading the old one must not touch it."""
    one, _other = nfs.clients
    one.write_text("/f", "old")
    old = one.open("/f", "rb", buffering=0)
    nfs.cluster.kill("m2")
    nfs.cluster.restart("m2")
    one.write_text("/g", "new")
    new = one.open("/g", "rb", buffering=0)
    with pytest.raises(OSError, match="EBADF: m2 was restarted: open it again"):
        old.read()
    old.close()
    assert new.read() == b"new"


def test_odd_arguments_of_open_files(nfs: NFS) -> None:
    with nfs.clients[0].open("/f", "wb", buffering=0) as file:
        with pytest.raises(TypeError):
            file.write(5)  # no five zeros
        with pytest.raises(ValueError, match="whence=7: write 0"):
            file.seek(0, 7)
        assert file.write(memoryview(b"abcd").cast("H")) == 4
        assert (file.seek(-1, 2), file.seek(-1, 1)) == (3, 2)


Op = tuple[str, tuple[Any, ...]]


def operations(seed: int, count: int) -> Iterator[Op]:
    """Random calls on few names, so that they meet."""
    draw = random.Random(seed)
    names = ["/a", "/b", "/c", "/a/x", "/a/y", "/b/x", "/a/x/z", "/l", "/l/x"]
    for _ in range(count):
        one, two = draw.choice(names), draw.choice(names)
        odd = draw.choice([*names, "/c/.", "/b/../a", "/a/x/..", "/c/", "/./b"])
        yield draw.choice(
            [
                ("mkdir", (one,)), ("rmdir", (one,)), ("unlink", (one,)), ("rename", (one, two)),
                ("link", (one, two)), ("write_bytes", (one, draw.randbytes(draw.choice([0, 10, 9000])))),
                ("read_bytes", (odd,)), ("listdir", (odd,)), ("truncate", (one, draw.choice([0, 5, 20_000]))),
                ("symlink", (draw.choice(["a", "x", "b", "l"]), one)), ("readlink", (one,)), ("stat", (odd,)),
            ]
        )  # fmt: skip


#: Where POSIX leaves the choice: ours, Linux's.
EITHER = {("EINVAL", "EBUSY"), ("EINVAL", "ENOTEMPTY"), ("EPERM", "EISDIR"), ("EEXIST", "ENOENT"),
          ("EINVAL", "EISDIR"), ("EINVAL", "ENOTDIR"), ("EINVAL", "EPERM"), ("EINVAL", "EEXIST"),
          ("EISDIR", "EEXIST"), ("ENOTEMPTY", "EEXIST"), ("ENOTEMPTY", "EBUSY"), ("EEXIST", "EPERM"),
          ("EINVAL", "ENOENT"), ("EEXIST", "EISDIR"), ("ENOTEMPTY", "EINVAL")}  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_the_same_as_this_computers_files(seed: int, tmp_path: Path) -> None:
    """Any sequence of calls has the results of the local file system: from one client with caches, from two
    without (with caches, names that another client changed are old for a while)."""

    def outcome(target: Any, name: str, args: Any) -> Any:
        try:
            value = getattr(target, name)(*args)
        except OSError as error:
            return errno.errorcode.get(error.errno, "?")
        if name == "listdir":
            return sorted(value)
        if name == "stat":
            kind = stat.S_IFMT(value.st_mode)
            return kind, value.st_nlink, 0 if stat.S_ISDIR(kind) else value.st_size
        return value

    with Cluster(machines=3, engine="sim", seed=seed, trace="off") as cluster:
        nfs = NFS(cluster, consistency=("close-to-open", "no cache")[seed % 2])
        local = Local(tmp_path)
        for number, (name, args) in enumerate(operations(seed, 250)):
            ours, theirs = (
                outcome(nfs.clients[number % 2 * (seed % 2)], name, args),
                outcome(local, name, args),
            )
            assert ours == theirs or (ours, theirs) in EITHER, (
                f"{number}: {name}{args!r:.60}: {ours!r:.60} {theirs!r:.60}"
            )
        assert cluster.call(nfs.server, "audit") == []


def test_what_users_do_anyway(nfs: NFS) -> None:
    """Odd names, odd values: a clear error or what UNIX does."""
    one, other = nfs.clients
    names = ["grün 🎈", "\udcff", "a\nb", " ", "..."]
    for name in names:
        one.mkdir(f"/public/../{name}")
    assert other.listdir("/")[2:] == names
    cases: list[tuple[type[Exception], str, Any]] = [
        (OSError, "EINVAL", lambda: one.mkdir("/\ud800")),
        (OSError, "EINVAL", lambda: one.mkdir(b"/x")),  # type: ignore[arg-type]
        (OSError, "EINVAL", lambda: one.chmod("/ ", -1)),
        (OSError, "EINVAL", lambda: one.utime("/ ", (float("nan"), 1.0))),
        (OSError, "ENOENT", lambda: one.mount("/none", "/ ")),
        (OSError, "EINVAL", lambda: one.umount("/ ")),
        (TypeError, "for text there is write_text", lambda: one.write_bytes("/f", "text")),  # type: ignore[arg-type]
        (TypeError, "takes bytes, not 3", lambda: one.open("/f", "wb", 0).write(3)),
        (TypeError, "for bytes there is write_bytes", lambda: one.write_text("/f", b"x")),  # type: ignore[arg-type]
        (ValueError, "uid='bob': users and groups have numbers", lambda: one.user("bob")),  # type: ignore[arg-type]
        (ValueError, "mode 'rw'", lambda: one.open("/f", "rw")),
        (ValueError, "only binary files", lambda: one.open("/f", "r", 0)),
        (OSError, "cannot read", lambda: one.open("/f", "wb", 0).read()),
    ]
    for kind, words, call in cases:
        with pytest.raises(kind, match=words):
            call()
    with one.open("/sparse", "wb", 0) as file:
        file.seek(10_000_000)
        file.write(b"end")
    assert other.read_bytes("/sparse") == b"\0" * 10_000_000 + b"end"
    assert one.statvfs().blocks - one.statvfs().free <= 2
    one.symlink("nowhere", "/dangling")
    other.write_text("/dangling", "made")
    assert one.read_text("/nowhere") == "made"


def test_a_tree_by_fsspec(nfs: NFS) -> None:
    fs = nfs.clients[0].fs
    fs.makedirs("/a/b")
    fs.pipe({"/a/b/x": b"1", "/a/y": b"22"})
    assert fs.find("/a") == ["/a/b/x", "/a/y"]
    assert fs.glob("/a/*") == ["/a/b", "/a/y"]
    assert fs.du("/a") == 3
    fs.mv("/a/y", "/a/z")
    fs.cp("/a/b", "/copy", recursive=True)
    assert fs.cat("/copy/x") == b"1"
    fs.rm("/a", recursive=True)
    assert not fs.exists("/a")
    assert nfs.clients[1].exists("/copy/x")


def test_a_disk_that_is_replaced_is_a_new_file_system(nfs: NFS) -> None:
    """Nothing is promised about what was on it; but old handles do not name new files."""
    one, _ = nfs.clients
    one.write_text("/f", "old")
    held = one.open("/f", "rb", buffering=0)
    nfs.cluster.run(2.0)
    nfs.cluster.kill("m1")
    nfs.cluster.disk_loss("m1")
    nfs.cluster.restart("m1")
    one.write_text("/g", "new")
    one.drop_caches()
    assert name_of(held.read) == "ESTALE"
    assert sorted(one.listdir("/")) == ["g", "public", "root"]
