"""`FileSharingPanel` on the simulator: the overlay, a query, faults, many peers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.filesharing import FileSharing
from labkit.systems.filesharing.layout import force_layout
from labkit_widgets import FileSharingPanel


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(4, "sim", seed=1, name="filesharing") as cluster:
        yield cluster


def number(panel: FileSharingPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def marks(panel: FileSharingPanel, state: str) -> list[str]:
    return [mark["id"] for mark in panel.stage.scene["marks"] if mark["state"] == state]


def act(panel: FileSharingPanel, action: str, *given: Any, **data: Any) -> None:
    panel.act(action, *given, **data)
    for thread in list(panel._work.values()):
        thread.join(60)
    panel.refresh()
    assert panel.error == ""


def test_a_query_spreads_and_a_download(cluster: Cluster) -> None:
    sharing = FileSharing(cluster, peers=20)
    cluster.run(1.0)
    panel = sharing.panel(live=False)
    assert len(panel.stage.scene["marks"]) == 20
    panel.stage.selected = "peer-3"
    act(panel, "lookup", key="mp3")
    assert number(panel, "Reached")["value"] == "19 of 19"
    query = number(panel, "Query messages")
    assert query["theory"] == f"ample TTL: 2|E| − (|V| − 1) = {query['value']}"
    assert number(panel, "Recall")["value"] == "100%"
    assert marks(panel, "running") == ["peer-3"]
    assert len(marks(panel, "delivered")) == len({hit.peer for hit in panel.found.hits})
    act(panel, "load", peer="")
    panel.stage.selected = ""
    panel.refresh()
    assert any("peer-3 has" in item["text"] for item in panel.steps.steps["items"])
    act(panel, "ttl", bound=1)
    act(panel, "lookup", key="mp3")
    assert number(panel, "Recall")["tone"] == "bad"
    assert marks(panel, "todo")
    assert len(panel.runs()) == 2


def test_faults_by_click(cluster: Cluster) -> None:
    sharing = FileSharing(cluster, architecture="napster", peers=12)
    cluster.run(1.0)
    panel = sharing.panel(live=False)
    assert "peer-server-0" in marks(panel, "memory")
    act(panel, "server")
    act(panel, "some")
    act(panel, "best")
    assert len(sharing.peers) == 7
    cluster.run(3.0)
    panel.act("lookup", key="mp3")
    for thread in list(panel._work.values()):
        thread.join(60)
    panel.refresh()
    assert "no connection to peer-server-0" in panel.ask.error
    act(panel, "kill", machine="m3")
    assert marks(panel, "ghost")


def test_many_are_summarised(cluster: Cluster) -> None:
    sharing = FileSharing(cluster, peers=300, ttl=20, ping_every=None)
    cluster.run(0.5)
    panel = sharing.panel(live=False)
    assert panel.stage.scene["marks"] == []
    act(panel, "lookup", key="mp3")
    assert panel.stage.scene["boxes"]
    assert number(panel, "Reached")["value"] == "299 of 299"


def test_the_force_layout() -> None:
    path = [(f"n{n}", f"n{n + 1}") for n in range(9)]
    names = [f"n{n}" for n in range(10)]
    places = force_layout(names, path)
    assert places == force_layout(names, path)
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in places.values())

    def apart(a: str, b: str) -> float:
        return abs(complex(*places[a]) - complex(*places[b]))

    assert apart("n0", "n1") < apart("n0", "n5") < 1.5
    moved = force_layout(names, [*path, ("n0", "n9")], places)
    assert max(abs(complex(*moved[n]) - complex(*places[n])) for n in names) < 0.5
    assert force_layout(["a"], []) == {"a": (0.5, 0.5)}
    assert force_layout([], []) == {}


@pytest.mark.parametrize("architecture", ["gnutella", "fasttrack"])
def test_numbers_are_those_of_the_query(cluster: Cluster, architecture: str) -> None:
    """Of the overlay as it was when it began, though links come later; and hits as its user got them."""
    sharing = FileSharing(cluster, architecture=architecture, peers=24)
    cluster.run(2.0)
    found = sharing.search("mp3", at=2)
    sharing.join()
    cluster.run(5.0)
    panel = sharing.panel(live=False)
    query = number(panel, "Query messages")
    if architecture == "gnutella":
        assert query["theory"] == f"ample TTL: 2|E| − (|V| − 1) = {query['value']}"
    last = sharing.view().last()
    assert last is not None
    assert last.hits == len(found.hits)
