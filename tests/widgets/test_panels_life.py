"""The life of panels: when they redraw, who replaces them, what is left of them."""

from __future__ import annotations

import threading
import time

import pytest
from ipywidgets.widgets.widget import _instances

import labkit_widgets.opened as opened
from labkit import Cluster
from labkit.systems.chord import Chord
from labkit_widgets import ClusterPanel, RingPanel
from labkit_widgets.poller import POLLER
from tests.widgets.acting import acted, eventually, states


def test_unchanged_states_send_nothing(ring: Chord) -> None:
    panel = RingPanel(ring, live=False)
    panel.refresh()
    sent: list[str] = []
    for widget in (panel.stage, panel.top, panel.numbers, panel.events, panel.steps, panel.checks):
        widget.send_state = lambda key=None, _sent=sent: _sent.append(str(key))  # type: ignore[method-assign]
    panel._moved = time.monotonic()  # the "standing" sign turns after a second, whatever the machine's speed
    panel.refresh()
    assert sent == []


def test_one_thread_for_all_panels_and_none_after_the_last(ring: Chord, cluster: Cluster) -> None:
    assert not POLLER.running
    first, second = RingPanel(ring), ClusterPanel(cluster)
    threads = [thread for thread in threading.enumerate() if thread.name == "labkit-panels"]
    assert len(threads) == 1
    first.close()
    assert POLLER.running
    second.close()
    assert not POLLER.running
    assert not threads[0].is_alive()


def test_the_poller_shows_what_happens(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster)
    cluster.kill("m3")
    eventually(lambda: states(panel).get("m3") == "dead", "the panel shows the death")


def test_a_panel_replaces_the_one_of_its_kind_and_cluster(ring: Chord, cluster: Cluster) -> None:
    before = set(_instances)
    panels = [RingPanel(ring) for _ in range(4)]
    other = ClusterPanel(cluster)
    assert [panel._closed for panel in panels] == [True, True, True, False]
    assert not other._closed
    panels[-1].close()
    other.close()
    panels[-1].close()
    assert set(_instances) == before


def test_a_rerun_cell_closes_what_its_last_run_opened(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["cell-1", "run-1"]
    monkeypatch.setattr(opened, "current_cell", lambda: tuple(run))
    with Cluster(2, "sim") as second, Cluster(2, "sim") as third:
        first_panel, beside = ClusterPanel(cluster, live=False), ClusterPanel(second, live=False)
        assert not first_panel._closed, "two panels of one run of the cell"
        run[1] = "run-2"
        again = ClusterPanel(third, live=False)
        assert first_panel._closed
        assert beside._closed
        assert not again._closed


def test_a_panel_as_context_manager(cluster: Cluster) -> None:
    with ClusterPanel(cluster) as panel:
        assert POLLER.running
    assert panel._closed
    panel.refresh()


def test_a_panel_opened_late_knows_the_machines_that_the_trace_forgot() -> None:
    with Cluster(3, "sim", name="late", trace="messages", trace_limit=50) as cluster:
        ring = Chord(cluster, nodes=6, successors=3)
        ring.update({str(k): k for k in range(20)})
        cluster.kill("m2")
        cluster.run(5.0)
        assert cluster.trace.dropped
        panel = ClusterPanel(cluster, live=False)
        assert states(panel) == {"m1": "alive", "m2": "dead", "m3": "alive"}
        assert len(panel.stage.scene["marks"]) == 7, "the client and six nodes"


def test_without_a_trace_machines_can_still_be_killed() -> None:
    with Cluster(2, "sim", name="silent", trace="off") as cluster:
        panel = ClusterPanel(cluster, live=False)
        panel.act("kill", machine="m1")
        acted(panel)
        assert (panel.error, states(panel)) == ("", {"m1": "dead", "m2": "alive"})


def test_the_facades_open_panels(ring: Chord, cluster: Cluster) -> None:
    assert isinstance(ring.panel(live=False), RingPanel)
    assert isinstance(cluster.panel(live=False), ClusterPanel)
