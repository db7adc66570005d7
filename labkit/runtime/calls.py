"""A call at its two ends: the request on its way with the answer that is awaited, and the handler that runs.

There is one of each for every request, so both are made as lean as can be.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from operator import attrgetter
from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.loop import Cancelled, Future, Task
from labkit.runtime.message import REQUEST, Message
from labkit.runtime.node import Node

__all__ = ["FIELDS", "Call", "Envelope", "Handling"]


class Call(Future):
    """The answer to a request, on the caller's machine; and the request itself, for it has the fields of a
    ``Message``.

    There is one for every request, so it is made as lean as can be: it is its own timer (see ``Lane``) too,
    and within one process it carries the answer back. What leaves the process is its ``message``.
    """

    __slots__ = (
        "answer_sent", "asked", "machine", "method", "number", "payload", "sent", "since", "source",
        "source_machine", "span", "target", "target_machine",
    )  # fmt: skip

    what = REQUEST
    machine: Any  #: the caller's ``Machine``
    answer_sent: int | None  #: the event that led to the answer
    asked: Envelope  #: the request that its answer will answer, if a plain handler has returned it
    number: int
    method: str
    payload: Any  #: the arguments, and on the way back the answer
    sent: int | None
    since: float
    source: str
    source_machine: str
    span: int | None
    target: str
    target_machine: str

    @property
    def copied(self) -> Message:
        """A ``Message`` of its own."""
        return self.message.copied

    @property
    def message(self) -> Message:
        """The request alone, as it leaves the process."""
        return Message(*FIELDS(self))

    def as_written(self) -> str:
        """See ``Unawaited``."""
        if not hasattr(self, "target"):  # there is no such node
            return "self.call(...)"
        return f"self.call({self.target!r}, {self.method!r}, ...)"

    def resolve(self, value: Any) -> None:
        """The answer is here.

        The loop is at rest between two callbacks, so a single waiter can run at once.
        """
        waiters = self._waiters
        if waiters is None or type(waiters) is list or self._done:
            self.set_result(value)
        else:
            self._done = True
            self._value = value
            self._waiters = None
            waiters(self)

    def expire(self, after: float) -> None:
        """Its time is over."""
        self.machine.expired(self, after)

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self.machine.pending.pop(self.number, None)
        self.set_error(Cancelled())


#: The fields of an envelope, in the order of ``Message``.
FIELDS: Callable[[Any], tuple[Any, ...]] = attrgetter(*Message._fields)


#: A message on its way: within one process a request is the ``Call`` itself.
Envelope = Message | Call


class Handling(Task):
    """A task that runs an async handler and sends what it returns."""

    __slots__ = ("machine", "message")

    def __init__(self, machine: Any, node: Node, message: Envelope, coro: Coroutine[Any, Any, Any]) -> None:
        self.loop = loop = machine.loop  # as Task.__init__, which would cost a call for each message
        self._done = False
        self._error = self._waiters = self._waiting_for = self._cancelling = None
        self.coro = coro
        self.owner = node
        self.span = loop.span
        self.cause = loop.cause
        self.machine = machine
        self.message = message
        node._tasks[self] = None

    def finish(self, value: Any, error: BaseException | None) -> None:
        """The handler has ended: answer."""
        self._done = True
        node = self.owner
        assert isinstance(node, Node)
        if error is not None:
            self.machine._failed(node, self.message, error)
        elif self.message.what == REQUEST:
            self.machine.answer(self.message, value)

    def cancelled(self, error: Cancelled) -> None:
        """It awaited a task that was cancelled, and did not expect it: the caller must hear of it."""
        text = f"{self.message.method} of {self.message.target} awaited something that was cancelled"
        self.finish(None, LabError(text))
