"""The user's side of the ring: programs that a client runs against it, on either engine.

A client is no member. It asks any member, its *gateway*, to look a key up, and then talks to the owner. When
something does not answer it cannot know whether the request was carried out, so every request here may be
repeated: a write carries its version, made once by the client from the version it has read, and the same
write twice is one write. The next try knows what a failed one has found out: a member that was silent is not
asked again for a while.

Use these inside ``cluster.submit``, to have many operations under way at once::

    async def program(client):
        return await gather(*[ring.client_lookup(client, key) for key in keys])
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from labkit.runtime.copying import copy_value
from labkit.runtime.errors import LabError, MachineDead, Timeout, UnknownNode, Unpicklable
from labkit.runtime.loop import Future, running_loop
from labkit.runtime.node import Node
from labkit.runtime.sync import gather

from .ids import Peer
from .patience import PATIENCE, ask_patiently
from .pointers import LookupFailed, NotAMember
from .routing import Found
from .store import Copy, NotResponsible, Version

if TYPE_CHECKING:
    from .options import Settings

__all__ = ["ClientPrograms", "Lookup", "Stored"]

#: What a client repeats, after asking for the owner anew.
AGAIN = (Timeout, NotResponsible, NotAMember, LookupFailed, UnknownNode)

#: Operations of one bulk call that are under way at the same time.
CONCURRENCY = 16

Result = TypeVar("Result")


@dataclass(frozen=True)
class Lookup:
    """How one lookup went. ``path`` holds the nodes asked, from the origin to the key's predecessor; ``hops``
    is the paper's path length, the steps between them, *without* the last one to the owner."""

    key: Any
    key_id: int
    owner: str
    path: tuple[str, ...]
    hops: int
    timeouts: int
    seconds: float


@dataclass(frozen=True)
class Stored:
    """How one write went: how many replicas hold it, of how many wanted."""

    key: Any
    owner: str
    replicas: int
    wanted: int
    version: Version = field(repr=False)


class ClientPrograms:
    """The async operations of a ring; mixed into ``Chord``."""

    settings: Settings
    #: Seconds for which an operation is repeated before it fails.
    give_up_after: float
    #: Writes so far: with the client's name they make versions unique.
    _writes: int
    #: Gateways that did not answer, with the time until which others are asked.
    _silent: dict[str, float]

    if TYPE_CHECKING:

        @property
        def nodes(self) -> list[Any]: ...

        def key_id(self, key: Any) -> int: ...

    async def client_lookup(
        self, client: Node, key: Any, origin: str | None = None, retry: bool = True
    ) -> Lookup:
        """Look a key up, from a given member or any. Without ``retry`` one failure is an error."""
        key_id = self.key_id(key)
        begun = client.now

        async def once() -> Found:
            return await self._look_up(client, key, key_id, origin)

        found = await (self._again(client, f"lookup of {key!r}", once) if retry else once())
        hops = len(found.path) - 1
        return Lookup(key, key_id, found.owner.name, found.path, hops, found.timeouts, client.now - begun)

    async def client_get(self, client: Node, key: Any) -> Any:
        """The value of a key; raises ``KeyError``."""
        _, copy = await self._fetch(client, key)
        if copy is None or copy.deleted:
            raise KeyError(key)
        return copy.value

    async def client_put(self, client: Node, key: Any, value: Any) -> Stored:
        """Write a value at the key's owner."""
        return await self._write(client, key, value, deleted=False)

    async def client_delete(self, client: Node, key: Any) -> Stored:
        """Write the key's tombstone; raises ``KeyError`` if there is no value."""
        _, copy = await self._fetch(client, key)
        if copy is None or copy.deleted:
            raise KeyError(key)
        return await self._write(client, key, None, deleted=True)

    async def client_many(
        self, client: Node, operation: Callable[[Node, Any], Awaitable[Result]], items: Iterable[Any]
    ) -> list[Result]:
        """``operation(client, item)`` for every item, some at the same time; results in order."""
        todo = list(enumerate(items))[::-1]
        results: dict[int, Result] = {}

        async def worker() -> None:
            while todo:
                index, item = todo.pop()
                results[index] = await operation(client, item)

        await gather(*[worker() for _ in range(min(CONCURRENCY, len(todo)))])
        return [results[index] for index in sorted(results)]

    async def client_reports(self, client: Node, keys: bool = False) -> dict[str, dict[str, Any]]:
        """What every member that answers says about itself."""
        names = [node.name for node in self.nodes if node.alive]
        calls = [client.call(name, "report", keys, timeout=self._patience) for name in names]
        answers = await gather(*calls, return_exceptions=True)
        return {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, dict)}

    # --- how --------------------------------------------------------------------------------------------

    @property
    def _patience(self) -> float:
        return PATIENCE * self.settings.timeout

    def _gateway(self, client: Node) -> str:
        """A member on a machine that is not known to be dead."""
        members = self.nodes
        alive = [node.name for node in members if node.alive]
        if not members:
            raise LabError("the ring has no member any more; start one: ring.join()")
        if not alive:
            raise MachineDead(
                f"every machine of the ring is dead; restart one: cluster.restart({members[0].machine!r})"
            )
        if self._silent:
            self._silent = {name: until for name, until in self._silent.items() if until > client.now}
            alive = [name for name in alive if name not in self._silent] or alive
        return str(alive[int(client.random.random() * len(alive))])

    async def _fetch(self, client: Node, key: Any) -> tuple[Peer, Copy | None]:
        """The owner of a key and its copy."""
        key_id = self.key_id(key)

        async def once() -> tuple[Peer, Copy | None]:
            owner = (await self._look_up(client, key, key_id)).owner
            copy = await client.call(owner.name, "fetch", key, key_id, timeout=self._patience)
            return owner, None if copy is None else Copy(*copy)

        return await self._again(client, f"read of {key!r}", once)

    async def _write(self, client: Node, key: Any, value: Any, deleted: bool) -> Stored:
        """Read the version, then write the next one. Repeating it repeats the same version."""
        known: Peer | None
        known, before = await self._fetch(client, key)
        number = before.version[0] + 1 if before else 1
        self._writes += 1
        copy = Copy(key, self.key_id(key), value, (number, f"{client.name}:{self._writes:09}"), deleted)

        async def once() -> Stored:
            nonlocal known
            owner, known = known or (await self._look_up(client, key, copy.key_id)).owner, None
            (replicas,) = await self._store(client, owner, copy)
            return Stored(key, owner.name, replicas, self.settings.replicas, copy.version)

        try:
            return await self._again(client, f"write of {key!r}", once)
        except Unpicklable:
            copy_value(value)  # says so of the value alone, not of the message that it was in
            raise

    async def _look_up(self, client: Node, key: Any, key_id: int, origin: str | None = None) -> Found:
        """One lookup, for as long as the gateway is at it."""
        gateway = origin or self._gateway(client)
        try:
            return Found.of(
                await ask_patiently(
                    client,
                    gateway,
                    "lookup",
                    key,
                    key_id,
                    still=("seeking", key_id),
                    patience=self._patience,
                    limit=self.give_up_after,
                )
            )
        except Timeout:
            seconds = self.settings.avoid_for
            self._silent[gateway] = client.now + seconds + running_loop().grace(seconds)
            raise

    def _store(self, client: Node, owner: Peer, copy: Copy) -> Future:
        """One write. The owner may have to try every member of its successor list to make all copies."""
        limit = (self.settings.successors + PATIENCE) * self.settings.timeout
        return ask_patiently(
            client, owner.name, "store", [copy], still=("ping",), patience=self._patience, limit=limit
        )

    async def _again(self, client: Node, what: str, once: Callable[[], Awaitable[Result]]) -> Result:
        """Repeat until it works, for ``give_up_after`` seconds; meanwhile the ring repairs itself. On an
        overloaded host every timeout lasts longer, and that is not counted: few tries would be left."""
        deadline = client.now + self.give_up_after
        pause = self.settings.timeout / 2
        while True:
            begun = client.now
            try:
                return await once()
            except AGAIN as error:
                lasted = client.now - begun
                deadline += min(lasted, running_loop().grace(lasted))
                if client.now + pause >= deadline:
                    raise _given_up(what, self.give_up_after, error) from error
                await client.sleep(pause * (0.5 + client.random.random()))
                pause = min(2 * pause, self._patience)


def _given_up(what: str, seconds: float, error: LabError) -> Timeout:
    return Timeout(
        f"the {what} did not succeed within {seconds:g} s; the last try failed with "
        f"{type(error).__name__}: {error}. "
        "print(ring.health()) shows what is broken; ring.give_up_after sets the limit"
    )
