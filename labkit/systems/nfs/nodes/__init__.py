"""The roles of the paper: server with mount daemon, clients; and the lock service, which is beside it."""

from .client import ClientNode
from .lockd import LockManager
from .server import Server

__all__ = ["ClientNode", "LockManager", "Server"]
