"""What travels between machines: a message, a handler's failure, and a node that is to be started."""

from __future__ import annotations

from typing import Any, NamedTuple

from labkit.runtime.copying import copy_value, dumps, loads_keeping_classes
from labkit.runtime.errors import RemoteError, RemoteTraceback
from labkit.runtime.loop import traceback_text
from labkit.runtime.raised import Ending, named

__all__ = ["ERROR", "ONEWAY", "REPLY", "REQUEST", "Failure", "Message", "NodeSpec"]

REQUEST, REPLY, ERROR, ONEWAY = "request", "reply", "error", "oneway"


class Message(NamedTuple):
    """What travels. ``number`` is the asking machine's, of the request; an answer carries its request's."""

    what: str
    number: int
    source: str
    source_machine: str
    target: str
    target_machine: str
    method: str
    payload: Any
    span: int | None
    sent: int | None  #: the event that led to it

    @property
    def copied(self) -> Message:
        """The same once more, sharing no memory: for a network that duplicates."""
        return self._replace(payload=copy_value(self.payload))


class Failure(NamedTuple):
    """A handler's exception on its way back: pickled if it can be, and its traceback as text."""

    pickled: bytes | None
    text: str
    summary: str

    def to_exception(self) -> BaseException:
        """The exception, with the remote traceback as its cause."""
        error: BaseException | None = None
        if self.pickled is not None:
            try:
                error = loads_keeping_classes(self.pickled)
            except Ending:
                raise
            except BaseException:
                error = None
        if not isinstance(error, Exception):
            error = RemoteError(self.summary)
        error.__cause__ = RemoteTraceback(self.text)
        return error

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What to send for this exception."""
        text = traceback_text(error)
        cause = error.__cause__
        if isinstance(cause, RemoteTraceback):  # it came from further away: keep the whole way
            text = f"{cause.text}\n... and then, one call nearer:\n{text}"
        try:
            pickled = dumps(error)
            loads_keeping_classes(pickled)
        except Ending:
            raise
        except BaseException:
            pickled = None
        return cls(pickled, text, named(error))


class NodeSpec(NamedTuple):
    """How to make a node, and make it again after a restart."""

    name: str
    cls: type[Any]  #: a subclass of ``Node``
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
