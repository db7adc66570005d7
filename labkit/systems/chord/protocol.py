"""What a maintenance protocol is: the rules by which a member keeps its successors and its predecessor right.

A member has one such object at a time and asks it; what the rules work on, the pointers, is the member's own.
So ``switch`` only has to put another in its place, between two rounds: a round that has begun by the rules of
one cannot end by those of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ClassVar, TypeVar

from .ids import Peer
from .nodes import ChordNode

__all__ = ["Protocol", "protocol_round"]

Method = TypeVar("Method", bound=Callable[..., Any])


def protocol_round(method: Method) -> Method:
    """Mark what follows one protocol's rules to its end: ``switch`` waits for it, and none begins."""

    @wraps(method)
    def begin(self: Protocol, *args: Any) -> Any:
        if self.ending:
            return _not_now()
        self.rounds += 1
        return _to_the_end(self, method(self, *args))

    return begin  # type: ignore[return-value]


async def _to_the_end(protocol: Protocol, working: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await working
    finally:
        protocol.rounds -= 1


async def _not_now() -> None:
    """What a round does that may not begin."""


class Protocol:
    """The rules that one member follows; see the module's text."""

    #: Its name in ``Chord(maintenance=...)``.
    name: ClassVar[str]
    #: In the middle of a step: pointers are not to be read.
    busy = False

    def __init__(self, node: ChordNode) -> None:
        self.node = node
        #: Rounds that are under way, and whether the node waits for their end.
        self.rounds = 0
        self.ending = False

    async def join(self, contact: str) -> None:
        """Become a member with the help of one."""
        raise NotImplementedError

    async def stabilize(self) -> None:
        """A round of maintenance: is the successor still the next member?"""
        raise NotImplementedError

    def notify(self, notifier: Peer) -> Any:
        """Somebody thinks it is our predecessor."""
        raise NotImplementedError

    async def consider_successor(self, peer: Peer) -> None:
        """Adopt a closer successor if it answers."""
        raise NotImplementedError
