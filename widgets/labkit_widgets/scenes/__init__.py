"""From frames to scenes: one pure function per panel."""

from .cluster import cluster_scene, message_pulses
from .lineage import lineage_scene, piece_id
from .ring import ring_scene
from .spacetime import spacetime_scene
from .staleness import staleness_scene

__all__ = [
    "cluster_scene",
    "lineage_scene",
    "message_pulses",
    "piece_id",
    "ring_scene",
    "spacetime_scene",
    "staleness_scene",
]
