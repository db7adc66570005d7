"""What a click does. Every action returns at once: it changes the panel's position, or starts a worker
thread (where there are threads).

Faults go through the cluster, so they are checked there and recorded in its schedule. The table of what a
person can do is the names of the methods: a control that sends `{"action": "kill", "machine": "m2"}` ends in
`on_kill("m2")`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from labkit.runtime.beside import Beside, start
from labkit.runtime.errors import LabError
from labkit.runtime.script import Made, script
from labkit.trace.fold import History
from labkit.trace.machines import MachineView

from .clock import Position
from .poller import POLLER
from .stage import Part

#: How much slower *slow* makes a machine.
SLOW = 10.0
#: What reads the files of a trace.
OPEN_WITH = {
    "trace": '; Trace.load("{}") reads it',
    "perfetto": "; open it at ui.perfetto.dev",
    "shiviz": "; open it at bestchai.bitbucket.io/shiviz",
}


class Actions:
    """The part of a panel that acts. What it works on is set up by `Panel`."""

    cluster: Any
    history: History
    position: Position
    top: Part
    compact: bool
    _written: str
    error: str
    #: Where the error is shown: the part whose control was pressed.
    error_at: Part | None
    _beside: dict[str, Part]
    _code: str
    _machines: tuple[MachineView, ...]
    _work: dict[str, Beside]
    #: What is done for actions that have no method: controls bring it along.
    doing: dict[str, Callable[..., None]]
    _closed: bool
    _last_now: float
    #: Of the action in progress: whether a worker thread does it, and where its error is shown.
    _waits = False
    _showing = False  # the panel itself sets a control, and nobody asks for anything
    _place: Part | None = None

    @property
    def system(self) -> Any:
        """What is reset."""
        raise NotImplementedError

    def _left(self) -> bool:
        """Whether the system's cluster was closed, or reset without it."""
        return bool(getattr(self.system, "over", False))

    def _gone(self) -> bool:
        """Whether the run that it shows is over."""
        return self._left() or bool(getattr(self.cluster, "closed", False))

    def _paced(self) -> bool:
        return not self._gone() and getattr(self.cluster, "pace", None) is not None

    def act(self, action: str, /, *given: Any, **data: Any) -> None:
        """Do what a control asks. Unknown actions and failures are told beside the control."""
        self._waits, self._place = False, self._beside.get(action)
        try:
            handler = self.doing.get(action) or getattr(self, f"on_{action}", None)
            if handler is None:
                raise ValueError(f"this panel has no action {action!r}")
            handler(*given, **data)
            if not self._waits and not self._showing:
                self.on_dismiss()
        except Exception as error:
            self.fail(error, action, self._place)
        POLLER.wake()

    def later(self, key: str, call: Callable[[], Any], done: Callable[[Any], None] | None = None) -> None:
        """Run `call` in a worker thread, `done(result)` after it.

        A second one of the same key waits for nobody: it is dropped.
        """
        self._waits, place = True, self._place
        running = self._work.get(key)
        if running is not None and running.alive:
            return

        def work() -> None:
            try:
                result = call()
                if done is not None and not self._closed:
                    done(result)
                self.on_dismiss()
            except Exception as error:
                self.fail(error, key, place)
            POLLER.wake()

        self._work[key] = start(work, f"labkit-panel-{key}")

    def busy(self, key: str) -> bool:
        return key in self._work and self._work[key].alive

    def fail(self, error: BaseException, what: str, place: Part | None = None) -> None:
        """Show an error in the panel: an exception in a callback shows nowhere else in a notebook."""
        self.error, self.error_at = f"{what[:1].upper()}{what[1:]} did not work: {sentence(error)}", place

    def on_dismiss(self) -> None:
        """What went wrong is read, or something went right since."""
        self.error, self.error_at = "", None

    def on_kill(self, machine: str) -> None:
        """Kill a machine. The second half of a double click finds it dead, which is what was wanted."""
        if self.cluster.machine(machine).state != "dead":
            self.later(f"kill {machine}", lambda: self.cluster.kill(machine))

    def on_restart(self, machine: str) -> None:
        """Restart a dead machine."""
        if self.cluster.machine(machine).state == "dead":
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

    def on_compact(self) -> None:
        """Machines and stage only, or everything again."""
        self.compact = not self.compact

    def on_reset(self) -> None:
        """The same cluster and system once more."""
        if not hasattr(self.system, "reset"):
            raise ValueError("it cannot be reset; run the cells that make it again")
        pace = None if self._gone() else getattr(self.cluster, "pace", None)

        def again(_result: Any) -> None:
            if pace is not None:
                self.system.cluster.pace = pace

        self.later("reset", self.system.reset, again)

    def on_save(self, form: str) -> None:
        """Write the trace beside the notebook: "trace", "perfetto" or "shiviz"."""
        trace, name = self.history.trace, f"{self.cluster.name}-{form}"
        write, ending = {
            "trace": (trace.save, "jsonl"),
            "perfetto": (trace.to_perfetto, "json"),
            "shiviz": (trace.to_shiviz, "log"),
        }[form]

        def done(path: Any) -> None:
            self._written = f"written: {path}" + OPEN_WITH[form].format(path)

        self.later(f"save {form}", lambda: write(f"{name}.{ending}"), done)

    def on_code(self, close: bool = False) -> None:
        """Show the run so far as the text of a code cell."""
        self._code = "" if close else self.code()

    def code(self) -> str:
        """Cluster, system and faults as code: a run explored by hand becomes a script."""
        made = self.system.made() if hasattr(self.system, "made") else Made()
        return script(self.cluster, made, self._last_now)


def sentence(error: BaseException) -> str:
    """What an error says to a person: no path of its class, no fault as code in front.

    A class that is neither labkit's nor a refusal keeps its name: such an error is a mistake of the code.
    """
    words = re.sub(r"^[A-Z]\w*\([^()]*\): ", "", str(error).strip())
    refused = isinstance(error, (LabError, ValueError)) and words
    return words if refused else f"{type(error).__name__}: {words}"
