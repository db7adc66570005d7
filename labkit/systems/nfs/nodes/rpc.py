"""Remote procedure calls over datagrams: a number (xid) for each, and patience.

Who hears nothing sends the same call with the same number again, after twice as long each time. It cannot
know whether the call, the reply or the server was lost, or whether the server is only slow.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from labkit.runtime.errors import Timeout
from labkit.runtime.loop import Future, running_loop
from labkit.runtime.node import Node, rpc

from ..options import Options
from ..protocol import OK, Credentials, NfsError

__all__ = ["RpcClient"]


def _late(reply: Future) -> None:
    reply.set_error(Timeout("no reply in time"))


class RpcClient(Node):
    """The client's end."""

    options: Options
    server: str
    hard: bool

    def _start_rpc(self) -> None:
        #: Begins at the time, in microseconds: a client that restarts must not use a number again, or it
        #: would be answered with the reply of its former life.
        self.xid = int(self.now * 1e6)
        self.waiting: dict[int, Future] = {}
        self.calls: Counter[str] = Counter()  #: sent, by procedure
        self.resent = 0

    async def ask(self, procedure: str, cred: Credentials, *args: Any) -> Any:
        """The value of a procedure; raises ``NfsError`` with the status, ETIMEDOUT on a soft mount."""
        self.xid = xid = self.xid + 1
        wait, tries = self.options.timeo, 0
        loop, who = running_loop(), (cred[0], cred[1])
        while True:
            future = self.waiting[xid] = Future(loop)
            # Plain values only: a message with a class in it costs twice as much.
            self.send(self.server, procedure, xid, self.name, self.machine, who, *args)
            loop.expire(wait, future, _late)
            self.calls[procedure] += 1
            tries += 1
            try:
                status, value = await future
                break
            except Timeout:
                self._silence(xid, procedure, tries)
            except BaseException:
                self.waiting.pop(xid, None)
                raise
            wait = min(2 * wait, max(self.options.longest_wait, self.options.timeo))
        if tries > self.options.retrans:
            self.emit("server_answers_again", xid=xid)
        if status != OK:
            raise NfsError(status)
        return value

    def _silence(self, xid: int, procedure: str, tries: int) -> None:
        """Nothing came in time."""
        if tries > self.options.retrans:
            if not self.hard:
                self.waiting.pop(xid, None)
                self.emit("gave_up", xid=xid, procedure=procedure, tries=tries)
                raise NfsError("ETIMEDOUT") from None
            if tries == self.options.retrans + 1:
                self.emit("not_responding", xid=xid, procedure=procedure)
        self.resent += 1
        self.emit("resent", xid=xid, procedure=procedure, tries=tries + 1)

    @rpc
    def reply(self, xid: int, status: str, value: Any) -> None:
        """A reply; one that nobody waits for any more is not looked at."""
        future = self.waiting.pop(xid, None)
        if future is not None:
            future.set_result((status, value))
