"""Facts of POSIX and of old servers' bug reports: set-ID bits, times, exports, calls that make no sense."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pytest

from labkit import Cluster
from labkit.runtime.errors import MachineDead
from labkit.runtime.node import rpc
from labkit.systems.nfs import NFS, Export
from labkit.systems.nfs.workload import Load

from .conftest import judged, make, name_of


def test_set_id_bits_go_with_a_new_owner_and_with_new_bytes() -> None:
    nfs = make(exports=Export("/", root_squash=False))
    with nfs.cluster:
        owner, other, root = (
            nfs.clients[0].user(uid, gids) for uid, gids in ((5, (6, 7)), (8, (8,)), (0, (0,)))
        )

        def mode(bits: int) -> int:
            root.chmod("/f", bits)
            return owner.stat("/f").st_mode & 0o7777

        owner.write_text("/f", "x")
        assert mode(0o106777) == 0o6777  # with the bits of the kind of file, as stat has them
        owner.chown("/f", gid=7)
        assert owner.stat("/f").st_mode & 0o7777 == 0o777
        mode(0o6777)
        with other.open("/f", "r+b", buffering=0) as file:
            file.write(b"y")
        assert owner.stat("/f").st_mode & 0o7777 == 0o777
        mode(0o4777)
        other.truncate("/f", 0)
        assert owner.stat("/f").st_mode & 0o7777 == 0o777
        root.chown("/f", gid=9)  # a group of which the owner is none
        owner.chmod("/f", 0o2755)
        assert owner.stat("/f").st_mode & 0o7777 == 0o755
        judged(nfs)


def test_times_and_sizes_that_a_user_may_set() -> None:
    nfs = make()
    with nfs.cluster as cluster:
        one, other = nfs.clients[0], nfs.clients[1].user(7)
        one.write_text("/f", "x")
        one.utime("/f", (1.7e9, 1.7e9))  # the future, where a run begins at 0
        one.write_text("/g", "y")
        assert one.stat("/f").st_mtime == 1.7e9
        assert one.stat("/g").st_mtime <= cluster.now
        assert name_of(other.utime, "/f") == "EACCES"
        one.chmod("/f", 0o666)
        other.utime("/f")  # now: for all who may write
        assert other.stat("/f").st_mtime <= cluster.now
        assert name_of(other.utime, "/f", (1, 1)) == "EPERM"
        assert name_of(one.utime, "/f", (float("nan"), 1)) == "EINVAL"
        one.chmod("/f", 0o444)
        assert name_of(one.truncate, "/f", 0) == "EACCES"
        cred = (*one.cred,)
        flags = os.O_RDONLY | os.O_TRUNC
        assert name_of(cluster.call, one.name, "sys_open", cred, "/f", flags, 0) == "EACCES"
        one.symlink("g", "/l")
        assert name_of(cluster.call, one.name, "sys_open", cred, "/l", os.O_NOFOLLOW, 0) == "ELOOP"
        one.makedirs("/d/e")
        assert name_of(one.rename, "/d/e/..", "/e") == "EINVAL"
        judged(nfs)


def test_paths_as_python_has_them() -> None:
    nfs = make()
    with nfs.cluster:
        one, other = nfs.clients
        one.makedirs(PurePosixPath("/a/b"))  # type: ignore[arg-type]
        one.write_text(PurePosixPath("/a/b/f"), "x")  # type: ignore[arg-type]
        assert other.read_text("/a/b/f") == "x"
        one.makedirs("/a/b", exist_ok=True)
        for path, exist_ok in (("/a/b/f", True), ("/a/b", False), ("/", False)):
            assert name_of(one.makedirs, path, 0o755, exist_ok) == "EEXIST"
        with pytest.raises(OSError, match=r"EINVAL.*b'/f'"):
            one.write_text(b"/f", "x")  # type: ignore[arg-type]
        judged(nfs)


class Stranger(Load):
    """Sends what it likes."""

    @rpc
    async def say(self, procedure: str, *args: Any) -> Any:
        """A call as it is."""
        return await self.ask(procedure, (1, (1,)), *args)


def test_calls_that_make_no_sense_stop_no_server() -> None:
    nfs = make(exports="/public", duplicates=True)
    with nfs.cluster as cluster:
        cluster.spawn(Stranger, nfs.server, nfs.options, name="x", machine="m2")

        def say(*args: Any) -> Any:
            return cluster.call("x", "say", *args, timeout=10.0)

        root = say("mnt", "/public")
        fh, _ = say("create", root, "f", {})
        for call in (
            ("create", root, "g", None), ("setattr", root, [1]), ("setattr", fh, {"atime": "x"}),
            ("setattr", fh, {"gid": -1}), ("setattr", fh, {"color": 1}), ("mnt", 5), ("write", fh, 0, 1, "a"),
            ("write", fh, 0, -1, b""), ("mkdir", root, ("a",), {}), ("readdir", root, "x", 5), ("statfs",),
        ):  # fmt: skip
            with pytest.raises(Exception, match="EINVAL"):
                say(*call)
        # Nothing above an export is for its clients: neither by its name nor by that of a folder below.
        assert say("lookup", root, "..")[0] == root
        with pytest.raises(Exception, match="EACCES"):
            say("mnt", "/public/..")
        judged(nfs)


def test_exports_and_faults_are_checked() -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        for wrong in ("/a/../b", "/" + 300 * "x", "a", ("/a//b", "/a/b/")):
            with pytest.raises(ValueError, match="exports="):
                NFS(cluster, 1, exports=wrong)
        with pytest.raises(ValueError, match="block=10: a whole number from 512 to 1048576"):
            NFS(cluster, 1, block=10)
        nfs = NFS(cluster, 1, exports={"/": {}, "/p": {"machines": "m22"}})
        assert name_of(nfs.clients[0].mount, "/p", "/here") == "EACCES"  # m2 is not m22
        for times in (-1, "x"):
            with pytest.raises(ValueError, match="times="):
                nfs.lose_reply("mkdir", times)  # type: ignore[arg-type]


def test_a_choice_is_made_at_all_clients_or_at_none() -> None:
    nfs = make()
    with nfs.cluster as cluster:
        cluster.kill("m3")
        with pytest.raises(MachineDead, match=r"m3 would not hear of it: cluster.restart\('m3'\) first"):
            nfs.consistency = "none"
        cluster.restart("m3")
        cluster.run(0.1)
        assert {cluster.state(each.name, "consistency")["consistency"] for each in nfs.clients} == {
            nfs.consistency
        }
        judged(nfs)


def test_fsspec_makes_the_folders_above_if_it_is_asked_to() -> None:
    nfs = make()
    with nfs.cluster:
        one, other = nfs.clients
        with pytest.raises(FileNotFoundError):
            one.fs.pipe("/new/sub/file", b"x")
        files = fsspec.filesystem("labkit-nfs", client=one, auto_mkdir=True)
        files.pipe("/new/sub/file", b"x")
        files.cp("/new/sub/file", "/copies/of/it")
        assert other.read_bytes("/copies/of/it") == b"x"
        judged(nfs)
