"""Waiting for a member that is at work: as long as it says so, and no longer.

How long a lookup or a write takes depends on how many dead nodes it meets, and a caller's limit below that
makes it begin again from nothing, for ever. A limit above it would be as long for a member that is dead
itself. So whoever waits asks now and then.
"""

from __future__ import annotations

from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.loop import Future, running_loop
from labkit.runtime.node import Node

__all__ = ["LIMIT", "PATIENCE", "ask_patiently"]

#: Times a ring's ``timeout`` to wait without a word.
PATIENCE = 8

#: Times a ring's ``timeout`` that a member waits for a lookup by another, whatever that says.
LIMIT = 60


def ask_patiently(
    node: Node, member: str, method: str, *args: Any, still: tuple[Any, ...], patience: float, limit: float
) -> Future:
    """Call a member and wait while it answers the call ``still``, a method and its arguments, with something
    true.

    Without that, ``patience`` seconds; ``limit`` seconds in any case. Raises ``Timeout``, and what the call
    raises.
    """
    answer = node.call(member, method, *args, timeout=limit)
    begun, loop = node.now, running_loop()

    def look(_: Future) -> None:
        node.spawn(ask())

    async def ask() -> None:
        try:
            at_work = await node.call(member, *still, timeout=patience / 2)
        except LabError:
            at_work = False
        if at_work:
            loop.expire(patience / 2, answer, look)
        elif not answer.done:
            answer.expire(node.now - begun)  # type: ignore[attr-defined]

    loop.expire(patience / 2, answer, look)
    return answer
