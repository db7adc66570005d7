"""The run of a notebook under nbval, as the trusted process follows it: which cell runs, what it said, and
whether a fault of it is the student's or ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

from .bridge import ENDED
from .judging import Judge
from .taken import ANSWER, CHECK, OWN

__all__ = ["KernelEnded", "Plugin"]

#: Characters of what a cell said that are kept.
MOST_WORDS = 300

#: So many times the output that is read may come: more than that is thrown away, and then it is an attack.
FLOOD = 64

#: Seconds that a cell of the student's own has at least.
LEAST_SECONDS = 1.0

#: Seconds in which a cell that is interrupted must have ended: on a busy computer it takes a while.
INTERRUPTED_WITHIN = 20.0

#: Errors of a cell of the exercise's own, or of a check that never asked the judge, which are the machine's.
OF_THE_MACHINE = {kind.__name__ for kind in OSError.__subclasses__()} | {"OSError", "ModuleNotFoundError"}

#: How a process ends by somebody else's doing; what a program does wrong (SIGSEGV, …) is its own.
FROM_OUTSIDE = (
    *(
        signal.SIGKILL,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGBUS,
        signal.SIGPIPE,
    ),
)


class KernelEnded(Exception):
    """The kernel was ended, or ended itself."""


class Plugin:
    """What nbval's run tells us, and what it may not do to us."""

    def __init__(self, judging: Judge, job: dict[str, Any]) -> None:
        self.judging = judging
        self.job = job
        self.limits = job["limits"]
        #: grade_id -> whether the cell ran without an error, and what it said.
        self.cells: dict[str, tuple[bool, str]] = {}
        self.trouble = ""
        #: A cell of the student's has begun: what fails from now on may be its doing.
        self.answers = False
        #: Characters of output that came; and seconds that are left for cells of the student's own.
        self.said = 0
        self.own_left = self.limits["own_seconds"]
        self.process: Any = None

    # --- pytest calls these -----------------------------------------------------------------------------

    def pytest_runtest_setup(self, item: Any) -> None:
        self.judging.cell = self._cell_of(item)
        own = self.judging.cell.startswith(OWN)
        self.limit = max(self.own_left, LEAST_SECONDS) if own else self.limits["cell_seconds"]
        item.config.option.nbval_cell_timeout = self.limit
        item.output_timeout = INTERRUPTED_WITHIN

    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        name = self._cell_of(item)
        if call.when == "setup" and call.excinfo is not None:
            self.fail(f"the kernel did not start: {call.excinfo.value}")
        if call.when == "setup":
            self.answers = self.answers or name.startswith((ANSWER, OWN))
        if call.when == "call":
            kind, words = self._words(item, call)
            # An answer may be in several cells: what is told is what one of them raised.
            ran, before = self.cells.get(name, (True, ""))
            self.cells[name] = ran and call.excinfo is None, before or words
            if name.startswith(OWN):
                self.own_left -= call.duration
            elif call.excinfo is not None and not name.startswith(ANSWER):
                self._trusted_failed(name, kind, words)

    def pytest_runtest_teardown(self, item: Any, nextitem: Any) -> None:
        self.judging.over = nextitem is None

    def _trusted_failed(self, name: str, kind: str, words: str) -> None:
        task = name.removeprefix(CHECK)
        if not self.answers:
            self.fail(f"a cell of the exercise failed before any answer was run: {words}")
        elif kind in OF_THE_MACHINE and not (name.startswith(CHECK) and task in self.judging.verdicts):
            self.fail(f"a cell of the exercise failed: {words}")

    def fail(self, why: str) -> None:
        """It cannot be graded, through no fault of the student's."""
        self.trouble = self.trouble or why

    def _cell_of(self, item: Any) -> str:
        return str(item.cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {item.cell_num}"))

    def _words(self, item: Any, call: Any) -> tuple[str, str]:
        """The name of the error that a cell raised, and what it said."""
        if call.excinfo is None:
            return "", ""
        for output in item.test_outputs or []:
            if output.output_type == "error":
                if output.ename == "KeyboardInterrupt":  # nbval's, at its timeout
                    return "", f"Timeout: stopped after {self.limit:.3g} s"
                return str(output.ename), f"{output.ename}: {output.evalue}"[:MOST_WORDS]
        return "", str(call.excinfo.value)[:MOST_WORDS]

    # --- the kernel -------------------------------------------------------------------------------------

    def status(self) -> int | None:
        """The exit status of the kernel; None while it runs."""
        return self.process.poll() if self.process is not None else None

    def killed(self) -> str:
        """The signal by which somebody else has ended the kernel, if so."""
        status = self.status()
        if not self.judging.by_itself or status is None:
            return ""
        number = -status if status < 0 else status - 128  # bubblewrap tells it like a shell
        return signal.Signals(number).name if number in FROM_OUTSIDE else ""

    def listen_with_care(self) -> None:
        """Have nbval start the kernel with sockets that are files, read its outputs as they come, and only so
        many of them."""
        from jupyter_client.connect import ConnectionFileMixin
        from nbval import kernel as nbval

        limit, plugin = 16 * self.limits["output"], self
        connect = ConnectionFileMixin._create_connected_socket

        def bounded(*args: Any, **options: Any) -> Any:
            found = connect(*args, **options)
            found.maxmsgsize, found.rcvhwm = limit, 100
            return found

        def get_message(kernel: Any, stream: str, timeout: float | None = None) -> Any:
            return plugin.message(kernel, stream, timeout)

        ConnectionFileMixin._create_connected_socket = bounded
        nbval.RunningKernel.get_message = get_message
        nbval.start_new_kernel = self.start_kernel

    def start_kernel(self, startup_timeout: float = 60, kernel_name: str = "cage", **options: Any) -> Any:
        """As nbval's, but over Unix sockets: they need no network, and nobody else can take a port."""
        from jupyter_client.manager import KernelManager

        manager = KernelManager(
            kernel_name=kernel_name, transport="ipc", ip=str(Path(self.job["sockets"], "k"))
        )
        manager.start_kernel(**options)
        self.process = manager.provisioner.process  # type: ignore[union-attr]
        manager.interrupt_kernel = self._interrupt  # type: ignore[assignment]
        shutdown = manager.shutdown_kernel

        def shutdown_kernel(*args: Any, **options: Any) -> None:
            """nbval gives it up; or the notebook has come to its end."""
            if not self.judging.over:
                self.judging.end(f"a cell went on for {INTERRUPTED_WITHIN:g} s after it had been interrupted")
            shutdown(*args, **options)

        manager.shutdown_kernel = shutdown_kernel  # type: ignore[method-assign]
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=startup_timeout)
        except RuntimeError:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            raise
        return manager, client

    def _interrupt(self) -> None:
        """Interrupt the kernel itself: what nbval started may be the sandbox round it."""
        if self.judging.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.judging.pid, signal.SIGINT)

    def message(self, kernel: Any, stream: str, timeout: float | None) -> Any:
        """The next message of a stream; outputs are collected meanwhile, and counted."""
        from queue import Empty

        outputs = kernel.__dict__.setdefault("outputs", deque())
        end = time.monotonic() + (60.0 if timeout is None else timeout)
        while True:
            self._collect(kernel, outputs)
            if stream == "iopub" and outputs:
                return outputs.popleft()
            if stream == "shell":
                with contextlib.suppress(Empty):
                    return kernel.kc.get_shell_msg(timeout=0.02)
            if self.judging.ended or self.status() is not None:
                self.judging.end(ENDED, by_itself=True)
                raise KernelEnded(self.judging.ended)
            if time.monotonic() > end:
                raise Empty
            if stream == "iopub":
                with contextlib.suppress(Empty):
                    self._take(outputs, kernel.kc.get_iopub_msg(timeout=0.05))

    def _collect(self, kernel: Any, outputs: Any) -> None:
        from queue import Empty

        with contextlib.suppress(Empty):
            while True:
                self._take(outputs, kernel.kc.get_iopub_msg(timeout=0))

    def _take(self, outputs: Any, message: Any) -> None:
        self.said += len(str(message["content"]))
        if self.said > FLOOD * self.limits["output"]:
            self.judging.end(f"it printed more than {FLOOD * self.limits['output'] >> 10} KiB")
            raise KernelEnded(self.judging.ended)
        shows = message["msg_type"] in ("stream", "display_data", "update_display_data", "execute_result")
        if shows and self.said > self.limits["output"]:
            return  # what is printed does not count
        outputs.append(message)

    @property
    def notes(self) -> list[str]:
        """Remarks on the run."""
        most = self.limits["output"]
        return [f"of what it printed only the first {most >> 10} KiB were read"] if self.said > most else []
