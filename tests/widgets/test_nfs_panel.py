"""`NfsPanel`: blocks that are fresh, stale and dirty; switches and buttons; a crash; the past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.nfs import NFS
from labkit_widgets import NfsPanel


@pytest.fixture
def nfs() -> Iterator[NFS]:
    with Cluster(3, "sim", seed=1, name="nfs") as cluster:
        yield NFS(cluster, block=1024)


def number(panel: NfsPanel, label: str) -> str:
    return str(next(n["value"] for n in panel.numbers.numbers if n["label"] == label))


def squares(panel: NfsPanel, kind: str) -> dict[str, str]:
    return {m["id"]: m["state"] for m in panel.stage.scene["marks"] if m["id"].startswith(f"{kind}:")}


def test_fresh_stale_and_dirty(nfs: NFS) -> None:
    panel = NfsPanel(nfs, live=False)
    one, other = nfs.clients
    one.mkdir("/d")
    one.write_bytes("/d/f", b"x" * 3000)
    other.read_bytes("/d/f")
    panel.refresh()
    assert list(squares(panel, "disk").values()) == ["memory"] * 3
    assert set(squares(panel, "cache").values()) == {"memory"}
    assert len(squares(panel, "cache")) == 6
    nfs.consistency = "none"
    with one.open("/d/f", "r+b", 0) as file:
        file.write(b"y" * 10)
        panel.refresh()
        assert squares(panel, "cache")["cache:nfs-1:4:0"] == "running"
        assert squares(panel, "disk")["disk:4:0"] == "passed"
        assert number(panel, "Not yet written") == "1"
    nfs.settle()
    panel.refresh()
    assert squares(panel, "cache")["cache:nfs-2:4:0"] == "lost"
    assert other.read_bytes("/d/f") == b"x" * 3000
    panel.stage.selected = "file:4"
    panel.refresh()
    assert number(panel, "Stale reads") == "1"
    assert any("1 old block" in item["text"] for item in panel.steps.steps["items"])
    assert panel.runs()[0][1] == "nfs-2 read 1 old block of file 4"
    panel.act("seek", position=panel.runs()[0][0] - 0.5) if hasattr(panel, "on_seek") else None
    panel.close()


def test_switches_buttons_and_a_crash(nfs: NFS) -> None:
    panel = NfsPanel(nfs, live=False)

    def press(action: str, *value: Any) -> None:
        panel.act(action, *value)
        for thread in list(panel._work.values()):
            thread.join()
        panel.refresh()

    press("write")
    press("read")
    press("lose")
    press("make")
    assert "EEXIST" in panel.error
    assert number(panel, "Done twice") == "1"
    press("duplicates", True)
    assert nfs.duplicates
    press("lose")
    press("make")
    assert number(panel, "Done twice") == "1"
    press("consistency", "timeouts")
    assert nfs.consistency == "timeouts"
    nfs.cluster.kill("m1")
    panel.refresh()
    assert "The server is down" in {label["text"] for label in panel.stage.scene["labels"]}
    nfs.cluster.restart("m1")
    panel.refresh()
    assert number(panel, "Changes") != "0"
    assert "NFS(" in nfs.code()
    assert "duplicates=True" in nfs.code()
    panel.close()


def test_a_server_without_files_and_one_with_many(nfs: NFS) -> None:
    panel = NfsPanel(nfs, live=False)
    panel.refresh()
    assert not panel.error
    for n in range(20):
        nfs.clients[0].write_bytes(f"/f{n:02}", b"x" * 100_000)
    panel.refresh()
    assert not panel.error
    assert any("more files" in label["text"] for label in panel.stage.scene["labels"])
    assert len(panel.stage.scene["marks"]) < 1000
    nfs.reset()
    panel.refresh()
    assert not panel.error
    panel.close()


def test_long_names_that_begin_alike_can_be_told_apart(nfs: NFS) -> None:
    for number in (1, 2):
        nfs.clients[0].write_text(f"/a name that is too long for its row, part {number}.txt", "x")
    panel = NfsPanel(nfs, live=False)
    panel.refresh()
    names = [label["text"] for label in panel.stage.scene["labels"] if "…" in label["text"]]
    assert len(set(names)) == 2, names
    panel.close()


def test_a_choice_made_in_code_is_shown_and_not_made_again(nfs: NFS) -> None:
    panel = NfsPanel(nfs, live=False)
    acted: list[Any] = []
    panel.act = lambda action, *given, **named: acted.append((action, *given))  # type: ignore[method-assign]
    nfs.consistency = "none"
    panel.refresh()
    assert (panel.consistency.value, acted) == ("none", [])
    panel.consistency.value = "timeouts"  # a person's
    assert acted == [("consistency", "timeouts")]
    panel.close()


def test_of_two_file_servers_a_panel_counts_its_own(nfs: NFS) -> None:
    second = NFS(nfs.cluster, name="nfs2")
    second.clients[0].mkdir("/theirs")
    panel = NfsPanel(nfs, live=False)
    assert number(panel, "Changes") == "0"
    nfs.clients[0].mkdir("/ours")
    panel.refresh()
    assert number(panel, "Changes") == "1"
    panel.close()
