"""The roles: a process on each machine, with one of two engines, and a monitor (VLDB 2012, Figure 5)."""

from .chromatic import ChromaticProcess
from .locking import LockingProcess
from .monitor import Monitor
from .process import Process

__all__ = ["ChromaticProcess", "LockingProcess", "Monitor", "Process"]
