"""A node: a class whose handlers touch the world through ``self`` and nothing else.

::

    class Chatterbox(Node):
        async def start(self):       # also after a restart: self.disk survived, attributes did not
            self.friends = self.disk.get("friends", ())

        @rpc
        async def greet(self, name):
            await self.sleep(0.1)
            return f"hello {name}"

        @every(seconds=1.0)
        async def gossip(self):
            for friend in self.friends:
                reply = await self.call(friend, "greet", self.name, timeout=0.5)
                self.emit("greeted", friend=friend, reply=reply)

No clock, no ``random``, no thread, no socket, no global: then the same code runs in the simulator, where
program, seed and faults determine every event, and in real processes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import CORO_RUNNING, getcoroutinestate
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from labkit.runtime.loop import Cost, Future, Loop, Owner, Task
from labkit.trace.words import Events

if TYPE_CHECKING:
    from random import Random

    from labkit.runtime.disk import Disk, Files
    from labkit.trace.trace import Trace

__all__ = ["DEFAULT_TIMEOUT", "Node", "Periodic", "every", "rpc"]

#: Seconds a call waits for its answer unless told otherwise.
DEFAULT_TIMEOUT = 5.0

Handler = TypeVar("Handler", bound=Callable[..., Any])


def rpc(handler: Handler) -> Handler:
    """Mark a method as one that other nodes may call."""
    handler._rpc = True  # type: ignore[attr-defined]
    return handler


class Periodic:
    """What ``@every`` leaves on a method: its period in seconds, or the attribute that holds it."""

    def __init__(self, period: float | str, jitter: float) -> None:
        self.period = period
        self.jitter = jitter

    def seconds(self, node: Node) -> float:
        """The period now; an attribute may change while the node runs."""
        period = getattr(node, self.period) if isinstance(self.period, str) else self.period
        if not isinstance(period, (int, float)) or period <= 0:
            raise ValueError(f"@every({self.period!r}) of {node.name} needs seconds > 0, not {period!r}")
        return float(period)


def every(seconds: float | str, jitter: float = 0.1) -> Callable[[Handler], Handler]:
    """Run the method again and again, ``seconds`` after it ended; a string names the attribute that holds the
    seconds.

    Each wait varies by the fraction ``jitter``, and the first begins at a random phase, so that nodes do not
    march in step. ``seconds=None`` in the attribute (see ``Node.start``) means never.
    """
    if not isinstance(seconds, str) and not (isinstance(seconds, (int, float)) and seconds > 0):
        raise ValueError(f"every(seconds) needs a number > 0 or an attribute's name, not {seconds!r}")
    if not 0 <= jitter < 1:
        raise ValueError(f"jitter is a fraction of the period, 0 <= jitter < 1, not {jitter!r}")

    def mark(handler: Handler) -> Handler:
        handler._every = Periodic(seconds, jitter)  # type: ignore[attr-defined]
        return handler

    return mark


def _own_names() -> set[str]:
    """The private names of ``Node``: a subclass that had one of them would replace what it works with."""
    return {
        name
        for part in Node.__mro__
        for name in {*vars(part), *vars(part).get("__annotations__", ())}
        if name.startswith("_") and not name.startswith("__")
    }


class Home(Protocol):
    """What a node asks of the machine that it lives on: a ``Machine`` has it."""

    name: str
    seed: int
    loop: Loop
    trace: Trace

    def call(self, node: Node, ref: str, method: str, args: tuple[Any, ...], timeout: float | None) -> Future:
        """Send a request; the future of its answer."""

    def send(self, node: Node, ref: str, method: str, args: tuple[Any, ...]) -> None:
        """Send a message that nobody answers."""

    def compute(self, work: Callable[..., Any], args: tuple[Any, ...], cost: Cost) -> Future:
        """Work beside the machine's other nodes."""

    def emit(self, node: Node, kind: str, data: dict[str, Any]) -> None:
        """Record an event of the node's."""

    def crashed(self, node: Node, error: BaseException) -> None:
        """Hear of an exception that nobody awaits."""

    def random_of(self, node: Node) -> Random:
        """The node's stream of random numbers."""

    def disk_of(self, node: Node) -> Disk:
        """The node's mapping on the disk."""

    def files_of(self, node: Node) -> Files:
        """The node's large files."""


class Node(Owner):
    """Subclass it. ``__init__`` only stores its arguments; ``start`` acts. See the module's text."""

    #: How the events that it emits read in words; None: as their kind and data.
    events: ClassVar[Events | None] = None

    #: Methods marked ``@rpc``, and those marked ``@every``, by name; filled in for each subclass.
    _rpcs: ClassVar[dict[str, Callable[..., Any]]] = {}
    _periodics: ClassVar[dict[str, Callable[..., Any]]] = {}

    #: The node's name, unique in its cluster; also how others refer to it.
    name: str
    _machine: Home
    _tasks: dict[Task, None]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        own = _own_names()
        for part in cls.__mro__:
            # What is a node itself was checked when it was made; others are mixed in.
            if part is cls or (not issubclass(part, Node) and part not in Node.__mro__):
                taken = sorted(own & vars(part).keys())
                if taken:
                    which = f"{part.__qualname__} defines {', '.join(taken)}"
                    raise TypeError(f"{which}, which Node uses itself: choose another name")
        cls._rpcs, cls._periodics = {}, {}
        for ancestor in reversed(cls.__mro__):
            for name, member in vars(ancestor).items():
                if getattr(member, "_rpc", False):
                    cls._rpcs[name] = member
                if getattr(member, "_every", None) is not None:
                    cls._periodics[name] = member

    def start(self) -> Any:
        """Called once the node is up, and again after each restart. Override it, ``async`` or plain."""

    # the world ------------------------------------------------------------

    @property
    def ref(self) -> str:
        """What to send to others so that they can call this node: its name."""
        return self.name

    @property
    def machine(self) -> str:
        """The name of the machine it runs on."""
        return self._machine.name

    @property
    def now(self) -> float:
        """Seconds since the cluster began: virtual in the simulator, real on Ray."""
        return self._machine.loop.now

    @property
    def random(self) -> Random:
        """This node's own stream of random numbers, from the cluster's seed and its name."""
        return self._machine.random_of(self)

    @property
    def seed(self) -> int:
        """The cluster's seed, for streams of random numbers that are not this node's own."""
        return self._machine.seed

    @property
    def disk(self) -> Disk:
        """A mapping on the machine's disk: what was synced survives a crash."""
        return self._machine.disk_of(self)

    @property
    def files(self) -> Files:
        """Large files on the machine's disk: they survive a crash. See ``labkit.runtime.disk.Files``."""
        return self._machine.files_of(self)

    def call(self, ref: str, method: str, *args: Any, timeout: float | None = DEFAULT_TIMEOUT) -> Future:
        """Ask another node and await its answer.

        Raises ``Timeout`` (it may have happened), the exception that the remote handler raised, or a
        ``Definite`` error (unknown node or method: it did not happen). ``timeout`` in seconds; None waits
        for ever.
        """
        return self._machine.call(self, ref, method, args, timeout)

    def send(self, ref: str, method: str, *args: Any) -> None:
        """Tell another node, one way; it may be lost, and nobody will know."""
        self._machine.send(self, ref, method, args)

    def sleep(self, seconds: float) -> Future:
        """Resolved ``seconds`` from now."""
        return self._machine.loop.sleep(seconds)

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> Task:
        """Run a coroutine beside this one; it ends with the node. If it fails and nobody awaits it, the
        failure is a crash."""
        return Task(self._machine.loop, coro, self).start()

    def compute(self, work: Callable[..., Any], *args: Any, cost: Cost = 0.0) -> Future:
        """Await ``work(*args)`` without stopping the machine's other nodes.

        On Ray it runs in a thread. In the simulator it runs at once and takes ``cost`` seconds of virtual
        time, a number or a function of the result. Either way a slow machine takes longer.
        """
        return self._machine.compute(work, args, cost)

    @property
    def given_up(self) -> bool:
        """Whether the user has stopped the operation that this step belongs to. Only the simulator knows:
        there a message that says so would come after the next long computation."""
        loop = self._machine.loop
        return loop.span in loop.given_up

    @property
    def traced(self) -> bool:
        """Whether events are recorded: for an ``emit`` whose data take long to put together."""
        return self._machine.trace.on

    def emit(self, kind: str, /, **data: Any) -> None:
        """Record one event of this node in the trace."""
        self._machine.emit(self, kind, data)

    # how tasks know their node ------------------------------------------------------------

    def _task_failed(self, task: Task, error: BaseException) -> None:
        self._machine.crashed(self, error)

    def _remember(self, task: Task) -> None:
        self._tasks[task] = None

    def _forget(self, task: Task) -> None:
        self._tasks.pop(task, None)

    def _close_tasks(self) -> None:
        """It has ended, and so has all that it was doing; but for the task that has just ended it."""
        for task in list(self._tasks):
            if getcoroutinestate(task.coro) != CORO_RUNNING:
                task.close()
        self._tasks.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'name', 'not started')}>"
