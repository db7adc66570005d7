"""The roles: a machine of the graph on each machine, all alike; and a coordinator, which computes nothing."""

from .coordinator import Coordinator
from .machine import GraphMachine

__all__ = ["Coordinator", "GraphMachine"]
