"""The roles of the paper's Figure 1: a job manager for each job, a name server, a daemon on each computer."""

from .daemon import Daemon
from .manager import JobManager
from .name_server import NameServer

__all__ = ["Daemon", "JobManager", "NameServer"]
