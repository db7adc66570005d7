"""Frames: what a panel shows, as frozen data. Pure functions of a trace and a position.

No widget is imported here.
"""

from labkit.trace.fold import History, fold
from labkit.trace.machines import EventLine, MachineView

from .cluster import ClusterFrame
from .common import Number
from .lineage import LineageFrame
from .ring import RingFrame
from .spacetime import SpaceTimeFrame
from .staleness import StalenessFrame

__all__ = [
    "ClusterFrame",
    "EventLine",
    "History",
    "LineageFrame",
    "MachineView",
    "Number",
    "RingFrame",
    "SpaceTimeFrame",
    "StalenessFrame",
    "fold",
]
