"""A machine: it hosts nodes, carries their messages, and is what dies.

The engines differ in two things only: how a message travels to another machine (``route``) and what drives
the loop. All the rest (dispatch, timeouts, copies, the causal context, crashes, being paused or slow) is
here, once.

A message goes this way::

    node.call ─ copy arguments ─ route ─┄ network ┄─ deliver ─ handler ─ copy result ─ route ─┄ network ┄─
    deliver ─ the caller's future
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from types import CoroutineType
from typing import Any

from labkit.runtime.addressing import no_handler, unknown_node
from labkit.runtime.calls import FIELDS, Call, Envelope, Handling
from labkit.runtime.copying import ATOMS, copy_value, event_value, stream
from labkit.runtime.disk import Disk, DiskStore, Files
from labkit.runtime.errors import Timeout, Unpicklable
from labkit.runtime.loop import Cost, Future, Loop, traceback_text
from labkit.runtime.message import ERROR, ONEWAY, REPLY, REQUEST, Failure, Message, NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.node import Node, Periodic
from labkit.runtime.raised import Ending, named
from labkit.runtime.unawaited import explain
from labkit.trace.trace import Trace
from labkit.trace.words import Events

__all__ = ["Machine"]

_new_call = Call.__new__

#: Seconds a normal machine is taken to need for looking at one message; a slow one needs ``factor`` times
#: that.
SERVICE_TIME = 0.001


class Machine:
    """Hosts nodes. ``route`` is the engine's."""

    #: Whether an answer finds its call by itself, since both are in this process; else by its number in
    #: ``pending``.
    direct = False

    def __init__(
        self, name: str, loop: Loop, network: Network, trace: Trace, directory: dict[str, str], seed: int
    ) -> None:
        self.name = name
        self.loop = loop
        self.network = network
        self.trace = trace
        self.tracing = trace.messages
        self.directory = directory  #: every node ever started in the cluster, and its machine
        self.seed = seed
        self.nodes: dict[str, Node] = {}
        self.coming: dict[
            str, list[Envelope]
        ] = {}  #: nodes about to start here, and messages that came before them
        self.alive = True
        self.held: deque[tuple[Callable[[Any], None], Any]] | None = (
            None  #: while paused: what would have run
        )
        self._factor = 1.0
        self.normal = True  #: alive, neither paused nor slow
        self.pending: dict[int, Call] = {}  #: calls of this machine's nodes that wait for an answer
        self.network_random = stream(seed, "network", name)
        self.hand_on_ = self.hand_on  #: bound once: it is wanted for every message that is handed on
        self.crashes: list[tuple[str, BaseException]] = []  #: exceptions nobody awaited, for the client
        self._next_id = 0
        self._randoms: dict[str, Random] = {}
        self._disks: dict[str, Disk] = {}
        self._files: dict[str, Files] = {}

    # what an engine provides ------------------------------------------------------------

    def route(self, message: Envelope) -> None:
        """Bring a message to its target machine."""
        raise NotImplementedError

    def store(self, node: str) -> DiskStore:
        """Where this node's disk is kept."""
        raise NotImplementedError

    def file_store(self, node: str) -> Files:
        """Where this node's large files are kept."""
        raise NotImplementedError

    def exit(self, error: SystemExit) -> bool:
        """A node called ``sys.exit()``: as in any process, that is the end of the whole machine. False on the
        client's, whose process is the user's: there it is an error as any other."""
        raise NotImplementedError

    # nodes ------------------------------------------------------------

    @property
    def factor(self) -> float:
        """How many times slower than normal."""
        return self._factor

    @factor.setter
    def factor(self, factor: float) -> None:
        self._factor = factor
        self._look_at_itself()

    def _look_at_itself(self) -> None:
        self.normal = self.alive and self.held is None and self._factor == 1.0
        for node in self.nodes.values():
            node._held = self.held

    def start_node(self, spec: NodeSpec, cause: int | None = None) -> Node:
        """Make the node and begin its ``start``, then its periodic methods.

        ``cause``: the event that led to it.
        """
        self.loop.span, self.loop.cause = None, cause
        cls: type[Node] = spec.cls
        node = cls.__new__(cls)
        node.name = spec.name
        node._machine = self
        node._tasks = {}
        node._held = self.held
        node.__init__(*spec.args, **spec.kwargs)  # type: ignore[misc]
        self.nodes[spec.name] = node
        for early in self.coming.pop(spec.name, ()):
            self.loop.call_soon(self.deliver, early)
        if self.trace.on:
            self.record(node.name, "node_started", _introduced(spec.cls))
        node.spawn(self._life(node))
        self.loop.cause = None
        return node

    async def _life(self, node: Node) -> None:
        begun = node.start()
        if begun is not None:
            await begun
        for name, method in type(node)._periodics.items():
            node.spawn(self._repeat(node, name, method._every))  # type: ignore[attr-defined]

    async def _repeat(self, node: Node, name: str, periodic: Periodic) -> None:
        """``@every``: a random phase, then again and again."""
        if isinstance(periodic.period, str) and getattr(node, periodic.period) is None:
            return
        random = node.random
        await node.sleep(periodic.seconds(node) * random.random())
        while True:
            self.loop.span = self.loop.cause = (
                None  # a new chain of causes, not the one that started the node
            )
            working = getattr(node, name)()
            if working is not None:
                await working
            await node.sleep(periodic.seconds(node) * (1 + periodic.jitter * (2 * random.random() - 1)))

    def stop_node(self, name: str, reason: str) -> None:
        """The node is gone, at once and without a word to anyone."""
        node = self.nodes.pop(name)
        node._alive = False
        node._close_tasks()
        if self.trace.on:
            self.loop.span = self.loop.cause = None
            self.record(name, "node_stopped", {"reason": reason})
            self.loop.cause = None

    def die(self) -> None:
        """A crash: every node stops where it stands; what was not synced is lost."""
        self.alive = False
        self.held = None
        self._look_at_itself()
        for node in self.nodes.values():
            node._alive = False
        for disk in self._disks.values():
            disk.crash()
        for node in self.nodes.values():
            node._close_tasks()
        self.nodes.clear()
        self.pending.clear()

    def pause(self) -> None:
        """Stand still: what arrives or falls due from now on waits."""
        if self.held is None:
            self.held = deque()
            self._look_at_itself()

    def resume(self) -> None:
        """Go on: what waited happens now, in order."""
        held, self.held = self.held, None
        self._look_at_itself()
        for callback, argument in held or ():
            self.loop.call_soon(callback, argument)

    def random_of(self, node: Node) -> Random:
        """The node's stream; made at its first use, since one takes 2.5 kB."""
        random = self._randoms.get(node.name)
        if random is None:
            random = self._randoms[node.name] = stream(self.seed, "node", node.name)
        return random

    def disk_of(self, node: Node) -> Disk:
        """The node's disk."""
        disk = self._disks.get(node.name)
        if disk is None:
            disk = self._disks[node.name] = Disk(self.store(node.name))
        return disk

    def files_of(self, node: Node) -> Files:
        """The node's large files."""
        files = self._files.get(node.name)
        if files is None:
            files = self._files[node.name] = self.file_store(node.name)
        return files

    def compute(self, work: Callable[..., Any], args: tuple[Any, ...], cost: Cost) -> Future:
        """See ``Node.compute``."""
        if callable(cost):
            price, factor = cost, self.factor
            return self.loop.compute(partial(work, *args), lambda result: price(result) * factor)
        return self.loop.compute(partial(work, *args), cost * self.factor)

    # events ------------------------------------------------------------

    def record(self, node: str | None, kind: str, data: dict[str, Any]) -> int:
        """One event, caused by what is being run now, and the cause of what comes next."""
        loop = self.loop
        loop.cause = seq = self.trace.record(loop.now, self.name, node, kind, loop.span, loop.cause, data)
        return seq

    def emit(self, node: Node, kind: str, data: dict[str, Any]) -> None:
        """A node's own event; its data are copied, as those of a message."""
        trace = self.trace
        if trace.on and node._alive:
            for key, value in data.items():
                if type(value) not in ATOMS:
                    data[key] = event_value(value)
            loop = self.loop  # as in record; nothing is called as often, so one call less is felt
            loop.cause = trace.record(loop.now, self.name, node.name, kind, loop.span, loop.cause, data)

    def crashed(self, node: Node, error: BaseException) -> None:
        """An exception that nobody awaited: an event, and the client will hear of it."""
        if isinstance(error, SystemExit) and self.exit(error):
            return
        if self.trace.on:
            self.record(node.name, "crash", {"error": named(error), "traceback": traceback_text(error)})
        self.crashes.append((node.name, error))

    # sending ------------------------------------------------------------

    def call(self, node: Node, ref: str, method: str, args: tuple[Any, ...], timeout: float | None) -> Call:
        """A request; the future of its answer."""
        loop = self.loop
        call = _new_call(Call)
        call.loop = loop
        call._done = False
        call._error = call._waiters = call.cause = None
        call.machine = self
        self._next_id = call.number = number = self._next_id + 1
        if not node._alive:
            return call  # the last words of a node that is gone are not heard, and not answered
        target_machine = self.directory.get(ref)
        if target_machine is None:
            call.set_error(unknown_node(ref, self.directory))
            return call
        for value in args:
            if type(value) not in ATOMS:
                args = copy_value(args)
                break
        call.source = name = node.name
        call.source_machine = self.name
        call.target = ref
        call.target_machine = target_machine
        call.method = method
        call.payload = args
        call.span = span = loop.span
        cause = loop.cause
        if self.tracing:
            cause = self._record_sent(REQUEST, number, name, ref, target_machine, method, span, cause)
        call.sent = cause
        if not self.direct:
            self.pending[number] = call
        if timeout is not None:
            (loop._lanes.get(timeout) or loop.lane(timeout)).add(call)
        self.route(call)
        return call

    def send(self, node: Node, ref: str, method: str, args: tuple[Any, ...]) -> None:
        """A one-way message."""
        if not node._alive:
            return
        target_machine = self.directory.get(ref)
        if target_machine is None:
            raise unknown_node(ref, self.directory)
        self._next_id = number = self._next_id + 1
        args = copy_value(args)
        span, cause = self.loop.span, self.loop.cause
        if self.tracing:
            cause = self._record_sent(ONEWAY, number, node.name, ref, target_machine, method, span, cause)
        self.route(
            Message(ONEWAY, number, node.name, self.name, ref, target_machine, method, args, span, cause)
        )

    def expired(self, call: Call, after: float) -> None:
        """No answer in time."""
        if self.held is not None:
            self.held.append((partial(self.expired, after=after), call))
            return
        if call.done or not self.alive:
            return
        self.pending.pop(call.number, None)
        loop = self.loop
        if self.trace.on:
            data = {
                "message": call.number,
                "to": call.target,
                "to_machine": call.target_machine,
                "method": call.method,
                "after": after,
            }
            call.cause = self.trace.record(
                loop.now, self.name, call.source, "timed_out", call.span, call.sent, data
            )
        call.set_error(
            Timeout(
                f"{call.target} on {call.target_machine} did not answer {call.method} within {after} s; "
                "it may have carried it out"
            )
        )

    # receiving ------------------------------------------------------------

    def detain(self, look: Callable[..., None], message: Any) -> None:
        """A paused machine keeps what arrives, a slow one looks at it later, with ``look(message, True)``."""
        if self.held is not None:
            self.held.append((look, message))
        else:
            delay = (self._factor - 1.0) * SERVICE_TIME
            self.loop.call_later(delay, partial(self._has_time, look), message)

    def _has_time(self, look: Callable[..., None], message: Any) -> None:
        if self.held is not None:
            self.held.append((partial(self._has_time, look), message))
        else:
            look(message, True)

    def deliver(self, message: Envelope, looked: bool = False) -> None:
        """A message has arrived: resolve the call it answers, or run the handler it asks for."""
        if not self.normal:
            if not self.alive:
                self.dropped(message, f"{self.name} is dead")
                return
            if not looked:
                self.detain(self.deliver, message)
                return
        what = message.what
        cause = message.sent
        if self.tracing:
            cause = self._record_delivered(message)
        if what in (REPLY, ERROR):
            call = self.pending.pop(message.number, None)
            if call is not None:
                call.cause = cause
                self.answered(call, message.payload)
            return
        target = message.target
        node = self.nodes.get(target)
        if node is None:
            if target in self.coming:
                self.coming[target].append(message)
                return
            self.dropped(message, f"{target} has stopped")
            return
        loop = self.loop
        loop.span = message.span
        loop.cause = cause
        try:
            handler = node._rpcs.get(message.method)
            if handler is None:
                raise no_handler(node, message.method)
            value = handler(node, *message.payload)
        except Ending:
            raise
        except BaseException as error:
            explain(error)
            self._failed(node, message, error)
            return
        kind = type(value)
        if kind in ATOMS:
            if what == REQUEST:
                self._reply(message, value)
        elif kind is Call and value._waiters is None and not value._done:
            value.asked = message  # a plain handler that hands on: return self.call(...)
            value._waiters = self.hand_on_
        elif isinstance(value, Future):
            value.add_done(partial(self.hand_on, asked=message))
        elif kind is CoroutineType:
            Handling(self, node, message, value).step(None)
        elif what == REQUEST:
            self.answer(message, value)

    def hand_on(self, future: Any, asked: Envelope | None = None) -> None:
        """What a plain handler has returned is there: it is the answer to the request ``asked``."""
        if self.held is not None:
            self.held.append((partial(self.hand_on, asked=asked), future))
            return
        message = future.asked if asked is None else asked
        node = self.nodes.get(message.target)
        if node is None:
            return  # it has stopped meanwhile
        loop = self.loop
        loop.span = message.span
        loop.cause = future.cause if future.cause is not None else message.sent
        if future._error is not None:
            self._failed(node, message, future._error)
        elif message.what == REQUEST:
            value = future._value
            if type(value) in ATOMS:
                self._reply(message, value)
            else:
                self.answer(message, value)

    def answered(self, call: Call, answer: Any) -> None:
        """The answer to one of this machine's calls."""
        if type(answer) is Failure:
            call.set_error(answer.to_exception())
        else:
            call.resolve(answer)

    def _failed(self, node: Node, message: Envelope, error: BaseException) -> None:
        """To the caller if there is one; else nobody awaits it."""
        if isinstance(error, SystemExit) and self.exit(error):
            return
        if message.what == REQUEST:
            self._reply(message, Failure.of(error))
        else:
            self.crashed(node, error)

    def answer(self, message: Envelope, value: Any) -> None:
        """Send the result back."""
        if type(value) not in ATOMS:
            try:
                value = copy_value(value)
            except Unpicklable as error:
                value = Failure.of(error)
        self._reply(message, value)

    def _reply(self, request: Envelope, answer: Any) -> None:
        _, number, source, source_machine, target, _, method, _, span, _ = FIELDS(request)
        what = ERROR if type(answer) is Failure else REPLY
        cause = self.loop.cause
        if self.tracing:
            cause = self._record_sent(what, number, target, source, source_machine, method, span, cause)
        self.route(
            Message(what, number, target, self.name, source, source_machine, method, answer, span, cause)
        )

    # message events ------------------------------------------------------------

    def _record_sent(
        self,
        what: str,
        number: int,
        source: str,
        to: str,
        to_machine: str,
        method: str,
        span: int | None,
        cause: int | None,
    ) -> int:
        return self.trace.record_message(
            self.loop.now, self.name, source, "sent", span, cause, number, to, to_machine, method, what
        )

    def _record_delivered(self, message: Envelope) -> int:
        return self.trace.record_message(
            self.loop.now, self.name, message.target, "delivered", message.span, message.sent,
            message.number, message.source, message.source_machine, message.method, message.what,
        )  # fmt: skip

    def dropped(self, message: Envelope, reason: str) -> None:
        """It will not arrive. Nobody is told: the sender finds out by its timeout."""
        if self.tracing:
            what, number, source, source_machine, target, target_machine, method, _, span, cause = FIELDS(
                message
            )
            self.trace.record_message(
                self.loop.now, source_machine, source, "dropped", span, cause,
                number, target, target_machine, method, what, reason,
            )  # fmt: skip


def _introduced(cls: type[Node]) -> dict[str, Any]:
    """What the trace is told of a node that starts: its class, and the table that its events are read by."""
    if isinstance(cls.events, Events):
        return {"cls": cls.__name__, "events": cls.events.name}
    return {"cls": cls.__name__}
