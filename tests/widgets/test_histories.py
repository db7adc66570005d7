"""Operations of clients in the space-time diagram: of a verdict, and of a run while it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import Cluster, LabError, Node
from labkit.explore.histories import Operation, Recorder, Register, linearizable
from labkit_widgets import SpaceTimePanel

STALE = [
    Operation("a", "write", 1, None, 0.0, 1.0),
    Operation("a", "write", 2, None, 1.5, 2.5),
    Operation("b", "read", None, 1, 3.0, 4.0),
    Operation("b", "read", None, 2, 5.0, 6.0),
]


def bands(panel: Any) -> dict[str, float]:
    return {box["tip"]: box["w"] for box in panel.stage.scene["boxes"] if "band asked" in box["cls"]}


def labels(panel: Any, cls: str) -> list[str]:
    return [label["text"] for label in panel.stage.scene["labels"] if label["cls"] == cls]


def test_the_unplaceable_part_is_drawn() -> None:
    with linearizable(STALE, Register()).panel() as panel:
        assert panel.error == ""
        assert set(bands(panel)) == {"a: write(1)", "a: write(2)", "b: read → 1"}
        assert labels(panel, "name") == ["a", "b"]
        assert "write(2)" in labels(panel, "note")
        assert "have no order" in panel.snapshot()
        panel.stage.selected = next(mark["id"] for mark in panel.stage.scene["marks"])
        panel.refresh()
        assert panel.error == ""


def test_a_correct_history_has_nothing_to_draw() -> None:
    verdict = linearizable(STALE[:2], Register())
    with pytest.raises(LabError, match="there is nothing to draw"):
        verdict.panel()


def test_operations_of_a_run() -> None:
    async def program(client: Node) -> None:
        alice = Recorder(client, "alice")
        await alice.call("write", 1, client.sleep(0.5))
        client.spawn(alice.call("read", None, client.sleep(5.0)))
        await client.sleep(0.5)

    with Cluster(machines=1, engine="sim") as cluster:
        cluster.submit(program).result()
        panel = SpaceTimePanel(cluster, window=2.0, live=False)
        assert panel.error == ""
        assert set(bands(panel)) == {"client: write(1)", "client: read → ?"}
        panel.close()
