"""From frames to scenes: one pure function per panel."""

from .cluster import cluster_scene, message_pulses
from .ring import ring_scene
from .spacetime import spacetime_scene

__all__ = ["cluster_scene", "message_pulses", "ring_scene", "spacetime_scene"]
