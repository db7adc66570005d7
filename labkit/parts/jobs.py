"""A job on the cluster: how its master ends it, and how its user waits for that, or cancels it.

The user asks the master for its ``outcome`` again and again: an answer, or None, "not yet, ask again". So a
lost answer costs one more question, a master that starts again is found, and Ctrl-C ends the waiting only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from labkit.parts.retry import comes, insist
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, MachineDead, Timeout
from labkit.runtime.handles import MachineHandle, Operation
from labkit.runtime.node import Node, rpc
from labkit.runtime.sync import Event

__all__ = ["Held", "Mastering", "waited_for"]

AnyJob = TypeVar("AnyJob", bound="Held")


def waited_for(job: AnyJob) -> AnyJob:
    """A job that has its result; Ctrl-C cancels it."""
    try:
        job.result()
    except KeyboardInterrupt:
        with suppress(LabError):  # a dead master runs nothing
            job.cancel()
        raise
    return job


class Mastering(Node):
    """The end of a job, at its master.

    It calls ``_begin_job`` first. The job is over by ``_end("ok")``, or by ``_fail``; ``cleaned`` is set when
    nothing of it is left but its output.
    """

    error: tuple[str, str] | None  #: why it failed: kind, text
    over: Event
    cleaned: Event
    #: Seconds within which a question is answered.
    answer_within: float

    def _begin_job(self, answer_within: float) -> None:
        self.error, self.answer_within = None, answer_within
        self.over, self.cleaned = Event(), Event()

    @rpc
    def cancel(self) -> None:
        """Its user wants it no more."""
        self._fail("cancelled", "it was cancelled")

    def _fail(self, kind: str, text: str) -> None:
        if not self.over.is_set():
            self.error = (kind, text)
            self._end(kind)

    def _end(self, result: str) -> None:
        """It is over: "ok", or the kind of error."""
        raise NotImplementedError

    def _told(self) -> tuple[Any, ...]:
        """What its user hears beside the error."""
        return ()

    @rpc
    async def outcome(self) -> tuple[Any, ...] | None:
        """For its user: None or why it failed, and what ``_told`` gives; None: ask again."""
        if not await comes(self.cleaned.wait(), self.answer_within):
            return None
        return self.error, *self._told()


class Held:
    """A job, as its user holds it: its master is known from ``_begun_at`` on, and asked from ``_wait`` on."""

    cluster: Cluster
    name: str
    #: By the kind of an error what its user hears; else ``failed``.
    kinds: ClassVar[Mapping[str, type[LabError]]] = {}
    failed: ClassVar[type[LabError]] = LabError
    _home: MachineHandle  #: the master's machine
    _life: int  #: which life of it the master began in
    _master: str
    _operation: Operation | None = None
    _heard: Sequence[Any] = ()  #: at its end, beside the error

    def _begun_at(self, home: MachineHandle, master: str, every: float) -> None:
        """The master is a node on this machine. every: seconds after which a question is repeated."""
        self._home, self._life, self._master, self._every = home, home.incarnation, master, every

    def _wait(self) -> None:
        """Begin to ask how it has ended."""
        self._operation = self.cluster.submit(lambda client: self._ask(client, "outcome"))

    async def _ask(self, client: Node, method: str, *args: Any) -> Any:
        """Ask the master until it says something, which is not None; or what ``_lost`` gives."""
        alive = client.now

        def wanted() -> bool:
            nonlocal alive
            if self._home.alive:
                alive = client.now
            return self._may_answer(client.now - alive)

        answer = None
        try:
            while answer is None:
                answer = await insist(client, self._master, method, *args, every=self._every, wanted=wanted)
        except (Timeout, MachineDead):
            answer = await self._lost(client)
        return answer

    @property
    def _same_life(self) -> bool:
        return self._home.alive and self._home.incarnation == self._life

    def _may_answer(self, dead: float) -> bool:
        """Whether a master is asked again whose machine has been dead for so many seconds: if it lives on."""
        return self._same_life

    async def _lost(self, client: Node) -> Any:
        """The master will not answer: what its user hears; or raises."""
        raise MachineDead(f"{self.name}: its master on {self._home.name} is dead")

    def _answer(self, timeout: float | None) -> Any:
        """Wait for what the master says at the end. Raises ``Timeout``. After Ctrl-C, and if the master's
        machine stays dead, the job perhaps goes on: who asks again waits again."""
        assert self._operation is not None
        try:
            return self._operation.result(timeout)
        except (KeyboardInterrupt, MachineDead):
            with suppress(LabError):  # the cluster is closed
                self._wait()
            raise

    def _ended(self, timeout: float | None) -> None:
        """Wait for the end, see ``_answer``. Raises what the job has failed of, too."""
        error, *self._heard = self._answer(timeout)
        if error is not None:
            kind, text = error
            raise self.kinds.get(kind, self.failed)(f"{self.name}: {text}")

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._operation is not None and self._operation.done

    def cancel(self) -> None:
        """End it; ``result`` then says that it was cancelled. A job that is over stays as it is."""
        if not self.done:
            self.cluster.call(self._master, "cancel")
