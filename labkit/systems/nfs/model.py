"""The programming model of NFS: files, as if they were here.

What the user is promised is UNIX's file system, with three holes, which are the lecture's subject: when a
change is seen by another client depends on the client's ``consistency``; a call whose reply was lost may be
done twice; and a file that another client removes is gone for those who have it open.

    nfs = NFS(cluster, clients=2)
    one, other = nfs.clients
    one.write_text("/notes", "first")
    other.read_text("/notes")
    nfs.consistency = "timeouts"            # from now on, for all clients
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.parts.checks import whole
from labkit.parts.system import System
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import MachineDead, NameTaken, Timeout
from labkit.runtime.script import Made, options_of
from labkit.trace.fold import fold
from labkit.trace.words import many

from .files import SERVERS, Client
from .invariants import Report, judge
from .nodes import ClientNode, LockManager, Server
from .options import LIVE, RULES, TIMES, given
from .protocol import PROCEDURES
from .view import FilesReducer, FilesState

__all__ = ["NFS"]


class NFS(System):
    """A file server on a cluster's first machine, and clients on the others.

    clients: how many; on m2, m3, … in turn (on m1 too, if there is no other). Other options are the fields of
    ``Options``: consistency, write_behind, duplicates, exports, …
    """

    panel_class = "NfsPanel"
    #: Roles, which a planted mistake replaces.
    roles: tuple[type[Server], type[ClientNode], type[LockManager]] = (Server, ClientNode, LockManager)

    def __init__(self, cluster: Cluster, clients: int = 2, **options: Any) -> None:
        own, chosen = given({"clients": clients, **options})
        self.cluster, self.options, self.name = cluster, chosen, own["name"]
        #: Seconds for which an operation waits for a hard mount.
        self.give_up_after = 60.0
        self.calls_made = 0  #: by programs, of all clients
        #: As it is now: choices that may be changed while it runs.
        self._now = {name: getattr(chosen, name) for name in LIVE}
        alive = [machine.name for machine in cluster.machines if machine.alive]
        if not alive:
            raise MachineDead.of_all()
        self.machine = alive[0]
        homes = alive[1:] or alive
        places = [homes[number % len(homes)] for number in range(own["clients"])]
        self.server, self.locks = f"{self.name}-server", f"{self.name}-locks"
        if self.server in cluster.nodes:
            raise NameTaken(f"{self.server} is there already; write NFS(cluster, name={self.name + '2'!r})")
        server, client, locks = self.roles
        names = [f"{self.name}-{number + 1}" for number in range(own["clients"])]
        nodes: list[tuple[Any, ...]] = [
            (server, (chosen,), {}, self.server, self.machine),
            (locks, (chosen,), {}, self.locks, self.machine),
        ]
        nodes += [
            (client, (self.server, self.locks, chosen), {}, name, place)
            for name, place in zip(names, places, strict=True)
        ]
        cluster.spawn_many(nodes)
        self.clients = [Client(self, name, place) for name, place in zip(names, places, strict=True)]
        cluster.call(self.server, "audit", timeout=self.give_up_after)
        for each in self.clients:
            each.call("stat", "/", True)
        cluster.trace.meta.update(system="NFS", clients=len(names), consistency=chosen.consistency)
        SERVERS.add(self)

    def user(self, uid: int, gids: tuple[int, ...] | None = None) -> list[Client]:
        """All clients, used by another user."""
        return [client.user(uid, gids) for client in self.clients]

    # choices ------------------------------------------------------------

    def set(self, **choices: Any) -> None:
        """Change what may be changed while it runs: ``options.LIVE``. All clients hear of it."""
        for name, value in choices.items():
            if name not in LIVE:
                raise TypeError(f"{name!r} cannot be changed while it runs; what can be: {', '.join(LIVE)}")
            value = RULES[name](name, value)
            machines = [self.machine] if name == "duplicates" else [each.machine for each in self.clients]
            for machine in machines:  # all of them or none: who is dead would go on as before
                if not self.cluster.machine(machine).alive:
                    raise MachineDead(f"{machine} would not hear of it: cluster.restart({machine!r}) first")
            with self.cluster.span("set", choice=name, to=value):
                if name == "duplicates":
                    self.cluster.call(self.server, "remember", value, timeout=self.give_up_after)
                else:
                    for client in self.clients:
                        self.cluster.call(client.name, "set", name, value, timeout=self.give_up_after)
            self._now[name] = value

    @property
    def consistency(self) -> str:
        """ "no cache", "none", "timeouts" or "close-to-open"; may be changed at any time."""
        return str(self._now["consistency"])

    @consistency.setter
    def consistency(self, value: str) -> None:
        self.set(consistency=value)

    @property
    def duplicates(self) -> bool:
        """Whether the server has a duplicate request cache; may be changed at any time."""
        return bool(self._now["duplicates"])

    @duplicates.setter
    def duplicates(self, on: bool) -> None:
        self.set(duplicates=on)

    @property
    def write_behind(self) -> bool:
        """Whether writes wait in the client; may be changed at any time."""
        return bool(self._now["write_behind"])

    @write_behind.setter
    def write_behind(self, on: bool) -> None:
        self.set(write_behind=on)

    def lose_reply(self, procedure: str, times: int = 1) -> None:
        """A fault: the server carries the next such procedures out, and the replies are lost."""
        if procedure not in PROCEDURES:
            known = ", ".join(PROCEDURES)
            raise ValueError(f"procedure={procedure!r}: there are {known}; write lose_reply('mkdir')")
        times = TIMES("times", times)
        self.cluster.call(self.server, "lose_reply", procedure, times)

    # how it is ------------------------------------------------------------

    def view(self, position: float | None = None) -> FilesState:
        """What the events add up to, now or at a moment."""
        state: FilesState = fold(FilesReducer(self.name), whole(self.cluster), position)
        return state

    def check(self) -> Report:
        """The invariants I1 to I7, judged on the trace; and the file system itself, if it can be asked."""
        faults: list[str] = []
        if not self.cluster.closed and self.cluster.machine(self.machine).state in ("alive", "slow"):
            try:
                faults = self.cluster.call(self.server, "audit", timeout=self.give_up_after)
            except Timeout:
                faults = []
        return judge(whole(self.cluster), self.name, faults, self.cluster.now, self.cluster.engine == "sim")

    def settle(self, until: Callable[[], bool] | None = None, timeout: float = 60.0) -> None:
        """Let time pass until nothing waits to be written (or ``until()`` holds)."""
        done = until or (lambda: not self.view().dirty)
        self.cluster.run_until(done, timeout=timeout, what="nothing waits to be written")

    def made(self) -> Made:
        """The server as code."""
        notes = tuple(
            f"Meanwhile {name} was changed: nfs_again.set({name}={value!r})"
            for name, value in self._now.items()
            if value != getattr(self.options, name)
        )
        lacks = "what the clients did with files, and lost replies"
        return Made("labkit.systems.nfs", "nfs_again", "NFS", options_of(self), lacks, notes)

    def _in_short(self) -> str:
        calls = "with" if self.duplicates else "without"
        how = f"{self.consistency}, {calls} a duplicate request cache"
        return f"NFS server {self.name!r} on {self.machine} with {many(len(self.clients), 'client')}, {how}"
