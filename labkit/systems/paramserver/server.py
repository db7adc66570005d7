"""A server: it keeps ranges of the parameters, applies pushes, answers pulls, and passes on what has changed.

A push arrives at the head of a range's chain and is answered when every copy has it; a pull is answered by
the tail (``chain.py`` says why). A server serves only what the manager's latest view gives to it, and only
while its *lease* lasts: a server that was paused and replaced meanwhile finds its lease over when it goes on,
and learns from the manager that it is a member no more. It then forgets everything and joins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.runtime.errors import Definite, Timeout
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import gather

from .chain import Identity, Record, ReplicatedRange, Round, Snapshot
from .events import EVENTS
from .filters import Coded, Keys, Receiver, UnknownKeys, ZeroCompression, encode_values
from .messages import DONE, MOVED, UNKNOWN_KEYS, PullPart, PushPart, unpack_pushes
from .ring import WHOLE, KeyRange, View
from .settings import Moved, Settings
from .store import Contents
from .updates import Array
from .vectors import VectorSpec, count

__all__ = ["Server"]

Bounds = tuple[int, int]


class Server(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def start(self) -> None:
        """Hold nothing; the first heartbeat finds out whether the manager wants this server."""
        self.heartbeat_every = self.settings.heartbeat_every
        self._hold_nothing()

    def _hold_nothing(self) -> None:
        #: Different in every life: the manager must not take a new one for the old.
        self.incarnation = self.random.getrandbits(48)
        self.view: View | None = None
        #: The next view, in which some of this server's ranges may be another's; see ``fence``.
        self.next_view: View | None = None
        self.vectors: dict[str, VectorSpec] = {}
        self.ranges: dict[Bounds, ReplicatedRange] = {}
        #: By the view in which they were sent: ranges that will be this server's in the next.
        self.incoming: dict[tuple[int, int, int], ReplicatedRange] = {}
        #: The server's end of the filters, by source and vector.
        self.receivers: dict[tuple[str, str], Receiver] = {}
        self.lease_until = float("-inf")

    # membership ------------------------------------------------------------

    @every("heartbeat_every")
    def heartbeat(self) -> None:
        """Tell the manager that this server lives; several may be under way."""
        self.spawn(self._beat())

    async def _beat(self) -> None:
        sent, incarnation = self.now, self.incarnation
        try:
            member = await self.call(
                self.settings.manager, "heartbeat", self.name, incarnation, timeout=self.settings.timeout
            )
        except (Timeout, Definite):
            return
        if incarnation != self.incarnation:
            return
        if member:
            self.lease_until = max(self.lease_until, sent + self.settings.lease)
            return
        if self.view is not None:
            self.emit("replaced", view=self.view.number)
            for copy in self.ranges.values():
                self._drop(copy)
            self._hold_nothing()
        self.send(self.settings.manager, "join", self.name, self.incarnation, self.machine)

    @property
    def may_serve(self) -> bool:
        """Whether nobody can have been given this server's ranges."""
        return self.now < self.lease_until

    # views ------------------------------------------------------------

    def _require_life(self, incarnation: int) -> None:
        """A view is for the life that the manager knows: a new one holds nothing of what it says."""
        if incarnation != self.incarnation:
            raise Moved(f"{self.name} has begun anew and holds nothing")

    @rpc
    def fence(self, view: View, incarnation: int) -> None:
        """Stop serving what ``view`` gives to others; the manager waits for all, then has all adopt it."""
        self._require_life(incarnation)
        if self.view is not None and (self.next_view is None or view.number > self.next_view.number):
            self.next_view = view

    @rpc
    def adopt(self, view: View, incarnation: int) -> None:
        """From now on this is who has what."""
        self._require_life(incarnation)
        if self.view is not None and view.number <= self.view.number:
            return
        before, old = self.ranges, self.view
        self.vectors.update(view.vectors)
        self.ranges = {}
        self.view = view
        if self.next_view is not None and self.next_view.number <= view.number:
            self.next_view = None
        for range_ in view.ranges:
            if self.name in range_.chain:
                copy = self.ranges[range_.lo, range_.hi] = self._copy_for(range_, before)
                self._announce(range_, old, copy.seq)
        self.incoming = {key: copy for key, copy in self.incoming.items() if key[0] >= view.number}
        for bounds, copy in before.items():
            if self.ranges.get(bounds) is not copy:
                self._drop(copy)
        for copy in self.ranges.values():
            self._pass_on(copy)

    def _copy_for(self, range_: KeyRange, before: dict[Bounds, ReplicatedRange]) -> ReplicatedRange:
        """What this server has of a range that is its own now: the same, a part of what it had, what it was
        sent, or nothing."""
        lo, hi, _ = range_
        if (lo, hi) in before:
            return before[lo, hi]
        for copy in before.values():
            if copy.lo <= lo and hi <= copy.hi:
                return copy.cut(lo, hi)
        sent = [(key[0], copy) for key, copy in self.incoming.items() if key[1:] == (lo, hi)]
        if sent:
            return max(sent, key=lambda each: each[0])[1]
        return ReplicatedRange(lo, hi, self.vectors)

    def _announce(self, range_: KeyRange, old: View | None, seq: int) -> None:
        role = "master" if range_.head == self.name else "replica"
        was = old.find(range_.lo, range_.hi) if old is not None else None
        if was is None or self.name not in was.chain or (was.head == self.name) != (role == "master"):
            assert self.view is not None
            self.emit(
                "became", role=role, lo=range_.lo / WHOLE, hi=range_.hi / WHOLE, view=self.view.number,
                range=(range_.lo, range_.hi), seq=seq,
            )  # fmt: skip

    def _drop(self, copy: ReplicatedRange) -> None:
        for _, future in copy._waiting:
            future.set_error(Moved("the range was moved to another server"))
        copy._waiting.clear()

    def _role(self, lo: int, hi: int) -> KeyRange:
        """The range as this server may serve it now. Raises ``Moved``."""
        if self.view is None or (lo, hi) not in self.ranges or not self.may_serve:
            raise Moved(f"{self.name} does not serve this range")
        range_ = self.view.find(lo, hi)
        assert range_ is not None
        if self.next_view is not None and self.next_view.find(lo, hi) != range_:
            raise Moved("the range is about to move")
        return range_

    def _as_head(self, lo: int, hi: int) -> ReplicatedRange:
        copy, range_ = self.ranges.get((lo, hi)), self._role(lo, hi)
        assert copy is not None
        assert self.view is not None
        if range_.head != self.name or copy.frozen_in == self.view.number:
            raise Moved(f"{self.name} takes no push for this range now")
        return copy

    def _as_reader(self, lo: int, hi: int) -> ReplicatedRange:
        range_ = self._role(lo, hi)
        reader = range_.tail if self.settings.read_at == "tail" else range_.head
        if reader != self.name:
            raise Moved(f"{self.name} answers no pull for this range")
        return self.ranges[lo, hi]

    # pushes ------------------------------------------------------------

    @rpc
    async def push(self, heads: Sequence[Any], arrays: Sequence[Array]) -> list[str]:
        """Apply pushes, or keep them for their round; the answer, one for each part, comes when every copy
        has them. The arguments: see ``pack_pushes``."""
        answers: list[str] = []
        copies: list[ReplicatedRange | None] = []
        refused: set[tuple[str, int]] = set()  # a later push must not overtake one that was refused
        try:
            for part in unpack_pushes(heads, arrays):
                answer, copy = MOVED, None
                if (part.identity.source, part.lo) not in refused:
                    answer, copy = self._push_part(part)
                if answer != DONE:
                    refused.add((part.identity.source, part.lo))
                answers.append(answer)
                copies.append(copy)
        finally:  # also if an update function raises: others may wait for what was applied before
            changed = list(dict.fromkeys(copy for copy in copies if copy is not None))
            for copy in changed:
                self._pass_on(copy)
        outcomes = await gather(*(copy.until(copy.seq) for copy in changed), return_exceptions=True)
        moved = [copy for copy, outcome in zip(changed, outcomes, strict=True) if isinstance(outcome, Moved)]
        if not moved:
            return answers
        return [MOVED if copy in moved else each for each, copy in zip(answers, copies, strict=True)]

    def _push_part(self, part: PushPart) -> tuple[str, ReplicatedRange | None]:
        """What to answer, and the range whose copies must all have it before."""
        identity = part.identity
        try:
            copy = self._as_head(part.lo, part.hi)
            keys, pushed = self._receiver(identity.source, identity.vector).decode(part.wire)
        except Moved:
            return MOVED, None
        except UnknownKeys:
            return UNKNOWN_KEYS, None
        news = copy.news(identity)
        if news:
            copy.push(identity, news, keys, pushed, part.round_, part.share)
        if self.traced:
            kind = "duplicate_rejected" if not news else "buffered" if part.round_ else "applied"
            self._emit_push(kind, identity, keys, copy)
        return DONE, copy

    def _receiver(self, source: str, vector: str) -> Receiver:
        if vector not in self.vectors:
            raise Moved(f"{self.name} has not heard of the vector {vector!r}")
        return self.receivers.setdefault((source, vector), Receiver())

    def _emit_push(self, kind: str, identity: Identity, keys: Keys, copy: ReplicatedRange) -> None:
        self.emit(
            kind,
            vector=identity.vector,
            worker=identity.worker,
            shard=identity.shard,
            source=identity.source,
            timestamp=identity.timestamp,
            lo=identity.first,
            hi=identity.end,
            keys=count(keys),
            clock=identity.clock,
            range=(copy.lo, copy.hi),
            seq=copy.seq,
            view=self.view.number if self.view is not None else 0,
        )

    @rpc
    async def close_round(
        self, ranges: list[Bounds], round_: Round, sources: tuple[str, ...], share: float, last: bool
    ) -> list[str]:
        """Apply the pushes of a round, in the order of ``sources``; answered, one for each range, when every
        copy has."""
        closing = (self._close_round(*bounds, round_, sources, share, last) for bounds in ranges)
        outcomes = await gather(*closing, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Moved):
                raise outcome  # of the vector's update function
        return [MOVED if isinstance(outcome, Moved) else DONE for outcome in outcomes]

    async def _close_round(
        self, lo: int, hi: int, round_: Round, sources: tuple[str, ...], share: float, last: bool
    ) -> None:
        copy = self._as_head(lo, hi)
        before = copy.seq
        applied = copy.close_round(round_, sources, share, last)
        if copy.seq > before:
            self.emit(
                "round_applied",
                run=round_[0],
                clock=round_[1],
                pushes=[(b.identity.vector, b.identity.source, b.identity.timestamp) for b in applied],
                range=(lo, hi),
                seq=copy.seq,
            )
        self._pass_on(copy)
        await copy.until(copy.seq)

    @rpc
    async def assign(self, lo: int, hi: int, identity: Identity, contents: Contents) -> None:
        """Overwrite entries (a checkpoint is read back)."""
        copy = self._as_head(lo, hi)
        if copy.news(identity):
            copy.assign(identity, contents)
            self._emit_push("assigned", identity, contents.keys, copy)
        self._pass_on(copy)
        await copy.until(copy.seq)

    # the chain ------------------------------------------------------------

    def _pass_on(self, copy: ReplicatedRange) -> None:
        """See to it that the successor hears of what has changed."""
        if copy.sending:
            return
        if self._successor(copy) is None:
            copy.forget_changes()
        elif not copy.drained:
            copy.sending = True
            self.spawn(self._send_records(copy))

    def _successor(self, copy: ReplicatedRange) -> str | None:
        assert self.view is not None
        range_ = self.view.find(copy.lo, copy.hi)
        assert range_ is not None
        return range_.successor(self.name)

    async def _send_records(self, copy: ReplicatedRange) -> None:
        """One record after the other, until the successor has all; a record is repeated until it is
        acknowledged."""
        try:
            while self.ranges.get((copy.lo, copy.hi)) is copy and not copy.drained:
                if not copy.sent:
                    copy.aggregate()
                successor = self._successor(copy)
                if successor is None:
                    copy.forget_changes()
                else:
                    await self._send_record(copy, successor, copy.sent[0])
        finally:
            copy.sending = False

    async def _send_record(self, copy: ReplicatedRange, successor: str, record: Record) -> None:
        assert self.view is not None
        bounds = (copy.lo, copy.hi)
        try:
            await self.call(
                successor, "forward", self.name, bounds, record, timeout=self.settings.resend_after
            )
        except Timeout:
            return
        except Definite:  # one of us has an old view
            await self.sleep(self.settings.retry_after)
            return
        copy.commit(record.last)
        self.emit(
            "forwarded", to=successor, range=bounds, first=record.first, last=record.last,
            pushes=len(record.pushes),
        )  # fmt: skip

    @rpc
    async def forward(self, sender: str, bounds: Bounds, record: Record) -> None:
        """The predecessor's changes; answered when the tail has them."""
        range_ = self.view.find(*bounds) if self.view is not None else None
        if range_ is None or self.name not in range_.chain or range_.predecessor(self.name) != sender:
            raise Moved(f"{sender} is not the predecessor of {self.name} here")
        copy = self.ranges[bounds]
        if record.last > copy.seq:
            if record.first != copy.seq + 1:
                raise Moved(f"{self.name} is at change {copy.seq} and cannot apply {record.first}")
            copy.apply_record(record)
            self.emit("copied", source=sender, range=bounds, first=record.first, last=record.last)
        self._pass_on(copy)
        await copy.until(record.last)

    # pulls ------------------------------------------------------------

    @rpc
    def pull(self, parts: Sequence[PullPart], clock: int | None) -> list[tuple[str, Coded | None]]:
        """The values of some keys, for each part."""
        return [self._pull_part(part, clock) for part in parts]

    def _pull_part(self, part: PullPart, clock: int | None) -> tuple[str, Coded | None]:
        try:
            copy = self._as_reader(part.lo, part.hi)
            keys, _ = self._receiver(part.source, part.vector).decode(part.wire)
        except Moved:
            return MOVED, None
        except UnknownKeys:
            return UNKNOWN_KEYS, None
        values = copy.store(part.vector).read(keys)
        self.emit(
            "read",
            vector=part.vector,
            source=part.source,
            range=(part.lo, part.hi),
            seq=copy.seq,
            clock=clock,
        )
        return DONE, encode_values(values, self._compresses(part.vector))

    def _compresses(self, vector: str) -> bool:
        return any(isinstance(each, ZeroCompression) for each in self.vectors[vector].filters)

    @rpc
    def contents(self, lo: int, hi: int, vector: str) -> Contents:
        """Every entry of a range of a vector, and what the update function keeps beside it."""
        return self._as_reader(lo, hi).store(vector).all()

    # moving ranges ------------------------------------------------------------

    @rpc
    async def pre_copy(
        self, view: int, lo: int, hi: int, pieces: list[KeyRange], targets: list[str], within: float
    ) -> int:
        """First phase: send the pieces of a range to the servers that are to have them, and go on serving."""
        copy = self._of_view(view, lo, hi)
        copy.begin_copy(view)
        snapshots = [copy.snapshot(piece.lo, piece.hi) for piece in pieces]
        await self._install(view, pieces, targets, snapshots, within)
        return sum(contents.values.nbytes for each in snapshots for _, contents in each.contents)

    @rpc
    async def hand_over(
        self, view: int, lo: int, hi: int, pieces: list[KeyRange], targets: list[str], within: float
    ) -> None:
        """Second phase: take no more pushes for the range, let every copy have all there is, and send what
        has changed meanwhile."""
        copy = self._of_view(view, lo, hi)
        copy.frozen_in = view
        self._pass_on(copy)
        await copy.until(copy.seq)
        copy = self._of_view(view, lo, hi)
        deltas = [copy.delta(piece.lo, piece.hi) for piece in pieces]
        await self._install(view, pieces, targets, deltas, within)

    def _of_view(self, view: int, lo: int, hi: int) -> ReplicatedRange:
        if self.view is None or self.view.number != view or (lo, hi) not in self.ranges:
            raise Moved("the view has changed")
        return self.ranges[lo, hi]

    async def _install(
        self, view: int, pieces: list[KeyRange], targets: list[str], snapshots: list[Snapshot], within: float
    ) -> None:
        assert self.view is not None
        vectors = dict(self.view.vectors)
        await gather(
            *(
                self.call(
                    target, "install", view, piece.lo, piece.hi, vectors, snapshot,
                    timeout=within,
                )
                for piece, target, snapshot in zip(pieces, targets, snapshots, strict=True)
            )
        )  # fmt: skip

    @rpc
    def install(
        self, view: int, lo: int, hi: int, vectors: dict[str, VectorSpec], snapshot: Snapshot
    ) -> None:
        """Keep a range, or what has changed in it, until a view makes it this server's own."""
        if self.view is not None and view < self.view.number:
            raise Moved("the view has changed")
        self.vectors.update(vectors)
        copy = self.incoming.get((view, lo, hi))
        if copy is None:
            copy = self.incoming[view, lo, hi] = ReplicatedRange(lo, hi, self.vectors)
        copy.install(snapshot)

    # looking ------------------------------------------------------------

    @rpc
    def status(self) -> dict[str, Any]:
        """What this server holds: for people and tests."""
        return {
            "view": None if self.view is None else self.view.number,
            "ranges": {bounds: (copy.seq, copy.committed) for bounds, copy in self.ranges.items()},
            "clocks": sum(clock.size for copy in self.ranges.values() for clock in copy.clocks.values()),
        }
