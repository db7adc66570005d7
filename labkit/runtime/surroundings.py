"""What the user's code finds around it on a real machine: what the user has around them.

A machine is a process that Ray has started, somewhere and some time ago. What the user names (a relative
path, a module of their folder, an environment variable) is to mean there what it means in the notebook. So a
machine takes over the user's working folder, module search path and environment when it begins, and again
when they have changed: as in the simulator, where all run in the user's own process.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NamedTuple

from labkit.runtime.host import host_identity

__all__ = ["Surroundings"]

#: Variables that are a process's own: Ray tells each of its processes by them what it is.
OWN = (b"RAY_", b"CUDA_VISIBLE_DEVICES")


class Surroundings(NamedTuple):
    """A process's folder, module search path and environment variables."""

    host: str
    folder: str | None  #: None: it was deleted
    path: tuple[str, ...]
    variables: dict[bytes, bytes]  #: undecoded, since they are looked at before each act of the user

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process."""
        try:
            folder = os.getcwd()
        except FileNotFoundError:
            folder = None
        variables = {name: value for name, value in os.environb.items() if not name.startswith(OWN)}
        return cls(host_identity(), folder, tuple(map(str, sys.path)), variables)

    def adopt(self, before: Surroundings | None) -> None:
        """Have this process be in them; ``before``: those that it has adopted last.

        On another host the folder may be missing, which leaves this process where it is; and the environment
        describes a host, so it stays each host's own.
        """
        if self.folder is not None:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        theirs = before.path if before is not None else ()
        sys.path[:] = [*self.path, *(each for each in sys.path if each not in (*self.path, *theirs))]
        if self.host == host_identity():
            for name in before.variables if before is not None else ():
                if name not in self.variables:
                    os.environb.pop(name, None)
            os.environb.update(self.variables)
