"""What dies, rots, stands still or comes back, and what becomes of the files."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.parts.store import BlockLost, Files, FileSystem, Modelled
from labkit.parts.store import log as operation_log
from labkit.runtime import Timeout

from .conftest import MakeFs

TEXT = "".join(f"line {number}\n" for number in range(500)).encode()  # several blocks


def until(fs: FileSystem, condition: Any, timeout: float = 300.0) -> None:
    """Let time pass until it is so."""
    fs.cluster.run_until(condition, timeout, every=0.1)


def happened(fs: FileSystem, kind: str) -> list[dict[str, Any]]:
    """The data of the events of this kind so far."""
    return [event.data for event in fs.cluster.trace if event.kind == kind]


def healthy(fs: FileSystem, machines: int) -> Any:
    """A condition: so many machines live, and every block has its copies."""

    def so() -> bool:
        health = fs.health()
        return health.ok and len(health.machines) == machines

    return so


def at_rest(fs: FileSystem) -> Any:
    """A condition: nothing is left to be mended, and what is on the disks is right. On real processes one may
    be taken for dead at any moment, and it is mended."""
    return lambda: fs.health().settled and fs.check().ok


def test_what_a_dead_machine_had_is_copied(make_fs: MakeFs) -> None:
    fs = make_fs(master="m1", machines=5)
    fs.put("a", TEXT)
    [*_, victim] = (machine for machine in fs.locations("a")[0].machines if machine != "m1")
    fs.cluster.kill(victim)
    assert fs.cat("a") == TEXT  # at once, from the other copies
    fs.put("b", TEXT)  # and the chain leaves the dead one out
    until(fs, healthy(fs, 4))
    assert all(victim not in part.machines for name in "ab" for part in fs.locations(name))
    until(fs, at_rest(fs))
    fs.cluster.restart(victim)
    until(fs, lambda: healthy(fs, 5)() and not fs.health().deleting)
    until(fs, at_rest(fs))  # the copies too many are gone
    assert victim in {event["server"] for event in happened(fs, "server_lost")}


def test_a_rotten_block_is_found_and_replaced(make_fs: MakeFs) -> None:
    fs = make_fs(nobody_dies=True)
    fs.put("a", TEXT)
    machine = fs.rot("a", 1)
    damaged = fs.check()
    assert f"block {fs.locations('a')[1].block} of 'a' on {machine}" in str(damaged)
    assert all(fs.cat("a") == TEXT for _ in range(5))  # whichever copy it meets first
    fs.scrub()
    until(fs, lambda: happened(fs, "block_replicated") and healthy(fs, 4)())
    assert len(happened(fs, "rot_found")) == 1
    until(fs, at_rest(fs))


def test_rot_while_the_machine_was_down(sim_fs: MakeFs) -> None:
    fs = sim_fs(master="m1")
    fs.put("a", TEXT)
    place = fs.locations("a")[2]
    machine = next(machine for machine in place.machines if machine != "m1")
    files = fs.cluster._engine.files[fs.settings.server(machine)]  # type: ignore[attr-defined]
    fs.cluster.kill(machine)
    raw = bytearray(files.read(str(place.block)))
    raw[5] ^= 1  # in the header
    files.write(str(place.block), bytes(raw))
    fs.cluster.restart(machine)
    fs.settle()
    assert len(happened(fs, "rot_found")) == 1


def test_all_copies_rotten(sim_fs: MakeFs) -> None:
    fs = sim_fs(machines=2)
    fs.put("a", TEXT)
    for machine in fs.machines:
        fs.rot("a", 0, machine)
    with pytest.raises(BlockLost, match=r"bytes 0 to 1000: no living machine has a copy"):
        fs.cat("a")
    assert fs.health().lost == (("a", 0),)
    assert "1 lost: a block 0" in str(fs.health())
    fs.put("a", TEXT)  # a way out
    assert fs.cat("a") == TEXT


def test_a_copy_that_missed_an_append_is_stale(make_fs: MakeFs) -> None:
    fs = make_fs(master="m1")
    fs.append("log", "one\n")
    victim = next(machine for machine in fs.locations("log")[0].machines if machine != "m1")
    fs.cluster.kill(victim)
    assert fs.append("log", "two\n") == 4
    fs.cluster.restart(victim)
    until(fs, lambda: happened(fs, "stale_found"))
    until(fs, lambda: healthy(fs, 4)() and not fs.health().deleting)
    assert fs.cat("log") == b"one\ntwo\n"
    until(fs, at_rest(fs))


def test_the_master_is_killed_and_comes_back(make_fs: MakeFs) -> None:
    fs = make_fs(machines=["boss", "m1", "m2", "m3"], master="boss")
    fs.put("dir/", {"a": TEXT, "b": b""})
    fs.mv("dir/b", "b")
    fs.append("log", "one\n")
    fs.cluster.kill("boss")
    begun = [
        fs.cluster.submit(lambda client, work=work: work(Files(client, fs.settings)))
        for work in (
            lambda store: store.write("dir/late", TEXT),
            lambda store: store.append("log", "two\n"),
            lambda store: store.read("dir/a"),
        )
    ]
    fs.cluster.run(0.5)
    assert not any(operation.done for operation in begun)  # they wait
    fs.cluster.restart("boss")
    assert [operation.result(300) for operation in begun] == [None, 4, TEXT]
    assert fs.ls("dir") == ["dir/a", "dir/late"]
    assert (fs.cat("dir/late"), fs.cat("b"), fs.cat("log")) == (TEXT, b"", b"one\ntwo\n")
    until(fs, lambda: fs.health().ok)
    until(fs, at_rest(fs))
    assert happened(fs, "master_recovered")[0]["records"] >= 4


def test_a_request_that_comes_twice_happens_once(make_fs: MakeFs) -> None:
    fs = make_fs(machines=["boss", "m1", "m2"], master="boss")
    fs.put("a", b"a")

    def ask(method: str, *args: Any) -> Any:
        return fs.cluster.call(fs.settings.master, method, *args)

    for life in range(2):
        ask("rename", "x-1", "a", "b", False)
        assert ask("delete", "x-2", "b", False) == 1
        ask("create", "x-3", "c", (), (), False)
        assert fs.ls() == ["c"]
        if not life:
            fs.cluster.kill("boss")
            fs.cluster.restart("boss")
    with pytest.raises(FileExistsError, match="'c' already"):
        ask("create", "x-4", "c", (), (), False)


def test_a_checkpoint_takes_the_place_of_the_log(sim_fs: MakeFs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_log, "CHECKPOINT_AFTER", 10)
    fs = sim_fs(machines=["boss", "m1", "m2"], master="boss")
    for number in range(60):
        fs.put(f"{number}", b"x")
        fs.mv(f"{number}", "latest")
    assert happened(fs, "checkpoint_written")
    assert len(fs.cluster.peek(fs.settings.master).disk) < 30
    fs.cluster.kill("boss")
    fs.cluster.restart("boss")
    assert fs.ls() == ["latest"]
    assert happened(fs, "master_recovered")[-1]["files"] == 1


def test_a_master_that_stood_still_declares_nobody_dead(sim_fs: MakeFs) -> None:
    fs = sim_fs(machines=["boss", "m1", "m2", "m3"], master="boss")
    fs.put("a", TEXT)
    fs.cluster.pause("boss")
    fs.cluster.run(10.0)
    fs.cluster.resume("boss")
    fs.cluster.run(5.0)
    assert not happened(fs, "server_lost")


def test_a_paused_machine_returns_with_copies_too_many(sim_fs: MakeFs) -> None:
    fs = sim_fs(master="m1")
    fs.put("a", TEXT)
    fs.cluster.pause("m3")
    until(fs, healthy(fs, 3))
    fs.cluster.resume("m3")
    fs.settle()
    assert happened(fs, "copy_trimmed")


def test_the_fewest_copies_come_first_and_one_at_a_time(sim_fs: MakeFs) -> None:
    fs = sim_fs(machines=6, master="m1", repairs_at_once=1)
    fs.put("a", TEXT * 4)
    at_once = []
    repair = fs.cluster.peek(fs.settings.master).repair
    fs.cluster.trace.watch(lambda event: at_once.append(len(repair.under_way)))
    fs.cluster.kill("m2")
    fs.cluster.kill("m3")
    fs.settle()
    events = list(fs.cluster.trace)
    noticed = max(event.seq for event in events if event.kind == "server_lost")
    late = [event for event in events if event.kind == "block_replicated" and event.seq > noticed]
    copies = [event.data["copies"] for event in late][1:]  # the first was under way by then
    assert set(copies) == {2, 3}
    assert copies == sorted(copies)
    assert set(at_once) == {0, 1}


def test_a_copy_whose_machine_was_silent_for_a_while(sim_fs: MakeFs) -> None:
    """A busy machine that is taken for dead is back a moment later: a read of its only copy waits for it."""
    fs = sim_fs(machines=["boss", "m1", "m2"], replicas=1, master="boss", chunkservers=["m1", "m2"])
    fs.put("a", TEXT[:900])
    [part] = fs.locations("a")
    cluster, timeout = fs.cluster, fs.settings.timeout
    cluster.pause(part.machines[0])
    cluster.run(1.5 * timeout)
    assert fs.health().lost

    async def read(client: Any) -> Any:
        return await Files(client, fs.settings).read("a")

    reading = cluster.submit(read)
    cluster.run(timeout / 2)
    cluster.resume(part.machines[0])
    assert reading.result() == TEXT[:900]


def test_a_block_without_a_living_copy(sim_fs: MakeFs) -> None:
    fs = sim_fs(machines=["boss", "m1", "m2", "m3"], replicas=1, master="boss", chunkservers=["m1", "m2"])
    fs.put("a", TEXT[:900])
    [part] = fs.locations("a")
    fs.cluster.kill(part.machines[0])
    with pytest.raises(BlockLost, match="restart one that had"):
        fs.cat("a")
    assert len(happened(fs, "block_lost")) == 1
    fs.cluster.restart(part.machines[0])
    until(fs, healthy(fs, 2))
    assert fs.cat("a") == TEXT[:900]
    assert len(happened(fs, "block_found")) == 1


def test_too_few_machines_for_the_copies(sim_fs: MakeFs) -> None:
    fs = sim_fs(machines=3, master="m1")
    fs.put("a", TEXT)
    fs.cluster.kill("m3")
    with pytest.raises(Timeout, match=r"not settled within 5 s: .*under_replicated=\(\('a', 0\)"):
        fs.settle(5.0)
    assert "5 under-replicated: a block 0" in str(fs.health())
    fs.cluster.restart("m3")


def test_a_disk_that_is_replaced(sim_fs: MakeFs) -> None:
    fs = sim_fs(master="m1")
    fs.put("a", TEXT * 3)
    fs.cluster.kill("m2")
    fs.cluster.disk_loss("m2")
    fs.cluster.restart("m2")  # before anybody has found it dead
    fs.settle()
    assert fs.cat("a") == TEXT * 3


def test_deleted_blocks_are_collected_later(make_fs: MakeFs) -> None:
    fs = make_fs(nobody_dies=True)
    fs.put("a", TEXT)

    def held() -> int:
        servers = map(fs.settings.server, fs.machines)
        return sum(len(fs.cluster.state(server, "held")["held"]) for server in servers)

    assert held() == 15
    fs.rm("a")
    until(fs, lambda: held() == 0)


def test_blocks_of_a_writer_that_died_are_collected(sim_fs: MakeFs) -> None:
    fs = sim_fs(give_up_after=5.0)
    order = (fs.settings.master, "allocate", "never", True, 1, "m2")
    [(block, chain)] = fs.cluster.call(*order)
    fs.cluster.call(fs.settings.server(chain[0]), "write_block", block, b"x", chain[1:])
    fs.cluster.run(3.0)
    assert block in fs.cluster.peek(fs.settings.server(chain[1])).held  # it may still come into a file
    fs.settle()


def test_a_writer_that_is_too_late_writes_again(sim_fs: MakeFs) -> None:
    fs = sim_fs(machines=["boss", "m1", "m2", "m3"], master="boss")

    async def write(client: Any) -> None:
        store = Files(client, fs.settings)
        store_blocks = store._store

        async def slowly(*args: Any) -> Any:
            written = await store_blocks(*args)
            fs.cluster.kill("boss")
            fs.cluster.restart("boss")
            store._store = store_blocks  # type: ignore[method-assign]
            return written

        store._store = slowly  # type: ignore[method-assign]
        await store.write("a", TEXT)

    fs.cluster.submit(write).result()
    assert fs.cat("a") == TEXT


def test_nobody_to_write_to(sim_fs: MakeFs) -> None:
    fs = sim_fs(machines=["boss", "m1"], master="boss", replicas=1, give_up_after=3.0)
    for machine in ("m1", "boss"):
        fs.put(f"on {machine}", b"x")
    fs.cluster.kill("m1")
    until(fs, lambda: len(fs.health().machines) == 1)
    fs.cluster.kill("boss")
    with pytest.raises(Timeout, match="has not answered allocate for 3 s; restart its machine"):
        fs.put("a", b"x")
    fs.cluster.restart("boss")
    fs.cluster.restart("m1")


def test_modelled_blocks_are_repaired_too(sim_fs: MakeFs) -> None:
    fs = sim_fs(master="m1", block_size=10**6, bandwidth=1e7)
    fs.put_sized("input", 20 * 10**6)
    fs.cluster.kill("m3")
    begun = fs.cluster.now
    fs.settle()
    assert fs.cluster.now - begun > 0.1  # a block takes a tenth of a second
    read = fs.cluster.submit(lambda client: Files(client, fs.settings).read("input")).result()
    assert read == Modelled(20 * 10**6)
