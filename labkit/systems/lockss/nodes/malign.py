"""Subverted libraries, and the mind that is behind all of them."""

from __future__ import annotations

from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.node import Node, rpc

from ..adversaries import TARGET, Adversary, nominees
from ..effort import Proof, prove
from ..events import EVENTS
from ..holding import Holding, mix
from ..messages import Nominate, PollAck
from ..options import DAYS, Spec
from ..polls import PollId
from ..replicas import Content, commitment, tampered
from .library import Library, Session

__all__ = ["Mind", "Minion"]


class Mind(Node):
    """Hears from all minions and decides for them."""

    events = EVENTS

    def __init__(self, spec: Spec, adversary: Adversary) -> None:
        self.spec, self.adversary = spec, adversary

    def start(self) -> None:
        """It has seen nothing."""
        self.invited: dict[PollId, set[int]] = {}
        self.decided: dict[PollId, bool] = {}

    @rpc
    def heard(self, poll: PollId, minion: int) -> None:
        """A minion is invited: the circle is being formed."""
        if poll not in self.decided:
            self.invited.setdefault(poll, set()).add(minion)

    @rpc
    def strikes(self, poll: PollId) -> bool:
        """How all minions vote in a poll: decided once, when the first of them must seal its vote."""
        if poll not in self.decided:
            options, minions = self.spec.options, self.invited.pop(poll, set())
            year = (self.now - self.spec.began) / options.day / DAYS
            struck = self.adversary.strikes(len(minions), options.inner, options.verdict, year)
            self.decided[poll] = struck
            if struck:
                self.emit("struck", poll=poll, poller=self.spec.peer(poll[0]), minions=tuple(sorted(minions)))
        return self.decided[poll]


class Minion(Library):
    """Looks like a library. Its replica never rots, and it calls no poll: it knows all it wants to know."""

    malign = True

    def __init__(self, spec: Spec, number: int, minions: tuple[int, ...], adversary: Adversary) -> None:
        super().__init__(spec, number)
        self.minions, self.adversary = minions, adversary

    def _begin(self, holding: Holding) -> None:
        if self.adversary.flood:
            self.spawn(self._flood(holding))

    @rpc
    async def poll(self, poll: PollId, proof: Proof) -> PollAck:
        """It has time for everybody, and tells the mind."""
        self.sessions.setdefault(poll, Session(self.day))
        await self._mind("heard", poll, self.number)
        return PollAck("", self._proof_of_ack(poll))

    async def _vote_on(self, poll: PollId, nonce: int, session: Session) -> Nominate:
        """Vote as the mind says, and name nobody but minions."""
        holding, struck = self.holdings[poll[1]], await self._mind("strikes", poll)
        session.struck = bool(struck)
        contents = self._lie(self.content(poll[1])) if struck else self.content(poll[1])
        vote = session.vote = self._vote(holding, poll, nonce, contents)
        names = nominees(self.minions, holding.options.nominations, vote.nonce)
        return Nominate(tuple(names), commitment(vote))

    @rpc
    async def repair_request(self, poll: PollId, block: int, proof: Proof) -> tuple[Content] | None:
        """Good content, or the adversary's."""
        session = self.sessions.get(poll)
        if session is None:
            return None
        contents = self.content(poll[1])
        if self.adversary.spoils(session.struck):
            contents = self._lie(contents)
        return (contents[block],)

    def _lie(self, contents: list[Content]) -> list[Content]:
        """The adversary's version of one block."""
        changed = list(contents)
        if (true := changed[TARGET]) is not None:
            changed[TARGET] = tampered(true)
        return changed

    async def _mind(self, method: str, *args: Any) -> Any:
        patience = self.options.patience * self.options.day / 4
        try:
            return await self.call(self.spec.mind, method, *args, timeout=patience)
        except LabError:
            return None

    async def _flood(self, holding: Holding) -> None:
        """Invitations to each library in turn, each by a name that nobody has heard before, with the
        introductory effort paid; the poll never comes."""
        options = self.options
        victims = [peer for peer in range(options.libraries) if peer not in self.minions]
        each = len(self.minions) / (self.adversary.flood * len(victims))  # days between two of this minion's
        count, units = 0, options.effort * options.introductory
        while True:
            await self.sleep(self.random.expovariate(1.0) * each * options.day)
            name = options.libraries + mix(self.number, count) % 10**9
            poll = (name, holding.unit, 0)
            holding.spent += units
            self.send(
                self.spec.peer(victims[count % len(victims)]), "poll", poll, prove((poll, "poll"), units)
            )
            count += 1
