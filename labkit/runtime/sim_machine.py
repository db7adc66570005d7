"""A machine of the simulator. What it sends goes into the loop's heap, to be delivered at its time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any

from labkit.runtime.calls import Call, Envelope
from labkit.runtime.disk import DiskStore, MemoryFiles, MemoryStore
from labkit.runtime.engine import CLIENT
from labkit.runtime.machine import Machine
from labkit.runtime.message import ERROR, REPLY, Failure, Message
from labkit.runtime.network import LOCAL_LATENCY

__all__ = ["SimMachine"]


class SimMachine(Machine):
    """A machine of the simulator: sending means putting the delivery into the loop's heap."""

    engine: Any  #: the ``SimEngine``
    peers: dict[str, SimMachine]  #: all machines by name; a restart replaces the object

    direct = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.inbox = self.deliver  # bound once: they are wanted for every message
        self.answers = self.take_answer

    def route(self, message: Envelope) -> None:
        """Into the loop's heap, through the simulated network or to a neighbour on the same machine."""
        loop = self.loop
        target = self.peers[message.target_machine]
        if target is self:
            when = loop.now + LOCAL_LATENCY
        else:
            delay = self.network.only_delay
            if delay is None:
                self._carry_through_weather(target, target.inbox, message)
                return
            when = loop.now + delay(self.network_random)
        loop._sequence = sequence = loop._sequence + 1
        heappush(loop._heap, (when, sequence, target.inbox, message))

    def _carry_through_weather(
        self, target: SimMachine, arrival: Callable[[Any], None], message: Envelope
    ) -> None:
        loop, network, random = self.loop, self.network, self.network_random
        answering = arrival is target.answers
        reason = network.drop_reason(self.name, target.name, random)
        if reason is not None:
            self.dropped(answer_of(message) if answering else message, reason)
            return
        when = network.arrival(self.name, target.name, loop.now, message.payload, random)
        loop.call_at(when, arrival, message)
        if network.duplicate and random.random() < network.duplicate:
            again = network.arrival(self.name, target.name, loop.now, message.payload, random)
            if not answering:  # its second answer finds the call by number
                if isinstance(message, Call):
                    self.pending[message.number] = message
                message = message.copied
            loop.call_at(again, arrival, message)

    def _reply(self, request: Envelope, answer: Any) -> None:
        """The call itself carries the answer back: both ends are in this process."""
        if type(request) is not Call:
            super()._reply(request, answer)
            return
        loop = self.loop
        request.payload = answer
        request.answer_sent = loop.cause
        if self.tracing:
            request.answer_sent = self._record_sent(
                ERROR if type(answer) is Failure else REPLY, request.number, request.target, request.source,
                request.source_machine, request.method, request.span, loop.cause,
            )  # fmt: skip
        home: Any = request.machine
        if home is self:  # as in ``route``
            when = loop.now + LOCAL_LATENCY
        else:
            delay = self.network.only_delay
            if delay is None:
                self._carry_through_weather(home, home.answers, request)
                return
            when = loop.now + delay(self.network_random)
        loop._sequence = sequence = loop._sequence + 1
        heappush(loop._heap, (when, sequence, home.answers, request))

    def take_answer(self, call: Call, looked: bool = False) -> None:
        """A call of this machine has come back with its answer."""
        if not self.normal:
            if not self.alive:
                self.dropped(answer_of(call), f"{self.name} is dead")
                return
            if not looked:
                self.detain(self.take_answer, call)
                return
        answer = call.payload
        failed = type(answer) is Failure
        cause = call.answer_sent
        if self.tracing:
            cause = self.trace.record_message(
                self.loop.now, self.name, call.source, "delivered", call.span, cause,
                call.number, call.target, call.target_machine, call.method, ERROR if failed else REPLY,
            )  # fmt: skip
        if call._done:
            return
        call.cause = cause
        if failed:
            self.answered(call, answer)
        else:
            call.resolve(answer)

    def exit(self, error: SystemExit) -> bool:
        """See ``Machine``."""
        if self.name == CLIENT:
            return False
        self.engine.exited(self, error)
        return True

    def store(self, node: str) -> DiskStore:
        """Kept by the engine, so that it survives the machine."""
        kept: DiskStore = self.engine.stores.setdefault(node, MemoryStore())
        return kept

    def file_store(self, node: str) -> MemoryFiles:
        """Kept by the engine, too."""
        kept: MemoryFiles = self.engine.files.setdefault(node, MemoryFiles())
        return kept


def answer_of(call: Any) -> Message:
    """The answer that a call carries, as a message of its own."""
    what = ERROR if type(call.payload) is Failure else REPLY
    there, back = (call.target, call.target_machine), (call.source, call.source_machine)
    return Message(what, call.number, *there, *back, call.method, call.payload, call.span, call.answer_sent)
