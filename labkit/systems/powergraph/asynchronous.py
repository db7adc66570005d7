"""The asynchronous engines (§4.3.2, §4.3.3): a vertex runs as soon as its machine has room, and what it
changes is seen at once.

A master goes through ``INACTIVE → (LOCK →) GATHER → SCATTER → INACTIVE``; what it asks of its replicas, its
own one too, and what they answer:

========  ==============================  =========================================  ==================
state     asked of each replica           what it does                               answer
========  ==============================  =========================================  ==================
LOCK      lock     (Async+S only)         takes the forks of its edges there         locked
GATHER    gather   (if a_u is empty)      gathers over its edges                     partial
SCATTER   update   with the applied D_u   takes it and scatters, in one step         scattered
INACTIVE  release  (Async+S only)         puts its forks down
========  ==============================  =========================================  ==================

Besides, a scatter tells the masters of neighbours (``signal``) who is activated, and Δa. Async gives no
guarantee: two neighbours may gather before either has scattered. Async+S is serializable.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from .forks import Forks
from .gas import Told
from .termination import Ring

__all__ = ["Asynchronous"]

LOCK, GATHER, SCATTER = "lock", "gather", "scatter"
#: Items that are handled in one step: then others on the machine have a turn.
AT_ONCE = 256


@dataclass
class Run:
    """A run of a master's program that has begun."""

    state: str
    waiting: set[int]  #: ranks that have not answered
    acc: Any = None
    emptied: bool = False  #: whether a neighbour has emptied the accumulator meanwhile
    reads: dict[int, int] = field(default_factory=dict)


class Asynchronous:
    """One machine's part. ``machine``: the node, with its channels and replicas."""

    def __init__(self, machine: Any, serializable: bool) -> None:
        self.machine, self.replicas, self.channels = machine, machine.replicas, machine.channels
        self.rank = self.channels.rank
        self.log = machine.log
        self.replicas.versions = machine.spec.log
        self.forks: Any = Forks(self.replicas.partition.pairs()) if serializable else None
        self.ring = Ring(self.rank, len(self.channels.members))
        self.queue = deque(u for u in self.replicas.partition.mastered.tolist() if self.replicas.active[u])
        self.running: dict[int, Run] = {}
        self.suspended = False
        self.quiet: list[Any] | None = None  #: at the end: what was ordered
        self.handlers = {
            "lock": self._lock, "locked": self._locked, "cancel": self._cancel,
            "cancelled": self._cancelled, "gather": self._gather, "partial": self._partial,
            "update": self._update, "scattered": self._scattered, "release": self._release,
            "signal": self._signal,
        }  # fmt: skip

    async def run(self) -> list[Any]:
        """Until nobody has anything to do; then []; or all is suspended for an order: the orders."""
        machine, channels = self.machine, self.channels
        ordered: list[Any] = []
        while self.quiet is None:
            if channels.inbox or (self.queue and self._room()):
                await machine.work(self._some)
                channels.flush()
            elif self.rank == 0 and machine.orders and not ordered:
                ordered = machine.take_orders()
                self._to_all("suspend", None)
            elif self.ring.over and self._idle():
                self._to_all("quiet", ordered)
            elif self.ring.holds and self._idle() and not self.ring.over:
                to, black = self.ring.pass_on()
                channels.post(to, "token", black)
                channels.flush()
            else:
                await channels.news.wait()
        return self.quiet

    def _to_all(self, kind: str, what: Any) -> None:
        for rank in range(len(self.channels.members)):
            self.channels.post(rank, kind, what)
        self.ring.holds = self.ring.holds and kind != "quiet"
        self.channels.flush()

    def _room(self) -> bool:
        return not self.suspended and len(self.running) < self.machine.options.in_flight

    def _idle(self) -> bool:
        """Whether this machine has nothing to do, and all that it has told has been heard."""
        nothing = not self.running and not self.channels.inbox and (self.suspended or not self.queue)
        return nothing and self.channels.empty

    def _some(self) -> None:
        """Handle what has come in, and begin to run vertices."""
        inbox = self.channels.inbox
        for _ in range(min(len(inbox), AT_ONCE)):
            item = inbox.popleft()
            handler = self.handlers.get(item.kind)
            if handler is not None:
                handler(item.sender, *item.what)
            elif item.kind == "token":
                self.ring.received(item.what)
            elif item.kind == "suspend":
                self.suspended = True
            elif item.kind == "quiet":
                self.quiet = item.what
            elif item.kind == "unsendable":
                raise item.what
        while self.queue and self._room():
            u = self.queue.popleft()
            self.replicas.active[u] = False
            self.begin(u)

    def _post(self, to: int, kind: str, *what: Any) -> None:
        self.channels.post(to, kind, what)
        self.ring.black |= to != self.rank

    def _ask(self, u: int, state: str, kind: str, *what: Any) -> None:
        """The master asks all replicas, and waits in a state."""
        run = self.running[u]
        run.state, run.waiting = state, set(self.replicas.holders[u])
        for rank in self.replicas.holders[u]:
            self._post(rank, kind, self.replicas.gid[u], *what)

    # the master's side ------------------------------------------------------------

    def begin(self, u: int) -> None:
        """Run an active vertex: with forks, once it has them."""
        self.running[u] = Run(LOCK, set())
        if self.forks is not None:
            self.log("vertex_locks", vertex=self.replicas.gid[u])
            self._ask(u, LOCK, "lock")
        else:
            self._begin_gather(u)

    def _locked(self, rank: int, gid: int) -> None:
        u = self.replicas.number[gid]
        run = self.running[u]
        run.waiting.discard(rank)
        if not run.waiting:
            self._begin_gather(u)

    def _cancel(self, rank: int, gid: int) -> None:
        """A neighbour with precedence wants a fork: agreed, unless this vertex has all its forks and runs."""
        run = self.running.get(self.replicas.number[gid])
        if run is not None and run.state == LOCK and rank not in run.waiting:
            run.waiting.add(rank)
            self._post(rank, "cancelled", gid)

    def _begin_gather(self, u: int) -> None:
        replicas = self.replicas
        self.log("vertex_gathers", vertex=replicas.gid[u])
        if u in replicas.cache:
            run = self.running[u]
            run.acc, run.reads = replicas.cache[u], dict(replicas.cached_reads.get(u, {}))
            self._apply(u)
        else:
            self._ask(u, GATHER, "gather")

    def _partial(self, rank: int, gid: int, acc: Any, reads: dict[int, int]) -> None:
        u = self.replicas.number[gid]
        run = self.running[u]
        run.waiting.discard(rank)
        run.acc = self.replicas.added(run.acc, acc)
        run.reads.update(reads)
        if not run.waiting:
            if self.replicas.caching and not run.emptied:
                self.replicas.cache[u], self.replicas.cached_reads[u] = run.acc, dict(run.reads)
            self._apply(u)

    def _apply(self, u: int) -> None:
        replicas, run = self.replicas, self.running[u]
        value, version = replicas.apply(u, run.acc), replicas.version[u] + 1
        self.log(
            "vertex_applied", vertex=replicas.gid[u], value=replicas.program.result(value), version=version,
            reads={**run.reads, replicas.gid[u]: version - 1},
        )  # fmt: skip
        self._ask(u, SCATTER, "update", value, version)

    def _scattered(self, rank: int, gid: int) -> None:
        u = self.replicas.number[gid]
        run = self.running[u]
        run.waiting.discard(rank)
        if run.waiting:
            return
        del self.running[u]
        self.log("vertex_ended", vertex=gid)
        if self.forks is not None:
            for each in self.replicas.holders[u]:
                self._post(each, "release", gid)
        if self.replicas.active[u]:
            self.queue.append(u)

    def _signal(self, rank: int, gid: int, told: Told) -> None:
        """What a scatter tells. A Δa that came before the partial of the same machine is in that partial."""
        replicas = self.replicas
        u = replicas.number[gid]
        run = self.running.get(u)
        if run is not None and run.state == GATHER:
            if told.touched and rank not in run.waiting:
                if told.delta is None:
                    run.emptied = True
                else:
                    run.acc = replicas.added(run.acc, told.delta)
                    run.reads.update(told.reads)
        else:
            replicas.hear(u, told)
        if told.activated and not replicas.active[u]:
            replicas.active[u] = True
            self.log("vertex_activated", vertex=gid)
            if run is None:
                self.queue.append(u)

    # a replica's side ------------------------------------------------------------

    def _lock(self, master: int, gid: int) -> None:
        u = self.replicas.number[gid]
        told = self.forks.lock(u)
        missing = self.forks.missing(u)
        if missing:
            self.log("forks_wanted", vertex=gid, of=[self.replicas.gid[v] for v in missing])
        self._tell(told)

    def _cancelled(self, master: int, gid: int) -> None:
        self._tell(self.forks.cancelled(self.replicas.number[gid]))

    def _release(self, master: int, gid: int) -> None:
        self._tell(self.forks.release(self.replicas.number[gid]))

    def _tell(self, told: list[tuple[str, int]]) -> None:
        for kind, u in told:
            self._post(self.replicas.master[u], kind, self.replicas.gid[u])

    def _gather(self, master: int, gid: int) -> None:
        acc, reads = self.replicas.partial(self.replicas.number[gid])
        self._post(master, "partial", gid, acc, reads)

    def _update(self, master: int, gid: int, value: Any, version: int) -> None:
        """Take the new value and scatter at once: no gather here is between the two."""
        replicas = self.replicas
        u = replicas.number[gid]
        replicas.take(u, value, version)
        self.log.mirror(self.replicas, u)
        for v, told in replicas.scatter(u).items():
            self._post(replicas.master[v], "signal", replicas.gid[v], told)
        self._post(master, "scattered", gid)
