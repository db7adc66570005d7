"""Panels: what happens in a lab, to look at and to click. Every picture is drawn from the trace of a run.

A panel shows *(trace, position)*. `panels/` says as data what of a system's view is drawn; `layouts/` make of
that what stands on a stage, `pieces.py` what stands around it; `stage.js` draws it in the browser and
`snapshot.py` as a static image; `panel.py` keeps time and carries out clicks.
"""

from importlib import import_module
from typing import Any

from .panel import Panel, close_all

#: Whose panel it is. Read when it is asked for: some need NumPy, which a page in a browser may lack.
_PANELS = {
    "ClusterPanel": "cluster",
    "DryadPanel": "dryad",
    "FileSharingPanel": "filesharing",
    "GraphLabPanel": "graphlab",
    "GraphXPanel": "graphx",
    "HaLoopPanel": "haloop",
    "LineagePanel": "spark",
    "LockssPanel": "lockss",
    "MapReducePanel": "mapreduce",
    "NfsPanel": "nfs",
    "PowerGraphPanel": "powergraph",
    "PregelPanel": "pregel",
    "RingPanel": "chord",
    "SpaceTimePanel": "spacetime",
    "StalenessPanel": "paramserver",
}

__all__ = [
    "ClusterPanel",
    "DryadPanel",
    "FileSharingPanel",
    "GraphLabPanel",
    "GraphXPanel",
    "HaLoopPanel",
    "LineagePanel",
    "LockssPanel",
    "MapReducePanel",
    "NfsPanel",
    "Panel",
    "PowerGraphPanel",
    "PregelPanel",
    "RingPanel",
    "SpaceTimePanel",
    "StalenessPanel",
    "close_all",
]


def __getattr__(name: str) -> Any:
    if name not in _PANELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    panel = globals()[name] = getattr(import_module(f".panels.{_PANELS[name]}", __name__), name)
    return panel
