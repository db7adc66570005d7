"""Nodes whose handlers a student wrote: they live in the judge's cluster, their code elsewhere.

``Answering`` runs a student's function as a handler. The node keeps all state; it is told to the function at
each step and taken back, checked, after it. What the function awaits, the node does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn

from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.node import Node, rpc

from .answers import Answers, Gone, Wrong

__all__ = ["SETTLE", "Answering", "answered_by", "failed_with", "reported"]

#: Seconds after which the trace has all that real machines had to tell.
SETTLE = 0.5

#: Effects of one step of a handler: more are a mistake.
MOST_EFFECTS = 1000


class Answering(Node):
    """A node with handlers of a student's. Subclass it, and say which; ``answered_by`` adds the answers."""

    #: Who answers for it.
    answers: ClassVar[Answers]
    #: Methods that a student's function may call at another node.
    answering: ClassVar[tuple[str, ...]] = ()
    #: Methods that it may send.
    sendable: ClassVar[tuple[str, ...]] = ()
    #: Seconds a node is given to say that it lives.
    patience = 0.5
    #: Seconds that a call may take.
    timeout = 60.0

    def told(self) -> dict[str, Any]:
        """What a function is told about its node."""
        raise NotImplementedError

    def adopt_state(self, state: dict[str, Any]) -> None:
        """What a function has changed. Raises ``Wrong`` for what a node cannot be."""

    async def play(self, function: str, *args: Any) -> Any:
        """Run a student's function as a handler of this node: what it returns."""
        try:
            return await self._play(function, *args)
        except (Wrong, Gone) as failed:
            raise failed_with(self.answers, failed) from None

    async def _play(self, function: str, *args: Any) -> Any:
        # To its end with the same answers: on real processes a node that comes later brings the class anew.
        answers = self.answers
        number, reply = answers.start(function, self.told(), *args)
        while True:
            self.adopt_state(reply.get("state") or {})
            for effect in (reply.get("effects") or [])[:MOST_EFFECTS]:
                self._carry_out(function, *effect)
            if "request" not in reply:
                return reply.get("value")
            value: Any = None
            error: list[str] | None = None
            try:
                value = await self._do(function, *reply["request"])
            except LabError as failed:
                error = [type(failed).__name__, str(failed)]
            reply = answers.resume(function, number, self.told(), value, error)

    def _do(self, function: str, what: str, *args: Any) -> Awaitable[Any]:
        match what, args:
            case "call", (str(name), str(method), *rest):
                if method not in self.answering:
                    words = " or ".join(map(repr, self.answering)) or "nothing"
                    raise Wrong(
                        f"{function} called {method!r:.40} at {name:.40}; a node of this exercise answers "
                        f"{words}"
                    )
                return self.call(name, method, *rest, timeout=self.timeout)
            case "ping", (str(name),):
                return self._pinged(name)
            case "ask", (str(name),):
                return self.asked(name)
            case "sleep", (float(seconds),) if 0 <= seconds < 3600:
                return self.sleep(seconds)
        raise Wrong(f"{function} awaits {what}{tuple(args)!r:.80}, which a node cannot do")

    async def _pinged(self, name: str) -> bool:
        try:
            await self.call(name, "alive", timeout=self.patience)
        except LabError:
            return False
        return True

    async def asked(self, name: str) -> Any:
        """What ``await n.ask(peer)`` gives."""
        raise Timeout("a node of this exercise cannot be asked for what it knows")

    def _carry_out(self, function: str, what: str, *args: Any) -> None:
        match what, args:
            case "send", (str(name), str(method), *rest) if method in self.sendable:
                self.send(name, method, *rest)
            case "emit", (str(kind), dict(data)) if all(type(key) is str for key in data):
                self.emit(f"student_{kind}", **data)
            case _:
                raise Wrong(f"{function} did {what}{tuple(args)!r:.80}, which a node of this exercise cannot")

    @rpc
    def alive(self) -> bool:
        """Answers, so it lives."""
        return True


def failed_with(answers: Answers, error: BaseException) -> BaseException:
    """The error, remembered if it is the first of a run."""
    answers.failed = answers.failed or error
    return error


def answered_by(answers: Answers, cls: type[Answering]) -> type[Any]:
    """The class, with these answers."""
    return type(cls.__name__, (cls,), {"answers": answers})


@contextmanager
def reported(answers: Answers, cluster: Cluster) -> Iterator[Cluster]:
    """A simulated cluster for a judge: a failure inside a node is told as the student's, not as a crash."""
    answers.failed = None
    try:
        with cluster:
            yield cluster
    except LabError as error:
        _tell(answers, error)
    if answers.failed is not None:
        _tell(answers, None)


def _tell(answers: Answers, error: BaseException | None) -> NoReturn:
    failed = answers.failed
    if failed is not None:
        raise failed from None
    assert error is not None
    raise Wrong(f"the run ended with {type(error).__name__}: {error}") from None
