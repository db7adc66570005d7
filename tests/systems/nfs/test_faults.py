"""Random schedules of faults, histories, crashes at every byte, locks, determinism, planted mistakes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import Cluster
from labkit.explore.histories import File, Operation, Register, linearizable
from labkit.runtime import gather
from labkit.runtime.disk import Disk, FileStore, MemoryStore
from labkit.systems.nfs import NFS
from labkit.systems.nfs.mistakes import MISTAKES, mistaken
from labkit.systems.nfs.protocol import NfsError
from labkit.systems.nfs.volume import ROOT, Volume
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import judged, make, name_of

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 10
USER = (1000, (1000,))
RDWR = os.O_RDWR | os.O_CREAT
Serve = Callable[..., NFS]


# random schedules ------------------------------------------------------------


def play(nfs: NFS, seed: int, steps: int = 25, pause: float = 0.3) -> list[Operation]:
    """Two programs at each client write and read two small files, opening them each time; what they did."""
    history: list[Operation] = []

    async def program(client: Any, name: str, number: int) -> None:
        draw = random.Random(f"{seed}{name}{number}")
        count = 0

        def system_call(method: str, *args: Any) -> Any:
            """Numbered, as a program's are: the network between a program and its machine is the lab's."""
            nonlocal count
            count += 1
            cred = (*USER, (name, number, count))
            return client.call(name, f"sys_{method}", cred, *args, timeout=20.0)

        for step in range(steps):
            path = draw.choice(["/a", "/b"])
            value = f"{name}.{number}.{step:03}".encode()
            writes, began, result = draw.random() < 0.5, client.now, None
            try:
                file, _ = await system_call("open", path, RDWR, 0o666)
                if writes:
                    await system_call("pwrite", file, value, 0)
                else:
                    result = await system_call("pread", file, 100, 0)
                await system_call("close", file)
                returned: float | None = client.now
            except Exception:
                returned = None
            if writes or returned is not None:
                call = "write" if writes else "read"
                history.append(
                    Operation(f"{name}.{number}.{step}", call, value if writes else None, result or None,
                              began, returned, path)
                )  # fmt: skip
            await client.sleep(pause * draw.random())

    async def all_of_them(client: Any) -> None:
        await gather(*(program(client, each.name, n) for each in nfs.clients for n in range(2)))

    nfs.cluster.submit(all_of_them).result()
    return history


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_keeps_what_was_acknowledged(seed: int) -> None:
    """Machines die and return, messages are lost and come twice; every seventh history is judged too."""
    modes = ["no cache", "close-to-open", "timeouts", "none"]
    nfs = make(seed, 3, consistency=modes[seed % 4], duplicates=seed % 3 > 0, write_behind=seed % 5 > 0)
    with nfs.cluster as cluster:
        homes = ("m1", "m2", "m3", "m4")
        cluster.play(
            [(cluster.now + at, f) for at, f in disturbances(seed, homes, lossy_from=0.1, begin=0.2)]
        )
        history = play(nfs, seed, steps=10)
        cluster.heal()
        judged(nfs)
        if nfs.consistency == "no cache" and nfs.duplicates:
            verdict = linearizable(history, Register())
            assert verdict.ok, f"{verdict}\nseed={seed}\n{cluster.schedule}"


def test_without_caches_a_file_is_linearizable_and_with_them_not() -> None:
    """I7. The same programs, judged by what their users saw."""
    seen = {}
    for mode in ("no cache", "none"):
        nfs = make(3, consistency=mode)
        with nfs.cluster:
            history = play(nfs, 3, pause=0.01)
            judged(nfs)
            seen[mode] = linearizable(history, Register())
    assert seen["no cache"].ok, seen["no cache"]
    assert seen["none"].ok is False
    assert seen["none"].unplaceable


def test_appends_and_reads_of_places_are_those_of_a_file() -> None:
    """One client, two programs, a file of bytes."""
    with Cluster(machines=2, engine="sim", seed=4) as cluster:
        nfs = NFS(cluster, clients=1, consistency="no cache")
        history: list[Operation] = []

        async def program(client: Any, number: int, file: int) -> None:
            draw = random.Random(number)
            for _ in range(12):
                began, place = client.now, draw.randrange(6)
                if draw.random() < 0.5:
                    data = bytes([65 + draw.randrange(26)]) * 3
                    await client.call("nfs-1", "sys_pwrite", USER, file, data, place)
                    history.append(Operation(str(number), "write", (place, data), None, began, client.now))
                else:
                    data = await client.call("nfs-1", "sys_pread", USER, file, 4, place)
                    history.append(Operation(str(number), "read", (place, 4), data, began, client.now))

        async def both(client: Any) -> None:
            file, _ = await client.call("nfs-1", "sys_open", USER, "/f", RDWR, 0o666)
            await gather(*(program(client, number, file) for number in range(3)))

        cluster.submit(both).result()
        verdict = linearizable(history, File())
        assert verdict.ok, verdict
        judged(nfs)


# crashes ------------------------------------------------------------


def test_a_server_killed_in_the_middle_of_a_write(serve: Serve) -> None:
    """On both engines: a long write goes on by itself when the server is back, and nothing is missing."""
    nfs = serve(clients=1, disk_seconds=0.002, block=4096)
    (one,) = nfs.clients
    data = random.Random(5).randbytes(200_000)

    async def write(client: Any) -> None:
        file, _ = await client.call(one.name, "sys_open", USER, "/f", RDWR, 0o644, timeout=300.0)
        for at in range(0, len(data), 20_000):
            await client.call(one.name, "sys_pwrite", USER, file, data[at : at + 20_000], at, timeout=300.0)
        await client.call(one.name, "sys_close", USER, file, timeout=300.0)

    writing = nfs.cluster.submit(write)
    nfs.cluster.run_until(
        lambda: len(nfs.cluster.trace.filter("wrote")) > 10, timeout=300, what="it is in the middle"
    )
    nfs.cluster.kill("m1")
    nfs.cluster.run(0.3)
    nfs.cluster.restart("m1")
    writing.result()
    assert one.read_bytes("/f") == data
    assert nfs.cluster.call(nfs.server, "audit", timeout=300.0) == []


def test_hard_mounts_wait_and_soft_ones_give_up() -> None:
    nfs = make(7, timeo=0.1, longest_wait=1.0)
    with nfs.cluster as cluster:
        one, _ = nfs.clients
        one.write_text("/f", "x")
        cluster.kill("m1")
        nfs.give_up_after = 5.0
        with pytest.raises(Exception, match="hard mount asks for ever"):
            one.mkdir("/waits")
        assert nfs.view().waiting == {"nfs-1": True}
        cluster.restart("m1")
        cluster.run(2.0)
        assert one.exists("/waits")  # the call went on
        assert nfs.view().waiting == {"nfs-1": False}
        nfs.set(hard=False)
        cluster.kill("m1")
        assert name_of(one.mkdir, "/not") == "ETIMEDOUT"


def test_the_disk_is_whole_after_a_crash_at_any_byte(tmp_path: Path) -> None:
    """The log is cut at many places: the file system is that of before or after each change (I2, I6)."""
    path = tmp_path / "log"
    disk = Disk(FileStore(path))
    now = iter(range(1, 10_000))
    volume = Volume(disk, 512, 1e6, lambda: float(next(now)))
    states, ends = [volume.state], [path.stat().st_size]

    def done() -> None:
        states.append(volume.state)
        ends.append(path.stat().st_size)

    def root() -> Any:
        return volume.inodes[ROOT]

    a = volume.make(root(), "a", "directory", 0o755, 1, 1)
    done()
    f = volume.make(root(), "f", "file", 0o644, 1, 1)
    done()
    volume.write(volume.inodes[f.number], 100, b"x" * 300)
    done()
    volume.link(volume.inodes[f.number], volume.inodes[a.number], "g")
    done()
    g = volume.make(root(), "h", "file", 0o644, 1, 1)
    done()
    volume.rename(root(), "h", volume.inodes[a.number], "g")
    done()
    volume.rename(root(), "a", root(), "b")
    done()
    volume.unlink(root(), "f")
    done()
    assert volume.audit() == []
    whole = path.read_bytes()
    torn = tmp_path / "torn"
    for cut in range(0, len(whole), 37):
        torn.write_bytes(whole[:cut])
        again = Volume(Disk(FileStore(torn)), 512, 1e6, lambda: 0.5)
        assert again.audit() == [], f"cut at {cut}"
        committed = sum(end <= cut for end in ends)
        in_write = committed == 3  # of the only change without a journal parts may be there
        if committed and not in_write:
            assert again.state in states[committed - 1 : committed + 1], f"cut at {cut}"
    assert again.inodes[g.number].kind == "file"


def test_a_write_that_a_crash_cut_short_is_not_read_later(tmp_path: Path) -> None:
    """Wherever the log is cut: when the file grows, by truncate or by another write, zeros are read."""
    path, torn = tmp_path / "log", tmp_path / "torn"
    volume = Volume(Disk(FileStore(path)), 512, 1e6, lambda: 1.0)
    file = volume.make(volume.inodes[ROOT], "f", "file", 0o644, 1, 1)
    before = path.stat().st_size
    volume.write(file, 100, b"SECRET" * 100)
    whole = path.read_bytes()
    for cut in range(before, len(whole), 61):
        for grow in ("set", "write"):
            torn.write_bytes(whole[:cut])
            again = Volume(Disk(FileStore(torn)), 512, 1e6, lambda: 1.0)
            found = again.inodes[file.number]
            assert again.audit() == []
            if found.size == 0:
                again.set(found, size=900) if grow == "set" else again.write(found, 900, b"z")
                assert not again.read(again.inodes[file.number], 0, 900).strip(b"\0"), f"cut at {cut}"


def test_handles_of_files_that_are_gone_are_stale() -> None:
    """The inode is used again at once; the generation tells the files apart (I3)."""
    volume = Volume(Disk(MemoryStore()), 512, 1e6, lambda: 0.0)
    old = volume.make(volume.inodes[ROOT], "old", "file", 0o644, 1, 1)
    volume.unlink(volume.inodes[ROOT], "old")
    new = volume.make(volume.inodes[ROOT], "new", "file", 0o644, 1, 1)
    assert (old.number, old.generation + 1) == (new.number, new.generation)
    with pytest.raises(NfsError, match="ESTALE"):
        volume.get(old.number, old.generation)


def test_idempotent_calls_can_be_repeated() -> None:
    """I4: each message comes twice or three times, and the files are the same as if it had come once; of the
    changes only those that are idempotent as they stand (writes of the same bytes to the same place)."""
    states = set()
    for duplicates in (0.0, 1.0):
        nfs = make(8, consistency="no cache")
        with nfs.cluster as cluster:
            one, other = nfs.clients
            one.write_bytes("/f", b"-" * 9000)
            cluster.duplicate(duplicates)
            with one.open("/f", "r+b", 0) as file:
                for at in (0, 5000, 8999):
                    file.seek(at)
                    file.write(b"some bytes")
            for client in nfs.clients:
                client.listdir("/"), client.stat("/f"), client.read_bytes("/f"), client.statvfs()
            cluster.duplicate(0.0)
            cluster.run(1.0)
            states.add((other.read_bytes("/f"), tuple(other.listdir("/"))))
            judged(nfs)
    assert len(states) == 1


# the duplicate request cache ------------------------------------------------------------


@pytest.mark.parametrize("procedure", ["mkdir", "create", "remove", "rename", "rmdir", "link", "symlink"])
def test_a_lost_reply_is_an_error_without_the_cache(procedure: str) -> None:
    for duplicates in (False, True):
        nfs = make(9, duplicates=duplicates)
        with nfs.cluster:
            one, _ = nfs.clients
            one.mkdir("/d")
            one.write_text("/f", "")
            nfs.lose_reply(procedure)
            act = {
                "mkdir": (one.mkdir, "/new"), "create": (one.open, "/new", "x"), "remove": (one.unlink, "/f"),
                "rename": (one.rename, "/f", "/g"), "rmdir": (one.rmdir, "/d"),
                "link": (one.link, "/f", "/g"), "symlink": (one.symlink, "f", "/s"),
            }  # fmt: skip
            gone = procedure in ("remove", "rename", "rmdir")
            assert name_of(*act[procedure]) == ("" if duplicates else "ENOENT" if gone else "EEXIST")
            assert len(nfs.view().twice) == (not duplicates)
            judged(nfs)


def test_the_cache_drops_what_is_under_way_and_forgets() -> None:
    nfs = make(10, duplicates=True, disk_seconds=1.0, timeo=0.2)
    with nfs.cluster as cluster:
        one, _ = nfs.clients
        one.mkdir("/slow")  # asked for several times while the disk works
        assert len(cluster.trace.filter("duplicate_dropped")) >= 1
        assert nfs.view().executed == {"mkdir": 1}
        cluster.kill("m1")  # it is in memory: a crash loses it
        cluster.restart("m1")
        assert nfs.duplicates
        nfs.lose_reply("mkdir")
        one.mkdir("/once")
        judged(nfs)


# locks ------------------------------------------------------------


def test_locks_exclude_and_are_claimed_again_after_a_crash() -> None:
    nfs = make(11, grace=2.0)
    with nfs.cluster as cluster:
        one, other = nfs.clients
        one.write_bytes("/f", b"0" * 100)
        mine, yours = one.open("/f", "r+b", 0), other.open("/f", "r+b", 0)
        mine.lock(0, 50)
        yours.lock(50, 50)
        with pytest.raises(BlockingIOError, match="EAGAIN"):
            yours.lock(40, 20)
        mine.unlock(45, 5)
        yours.lock(45, 5, exclusive=False)
        cluster.kill("m1")
        cluster.restart("m1")
        cluster.run(0.5)
        with pytest.raises(
            BlockingIOError
        ):  # the grace period: the owners claim theirs, nobody gets new ones
            yours.lock(99, 1, exclusive=False)
        cluster.run(2.5)
        with pytest.raises(BlockingIOError):
            yours.lock(0, 10)
        mine.close()  # a close gives its locks back
        yours.lock(0, 10)
        cluster.kill("m3")  # and so does the restart of a client
        cluster.restart("m3")
        cluster.run(1.0)
        again = one.open("/f", "r+b", 0)
        again.lock()
        judged(nfs)


def test_late_copies_of_lock_requests_change_nothing() -> None:
    """An unlock, a lock and a client's restart, each sent again by a slow network when it is long over."""
    nfs = make(2)
    with nfs.cluster as cluster:
        one, other = nfs.clients
        one.write_bytes("/f", b"0")
        mine, yours = one.open("/f", "r+b", 0), other.open("/f", "r+b", 0)
        mine.lock()
        granted = [event for event in cluster.trace if event.kind == "lock_granted"][-1].data
        fh, owner = bytes.fromhex(granted["fh"]), granted["held"][0][1]
        first = cluster.state(one.name, "requests")["requests"]
        mine.unlock()
        mine.lock()
        cluster.call(nfs.locks, "unlock", one.name, first + 1, owner, fh, 0, float("inf"))
        with pytest.raises(BlockingIOError):
            yours.lock()
        mine.unlock()
        assert (
            cluster.call(nfs.locks, "lock", one.name, first, owner, fh, 0, float("inf"), True, False)
            == "denied"
        )
        yours.lock()
        yours.unlock()
        mine.lock()
        cluster.kill("m2")
        cluster.restart("m2")
        mine = one.open("/f", "r+b", 0)
        mine.lock(wait=True)  # before the service has heard of the restart, it may be
        cluster.call(nfs.locks, "client_rebooted", one.name, first)
        with pytest.raises(BlockingIOError):
            yours.lock()
        judged(nfs)


def test_a_counter_under_a_lock_loses_no_increment() -> None:
    """Read, add one, write, under a lock, from several clients at the same time."""
    nfs = make(3, consistency="timeouts")
    nfs.clients[0].write_bytes("/counter", b"0000")

    async def program(client: Any, name: str) -> None:
        file, _ = await client.call(name, "sys_open", USER, "/counter", RDWR, 0o666)
        for _ in range(5):
            await client.call(name, "sys_lock", USER, file, 0, 0, True, True, timeout=60.0)
            value = int(await client.call(name, "sys_pread", USER, file, 4, 0))
            await client.call(name, "sys_pwrite", USER, file, b"%04d" % (value + 1), 0)
            await client.call(name, "sys_unlock", USER, file, 0, 0)

    async def both(client: Any) -> None:
        await gather(*(program(client, each.name) for each in nfs.clients))

    nfs.cluster.submit(both).result()
    nfs.consistency = "close-to-open"  # without a lock, attributes would do for a while
    assert nfs.clients[1].read_bytes("/counter") == b"0010"
    judged(nfs)
    nfs.cluster.close()


# determinism and mistakes ------------------------------------------------------------


def digest(seed: int = 5) -> str:
    with Cluster(machines=3, engine="sim", seed=seed, trace="messages") as cluster:
        nfs = NFS(cluster, duplicates=True)
        cluster.play([(cluster.now + at, f) for at, f in disturbances(seed, ("m1", "m2", "m3"), 0.1, 0.2)])
        play(nfs, seed, steps=4)
        return str(cluster.trace.digest())


def test_twice_in_one_process_and_whatever_the_hash_seed() -> None:
    assert digest() == digest() != digest(6)
    assert digest_elsewhere(__name__) == digest()


CAUGHT_BY = {
    "answers before it is on the disk": "AcknowledgedStays",
    "handles without generations": "HandleOfOneFile",
    "links are not counted": "Tree",
    "changes are done twice": "ExecutedOnce",
    "an open does not ask": "NoStaleRead",
    "old blocks stay": "NoStaleRead",
    "locks exclude nobody": "Tree",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str) -> None:
    found = {}
    for cls in (NFS, mistaken(mistake)):
        with Cluster(machines=3, engine="sim", seed=12) as cluster:
            nfs = cls(cluster, duplicates=True)
            one, other = nfs.clients
            one.write_text("/f", "first")
            other.read_text("/f")
            one.write_text("/f", "other")
            name_of(other.read_text, "/f")
            nfs.lose_reply("mkdir")
            name_of(one.mkdir, "/d")
            files: list[Any] = [client.open("/f", "r+b", buffering=0) for client in nfs.clients]
            for file in files:
                name_of(file.lock)
            one.link("/f", "/g")
            one.write_text("/gone", "x")
            one.unlink("/gone")
            one.write_text("/new", "y")
            cluster.kill("m1")
            cluster.restart("m1")
            found[cls] = {violation.what for violation in nfs.check().violations}
    assert found[NFS] == set()
    assert CAUGHT_BY[mistake] in found[cls]
