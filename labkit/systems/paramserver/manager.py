"""The server manager: who lives, and who has which range (Li et al., OSDI 2014, sections 4.3 and 4.5).

It hears every server's heartbeats and publishes *views*. One loop compares the ranges as they are with the
ranges as the ring wants them, and moves one range at a time, in two phases: the master copies it to whoever
is to have it while it goes on serving; then it takes no more pushes for it, sends what has changed meanwhile,
and the next view gives the range to its new chain. A joining server, a leaving one and the replacement of a
lost replica are all the same move.

A server that is silent for ``timeout`` is taken for dead. It is struck out of every chain at once, so that
its successor in the chain is the master; the copy that is now missing is a later move.

A view takes effect in two steps, so that no key ever has two masters. *Fence*: every server stops serving
what the view takes from it. When all have said so (or are dead: then their leases are over), all *adopt* it.

The manager lives in the user's own process. Its failure is not survived.
"""

from __future__ import annotations

from typing import Any

from labkit.parts.members import Silence
from labkit.runtime.errors import Definite, Timeout
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import Event, Signal, gather

from .events import EVENTS
from .ring import WHOLE, KeyRange, View, cut, place
from .settings import Settings
from .vectors import VectorSpec

__all__ = ["Manager", "Member"]


class Member:
    """A server that counts as living."""

    def __init__(self, incarnation: int, machine: str, now: float) -> None:
        self.incarnation = incarnation
        self.machine = machine
        self.heard = now  #: when its last heartbeat came
        self.leaving = False
        self.joined = False  #: it has a part of the ring


class _Interrupted(Exception):
    """A server failed while a range was being moved."""


class Manager(Node):
    """See the module's text. ``founders``: servers that there must be before there is a first view."""

    events = EVENTS

    def __init__(self, settings: Settings, founders: tuple[str, ...]) -> None:
        self.settings = settings
        self.founders = founders
        self.members: dict[str, Member] = {}
        self.view = View(0, (KeyRange(0, WHOLE, ()),), {})
        #: Found dead, and not yet struck out of the chains.
        self.failed: list[str] = []
        #: Vectors that were defined, and are to be in the next view.
        self.defined: dict[str, VectorSpec] = {}
        #: Who wants to hear of views: workers, and the user's own process.
        self.listeners: dict[str, None] = {}
        #: Ranges of which no copy is left.
        self.lost: list[KeyRange] = []
        self.check_every = settings.timeout / 5
        #: Seconds that one step of a move may take: a message may be lost, or a range be large.
        self.patience = settings.resend_after

    def start(self) -> None:
        """Begin to keep the ranges as they should be."""
        self.wake = Event()
        self.changed = Signal()  #: something a user may wait for
        self._over = Event()
        self.silence = Silence(self.settings.timeout, self.now)
        self.spawn(self._govern())

    # liveness ------------------------------------------------------------

    @rpc
    def heartbeat(self, server: str, incarnation: int) -> bool:
        """A server lives. False: it is not a member (any more)."""
        member = self.members.get(server)
        if member is None or member.incarnation != incarnation:
            return False
        member.heard = self.now
        return True

    @rpc
    def join(self, server: str, incarnation: int, machine: str) -> None:
        """A server that holds nothing wants to be a member."""
        member = self.members.get(server)
        if member is not None and member.incarnation != incarnation:
            self._fail(server, "it has restarted")
        if server not in self.members and server not in self.failed:
            self.members[server] = Member(incarnation, machine, self.now)
            self.wake.set()

    @every("check_every")
    def check(self) -> None:
        """Who has been silent for too long?"""
        for server, silent in self.silence.look(self.members, self.now):
            self._fail(server, f"silent for {silent:.2f} s")

    def _fail(self, server: str, why: str) -> None:
        member = self.members.pop(server, None)
        if member is not None:
            self.failed.append(server)
            self.emit("server_failed", server=server, why=why)
            self.wake.set()
            self._over.set()

    # views ------------------------------------------------------------

    @rpc
    def newer_view(self, number: int) -> View | None:
        """The view, if it is newer than that."""
        return self.view if self.view.number > max(number, 0) else None

    @rpc
    async def define(self, vector: VectorSpec) -> None:
        """There is one more vector; answered when every server knows it."""
        self.defined[vector.name] = vector
        self.wake.set()
        while vector.name not in self.view.vectors:
            await self.changed.wait()

    @rpc
    def listen(self, node: str) -> View | None:
        """Tell this node about every new view."""
        self.listeners[node] = None
        return self.view if self.view.number else None

    async def _publish(self, ranges: list[KeyRange]) -> None:
        """Make these the ranges: first fence, then adopt, then tell the others."""
        view = View(self.view.number + 1, tuple(ranges), {**self.view.vectors, **self.defined})
        await self._all("fence", view)
        self.view = view
        self.emit(
            "view", view=view.number, ranges=[_shown(range_) for range_ in ranges],
            bounds=[(range_.lo, range_.hi) for range_ in ranges],
        )  # fmt: skip
        await self._all("adopt", view)
        for node in self.listeners:
            self.send(node, "view_changed", view)
        self.changed.fire()

    async def _all(self, method: str, view: View) -> None:
        """Every living server has done it. One that is paused keeps all waiting, until it counts as dead."""
        left = list(self.members)
        while left:
            lives = [self.members[server].incarnation for server in left]
            calls = [
                self.call(server, method, view, life, timeout=self.settings.resend_after)
                for server, life in zip(left, lives, strict=True)
            ]
            outcomes = await gather(*calls, return_exceptions=True)
            left = [
                server
                for server, outcome in zip(left, outcomes, strict=True)
                if isinstance(outcome, Exception) and server in self.members
            ]
            if left:  # one that has restarted will say so by its next heartbeat
                await self.sleep(self.settings.retry_after)
            left = [server for server in left if server in self.members]

    # governing ------------------------------------------------------------

    async def _govern(self) -> None:
        try:
            await self._keep_governing()
        except Exception as error:
            self.send(self.settings.scheduler, "manager_failed", repr(error))
            raise

    async def _keep_governing(self) -> None:
        while True:
            self.wake.clear()
            if self.failed:
                await self._fail_over()
            elif any(name not in self.view.vectors for name in self.defined) and self.view.number:
                await self._publish(list(self.view.ranges))
            elif not await self._improve():
                await self.wake.wait()

    async def _fail_over(self) -> None:
        """Strike the dead out of every chain."""
        dead, self.failed = self.failed, []
        ranges = []
        for range_ in self.view.ranges:
            chain = tuple(server for server in range_.chain if server not in dead)
            if range_.chain and not chain:
                self.lost.append(range_)
                self.emit("range_lost", lo=range_.lo / WHOLE, hi=range_.hi / WHOLE)
                self.send(self.settings.scheduler, "range_lost", range_.lo / WHOLE, range_.hi / WHOLE)
            ranges.append(range_._replace(chain=chain))
        if ranges != list(self.view.ranges):
            await self._publish(ranges)

    def _wanted(self) -> list[KeyRange]:
        """The ranges as they should be, for the servers that are to stay."""
        staying = [server for server, member in self.members.items() if not member.leaving]
        return place(sorted(staying), self.settings.replicas, self.settings.virtual_servers)

    async def _improve(self) -> bool:
        """One step from the ranges as they are to those as they should be; False if there is nothing to
        do."""
        if not self.view.number:
            return await self._found()
        wanted = self._wanted()
        if not wanted[0].chain:
            return False
        for range_ in self.view.ranges:
            pieces = cut(range_, wanted)
            if [piece.chain for piece in pieces] == [range_.chain]:
                continue
            try:
                await self._move(range_, pieces)
            except (Timeout, Definite, _Interrupted) as error:
                if isinstance(error, Timeout):
                    self.patience *= 2
                if not self.failed:  # whatever was frozen goes on, and the move begins anew
                    await self._publish(list(self.view.ranges))
            return True
        self._welcome()
        return False

    async def _found(self) -> bool:
        """The first view, once all founders are there."""
        if not all(server in self.members for server in self.founders):
            return False
        await self._publish(
            place(sorted(self.members), self.settings.replicas, self.settings.virtual_servers)
        )
        return True

    def _welcome(self) -> None:
        """The ring is as it should be: who was joining has joined, who was leaving has left."""
        for server, member in list(self.members.items()):
            if member.leaving:
                del self.members[server]
                self.emit("server_left", server=server)
            elif not member.joined:
                member.joined = True
                self.emit("server_joined", server=server, machine=member.machine)
        self.changed.fire()

    # moving a range ------------------------------------------------------------

    async def _move(self, range_: KeyRange, pieces: list[KeyRange]) -> None:
        """Give a range, or each piece of it, to another chain."""
        number = self.view.number
        news = [(piece, server) for piece in pieces for server in piece.chain if server not in range_.chain]
        if range_.chain:
            order = (number, range_.lo, range_.hi, [piece for piece, _ in news], [name for _, name in news])
            if news:
                copied = await self._ask(range_, "pre_copy", order)
                self.emit("range_copied", lo=range_.lo / WHOLE, hi=range_.hi / WHOLE, bytes=copied,
                          source=range_.chain[0], to=sorted({name for _, name in news}))  # fmt: skip
            await self._ask(range_, "hand_over", order)
        at = self.view.ranges.index(range_)
        ranges = [*self.view.ranges[:at], *pieces, *self.view.ranges[at + 1 :]]
        await self._publish(ranges)

    async def _ask(self, range_: KeyRange, method: str, order: tuple[Any, ...]) -> Any:
        call = self.call(range_.chain[0], method, *order, self.patience, timeout=self.patience)
        self._over = over = Event()  # when it is answered, or a server has failed
        call.add_done(lambda _: over.set())
        await over.wait()
        if self.failed:
            raise _Interrupted
        answer = call.result()
        self.patience = self.settings.resend_after
        return answer

    # what a user asks for ------------------------------------------------------------

    @rpc
    async def ready(self) -> None:
        """Answered when the first view is in force."""
        while not self.view.number:
            await self.changed.wait()

    @rpc
    async def joined(self, server: str) -> None:
        """Answered when a server has its part of the ring."""
        while not (server in self.members and self.members[server].joined):
            await self.changed.wait()

    @rpc
    async def leave(self, server: str) -> None:
        """Answered when a server holds nothing any more."""
        if server in self.members:
            self.members[server].leaving = True
            self.wake.set()
        while server in self.members:
            await self.changed.wait()

    def settled(self, since: float) -> bool:
        """Whether every range has the chain that it should have, and every server was heard of after
        ``since``: one that has died or restarted may still count as living."""
        if self.failed or not self.view.number:
            return False
        wanted = self._wanted()
        return (
            bool(wanted[0].chain)
            and all(member.heard > since for member in self.members.values())
            and all(
                [piece.chain for piece in cut(range_, wanted)] == [range_.chain]
                for range_ in self.view.ranges
            )
        )


def _shown(range_: KeyRange) -> list[Any]:
    return [range_.lo / WHOLE, range_.hi / WHOLE, list(range_.chain)]
