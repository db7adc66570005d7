"""The roles: MapReduce's master with a loop control and a loop-aware scheduler, and
its workers with caches."""

from .master import LoopMaster
from .worker import LoopWorker

__all__ = ["LoopMaster", "LoopWorker"]
