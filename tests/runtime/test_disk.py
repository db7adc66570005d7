"""What a crash keeps and what it takes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import BadFault, Cluster, Node, rpc
from labkit.runtime.disk import Disk, DiskStore, FileStore, MemoryStore

Sim = Callable[..., Cluster]


class Keeper(Node):
    """Keeps what it is told."""

    @rpc
    def write(self, key: Any, value: Any, sync: bool) -> None:
        self.disk[key] = value
        if sync:
            self.disk.sync()

    @rpc
    def delete(self, key: Any) -> None:
        del self.disk[key]

    @rpc
    def read(self) -> dict[Any, Any]:
        return dict(self.disk)


def crash_and_restart(cluster: Cluster, machine: str) -> None:
    cluster.kill(machine)
    cluster.restart(machine)


def test_a_crash_keeps_what_was_synced_and_takes_the_rest(sim: Sim) -> None:
    cluster = sim(machines=1)
    name = cluster.spawn(Keeper)
    cluster.call(name, "write", "kept", [1], True)
    cluster.call(name, "write", "kept", [2], False)
    cluster.call(name, "write", "lost", 3, False)
    assert cluster.call(name, "read") == {"kept": [2], "lost": 3}
    crash_and_restart(cluster, "m1")
    assert cluster.call(name, "read") == {"kept": [1]}
    cluster.call(name, "delete", "kept")
    crash_and_restart(cluster, "m1")
    assert cluster.call(name, "read") == {"kept": [1]}


def test_each_node_has_a_disk_of_its_own(sim: Sim) -> None:
    cluster = sim(machines=1)
    a, b = cluster.spawn(Keeper), cluster.spawn(Keeper)
    cluster.call(a, "write", "x", 1, True)
    assert cluster.call(b, "read") == {}


def test_a_lost_disk_is_empty_and_only_a_dead_machine_can_lose_it(sim: Sim) -> None:
    cluster = sim(machines=2)
    name, other = cluster.spawn(Keeper, machine="m1"), cluster.spawn(Keeper, machine="m2")
    for node in (name, other):
        cluster.call(node, "write", "x", 1, True)
    with pytest.raises(
        BadFault, match=r"DiskLoss\(machine='m1'\): m1 is alive; what can be done to it now: Kill"
    ):
        cluster.disk_loss("m1")
    cluster.kill("m1")
    cluster.disk_loss("m1")
    cluster.restart("m1")
    assert cluster.call(name, "read") == {}
    assert cluster.call(other, "read") == {"x": 1}


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DiskStore:
    """Both kinds."""
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path / "m1" / "node.a.disk")


class TestMapping:
    def test_values_are_copied_in_and_out(self, store: DiskStore) -> None:
        disk = Disk(store)
        value = [1]
        disk["x"] = value
        value.append(2)
        disk["x"].append(3)
        assert disk["x"] == [1]

    def test_a_mapping_with_all_that_belongs_to_it(self, store: DiskStore) -> None:
        disk = Disk(store)
        disk.update(a=1, b=2)
        del disk["a"]
        assert (len(disk), list(disk), disk.get("a", 9), disk.unsynced) == (1, ["b"], 9, ("a", "b"))
        assert repr(disk) == "Disk(1 key, 2 unsynced)"
        with pytest.raises(KeyError, match="a"):
            del disk["a"]
        disk.sync()
        disk.sync()
        assert disk.unsynced == ()

    def test_after_a_crash_nothing_reaches_the_medium(self, store: DiskStore) -> None:
        disk = Disk(store)
        disk["kept"] = 1
        disk.sync()
        disk["lost"] = 2
        disk.crash()
        disk["beyond"] = 3
        disk.sync()
        assert dict(Disk(store)) == {"kept": 1}

    def test_destroyed(self, store: DiskStore) -> None:
        disk = Disk(store)
        disk["x"] = 1
        disk.sync()
        store.destroy()
        assert dict(Disk(store)) == {}


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3), st.integers()),
        st.tuples(st.just("delete"), st.integers(0, 3), st.none()),
        st.tuples(st.sampled_from(["sync", "crash"]), st.none(), st.none()),
    ),
    max_size=30,
)


@given(Steps)
def test_a_disk_is_its_state_at_the_last_sync_or_crash_plus_what_was_written_since(steps: list[Any]) -> None:
    store = MemoryStore()
    disk, model, durable = Disk(store), {}, {}
    for step, key, value in steps:
        if step == "write":
            disk[key] = model[key] = value
        elif step == "delete" and key in model:
            del disk[key], model[key]
        elif step == "sync":
            disk.sync()
            durable = dict(model)
        elif step == "crash":
            disk.crash()
            disk, model = Disk(store), dict(durable)
        assert dict(disk) == model


class TestFile:
    def records(self, path: Path) -> int:
        count = 0
        with path.open("rb") as log:
            while True:
                try:
                    pickle.load(log)
                except EOFError:
                    return count
                count += 1

    @pytest.mark.parametrize("torn", [1, 5, 12])
    def test_a_torn_record_at_the_end_is_ignored_and_cut_off(self, tmp_path: Path, torn: int) -> None:
        path = tmp_path / "disk"
        store = FileStore(path)
        disk = Disk(store)
        disk["whole"] = 1
        disk.sync()
        good = path.read_bytes()
        disk["torn"] = 2
        disk.sync()
        path.write_bytes(path.read_bytes()[: len(good) + torn])
        survivor = Disk(FileStore(path))
        assert dict(survivor) == {"whole": 1}
        survivor["next"] = 3
        survivor.sync()
        assert dict(Disk(FileStore(path))) == {"whole": 1, "next": 3}

    def test_garbage_at_the_end_is_ignored(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path / "disk")
        store.append([("a", b"x")])
        with store.path.open("ab") as log:
            log.write(b"\0" * 64)
        assert store.load() == {"a": b"x"}
        assert store.load() == {"a": b"x"}

    def test_a_long_log_is_rewritten(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path / "disk")
        disk = Disk(store)
        for number in range(100):
            disk["x"] = number
            disk.sync()
        assert self.records(store.path) == 100
        assert dict(Disk(FileStore(store.path))) == {"x": 99}
        assert self.records(store.path) == 1
        assert list(tmp_path.iterdir()) == [store.path]

    def test_no_file_is_an_empty_disk(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path / "disk")
        assert store.load() == {}
        store.destroy()


def test_a_store_is_abstract() -> None:
    for call in (DiskStore().load, DiskStore().destroy, lambda: DiskStore().append([])):
        with pytest.raises(NotImplementedError):
            call()  # type: ignore[operator]
