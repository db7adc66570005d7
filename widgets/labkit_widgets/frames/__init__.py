"""Frames: what a panel shows, as frozen data. Pure functions of a trace and a position.

No widget is imported here.
"""

from .cluster import ClusterFrame
from .common import EventLine, History, MachineView, Number, fold
from .ring import RingFrame
from .spacetime import SpaceTimeFrame

__all__ = [
    "ClusterFrame",
    "EventLine",
    "History",
    "MachineView",
    "Number",
    "RingFrame",
    "SpaceTimeFrame",
    "fold",
]
