"""Exceptions that are hard to report, and nodes that raise them. In a module: they travel by name."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from labkit import Node, rpc


class TwoArguments(Exception):
    """Cannot be unpickled."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


class KeywordOnly(Exception):
    """Cannot be unpickled either."""

    def __init__(self, *, response: int) -> None:
        super().__init__("bad answer")
        self.response = response


class NoText(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class TextIsNone(Exception):
    """Has a text that is none."""

    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class NoRepr(Exception):
    """Has no repr."""

    def __repr__(self) -> str:
        return str(1 / 0)


class Holds(Exception):
    """Holds what cannot be sent."""

    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class Own(BaseException):
    """Is no Exception, and its text raises the like."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


class Ordinary(Exception):
    """Nothing special."""


MAKERS: dict[str, Any] = {
    "TwoArguments": lambda: TwoArguments(3, "x"),
    "KeywordOnly": lambda: KeywordOnly(response=1),
    "NoText": NoText,
    "TextIsNone": TextIsNone,
    "NoRepr": NoRepr,
    "Holds": Holds,
    "Own": Own,
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "StopIteration": StopIteration,
    "Ordinary": Ordinary,
}


def throw(name: str) -> Any:
    """Raise it."""
    raise MAKERS[name]()


class Raising:
    """Raises when somebody wants to pickle it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        throw(self.name)


class Thrower(Node):
    """Raises, in every kind of a node's code."""

    def __init__(self, at_once: str | None = None) -> None:
        if at_once is not None:
            throw(at_once)

    @rpc
    def plain(self, name: str) -> None:
        throw(name)

    @rpc
    async def later(self, name: str) -> None:
        await self.sleep(0.001)
        throw(name)

    @rpc
    async def computing(self, name: str) -> None:
        await self.compute(throw, name)

    @rpc
    async def spawned(self, name: str) -> None:
        async def work() -> None:
            throw(name)

        await self.spawn(work())

    @rpc
    def answer(self, name: str) -> Any:
        return Raising(name)

    @rpc
    def fine(self) -> str:
        return "fine"
