"""The roles of the paper's Figure 1: a master and workers. The user program is ``job.py``."""

from .master import Master
from .worker import Worker

__all__ = ["Master", "Worker"]
