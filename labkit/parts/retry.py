"""Calls that are repeated: a lost message and a slow machine look alike, and who asks again finds out.

What is called must not mind being called twice: either it only answers, or it knows a repeated request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from labkit.runtime.errors import Timeout
from labkit.runtime.node import Node
from labkit.runtime.sync import wait_for

__all__ = ["comes", "insist"]


async def insist(
    node: Node,
    ref: str,
    method: str,
    *args: Any,
    every: float,
    times: int | None = None,
    wanted: Callable[[], bool] | None = None,
    pause: float = 0.0,
) -> Any:
    """The answer to ``node.call(ref, method, *args)``, however often it has to be asked for.

    every: seconds after which a call counts as unanswered. times: calls at most; without end unless given.
    wanted: asked after each silence whether to go on. pause: seconds between a silence and the next call.
    Raises ``Timeout`` when it is given up, and at once what the method raises.
    """
    asked = 0
    while True:
        asked += 1
        try:
            return await node.call(ref, method, *args, timeout=every)
        except Timeout:
            if asked == times or (wanted is not None and not wanted()):
                raise
        if pause:
            await node.sleep(pause)


async def comes(awaitable: Awaitable[Any], seconds: float) -> bool:
    """Whether it comes within so many seconds: for an answer that may be "not yet, ask again"."""
    try:
        await wait_for(awaitable, seconds)
    except Timeout:
        return False
    return True
