"""Nodes that the tests of the runtime share."""

from __future__ import annotations

from typing import Any

from labkit import Node, every, rpc


class Echo(Node):
    """Answers in every way a handler can."""

    def __init__(self, *peers: str) -> None:
        self.peers = peers

    def start(self) -> None:
        self.seen: list[Any] = []

    @rpc
    def plain(self, value: Any) -> Any:
        self.seen.append(value)
        return value

    @rpc
    async def slowly(self, value: Any, seconds: float = 1.0) -> Any:
        await self.sleep(seconds)
        self.seen.append(value)
        return value

    @rpc
    def forward(self, to: str, value: Any) -> Any:
        return self.call(to, "plain", value)

    @rpc
    async def ask(self, to: str, method: str, *args: Any) -> Any:
        return await self.call(to, method, *args)

    @rpc
    async def patient(self, to: str, seconds: float | None) -> Any:
        return await self.call(to, "slowly", "late", timeout=seconds)

    @rpc
    def tell(self, to: str, value: Any) -> None:
        self.send(to, "plain", value)

    @rpc
    def fail(self) -> None:
        raise ZeroDivisionError("on purpose")

    @rpc
    async def fail_later(self) -> None:
        await self.sleep(0.1)
        raise ZeroDivisionError("on purpose, later")

    @rpc
    async def fail_behind(self) -> None:
        self.spawn(self.fail_later())

    @rpc
    def note(self, kind: str, data: dict[str, Any]) -> None:
        self.emit(kind, **data)

    @rpc
    def mutate(self, value: list[int]) -> list[int]:
        value.append(len(self.seen))
        self.seen.append(value)
        return value

    def hidden(self) -> None:
        """Not for others."""


class Gossip(Node):
    """Something to watch: nodes that call one another at random times."""

    gossip_every: float | None = 0.1

    def __init__(self, peers: tuple[str, ...]) -> None:
        self.peers = peers

    async def start(self) -> None:
        self.heard = self.disk.get("heard", 0)

    @rpc
    async def hear(self, number: int) -> int:
        await self.sleep(0.01 * self.random.random())
        self.heard += 1
        self.disk["heard"] = self.heard
        if self.heard % 3 == 0:
            self.disk.sync()
        self.emit("heard", number=number, total=self.heard)
        return self.heard

    @every("gossip_every")
    async def gossip(self) -> None:
        to = self.random.choice(self.peers)
        try:
            await self.call(to, "hear", self.random.randrange(100), timeout=0.3)
        except Exception as error:
            self.emit("unheard", to=to, error=type(error).__name__)


def gossips(count: int = 6) -> list[tuple[Any, ...]]:
    """For ``spawn_many``."""
    names = tuple(f"g{number}" for number in range(count))
    return [(Gossip, (names,), {}, name, None) for name in names]


class Busy(Node):
    """Keeps the simulator at work."""

    @rpc
    async def for_ever(self) -> None:
        while True:
            self.emit("tick")
            await self.sleep(0.001)
