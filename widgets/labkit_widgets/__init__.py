"""Panels: what happens in a lab, to look at and to click. Every picture is drawn from the trace of a run.

A panel shows *(trace, position)*. `frames/` holds pure functions from a trace and a position to frozen data;
`scenes/` turns those into pictures as plain data; `stage.js` draws them in the browser and `snapshot.py` as a
static image; `base.py` keeps time and carries out clicks.
"""

from .base import Panel, close_all
from .cluster_panel import ClusterPanel
from .lineage_panel import LineagePanel
from .ring_panel import RingPanel
from .spacetime_panel import SpaceTimePanel
from .staleness_panel import StalenessPanel

__all__ = [
    "ClusterPanel",
    "LineagePanel",
    "Panel",
    "RingPanel",
    "SpaceTimePanel",
    "StalenessPanel",
    "close_all",
]
