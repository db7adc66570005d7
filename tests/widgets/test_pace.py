"""A panel sends no more than the page draws."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labkit import Cluster
from labkit_widgets import ClusterPanel
from labkit_widgets import panel as module


@pytest.fixture
def panel() -> Iterator[ClusterPanel]:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        yield ClusterPanel(cluster, live=False)


def happens(panel: ClusterPanel) -> int:
    """Something does, and is shown if it may be; the refreshes so far that had something to send."""
    panel.cluster.run(1.0)
    panel.refresh()
    return int(panel.top.beat)


def test_a_page_that_has_not_drawn_yet_is_sent_nothing_more(
    panel: ClusterPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", float("inf"))
    begun = panel.top.beat
    assert [happens(panel) for _ in range(3)] == [begun + 1, begun + 2, begun + 3], "there is no page"
    panel.top.drawn = begun + 3
    assert happens(panel) == begun + 4
    assert happens(panel) == begun + 4
    shown = panel.top.clock["now"]
    panel.top.drawn = begun + 4
    assert happens(panel) == begun + 5
    assert panel.top.clock["now"] > shown + 1.5, "the newest state, and none of those between"


def test_a_page_that_is_gone_is_not_waited_for(panel: ClusterPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    panel.top.drawn = 1
    assert happens(panel) < happens(panel)


def test_nothing_new_is_no_beat(panel: ClusterPanel) -> None:
    before = happens(panel)
    panel.refresh()
    panel.refresh()
    assert panel.top.beat <= before + 1  # the clock's sign that time stands now
