"""A library: it keeps a replica, audits it by polls, and votes in the polls of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from labkit.parts.retry import insist
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.node import Node, rpc
from labkit.runtime.sync import Signal, gather, wait_for

from ..effort import NOTHING, Proof, prove, proves
from ..events import EVENTS
from ..holding import Holding
from ..messages import Nominate, PollAck, Vote, read_repair
from ..options import Spec
from ..polls import Poll, PollId
from ..replicas import Content, Damage, commitment, damaged, decay, digest, hashes, vote_hash
from ..tally import INCONCLUSIVE, WIN

__all__ = ["Library"]

T = TypeVar("T")
#: Days by which a poll may begin late and still count as on time.
PROMPT = 1e-3
#: So many times a poller's patience a voter remembers a poll that does not go on.
SESSION = 6


@dataclass
class Session:
    """A poll of somebody else in which this library votes."""

    began: float
    struck: bool = False  #: a minion's: it votes for the adversary's version
    vote: Vote | None = None
    nominate: Nominate | None = None


class Library(Node):
    """One peer. Its number is its identity; its node has a name made of it."""

    events = EVENTS
    #: Whether it is the adversary's: told to the trace, not to its peers.
    malign = False

    def __init__(self, spec: Spec, number: int) -> None:
        self.spec, self.number, self.options = spec, number, spec.options

    async def start(self) -> None:
        """What its disk remembers goes on; a library that has nothing collects from the publisher."""
        self.units = list(self.spec.units)
        self.rate, self.rate_changed = self.disk.get("rot", self.options.rot), Signal()
        self.sessions: dict[PollId, Session] = {}
        self.holdings: dict[int, Holding] = {}
        for unit, name in enumerate(self.units):
            holding = Holding(self.number, unit, self.options, self.spec.seed)
            if (state := self.disk.get(("state", unit))) is not None:
                holding.restore(state)
            else:
                await self._collect(unit, name)
                if self.day >= holding.next_poll:  # a new disk; it may have polled: no nonce twice
                    holding.begin_again(self.day, int(self.now * 1e6))
            self.holdings[unit] = holding
            self._keep(holding)
            self.emit(
                "opened", unit=name, number=self.number, refs=tuple(holding.refs), malign=self.malign,
                versions=tuple(map(digest, self.content(unit))),
            )  # fmt: skip
            self._begin(holding)

    def _begin(self, holding: Holding) -> None:
        self.spawn(self._call_polls(holding))
        self.spawn(self._rot(holding))

    async def _collect(self, unit: int, name: str) -> None:
        every = max(self.options.patience * self.options.day, 0.05)
        times = 20 if self.day < 1.0 else 3  # later the publisher is gone, most likely
        try:
            blocks = await insist(self, self.spec.publisher, "collect", name, every=every, times=times)
        except LabError:  # it is gone, or nobody can reach it
            self.emit("collected_nothing", unit=name)
            return
        for block, content in enumerate(blocks):
            self.disk["block", unit, block] = content
        self.emit("collected", unit=name, versions=tuple(map(digest, blocks)))

    def _keep(self, holding: Holding) -> None:
        """A crash must not make it forget whom it knows, or call a poll's number twice."""
        self.disk["state", holding.unit] = holding.state()
        self.disk.sync()

    @property
    def day(self) -> float:
        """Of the archive."""
        return (self.now - self.spec.began) / self.options.day

    def _until(self, day: float) -> float:
        """Seconds from now to a day."""
        return self.spec.began + day * self.options.day - self.now

    def urls(self, unit: int) -> tuple[str, ...]:
        """The names of a unit's blocks."""
        return self.spec.units[self.units[unit]]

    def content(self, unit: int) -> list[Content]:
        """Its replica, read from the disk: rot is seen by nobody before."""
        return [self.disk.get(("block", unit, block)) for block in range(len(self.urls(unit)))]

    # its own polls ------------------------------------------------------------

    async def _call_polls(self, holding: Holding) -> None:
        """One after the other at random distances, however much anybody wants more: the rate limit."""
        while True:
            await self.sleep(max(0.0, self._until(holding.next_poll)))
            late = self.day - holding.next_poll > PROMPT
            await self._poll(holding, self.day if late else holding.next_poll)

    async def _poll(self, holding: Holding, due: float) -> None:
        """One opinion poll, from the invitations to the new reference list."""
        poll, unit = Poll(holding, self.spec.seed), self.units[holding.unit]
        self._keep(holding)
        self.emit("poll_called", poll=poll.id, unit=unit, number=poll.id[2], nonce=poll.nonce)
        if self.day - due > PROMPT:  # it was held up meanwhile, and the next comes after this one
            due = self.day
        await self._invite(poll, poll.wave, poll.inner)
        votes: dict[int, Vote] = {}
        against: dict[int, frozenset[int]] = {}
        if not poll.hopeless:
            sealed = await self._seal(poll, poll.inner)
            poll.discover({voter: nominate.peers for voter, nominate in sealed.items()})
            await self._invite(poll, poll.outer_wave, poll.outer)
            sealed |= await self._seal(poll, poll.outer)
            votes, against = await self._collect_votes(poll, sealed)
        outcome = await self._evaluate(poll, unit, votes, against)
        poll.finish(outcome, against, due)
        self._keep(holding)
        for voter in votes:
            self._send_receipt(poll, voter, votes[voter], not against[voter])
        self.emit(
            "poll_finished", poll=poll.id, unit=unit, number=poll.id[2], outcome=outcome,
            refs=tuple(holding.refs), spent=round(holding.spent, 3),
        )  # fmt: skip

    async def _invite(self, poll: Poll, wave: Callable[[], list[int]], circle: list[int]) -> None:
        """Poll → PollAck, until the circle is full or nobody is left: who refuses is replaced."""
        units = self.options.effort * self.options.introductory
        while peers := wave():
            proof = self._prove(poll.holding, len(peers), (poll.id, "poll"), units)
            answers = await self._ask_all(PollAck.read, peers, "poll", poll.id, proof)
            for peer, answer in zip(peers, answers, strict=True):
                reason = "no answer" if answer is None else answer.reason
                poll.accepted(circle, peer, reason)
                if reason:
                    self.emit("refused", poll=poll.id, voter=self.spec.peer(peer), reason=reason)

    async def _seal(self, poll: Poll, circle: list[int]) -> dict[int, Nominate]:
        """PollProof → Nominate: the nonce is told, the votes are computed and sealed, none is shown."""
        units = self.options.effort * (1 - self.options.introductory)
        proof = self._prove(poll.holding, len(circle), (poll.id, poll.nonce), units)
        read = partial(Nominate.read, libraries=self.options.libraries)
        answers = await self._ask_all(read, circle, "poll_proof", poll.id, poll.nonce, proof)
        pairs = zip(circle, answers, strict=True)
        return {peer: answer for peer, answer in pairs if answer is not None}

    async def _collect_votes(
        self, poll: Poll, sealed: dict[int, Nominate]
    ) -> tuple[dict[int, Vote], dict[int, frozenset[int]]]:
        """VoteRequest → Vote, from everybody at once. Returns the valid ones, and in which blocks each is not
        as this replica; in the order of the circles, whoever was first."""
        found: dict[int, Vote] = {}
        against: dict[int, frozenset[int]] = {}

        async def ask(voter: int) -> None:
            vote = await self._ask(Vote.read, voter, "vote_request", poll.id)
            if vote is None:
                return
            if why := self._invalid(poll, voter, vote, sealed[voter].commitment):
                self.emit("vote_invalid", poll=poll.id, voter=self.spec.peer(voter), why=why)
                return
            found[voter] = vote
            differs = against[voter] = self._against(poll, vote)
            self.emit(
                "vote_received", poll=poll.id, voter=self.spec.peer(voter), nonce=vote.nonce,
                circle="inner" if voter in poll.inner else "outer", against=tuple(sorted(differs)),
                proof=tuple(vote.proof), sealed=sealed[voter].commitment == commitment(vote),
            )  # fmt: skip

        await gather(*[ask(voter) for voter in sealed])
        valid = [voter for voter in sealed if voter in found]
        return {voter: found[voter] for voter in valid}, {voter: against[voter] for voter in valid}

    def _invalid(self, poll: Poll, voter: int, vote: Vote, sealed: str) -> str:
        """Why a vote does not count; "" if it does."""
        if commitment(vote) != sealed:
            return "it is not the one that was sealed"
        if not proves(Proof(*vote.proof), (poll.id, poll.nonce, vote.nonce), 1.0):
            return "nobody has worked for it"
        blocks = len(self.urls(poll.holding.unit))
        return "" if len(vote.hashes) == len(vote.versions) == blocks else "it is not of this unit"

    def _against(self, poll: Poll, vote: Vote) -> frozenset[int]:
        """The blocks on which a vote is not as this replica: hashed with the voter's nonce."""
        contents = enumerate(self.content(poll.holding.unit))
        return frozenset(block for block, mine in contents if self._differs(poll, vote, block, mine))

    def _differs(self, poll: Poll, vote: Vote, block: int, content: Content) -> bool:
        url = self.urls(poll.holding.unit)[block]
        return vote_hash(poll.nonce, vote.nonce, url, content) != vote.hashes[block]

    # the tally and what follows ------------------------------------------------------------

    async def _evaluate(
        self, poll: Poll, unit: str, votes: dict[int, Vote], against: dict[int, frozenset[int]]
    ) -> str:
        """Tally, repair, tally again, ring the alarm. Returns the outcome; ``against`` is then as after the
        repairs."""
        mine = self.content(poll.holding.unit)
        missing = frozenset(block for block, content in enumerate(mine) if content is None)
        first = poll.tally(against, self._lacking(poll, votes), missing)
        versions = max(
            (len(set(column)) for column in zip(*(vote.versions for vote in votes.values()), strict=False)),
            default=0,
        )
        self.emit(
            "poll_evaluated", poll=poll.id, unit=unit, outcome=first.outcome, votes=first.votes,
            agree=first.agree, lost=first.lost, unclear=first.unclear, versions=versions,
            circle=tuple(map(self.spec.peer, poll.inner)),
        )  # fmt: skip
        outcome = first.outcome
        for block in first.lost[: self.options.max_repairs]:
            if not await self._repair(poll, unit, block, votes, against):
                outcome = INCONCLUSIVE
        if outcome == INCONCLUSIVE:
            self._alarm(poll, unit)
        return outcome

    def _lacking(self, poll: Poll, votes: dict[int, Vote]) -> dict[int, int]:
        """Of each block, how many voters of the inner circle have none."""
        found: dict[int, int] = {}
        for voter in poll.inner:
            for block, each in enumerate(votes[voter].hashes if voter in votes else ()):
                if each is None:
                    found[block] = found.get(block, 0) + 1
        return found

    def _alarm(self, poll: Poll, unit: str) -> None:
        """A person must look: something is wrong that no vote can mend."""
        self.emit("alarm", poll=poll.id, unit=unit)

    async def _repair(
        self, poll: Poll, unit: str, block: int, votes: dict[int, Vote], against: dict[int, frozenset[int]]
    ) -> bool:
        """RepairRequest → Repair, from voters that differ, until the votes are for what one of them sent."""
        number, url = poll.holding.unit, self.urls(poll.holding.unit)[block]
        key = ("block", number, block)
        like = bytes if self.options.content == "bytes" else int
        for source in poll.sources(block, against):
            proof = self._prove(poll.holding, 1, (poll.id, "repair", block), 1.0)
            read = partial(read_repair, like=like)
            content = await self._ask(read, source, "repair_request", poll.id, block, proof)
            told = {
                "poll": poll.id,
                "unit": unit,
                "block": block,
                "url": url,
                "source": self.spec.peer(source),
            }
            if content is None:
                continue
            differ = {v for v, vote in votes.items() if self._differs(poll, vote, block, content)}
            if not self._accepts(poll, differ, votes):
                self.emit("repair_rejected", **told, version=digest(content))
                continue
            before, self.disk[key] = self.disk.get(key), content
            self.disk.sync()
            for voter in votes:
                against[voter] = against[voter] - {block} | ({block} if voter in differ else frozenset())
            self.emit("repaired", **told, version=digest(content), was=digest(before))
            return True
        return False

    def _accepts(self, poll: Poll, differ: set[int], votes: dict[int, Vote]) -> bool:
        """Re-tally: a repair is kept only if the same votes win with it by a landslide."""
        count = sum(voter in votes for voter in poll.inner)
        agree = count - sum(voter in differ for voter in poll.inner)
        return self.options.verdict(agree, count) == WIN

    def _send_receipt(self, poll: Poll, voter: int, vote: Vote, agreed: bool) -> None:
        own: tuple[str | None, ...] = ()
        if self.options.symmetric:
            unit = poll.holding.unit
            own = hashes(poll.nonce, vote.nonce, self.urls(unit), self.content(unit))
        self.send(self.spec.peer(voter), "evaluation_receipt", poll.id, agreed, own)

    # the polls of others ------------------------------------------------------------

    @rpc
    def poll(self, poll: PollId, proof: Proof) -> PollAck | Any:
        """Poll → PollAck: admission control first, then a proof of our own."""
        if poll in self.sessions:  # the message came twice
            return PollAck("", self._proof_of_ack(poll))
        if reason := self._refuses(poll, Proof(*proof)):
            self.emit("turned_away", poller=self._poller(poll), poll=poll, reason=reason)
            return PollAck(reason, NOTHING)
        self.sessions[poll] = Session(self.day)
        return PollAck("", self._proof_of_ack(poll))

    def _refuses(self, poll: PollId, proof: Proof) -> str:
        """Why this library does not vote in a poll; "" if it does."""
        if not 0 <= poll[1] < len(self.units) or poll[1] not in self.holdings:
            return "no such content"
        if not proves(proof, (poll, "poll"), self.options.effort * self.options.introductory):
            return "no effort proved"
        self.sessions = {
            each: session
            for each, session in self.sessions.items()
            if self.day - session.began < SESSION * self.options.patience
        }
        if sum(session.vote is not None for session in self.sessions.values()) >= self.options.busy:
            return "too busy"
        return self.holdings[poll[1]].admit(poll[0], poll[2], self.day)

    def _proof_of_ack(self, poll: PollId) -> Proof:
        return self._prove(self.holdings[poll[1]], 1, (poll, "ack"), self.options.introductory)

    @rpc
    async def poll_proof(self, poll: PollId, nonce: int, proof: Proof) -> Nominate | None:
        """PollProof → Nominate: hash the replica with both nonces, and seal the vote."""
        session = self.sessions.get(poll)
        if session is None or not proves(
            Proof(*proof), (poll, nonce), self.options.effort * (1 - self.options.introductory)
        ):
            return None
        if session.nominate is None:
            session.nominate = await self._vote_on(poll, nonce, session)
        return session.nominate

    async def _vote_on(self, poll: PollId, nonce: int, session: Session) -> Nominate:
        holding = self.holdings[poll[1]]
        holding.vote_for(poll[0])
        vote = session.vote = self._vote(holding, poll, nonce, self.content(poll[1]))
        return Nominate(tuple(holding.nominate(vote.nonce)), commitment(vote))

    def _vote(self, holding: Holding, poll: PollId, nonce: int, contents: list[Content]) -> Vote:
        own = self._own_nonce(holding, nonce)
        proof = self._prove(holding, 1, (poll, nonce, own), 1.0)
        versions = tuple(map(digest, contents))
        self.emit("voted", poll=poll, poller=self._poller(poll), unit=self.units[poll[1]], versions=versions)
        return Vote(own, hashes(nonce, own, self.urls(poll[1]), contents), versions, proof)

    def _own_nonce(self, holding: Holding, nonce: int) -> int:
        return holding.voter_nonce(nonce)

    @rpc
    def vote_request(self, poll: PollId) -> Vote | None:
        """VoteRequest → Vote."""
        session = self.sessions.get(poll)
        return session.vote if session is not None else None

    @rpc
    async def repair_request(self, poll: PollId, block: int, proof: Proof) -> tuple[Content] | None:
        """RepairRequest → Repair: for pollers in whose poll we vote, if they have worked for it."""
        if poll not in self.sessions or not proves(Proof(*proof), (poll, "repair", block), 1.0):
            return None
        return (self.disk.get(("block", poll[1], block)),)

    @rpc
    def evaluation_receipt(self, poll: PollId, agreed: bool, own: tuple[str | None, ...]) -> None:
        """The poll is over. own: in a symmetric poll the poller's hashes, with our nonce."""
        session = self.sessions.pop(poll, None)
        if session is None or session.vote is None:
            return
        if own and tuple(own) == session.vote.hashes:
            self.holdings[poll[1]].proven.add(poll[0])
        self.emit("receipt", poll=poll, poller=self._poller(poll), agreed=agreed)

    # nature ------------------------------------------------------------

    async def _rot(self, holding: Holding) -> None:
        """Bits flip on the disk, and nobody is told: a Poisson process, whose rate may change meanwhile."""
        blocks = len(self.urls(holding.unit))
        while True:
            damage = Damage(self.spec.seed, self.number, holding.unit, holding.damages, blocks)
            left, since = damage.exposure, holding.exposed
            while True:
                at = since + left * decay(self.rate)
                before = self.rate
                if at <= self.day or not await self._rate_changes(at):
                    break
                now = self.day
                left -= (now - since) / decay(before)
                since = now
            self._damage(holding, damage.block, damage)
            holding.damages, holding.exposed = holding.damages + 1, at
            self._keep(holding)

    async def _rate_changes(self, until: float) -> bool:
        """Whether the rate changes before a day."""
        wait = self._until(until)
        if wait == float("inf"):
            await self.rate_changed.wait()
            return True
        try:
            await wait_for(self.rate_changed.wait(), max(0.0, wait))
        except Timeout:
            return False
        return True

    def _damage(self, holding: Holding, block: int, damage: Damage) -> None:
        key = ("block", holding.unit, block)
        before = self.disk.get(key)
        after = damaged(before, damage.random, damage.mark)
        if after is None:
            return
        self.disk[key] = after
        self.emit(
            "damaged", unit=self.units[holding.unit], block=block, url=self.urls(holding.unit)[block],
            version=digest(after),
        )  # fmt: skip

    # for the client ------------------------------------------------------------

    @rpc
    def set_rot(self, rate: float) -> None:
        """Another rate from now on."""
        if rate != self.rate:
            self.rate = self.disk["rot"] = rate
            self.disk.sync()
            self.rate_changed.fire()

    @rpc
    def damage(self, unit: int, block: int) -> None:
        """Flip a bit now, as a person with a screwdriver would."""
        mark = -2 - int(self.now * 1e6)
        random = Damage(self.spec.seed, self.number, unit, mark, 1)
        random.mark = mark
        self._damage(self.holdings[unit], block, random)
        self.disk.sync()

    @rpc
    def read(self, unit: int, block: int) -> tuple[Content]:
        """A block as it is here."""
        return (self.disk.get(("block", unit, block)),)

    @rpc
    def replica(self, unit: int) -> dict[str, Any]:
        """Versions, lists and the clock, as they are now."""
        holding = self.holdings[unit]
        return {"versions": tuple(map(digest, self.content(unit))), **holding.state()}

    @rpc
    def ready(self) -> bool:
        """Whether it has all units."""
        return len(self.holdings) == len(self.units)

    # helpers ------------------------------------------------------------

    def _poller(self, poll: PollId) -> str:
        return self.spec.peer(poll[0])

    def _prove(self, holding: Holding, times: int, challenge: object, units: float) -> Proof:
        """So many proofs of these units; the meter runs."""
        holding.spent += times * units
        return prove(challenge, units)

    async def _ask(self, read: Callable[[Any], T], peer: int, method: str, *args: Any) -> T | None:
        """Its answer; None if there is none in time, no such peer, or it is nonsense: no peer can make a
        library fail. read: makes of an answer what it should be, or raises."""
        patience = self.options.patience * self.options.day
        try:
            answer = await self.call(self.spec.peer(peer), method, *args, timeout=patience)
            return None if answer is None else read(answer)
        except LabError:
            return None
        except Exception as error:
            told = f"{type(error).__name__}: {error}"[:80]
            self.emit("nonsense", peer=self.spec.peer(peer), method=method, error=told)
            return None

    async def _ask_all(
        self, read: Callable[[Any], T], peers: list[int], method: str, *args: Any
    ) -> list[T | None]:
        return list(await gather(*[self._ask(read, peer, method, *args) for peer in peers]))
