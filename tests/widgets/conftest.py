"""Fakes and fixtures for the panels: a hand-made trace, a simulated ring, a check for left-overs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ipywidgets.widgets.widget import _instances

from labkit import Cluster
from labkit.systems.chord import Chord
from labkit.trace.trace import Trace
from labkit_widgets import close_all

#: (time, machine, node, kind, data[, span[, parent]])
Row = tuple[Any, ...]


@pytest.fixture
def make_trace() -> Callable[[list[Row]], Trace]:
    """A trace with the given events."""

    def make(rows: list[Row], limit: int = 200_000) -> Trace:
        trace = Trace("messages", limit)
        for time, machine, node, kind, data, *rest in rows:
            span, parent = (*rest, None, None)[:2]
            trace.record(time, machine, node, kind, span, parent, data)
        return trace

    return make


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """After each test: the widgets that there were before, and no thread of ours."""
    before = set(_instances)
    yield
    close_all()
    assert set(_instances) == before
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("labkit-panel")] == []


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Four simulated machines."""
    with Cluster(4, "sim", seed=7, name="panels", trace="messages") as cluster:
        yield cluster


@pytest.fixture
def ring(cluster: Cluster) -> Chord:
    """A ring of twelve nodes with some keys."""
    ring = Chord(cluster, nodes=12, successors=4, replicas=3)
    ring.update({f"key-{k}": k for k in range(20)})
    return ring
