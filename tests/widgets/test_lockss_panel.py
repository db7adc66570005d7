"""`LockssPanel` on the simulator: damage, a poll's votes, the adversary's foothold and alarms."""

from __future__ import annotations

from typing import Any

from labkit import Cluster
from labkit.systems.lockss import Lockss, Stealth
from labkit_widgets import LockssPanel


def number(panel: LockssPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def marks(panel: LockssPanel, cls: str) -> list[str]:
    return [mark["id"] for mark in panel.stage.scene["marks"] if mark["cls"] == cls]


def test_a_flipped_bit_is_seen_voted_on_and_repaired() -> None:
    with Cluster(3, "sim", seed=1, name="lockss") as cluster:
        archive = Lockss(cluster, rot=0.0, libraries=14)
        panel = archive.panel(live=False)
        assert panel.error == ""
        assert number(panel, "Replicas damaged")["value"] == "0 of 14"
        panel.stage.selected = "lockss-1-3"
        panel.flip()
        panel.refresh()
        panel.stage.selected = ""
        panel.refresh()
        assert marks(panel, "fault") == ["lockss-1-3"]
        cluster.run_until(lambda: archive.view().repairs == 1, what="it is repaired")
        panel.stage.selected = "lockss-1-3"
        panel.refresh()
        assert panel.error == ""
        assert sum(link["cls"] == "finger stale" for link in panel.stage.scene["links"]) >= 5
        assert any("repaired, and tallied again" in item["text"] for item in panel.steps.steps["items"])
        assert number(panel, "Replicas damaged")["value"] == "0 of 14"
        panel.act("rot", 5.0)
        for thread in list(panel._work.values()):
            thread.join(60)
        assert archive.rot == 5.0
        archive.run(1)
        panel.refresh()
        theory = number(panel, "Replicas damaged")["theory"]
        assert theory.startswith("63.8%"), theory  # though the archive began without rot
        assert "rot × interval / 2" in theory
        assert panel.snapshot().startswith("<svg")
        panel.close()


def test_an_adversary_is_shown_with_its_foothold_and_many_libraries_are_counted() -> None:
    with Cluster(3, "sim", seed=1, name="lockss") as cluster:
        archive = Lockss(cluster, rot=0.0, adversary=Stealth(0.6)).run(4)
        panel = archive.panel(live=False)
        assert panel.error == ""
        assert "wins" in number(panel, "Strikes")["theory"]
        assert "14 of 24" in number(panel, "Adversary's foothold")["note"]
        assert "lost" in panel.news(panel.frame(None))
        panel.close()
    with Cluster(3, "sim", seed=1, name="lockss") as cluster:
        archive = Lockss(cluster, libraries=210, interval=400.0, content="model")
        panel = archive.panel(live=False)
        assert panel.error == ""
        assert len(panel.stage.scene["marks"]) == 0
        cluster.reset()
        panel.refresh()
        panel.close()
