"""What a click does. Every action returns at once: it changes the panel's position, or starts a worker
thread.

Faults go through the cluster, so they are checked there and recorded in its schedule. The table of what a
person can do is the names of the methods: a control that sends `{"action": "kill", "machine": "m2"}` ends in
`on_kill("m2")`.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from labkit.trace.fold import History
from labkit.trace.machines import MachineView

from .clock import Position
from .poller import POLLER

#: How much slower *slow* makes a machine.
SLOW = 10.0


class Actions:
    """The part of a panel that acts. What it works on is set up by `Panel`."""

    cluster: Any
    history: History
    position: Position
    error: str
    _code: str
    _machines: tuple[MachineView, ...]
    _work: dict[str, threading.Thread]
    _closed: bool
    _last_now: float

    def _gone(self) -> bool:
        return bool(getattr(self.cluster, "closed", False))

    def _paced(self) -> bool:
        return not self._gone() and getattr(self.cluster, "pace", None) is not None

    def act(self, action: str, /, **data: Any) -> None:
        """Do what a control asks. Unknown actions and failures end in the error line."""
        try:
            handler = getattr(self, f"on_{action}", None)
            if handler is None:
                raise ValueError(f"this panel has no action {action!r}")
            handler(**data)
        except Exception as error:
            self.fail(error, f"{action} failed")
        POLLER.wake()

    def later(self, key: str, call: Callable[[], Any], done: Callable[[Any], None] | None = None) -> None:
        """Run `call` in a worker thread, `done(result)` after it.

        A second one of the same key waits for nobody: it is dropped.
        """
        running = self._work.get(key)
        if running is not None and running.is_alive():
            return

        def work() -> None:
            try:
                result = call()
                if done is not None and not self._closed:
                    done(result)
            except Exception as error:
                self.fail(error, f"{key} failed")
            POLLER.wake()

        self._work[key] = threading.Thread(target=work, name=f"labkit-panel-{key}", daemon=True)
        self._work[key].start()

    def fail(self, error: BaseException, what: str) -> None:
        """Show an error in the panel: an exception in a callback shows nowhere else in a notebook."""
        lines = traceback.format_exception_only(type(error), error)
        self.error = f"{what}: {''.join(lines).strip()}"

    def on_dismiss(self) -> None:
        """Clear the error line."""
        self.error = ""

    def on_kill(self, machine: str) -> None:
        """Kill a machine."""
        self.later(f"kill {machine}", lambda: self.cluster.kill(machine))

    def on_restart(self, machine: str) -> None:
        """Restart a dead machine."""
        self.later(f"restart {machine}", lambda: self.cluster.restart(machine))

    def on_pause(self, machine: str | None = None) -> None:
        """Pause a machine; without one: pause the run, or the replay."""
        if machine is not None:
            self.later(f"pause {machine}", lambda: self.cluster.pause(machine))
        elif self.position.live and self._paced():
            self.cluster.pace = None
        else:  # a run on real machines cannot be held; the view can
            self.position = self.position.hold(self._last_now)

    def on_resume(self, machine: str) -> None:
        """Let a paused machine go on."""
        self.later(f"resume {machine}", lambda: self.cluster.resume(machine))

    def on_slow(self, machine: str) -> None:
        """Make a machine slow."""
        self.later(f"slow {machine}", lambda: self.cluster.slow(machine, SLOW))

    def on_normal(self, machine: str) -> None:
        """Make a slow machine normal."""
        self.later(f"slow {machine}", lambda: self.cluster.slow(machine, 1.0))

    def on_play(self) -> None:
        """Replay from the position in the past; live: let simulated time run at the chosen speed."""
        if not self.position.live:
            self.position = self.position.play(self._last_now)
        elif self._gone():
            self.position = self.position.seek(self.history.span[0]).play(self._last_now)
        elif self.cluster.engine == "sim":
            self.cluster.pace = self.position.speed

    def on_speed(self, factor: float) -> None:
        """Choose the speed of replay and of simulated time."""
        self.position = replace(self.position, speed=float(factor))
        if self.position.live and self._paced():
            self.cluster.pace = float(factor)

    def on_step(self, by: int) -> None:
        """One event forward or back in the past; live: let the simulator do one event."""
        if self.position.live and by > 0:
            self.later("step", lambda: self.cluster.step(1))
            return
        at = self.position.at if self.position.at is not None else self._last_now
        found = self.history.next_time(at) if by > 0 else self.history.last_time(at)
        if found is not None:
            self.position = self.position.seek(found)

    def on_seek(self, position: float | None) -> None:
        """Look at a moment of the past; None: back to the present."""
        self.position = self.position.seek(position)

    def on_live(self) -> None:
        """Back to the present."""
        self.position = self.position.seek(None)

    def on_code(self, close: bool = False) -> None:
        """Show the run so far as the text of a code cell."""
        self._code = "" if close else self.code()

    def code(self) -> str:
        """The cluster and its faults as code: a run explored by hand becomes a script."""
        machines = [m.name for m in self._machines]
        numbered = machines == [f"m{k + 1}" for k in range(len(machines))]
        what = str(len(machines)) if numbered else repr(machines)
        return (
            "from labkit import *\n\n"
            f"schedule = {self.cluster.schedule}\n"
            f'cluster = Cluster({what}, engine="sim", seed={self.cluster.seed!r}, schedule=schedule)\n'
        )
