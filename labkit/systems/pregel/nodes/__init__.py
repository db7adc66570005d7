"""The roles of §4: a master, which has no part of the graph, and workers. The user program is ``job.py``."""

from .master import Master
from .worker import Worker

__all__ = ["Master", "Worker"]
