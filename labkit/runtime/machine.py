"""A machine: it hosts nodes, carries their messages, and is what dies.

The engines differ in two things only: how a message travels to another machine (``route``) and what drives the loop. All the rest
(dispatch, timeouts, copies, the causal context, crashes, being paused or slow) is here, once.

A message goes this way::

    node.call ─ copy arguments ─ route ─┄ network ┄─ deliver ─ handler ─ copy result ─ route ─┄ network ┄─ deliver ─ the caller's future

"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from inspect import CORO_RUNNING, getcoroutinestate
from random import Random
from types import CoroutineType
from typing import Any, NamedTuple

from labkit.runtime.copying import ATOMS, copy_value, dumps, event_value, stream
from labkit.runtime.disk import Disk, DiskStore
from labkit.runtime.errors import (
    NotAnRpc,
    RemoteError,
    RemoteTraceback,
    Timeout,
    UnknownMethod,
    UnknownNode,
)
from labkit.runtime.loop import Future, Loop, Task, traceback_text
from labkit.runtime.network import Network
from labkit.runtime.node import Node, Periodic
from labkit.runtime.trace import Trace

__all__ = ["REQUEST", "REPLY", "ERROR", "ONEWAY", "Failure", "Machine", "Message", "NodeSpec"]

REQUEST, REPLY, ERROR, ONEWAY = "request", "reply", "error", "oneway"

_new = tuple.__new__  # a NamedTuple's own __new__ takes twice as long, and there is one for every message

#: Seconds a normal machine is taken to need for looking at one message; a slow one needs ``factor`` times that.
SERVICE_TIME = 0.001


class Message(NamedTuple):
    """What travels. ``id`` is the sender's number of the request; an answer carries its request's."""

    what: str
    id: int
    source: str
    source_machine: str
    target: str
    target_machine: str
    method: str
    payload: Any
    span: int | None
    cause: int | None


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
                error = pickle.loads(self.pickled)
            except Exception:
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
            pickle.loads(pickled)
        except Exception:
            pickled = None
        return cls(pickled, text, f"{type(error).__name__}: {error}")


class NodeSpec(NamedTuple):
    """How to make a node, and make it again after a restart."""

    name: str
    cls: type[Node]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Call(Future):
    """The answer to a request, on the caller's machine."""

    __slots__ = ("after", "id", "method", "sent", "source", "target", "target_machine")


    def resolve(self, value: Any) -> None:
        """The answer is here. The loop is at rest between two callbacks, so a single waiter can run at once."""
        waiters = self._waiters
        if waiters is None or type(waiters) is list:
            self.set_result(value)
        else:
            self._done = True
            self._value = value
            self._waiters = None
            waiters(self)


class Forwarding:
    """Sends on to the caller what the node that was asked in turn has answered."""

    __slots__ = ("machine", "message", "node")

    def __init__(self, machine: Machine, node: Node, message: Message) -> None:
        self.machine = machine
        self.node = node
        self.message = message

    def __call__(self, future: Future) -> None:
        if not self.node._alive:
            return
        machine, message = self.machine, self.message
        if machine.held is not None:
            machine.held.append((self, future))
            return
        loop = machine.loop
        loop.span = message.span
        loop.cause = future.cause if future.cause is not None else message.cause
        if future._error is not None:
            machine._failed(self.node, message, future._error)
        elif message.what == REQUEST:
            machine.answer(message, future._value)


class Machine:
    """Hosts nodes. ``route`` is the engine's."""

    def __init__(
        self, name: str, loop: Loop, network: Network, trace: Trace, directory: dict[str, str], seed: int
    ) -> None:
        self.name = name
        self.loop = loop
        self.network = network
        self.trace = trace
        self.directory = directory  #: every node ever started in the cluster, and its machine
        self.seed = seed
        self.nodes: dict[str, Node] = {}
        self.coming: dict[str, list[Message]] = {}  #: nodes about to start here, and messages that came before them
        self.alive = True
        self.held: deque[tuple[Callable[[Any], None], Any]] | None = None  #: while paused: what would have run
        self.factor = 1.0  #: how many times slower than normal
        self.pending: dict[int, Call] = {}  #: calls of this machine's nodes that wait for an answer
        self.network_random = stream(seed, "network", name)
        self.crashes: list[tuple[str, BaseException]] = []  #: exceptions nobody awaited, for the client
        self._next_id = 0
        self._randoms: dict[str, Random] = {}
        self._disks: dict[str, Disk] = {}

    # what an engine provides -----------------------------------------------------------------------------------

    def route(self, message: Message) -> None:
        """Bring a message to its target machine."""
        raise NotImplementedError

    def store(self, node: str) -> DiskStore:
        """Where this node's disk is kept."""
        raise NotImplementedError

    # nodes -----------------------------------------------------------------------------------------------------

    def start_node(self, spec: NodeSpec) -> Node:
        """Make the node and begin its ``start``, then its periodic methods."""
        node = spec.cls.__new__(spec.cls)
        node.name = spec.name
        node._machine = self
        node._tasks = {}
        node.__init__(*spec.args, **spec.kwargs)  # type: ignore[misc]
        self.nodes[spec.name] = node
        for early in self.coming.pop(spec.name, ()):
            self.loop.call_soon(self.deliver, early)
        if self.trace.on:
            self.record(node.name, "node_started", {"cls": spec.cls.__name__})
        node.spawn(self._life(node))
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
            self.loop.span = self.loop.cause = None  # a new chain of causes, not the one that started the node
            working = getattr(node, name)()
            if working is not None:
                await working
            await node.sleep(periodic.seconds(node) * (1 + periodic.jitter * (2 * random.random() - 1)))

    def stop_node(self, name: str, reason: str) -> None:
        """The node is gone, at once and without a word to anyone."""
        node = self.nodes.pop(name)
        node._alive = False
        for task in list(node._tasks):
            if getcoroutinestate(task.coro) != CORO_RUNNING:
                task.close()
        node._tasks.clear()
        if self.trace.on:
            self.record(name, "node_stopped", {"reason": reason})

    def die(self) -> None:
        """A crash: every node stops where it stands; what was not synced is lost."""
        self.alive = False
        self.held = None
        for node in self.nodes.values():
            node._alive = False
        for node in self.nodes.values():
            for task in list(node._tasks):
                if getcoroutinestate(task.coro) != CORO_RUNNING:
                    task.close()
        self.nodes.clear()
        self.pending.clear()
        for disk in self._disks.values():
            disk.crash()

    def pause(self) -> None:
        """Stand still: what arrives or falls due from now on waits."""
        if self.held is None:
            self.held = deque()

    def resume(self) -> None:
        """Go on: what waited happens now, in order."""
        held, self.held = self.held, None
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

    def compute(self, work: Callable[..., Any], args: tuple[Any, ...], cost: float) -> Future:
        """See ``Node.compute``."""
        return self.loop.compute(partial(work, *args), cost * self.factor)

    # events ----------------------------------------------------------------------------------------------------

    def record(self, node: str | None, kind: str, data: dict[str, Any]) -> int:
        """One event, caused by what is being run now, and the cause of what comes next."""
        loop = self.loop
        loop.cause = seq = self.trace.record(loop.now, self.name, node, kind, loop.span, loop.cause, data)
        return seq

    def emit(self, node: Node, kind: str, data: dict[str, Any]) -> None:
        """A node's own event; its data are copied, as those of a message."""
        if self.trace.on and node._alive:
            for key, value in data.items():
                if type(value) not in ATOMS:
                    data[key] = event_value(value)
            self.record(node.name, kind, data)

    def crashed(self, node: Node, error: BaseException) -> None:
        """An exception that nobody awaited: an event, and the client will hear of it."""
        if self.trace.on:
            text = f"{type(error).__name__}: {error}"
            self.record(node.name, "crash", {"error": text, "traceback": traceback_text(error)})
        self.crashes.append((node.name, error))

    # sending ---------------------------------------------------------------------------------------------------

    def call(self, node: Node, ref: str, method: str, args: tuple[Any, ...], timeout: float | None) -> Call:
        """A request; the future of its answer."""
        loop = self.loop
        self._next_id = number = self._next_id + 1
        call = Call(loop)
        if not node._alive:
            return call  # the last words of a node that is gone are not heard, and not answered
        target_machine = self.directory.get(ref)
        if target_machine is None:
            call.set_error(self._unknown(ref))
            return call
        call.id = number
        call.source, call.target, call.target_machine, call.method = node.name, ref, target_machine, method
        for value in args:
            if type(value) not in ATOMS:
                args = copy_value(args)
                break
        span, cause = loop.span, loop.cause
        if self.trace.messages:
            cause = self._record_sent(REQUEST, number, node.name, ref, target_machine, method, span, cause)
        call.sent = cause
        message = _new(
            Message, (REQUEST, number, node.name, self.name, ref, target_machine, method, args, span, cause)
        )
        self.pending[number] = call
        if timeout is not None:
            call.after = timeout
            lane = loop._lanes.get(timeout) or loop.lane(timeout)
            lane.add(call, self.expired)
        self.route(message)
        return call

    def send(self, node: Node, ref: str, method: str, args: tuple[Any, ...]) -> None:
        """A one-way message."""
        if not node._alive:
            return
        target_machine = self.directory.get(ref)
        if target_machine is None:
            raise self._unknown(ref)
        self._next_id = number = self._next_id + 1
        args = copy_value(args)
        span, cause = self.loop.span, self.loop.cause
        if self.trace.messages:
            cause = self._record_sent(ONEWAY, number, node.name, ref, target_machine, method, span, cause)
        self.route(
            Message(ONEWAY, number, node.name, self.name, ref, target_machine, method, args, span, cause)
        )

    def _unknown(self, ref: str) -> UnknownNode:
        names = list(self.directory)
        known = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return UnknownNode(f"there is no node {ref!r} in this cluster; its nodes are: {known or 'none yet'}")

    def expired(self, call: Call) -> None:
        """No answer in time."""
        if self.held is not None:
            self.held.append((self.expired, call))
            return
        if call.done or not self.alive:
            return
        self.pending.pop(call.id, None)
        loop = self.loop
        if self.trace.on:
            data = {
                "message": call.id,
                "to": call.target,
                "to_machine": call.target_machine,
                "method": call.method,
                "after": call.after,
            }
            call.cause = self.trace.record(loop.now, self.name, call.source, "timed_out", None, call.sent, data)
        call.set_error(
            Timeout(
                f"{call.target} on {call.target_machine} did not answer {call.method} within {call.after} s; "
                "it may have carried it out"
            )
        )

    # receiving -------------------------------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """A message has arrived: a paused machine keeps it, a slow one looks at it later."""
        if self.held is not None:
            self.held.append((self.deliver, message))
        elif self.factor > 1.0:
            self.loop.call_later((self.factor - 1.0) * SERVICE_TIME, self.accept, message)
        else:
            self.accept(message)

    def accept(self, message: Message) -> None:
        """Look at a message: resolve the call it answers, or run the handler it asks for."""
        what, number, _, _, target, _, method, payload, span, cause = message
        if self.held is not None:
            self.held.append((self.accept, message))
            return
        if not self.alive:
            self.dropped(message, f"{self.name} is dead")
            return
        if self.trace.messages:
            cause = self._record_delivered(message)
        loop = self.loop
        if what == REPLY:
            call = self.pending.pop(number, None)
            if call is not None:
                call.cause = cause
                call.resolve(payload)
            return
        if what == ERROR:
            call = self.pending.pop(number, None)
            if call is not None:
                call.cause = cause
                call.set_error(payload.to_exception())
            return
        node = self.nodes.get(target)
        if node is None:
            if target in self.coming:
                self.coming[target].append(message)
                return
            self.dropped(message, f"{target} has stopped")
            return
        loop.span, loop.cause = span, cause
        try:
            handler = node._rpcs.get(method)
            if handler is None:
                raise _no_handler(node, method)
            value = handler(node, *payload)
        except Exception as error:
            self._failed(node, message, error)
            return
        kind = type(value)
        if kind is CoroutineType:
            Handling(self, node, message, value).step(None)
        elif kind is Call or isinstance(value, Future):  # a plain handler that forwards: return self.call(...)
            value.add_done(Forwarding(self, node, message))
        elif what == REQUEST:
            self.answer(message, value)

    def _failed(self, node: Node, message: Message, error: BaseException) -> None:
        """To the caller if there is one; else nobody awaits it."""
        if message.what == REQUEST:
            self._reply(message, ERROR, Failure.of(error))
        else:
            self.crashed(node, error)

    def answer(self, message: Message, value: Any) -> None:
        """Send the result back."""
        if type(value) not in ATOMS:
            try:
                value = copy_value(value)
            except Exception as error:
                self._reply(message, ERROR, Failure.of(error))
                return
        self._reply(message, REPLY, value)

    def _reply(self, request: Message, what: str, payload: Any) -> None:
        _, number, source, source_machine, target, _, method, _, span, _ = request
        cause = self.loop.cause
        if self.trace.messages:
            cause = self._record_sent(what, number, target, source, source_machine, method, span, cause)
        self.route(
            _new(Message, (what, number, target, self.name, source, source_machine, method, payload, span, cause))
        )

    # message events --------------------------------------------------------------------------------------------

    def _record_sent(
        self, what: str, number: int, source: str, to: str, to_machine: str, method: str, span: int | None, cause: int | None
    ) -> int:
        data = {"message": number, "to": to, "to_machine": to_machine, "method": method, "what": what}
        return self.trace.record(self.loop.now, self.name, source, "sent", span, cause, data)

    def _record_delivered(self, message: Message) -> int:
        data = {
            "message": message.id,
            "from": message.source,
            "from_machine": message.source_machine,
            "method": message.method,
            "what": message.what,
        }
        return self.trace.record(
            self.loop.now, self.name, message.target, "delivered", message.span, message.cause, data
        )

    def dropped(self, message: Message, reason: str) -> None:
        """It will not arrive. Nobody is told: the sender finds out by its timeout."""
        if self.trace.messages:
            data = {
                "message": message.id,
                "to": message.target,
                "to_machine": message.target_machine,
                "method": message.method,
                "what": message.what,
                "reason": reason,
            }
            self.trace.record(
                self.loop.now, message.source_machine, message.source, "dropped", message.span, message.cause, data
            )


class Handling(Task):
    """A task that runs an async handler and sends what it returns."""

    __slots__ = ("machine", "message")

    def __init__(
        self, machine: Machine, node: Node, message: Message, coro: Coroutine[Any, Any, Any]
    ) -> None:
        Task.__init__(self, machine.loop, coro, node)
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


def _no_handler(node: Node, method: str) -> Exception:
    kind = type(node).__name__
    offered = ", ".join(sorted(node._rpcs)) or "none"
    if callable(getattr(type(node), method, None)):
        return NotAnRpc(f"{kind}.{method} is not an rpc: mark it @rpc to let others call it. {kind} offers: {offered}")
    return UnknownMethod(f"{kind} {node.name} has no method {method!r}; it offers: {offered}")
