"""What can go wrong, by what the caller may conclude from it.

After a failed remote call only one question matters: did it happen? A *definite* error says no; an
*indefinite* one says that nobody can know, because the request or only its answer may have been lost. The
split is Maelstrom's; the types are ours. An exception raised by a handler is neither: it happened, and comes
back as itself, with the remote traceback as its ``__cause__``.
"""

from __future__ import annotations

__all__ = [
    "BadFault",
    "BadSchedule",
    "BlockingHandler",
    "ClusterClosed",
    "Deadlock",
    "Definite",
    "EngineUnavailable",
    "Indefinite",
    "Interrupted",
    "LabError",
    "MachineDead",
    "MachineDied",
    "MachinePartitioned",
    "MachinePaused",
    "NameTaken",
    "NodeCrashed",
    "NotAnRpc",
    "RemoteError",
    "RemoteTraceback",
    "Timeout",
    "UnknownMachine",
    "UnknownMethod",
    "UnknownNode",
    "Unpicklable",
]


class LabError(Exception):
    """Any error that labkit raises itself."""


class Definite(LabError):
    """It did not happen: the operation had no effect anywhere."""


class Indefinite(LabError):
    """It may or may not have happened."""


class UnknownNode(Definite):
    """No node of this name was ever started in the cluster."""


class UnknownMachine(Definite):
    """The cluster has no machine of this name."""


class UnknownMethod(Definite):
    """The node's class has no such method."""


class NotAnRpc(Definite):
    """The method exists but is not marked ``@rpc``."""


class NameTaken(Definite):
    """A node of this name is already running."""


class Unpicklable(Definite):
    """A message holds something that cannot be copied to another machine."""


class BadFault(Definite):
    """The fault cannot be applied to the machine in its present state, or its numbers make no sense."""


class BadSchedule(Definite):
    """A schedule holds something that is not (when, fault)."""


class ClusterClosed(Definite):
    """The cluster was closed, or replaced by a newer one of the same name."""


class RunOver(Definite):
    """The cluster was reset, and what was asked is of the run before."""


class EngineUnavailable(Definite):
    """The engine asked for cannot run here."""


class MachineDead(Definite):
    """The caller asked a machine that the cluster knows to be dead; nothing was sent."""

    @classmethod
    def of_all(cls) -> MachineDead:
        """No machine is left that anything could run on."""
        return cls('every machine is dead; restart one: cluster.restart("m1")')


class Timeout(Indefinite):
    """No answer in time: the request may have been carried out."""


class MachineDied(Timeout):
    """The machine died while the call was under way."""


class MachinePaused(Timeout):
    """The machine is paused; it will carry the request out when it resumes."""


class MachinePartitioned(Timeout):
    """A partition separates the caller from the machine."""


class RemoteError(LabError):
    """A handler raised something that cannot itself be sent; this carries its text."""


class RemoteTraceback(Exception):
    """The traceback on the remote side, as text; always the ``__cause__`` of the exception it belongs to."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n--- raised on the remote side ---\n{self.text.rstrip()}"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a line that says what it ended; a notebook shows this line alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self}"]


class NodeCrashed(LabError):
    """An exception in a node that nobody awaited; ``story`` holds the node's last events."""

    def __init__(self, message: str, node: str = "", story: str = "") -> None:
        super().__init__(message)
        self.node = node
        self.story = story


class Deadlock(LabError):
    """The simulator has no event left, and the operation still waits."""


class BlockingHandler(UserWarning):
    """A handler kept its machine's loop busy, so that every other node on it stood still."""
