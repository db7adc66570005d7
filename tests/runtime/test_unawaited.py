"""A call that was not awaited is no answer: whatever uses it as one says so, on both engines."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labkit import Node, rpc
from labkit.runtime.loop import Loop
from tests.engines import MakeCluster

USES: dict[str, Callable[[Any], Any]] = {
    "condition": lambda reply: 1 if reply else 2,
    "equality": lambda reply: reply == 3,
    "comparison": lambda reply: reply > 3,
    "iteration": lambda reply: [*reply],
    "membership": lambda reply: 3 in reply,
    "indexing": lambda reply: reply[0],
    "arithmetic": lambda reply: 0.5 * reply,
    "array": lambda reply: np.ones(3) * reply,
    "numbers of an array": lambda reply: np.asarray(reply, dtype=float),
    "attribute": lambda reply: reply.id,
    "text": lambda reply: f"{reply}",
    "value": lambda reply: {"found": [reply]},
}


class Asking(Node):
    """Asks another node, and forgets to await the answer."""

    def __init__(self, use: str = "") -> None:
        self.use = use

    @rpc
    def number(self) -> int:
        """What is asked for."""
        return 3

    @rpc
    async def ask(self, peer: str) -> Any:
        """Uses the call as if it were its answer."""
        return USES[self.use](self.call(peer, "number"))

    @rpc
    async def sleepy(self) -> int:
        """Compares a time that has not passed."""
        return 1 if self.sleep(0.1) else 2

    @rpc
    async def helped(self) -> Any:
        """Returns a coroutine."""
        return [self.help()]

    @rpc
    async def asked(self) -> Any:
        """Asks an attribute of a coroutine."""
        return self.help().id

    @rpc
    async def added(self) -> Any:
        """Counts with a coroutine."""
        return self.help() + 1  # type: ignore[operator]

    async def help(self) -> int:
        """Never runs."""
        return 4

    @rpc
    async def hand(self, peer: str) -> Any:
        """Sends a call as an argument."""
        return await self.call(peer, "number", [self.call(peer, "number")])

    @rpc
    def forward(self, peer: str) -> Any:
        """A plain handler may return a call: its answer is the answer."""
        return self.call(peer, "number")


def test_a_call_is_no_answer(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2)
    for name, use in (("other", ""), *((f"asking-{n}", use) for n, use in enumerate(USES))):
        cluster.spawn(Asking, use, name=name)
    for number in range(len(USES)):
        with pytest.raises(
            Exception, match=r"you forgot `await` before self\.call\('other', 'number', \.\.\.\)"
        ):
            cluster.call(f"asking-{number}", "ask", "other")
    with pytest.raises(TypeError, match=r"you forgot `await` before what gave this future \(self\.sleep"):
        cluster.call("other", "sleepy")
    with pytest.raises(Exception, match=r"you forgot `await` before self\.call\('other', 'number'"):
        cluster.call("asking-0", "hand", "other")
    assert cluster.call("asking-0", "forward", "other") == 3


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize(
    ("method", "function"),
    [("helped", "help"), ("asked", "help"), ("added", "the call of an async function")],
)
def test_a_coroutine_is_no_answer(make_cluster: MakeCluster, method: str, function: str) -> None:
    cluster = make_cluster(machines=2)
    cluster.spawn(Asking, name="asking")
    with pytest.raises(Exception, match=f"you forgot `await` before {function}"):
        cluster.call("asking", method)


def test_a_future_can_be_kept_and_a_task_compared() -> None:
    loop = Loop()
    future, other = loop.sleep(1), loop.sleep(1)
    assert {future: 1, other: 2}[other] == 2
    assert "Future" in repr(future)
    with pytest.raises(TypeError, match="you forgot `await`"):
        pickle.dumps(future)

    async def wait() -> None:
        await future

    tasks = [loop.spawn(wait()), loop.spawn(wait())]
    assert tasks[1] in tasks
    assert all(tasks)
    tasks.remove(tasks[1])
    with pytest.raises(TypeError, match=r"you forgot `await` before the task of wait\(\.\.\.\)"):
        tasks[0] + 1
    loop.run()
