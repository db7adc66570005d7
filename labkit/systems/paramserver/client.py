"""The workers' end of push and pull: cut by range, sent to the right server, repeated until answered.

Everybody keeps a copy of the manager's view and so knows the server for every key (a *direct-mapped* table:
no lookup). A push is cut at the bounds of the ranges; the parts for one server travel together, one message
at a time, so that a server sees them in the order of their timestamps. What is not answered is sent again; if
the view has changed meanwhile, cut anew and to the new master. A server that has seen a part before says so
by its range vector clock and does not apply it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from labkit.runtime.errors import Definite, Timeout
from labkit.runtime.loop import Future, running_loop
from labkit.runtime.node import Node
from labkit.runtime.sync import gather

from .chain import Identity, Round
from .filters import Filters, Keys, decode_values, raw_bytes
from .lanes import Lane, Part, Push
from .messages import DONE, UNKNOWN_KEYS, PullPart, PushPart, pack_pushes
from .ring import KeyRange, View, no_such_vector
from .settings import Settings
from .store import Contents
from .updates import Array
from .vectors import Recycled, VectorSpec, count, overlap, own_array, span_of

__all__ = ["ParameterClient"]

#: Keys that are pulled with one message.
CHUNK = 8 << 20


class ParameterClient:
    """Pushes and pulls for one program. ``source``: who it is to the servers, unlike every other."""

    def __init__(
        self, node: Node, settings: Settings, source: str, worker: str = "", shard: int | None = None
    ) -> None:
        self.node = node
        self.settings = settings
        self.source = source
        self.worker = worker or node.name
        self.shard = shard
        self.view: View | None = None
        self.timestamp = 0
        self.unfinished: dict[int, Push] = {}  #: by timestamp
        self.closed = False
        self._filters: dict[str, Filters] = {}
        self._lanes: dict[str, Lane] = {}
        self._parts: dict[Part, None] = {}  #: not acknowledged
        self._ends_of: dict[VectorSpec, Any] = {}  #: see ``_ends``, and the view's number
        self._room = Recycled()
        self._refreshing: Future | None = None

    def filters(self, vector: VectorSpec) -> Filters:
        """This worker's filters of a vector."""
        if vector.name not in self._filters:
            self._filters[vector.name] = Filters(vector.filters)
        return self._filters[vector.name]

    # views ------------------------------------------------------------

    def see(self, view: View) -> None:
        """A newer view: parts whose range has moved or was split are cut anew."""
        if self.view is not None and view.number <= self.view.number:
            return
        self.view = view
        moved = [part for part in self._parts if _place(view, part.range) != _place_of(part.range)]
        if not moved:
            return
        for part in moved:
            part.stale = True
            del self._parts[part]
            part.push.missing -= 1
            self._cut(part.push, part.keys, part.values, part.resent + 1)
        for lane in self._lanes.values():
            lane.forget_stale()
        self._start_lanes()

    async def refresh(self) -> bool:
        """Ask the manager for its view, or wait a moment if there is no newer one; whether it says so."""
        if self._refreshing is None:
            self._refreshing = self.node.spawn(self._refresh())
        try:
            latest: bool = await self._refreshing
        finally:
            self._refreshing = None
        return latest

    async def _refresh(self) -> bool:
        known = -1 if self.view is None else self.view.number
        answered = True
        try:
            view = await self.node.call(
                self.settings.manager, "newer_view", known, timeout=self.settings.resend_after
            )
        except (Timeout, Definite):
            view, answered = None, False
        if view is not None:
            self.see(view)
            return False
        await self.node.sleep(self.settings.retry_after)
        return answered

    async def known_view(self) -> View:
        """The view, as soon as there is one that gives every range to somebody."""
        while self.view is None or not all(range_.chain for range_ in self.view.ranges):
            await self.refresh()
        return self.view

    async def _with(self, vector: VectorSpec) -> View:
        view = await self.known_view()
        while vector.name not in view.vectors:
            latest = await self.refresh()
            view = await self.known_view()
            if latest and vector.name not in view.vectors:
                raise no_such_vector(vector.name, view)
        return view

    # push ------------------------------------------------------------

    def push(
        self,
        vector: VectorSpec,
        keys: Keys,
        values: Array,
        round_: Round | None = None,
        clock: int | None = None,
        share: float = 1.0,
        after: Iterable[Future] = (),
        to: Iterable[str] | None = None,
    ) -> Future:
        """Resolved when every part is applied (or kept for its round) at every copy.

        ``after``: futures that must be resolved before it begins. ``to``: only the parts whose master is one
        of these servers.
        """
        values = own_array(values)
        future = Future(running_loop())
        before = [each for each in after if not each.done]
        if before or self.view is None or vector.name not in self.view.vectors:
            self.node.spawn(self._push_later(before, vector, keys, values, round_, clock, share, future, to))
        else:
            self._push_now(vector, keys, values, round_, clock, share, future, to)
        return future

    async def _push_later(self, before: list[Future], vector: VectorSpec, *rest: Any) -> None:
        future: Future = rest[-2]
        try:
            await gather(*before)
            await self._with(vector)
        except Exception as error:  # what it was to come after has failed, or there is no such vector
            future.set_error(error)
        else:
            self._push_now(vector, *rest)

    def _push_now(
        self,
        vector: VectorSpec,
        keys: Keys,
        values: Array,
        round_: Round | None,
        clock: int | None,
        share: float,
        future: Future,
        to: Iterable[str] | None,
    ) -> None:
        assert self.view is not None
        keys, values = self.filters(vector).select(keys, values)
        self.timestamp += 1
        timestamp = self.timestamp
        push = Push(vector, timestamp, round_, clock, share, future)
        if count(keys):
            self.unfinished[timestamp] = push
            self._cut(push, keys, values, 0, None if to is None else tuple(to))
        if not push.missing:
            self._finish(push)
        self._start_lanes()

    def _cut(
        self, push: Push, keys: Keys, values: Array, resent: int, to: tuple[str, ...] | None = None
    ) -> None:
        """Put the parts of a push into the lanes of their servers."""
        ranges, ends = self._ends(push.vector)
        if isinstance(keys, tuple):
            stops = np.clip(ends - keys[0], 0, keys[1] - keys[0])
        else:
            stops = np.searchsorted(keys, ends)
        start = 0
        for range_, stop in zip(ranges, stops.tolist(), strict=True):
            if start < stop:
                own = (keys[0] + start, keys[0] + stop) if isinstance(keys, tuple) else keys[start:stop]
                if to is None or range_.head in to:
                    part = Part(push, range_, own, values[start:stop], resent)
                    self._parts[part] = None
                    push.missing += 1
                    self._lanes.setdefault(range_.head or "", Lane()).queue.append(part)
                start = stop

    def _ends(self, vector: VectorSpec) -> tuple[tuple[KeyRange, ...], Array]:
        """The ranges, and where in this vector each ends."""
        assert self.view is not None
        number, known = self._ends_of.get(vector, (-1, None))
        if number != self.view.number or known is None:
            ranges = self.view.ranges
            known = ranges, np.array([vector.first_key(range_.hi) for range_ in ranges], np.int64)
            self._ends_of[vector] = self.view.number, known
        return known

    def _finish(self, push: Push) -> None:
        self.unfinished.pop(push.timestamp, None)
        push.future.set_result(None)

    def _start_lanes(self) -> None:
        for server, lane in self._lanes.items():
            if lane.queue and not lane.busy and server:
                lane.busy = True
                self.node.spawn(self._send(server, lane))

    async def _send(self, server: str, lane: Lane) -> None:
        """One message after the other, until nothing waits for this server."""
        try:
            while lane.queue and not self.closed:
                await self._send_batch(server, lane, lane.next_message())
        finally:
            lane.busy = False

    async def _send_batch(self, server: str, lane: Lane, batch: list[Part]) -> None:
        message = pack_pushes([self._encode(server, part) for part in batch])
        try:
            answers = await self.node.call(server, "push", *message, timeout=self.settings.resend_after)
        except (Timeout, Definite):
            answers = [None] * len(batch)
        except Exception as error:  # the update function's: to try again would not help
            for part in batch:
                self._give_up(part.push, error)
            return
        again: list[Part] = []
        for part, answer in zip(batch, answers, strict=True):
            if part.stale:
                continue
            if answer == DONE:
                self._acknowledged(part)
            else:
                part.full = answer in (UNKNOWN_KEYS, None)
                part.resent += 1
                again.append(part)
        lane.put_back(again)
        if None in answers or not all(part.full for part in again):
            await self.refresh()

    def _encode(self, server: str, part: Part) -> PushPart:
        push = part.push
        identity = part.identity(self.source, self.worker, self.shard)
        wire = self.filters(push.vector).encode(server, part.keys, part.values, full=part.full)
        if self.node.traced:
            if part.resent:
                self.node.emit(
                    "push_resent", worker=self.worker, shard=self.shard, timestamp=push.timestamp, to=server
                )
            self.node.emit(
                "pushed", worker=self.worker, shard=self.shard, vector=push.vector.name,
                timestamp=push.timestamp, keys=count(part.keys), bytes=wire.bytes,
                raw=raw_bytes(part.keys, part.values), clock=push.clock, to=server,
            )  # fmt: skip
        return PushPart(part.range.lo, part.range.hi, identity, wire, push.round, push.share)

    def _give_up(self, push: Push, error: Exception) -> None:
        for part in [part for part in self._parts if part.push is push]:
            part.stale = True
            del self._parts[part]
        for lane in self._lanes.values():
            lane.forget_stale()
        self.unfinished.pop(push.timestamp, None)
        push.future.set_error(error)

    def _acknowledged(self, part: Part) -> None:
        del self._parts[part]
        push = part.push
        push.missing -= 1
        if not push.missing:
            if self.node.traced:
                self.node.emit(
                    "acknowledged", worker=self.worker, shard=self.shard, vector=push.vector.name,
                    source=self.source, timestamp=push.timestamp, clock=push.clock,
                )  # fmt: skip
            self._finish(push)

    # pull ------------------------------------------------------------

    async def pull(
        self,
        vector: VectorSpec,
        keys: Keys,
        clock: int | None = None,
        staleness: int = 0,
        after: Iterable[Future] = (),
    ) -> Array:
        """The values of these keys, each from the tail of its range."""
        await gather(*[each for each in after if not each.done])
        view = await self._with(vector)
        result = self._room.empty(count(keys))
        missing: list[tuple[Keys, slice]] = [(keys, slice(0, len(result)))] if count(keys) else []
        full, size = False, 0
        while missing:
            asked = self._ask(view, vector, missing, full)
            outcomes = await gather(*(self._fetch(server, parts, clock, result) for server, parts in asked))
            missing = [again for _, _, left in outcomes for again in left]
            size += sum(bytes_ for bytes_, _, _ in outcomes)
            full = any(unknown for _, unknown, _ in outcomes)
            if missing and not full:
                await self.refresh()
                view = await self.known_view()
        self.filters(vector).pulled(keys, result)
        self.node.emit(
            "pulled", worker=self.worker, shard=self.shard, vector=vector.name, keys=count(keys),
            bytes=size, raw=raw_bytes(keys, result), clock=clock, staleness=staleness,
        )  # fmt: skip
        return result

    def _ask(
        self, view: View, vector: VectorSpec, missing: list[tuple[Keys, slice]], full: bool
    ) -> list[tuple[str, list[tuple[PullPart, Keys, slice]]]]:
        """For every server that is to be asked: the parts, and where their values belong in the result."""
        asked: list[tuple[str, list[tuple[PullPart, Keys, slice]]]] = []
        last: dict[str, list[tuple[PullPart, Keys, slice]]] = {}
        for keys, place in missing:
            first, end = span_of(keys)
            for range_ in view.covering(vector, first, end - 1):
                server = (range_.tail if self.settings.read_at == "tail" else range_.head) or ""
                pieces = [vector.keys_in(range_.lo, range_.hi)]
                if isinstance(keys, tuple):
                    pieces = _in_chunks(max(pieces[0][0], keys[0]), min(pieces[0][1], keys[1]))
                for own, where in overlap(keys, pieces):
                    wire = self.filters(vector).encode(server, own, full=full)
                    part = PullPart(range_.lo, range_.hi, vector.name, self.source, wire)
                    target = slice(place.start + where.start, place.start + where.stop)
                    if server not in last or sum(count(k) for _, k, _ in last[server]) + count(own) > CHUNK:
                        last[server] = []
                        asked.append((server, last[server]))
                    last[server].append((part, own, target))
        return asked

    async def _fetch(
        self, server: str, parts: list[tuple[PullPart, Keys, slice]], clock: int | None, result: Array
    ) -> tuple[int, bool, list[tuple[Keys, slice]]]:
        """Ask one server, and put the values where they belong: bytes on the wire, whether it did not know a
        list of keys, and what is still missing."""
        size = sum(part.wire.bytes for part, _, _ in parts)
        try:
            answers = await self.node.call(
                server, "pull", [part for part, _, _ in parts], clock, timeout=self.settings.resend_after
            )
        except (Timeout, Definite):
            return size, False, [(own, where) for _, own, where in parts]
        left: list[tuple[Keys, slice]] = []
        for (_, own, where), (status, values) in zip(parts, answers, strict=True):
            if status == DONE:
                result[where] = decode_values(values)
                size += values.bytes
            else:
                left.append((own, where))
        return size, any(status == UNKNOWN_KEYS for status, _ in answers), left

    # everything, for the scheduler and for checkpoints ----------------------------------------

    async def close_round(self, round_: Round, sources: tuple[str, ...], share: float, last: bool) -> None:
        """Have every range apply a round; returns when all copies have."""
        done: list[tuple[int, int]] = []
        while True:
            view = await self.known_view()
            left = [r for r in view.ranges if not any(lo <= r.lo and r.hi <= hi for lo, hi in done)]
            if not left:
                return
            heads: dict[str, list[tuple[int, int]]] = {}
            for range_ in left:
                heads.setdefault(range_.chain[0], []).append((range_.lo, range_.hi))
            answers = await gather(
                *(
                    self._close_at(head, bounds, round_, sources, share, last)
                    for head, bounds in heads.items()
                )
            )
            for bounds, outcome in zip(heads.values(), answers, strict=True):
                done += [each for each, answer in zip(bounds, outcome, strict=True) if answer == DONE]
            if not all(answer == DONE for outcome in answers for answer in outcome):
                await self.refresh()

    async def _close_at(self, head: str, bounds: list[tuple[int, int]], *rest: Any) -> list[Any]:
        try:
            answers: list[Any] = await self.node.call(
                head, "close_round", bounds, *rest, timeout=self.settings.resend_after
            )
        except (Timeout, Definite):
            return [None] * len(bounds)
        return answers

    async def contents(self, vector: VectorSpec) -> list[Contents]:
        """Every entry of a vector, by range, as the tails have it."""
        await self._with(vector)
        found: dict[tuple[int, int], Contents] = {}
        while True:
            view = await self.known_view()
            left = [range_ for range_ in view.ranges if (range_.lo, range_.hi) not in found]
            if not left:
                return [found[range_.lo, range_.hi] for range_ in view.ranges]
            for range_ in left:
                try:
                    found[range_.lo, range_.hi] = await self.node.call(
                        range_.chain[-1], "contents", range_.lo, range_.hi, vector.name,
                        timeout=self.settings.copy_within,
                    )  # fmt: skip
                except (Timeout, Definite):
                    await self.refresh()
                    break

    async def assign(self, vector: VectorSpec, contents: Contents) -> None:
        """Overwrite entries, and what the update function keeps beside them."""
        self.timestamp += 1
        todo = [contents] if count(contents.keys) else []
        while todo:
            view = await self._with(vector)
            entries = todo.pop()
            first, end = span_of(entries.keys)
            for range_ in view.covering(vector, first, end - 1):
                bounds = vector.keys_in(range_.lo, range_.hi)
                for own, where in overlap(entries.keys, [bounds]):
                    extras = {name: array[where] for name, array in entries.extras.items()}
                    piece = Contents(own, entries.values[where], extras)
                    if not await self._assign_at(range_, vector, piece):
                        todo.append(piece)
            if todo:
                await self.refresh()

    async def _assign_at(self, range_: KeyRange, vector: VectorSpec, piece: Contents) -> bool:
        identity = Identity(vector.name, self.source, self.timestamp, *span_of(piece.keys), self.worker)
        call = self.node.call(
            range_.chain[0], "assign", range_.lo, range_.hi, identity, piece,
            timeout=self.settings.copy_within,
        )  # fmt: skip
        try:
            await call
        except (Timeout, Definite):
            return False
        return True


def _in_chunks(first: int, end: int) -> list[tuple[int, int]]:
    """A range of keys as ranges that make messages of a good size."""
    return [(lo, min(lo + CHUNK, end)) for lo in range(first, end, CHUNK)]


def _place(view: View, range_: KeyRange) -> tuple[int, int, str | None] | None:
    found = view.find(range_.lo, range_.hi)
    return None if found is None else _place_of(found)


def _place_of(range_: KeyRange) -> tuple[int, int, str | None]:
    return range_.lo, range_.hi, range_.head
