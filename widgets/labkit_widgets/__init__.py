"""Panels: what happens in a lab, to look at and to click. Every picture is drawn from the trace of a run.

A panel shows *(trace, position)*. `panels/` says as data what of a system's view is drawn; `layouts/` make of
that what stands on a stage, `pieces.py` what stands around it; `stage.js` draws it in the browser and
`snapshot.py` as a static image; `panel.py` keeps time and carries out clicks.
"""

from .panel import Panel, close_all
from .panels.chord import RingPanel
from .panels.cluster import ClusterPanel
from .panels.dryad import DryadPanel
from .panels.haloop import HaLoopPanel
from .panels.mapreduce import MapReducePanel
from .panels.paramserver import StalenessPanel
from .panels.spacetime import SpaceTimePanel
from .panels.spark import LineagePanel

__all__ = [
    "ClusterPanel",
    "DryadPanel",
    "HaLoopPanel",
    "LineagePanel",
    "MapReducePanel",
    "Panel",
    "RingPanel",
    "SpaceTimePanel",
    "StalenessPanel",
    "close_all",
]
