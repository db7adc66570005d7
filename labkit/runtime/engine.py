"""What an engine is: the one interface that ``Cluster`` uses, and nothing above ``Cluster`` knows which
engine it has.

Both engines share ``Machine`` (dispatch, timeouts, copies), ``Network``, ``Disk`` and ``Trace``. An engine
adds where machines live, how messages travel between them, what time is, and how a fault becomes real.
"""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from labkit.runtime.faults import Fault
from labkit.runtime.loop import Future
from labkit.runtime.machine import Machine
from labkit.runtime.message import NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.node import Node
from labkit.runtime.raised import StopSignal
from labkit.trace.trace import Trace

__all__ = ["CLIENT", "Client", "Engine", "deferred_interrupt", "take_as_one_press"]

#: The name of the user's own process as a machine, and of the node on it from which the user's calls come.
CLIENT = "client"


#: Seconds within which two presses of Ctrl-C are one; and if they follow a stop that was so few seconds ago.
DOUBLE_PRESS = 0.2
HURRIED_PRESS, HURRIED_WITHIN = 0.8, 2.0


class Client(Node):
    """The user's end of every call: a node without handlers on the machine ``client``."""


class Engine(ABC):
    """See the module's text. Every method may be called from any thread."""

    kind: str  #: "sim" or "ray"
    trace: Trace
    network: Network
    directory: dict[str, str]
    specs: dict[str, dict[str, NodeSpec]]  #: by machine and node: what a restart starts
    client_machine: Machine
    crashes: list[tuple[str, BaseException]]  #: exceptions that nobody awaited, and no user has heard of
    client: Node

    @abstractmethod
    def start(self, machines: list[str]) -> None:
        """Bring up the machines. Raises ``EngineUnavailable`` if this engine cannot run here."""

    @property
    @abstractmethod
    def now(self) -> float:
        """Seconds since the cluster began."""

    @abstractmethod
    def pid(self, machine: str) -> int | None:
        """The machine's process, if it has one."""

    @abstractmethod
    def spawn(self, batches: dict[str, list[NodeSpec]]) -> None:
        """Start these nodes on these machines; every machine knows all their names before the first one
        starts."""

    @abstractmethod
    def spawn_here(self, spec: NodeSpec) -> Node:
        """Start a node on the client's machine, with its arguments as they are; every machine knows its name
        first."""

    @abstractmethod
    def remove(self, machine: str, node: str) -> None:
        """Stop one node for good."""

    def forget(self, machine: str, node: str) -> None:
        """A node of a dead machine is not to start again with it."""
        self.specs[machine].pop(node, None)

    @abstractmethod
    def state(self, machine: str, node: str, attributes: tuple[str, ...]) -> dict[str, Any]:
        """Copies of some attributes of a node."""

    @abstractmethod
    def apply(self, fault: Fault) -> None:
        """Make the fault real; it is when this returns. ``Cluster`` has checked that it makes sense."""

    @abstractmethod
    def at(self, time: float, callback: Callable[[], None]) -> None:
        """Call back at this time of the cluster."""

    @abstractmethod
    def soon(self, callback: Callable[[], None]) -> None:
        """Call back as soon as the event being recorded is over."""

    @abstractmethod
    def do(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` where the client's loop runs, between two of its callbacks, and return what it
        returns."""

    @abstractmethod
    def exclusively(self, action: Callable[[], Any]) -> Any:
        """Run ``action``, which applies a fault, while no other fault is being applied."""

    @abstractmethod
    def record(
        self, machine: str, node: str | None, kind: str, span: int | None, data: dict[str, Any]
    ) -> int:
        """Record an event of the client's; returns its ``seq``."""

    def strike(self, action: Callable[[], Any], check: Callable[[], Any]) -> None:
        """Run ``action``, which applies a fault that the user asks for now; ``check`` raises if it makes
        no sense."""
        self.exclusively(action)

    def turn(self, waits: bool = False) -> None:  # noqa: B027 - nothing to do unless time is virtual
        """The user is about to act; ``waits``: and will wait for the outcome, which nobody can do inside
        of the loop."""

    def struck(self, fault: Fault) -> None:  # noqa: B027 - nothing to do for most
        """Called after a fault was applied and recorded."""

    @abstractmethod
    def wait(self, future: Future) -> None:
        """Return once the future is resolved, or ``client_failed``.

        Ctrl-C raises ``KeyboardInterrupt`` and leaves the engine whole.
        """

    def give_up(self, span: int | None) -> None:  # noqa: B027 - real processes hear of it by messages
        """The user has stopped the operation of this span."""

    @abstractmethod
    def run(self, seconds: float) -> None:
        """Let this much time pass."""

    @abstractmethod
    def step(self, events: int) -> None:
        """Let the next events happen."""

    @property
    def client_failed(self) -> bool:
        """Whether a node in the user's own process raised what nobody awaits: who waits for it may wait in
        vain."""
        homes = self.client_machine.directory
        return any(node != CLIENT and homes.get(node) == CLIENT for node, _ in list(self.crashes))

    @abstractmethod
    def take_crashes(self) -> list[tuple[str, BaseException]]:
        """Exceptions that nobody awaited, since last asked."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; harmless when called again."""


class _CtrlC:
    """The handler of Ctrl-C inside ``deferred_interrupt``."""

    def __init__(self, at_once: Callable[[], bool], patience: float | None) -> None:
        self.at_once, self.patience = at_once, patience
        self.presses = 0
        self.inside = True
        self._timer: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C was pressed, or had no effect for so long."""
        self.presses += 1
        if not self.inside:
            return
        if self.patience is not None:
            self._timer = threading.Timer(self.patience, self._again)
            self._timer.daemon = True
            self._timer.start()
        if self.presses > 1 or self.at_once():
            raise StopSignal

    def _again(self) -> None:
        main = threading.main_thread().ident
        if self.inside and main is not None:
            signal.pthread_kill(main, signal.SIGINT)  # which ends a system call, too

    def leave(self) -> None:
        """From now on it raises nothing."""
        self.inside = False
        if self._timer is not None:
            self._timer.cancel()


@contextmanager
def deferred_interrupt(
    at_once: Callable[[], bool] = lambda: False, patience: float | None = None
) -> Iterator[Callable[[], bool]]:
    """While inside, Ctrl-C only sets a flag, which the yielded function reads: a ``KeyboardInterrupt`` in the
    middle of a handler would leave that node half way through a change.

    It strikes where it is, as ``StopSignal``, while ``at_once()``; at the second press; and ``patience``
    seconds after the first, if the block has not ended by then. Out of the block comes ``KeyboardInterrupt``.
    """
    previous = signal.getsignal(signal.SIGINT)
    # Only the main thread hears of signals; and one that is ignored, or is not Python's, stays so.
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield lambda: False
        return
    pressed = _CtrlC(at_once, patience)
    signal.signal(signal.SIGINT, pressed)
    heard = 0

    def interrupted() -> bool:
        nonlocal heard
        heard = pressed.presses
        return heard > 0

    try:
        yield interrupted
    except StopSignal:
        heard = pressed.presses
        raise KeyboardInterrupt from None
    finally:
        pressed.leave()
        signal.signal(signal.SIGINT, previous)
        if pressed.presses and not heard:  # at the very end, when nobody looked any more
            raise KeyboardInterrupt


class _Stops:
    """The stops of this process: signals are the process's, too."""

    last = -HURRIED_WITHIN


def take_as_one_press() -> None:
    """After Ctrl-C: who presses twice in a moment means what was stopped, and not what comes next."""
    now = time.monotonic()
    hurried = now - _Stops.last < HURRIED_WITHIN
    _Stops.last = now
    with deferred_interrupt():
        time.sleep(HURRIED_PRESS if hurried else DOUBLE_PRESS)
