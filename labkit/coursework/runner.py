"""One submission, graded: the trusted process between the grader and a student's kernel.

``python -m labkit.coursework.runner`` reads a job (JSON) from its standard input and writes the outcome to
its standard output. It runs the assembled notebook under nbval, whose kernel is the cage; beside nbval a
thread judges, and another watches the kernel's processes and memory. This process never runs a student's
code: it sends it to the kernel, and asks.

Marks come only from verdicts of the judge, and only for a cell that nbval has really run.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from labkit.lab.processes import adopt_orphans, die_with_parent

from . import bridge
from .answers import Gone, Wrong
from .exercises import find_tasks
from .tasks import Task, Verdict, judge

__all__ = ["main", "run"]

#: Seconds between two looks at the kernel's processes.
LOOK_EVERY = 0.05

#: Seconds a kernel has to connect.
STARTS_WITHIN = 60.0

#: Characters of what a cell said that are kept.
MOST_WORDS = 1500

PR_SET_DUMPABLE = 4


class Judge(threading.Thread):
    """Answers the checks of the notebook as they come."""

    def __init__(self, job: dict[str, Any], listener: socket.socket) -> None:
        super().__init__(daemon=True, name="labkit-judge")
        self.job = job
        self.listener = listener
        self.tasks = find_tasks(job["exercise"], Path(job["checks"]))
        #: The cell that nbval is running, by its grade_id.
        self.cell = ""
        self.verdicts: dict[str, Verdict] = {}
        self.walls: list[str] = []
        self.pid = 0
        #: Why the kernel was ended, in plain words.
        self.ended = ""
        #: The notebook has been run to its end.
        self.over = False
        #: A teacher's further judges of a task.
        self.further: dict[str, list[Task]] = {}
        self.add_hidden_cells()
        self.changed: list[str] = []

    def run(self) -> None:
        try:
            self.listener.settimeout(STARTS_WITHIN)
            line, _ = self.listener.accept()
            self.listener.close()
            self.pid = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            self._converse(line)
        except (Gone, OSError) as error:
            if not self.over:
                self.ended = self.ended or str(error)

    def _converse(self, line: socket.socket) -> None:
        limits = self.job["limits"]
        remote = bridge.Remote(line, self.pid, limits["question_seconds"], limits["task_seconds"])
        while True:
            kind, text = bridge.receive(line)
            if kind == b"H" and not self.walls:
                self.walls = list(json.loads(text)["walls"])
            elif kind == b"T":
                self.changed = self.changed or bridge.names_in(text)
            elif kind == b"X":
                raise Gone(bridge.reason_in(text))
            elif kind == b"C":
                passed, words = self._checked(remote, text)
                bridge.send(line, b"V", json.dumps({"passed": passed, "text": words}))

    def _checked(self, remote: bridge.Remote, text: bytes) -> tuple[bool, str]:
        try:
            name, changed = bridge.checked_request(text)
        except Wrong as wrong:
            return False, str(wrong)
        if self.cell != f"check-{name}" or name in self.verdicts or name not in self.job["tasks"]:
            return True, "judged in the task's own cell"
        self.changed = self.changed or changed
        remote.begin()
        verdict = self._judged(remote, name)
        self.verdicts[name] = verdict
        return verdict.passed, verdict.message or "right"

    def _judged(self, remote: bridge.Remote, name: str) -> Verdict:
        task = self.tasks[name]
        seeds = [*task.visible, *self.job["tasks"][name]["seeds"]]
        try:
            verdict = judge(self.tasks.drawn, task, remote, seeds or [0])
            for hidden in self.further.get(name, ()):
                if verdict.passed:
                    verdict = judge(self.tasks.drawn, hidden, remote, hidden.visible or [0])
            return verdict
        except Gone as gone:
            self.ended = self.ended or str(gone)
            self.verdicts[name] = Verdict(name, False, 0, str(gone))
            raise
        except RecursionError:
            return Verdict(name, False, 0, "the answers led to an endless recursion")

    def add_hidden_cells(self) -> None:
        """A teacher's own judges, which came with the job and are in no file that a student could read."""
        for name, source in self.job.get("hidden_cells", {}).items():
            scope: dict[str, Any] = {"__name__": name.removesuffix(".py")}
            exec(compile(source, name, "exec"), scope)
            for task, further in scope["tasks"].items():
                self.further.setdefault(task, []).append(further)


class Watch(threading.Thread):
    """Ends the kernel when it takes more than it may."""

    def __init__(self, judging: Judge, limits: dict[str, Any]) -> None:
        super().__init__(daemon=True, name="labkit-watch")
        self.judging = judging
        self.limits = limits
        self.stop = threading.Event()

    def run(self) -> None:
        end = time.monotonic() + self.limits["total_seconds"]
        while not self.stop.wait(LOOK_EVERY):
            found = descendants()
            if self.judging.ended and found:
                kill_all()
            elif time.monotonic() > end:
                self.end(f"it took more than {self.limits['total_seconds']:g} s in all")
            elif len(found) > self.limits["processes"]:
                self.end(f"it started more than {self.limits['processes']} processes")
            elif sum(map(memory_of, found)) > self.limits["memory"]:
                self.end(f"it used more than {self.limits['memory'] >> 20} MiB of memory")

    def end(self, why: str) -> None:
        """End the kernel and all that it started."""
        self.judging.ended = self.judging.ended or why
        kill_all()


def descendants() -> list[int]:
    """Every process below this one (those whose parents have died are ours: see ``adopt_orphans``)."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(entry.path, "stat").read_text()
                words = stat.rpartition(")")[2].split()
                if words[0] != "Z":
                    parents.setdefault(int(words[1]), []).append(int(entry.name))
    found: list[int] = []
    below = [os.getpid()]
    while below:
        below = [child for parent in below for child in parents.get(parent, ())]
        found += below
    return found


def memory_of(pid: int) -> int:
    """Bytes of memory that a process has to itself, as well as a quick look can tell."""
    try:
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def kill_all() -> None:
    """End every process below this one; first all stop, so that none can start another meanwhile."""
    for _ in range(200):
        found = descendants()
        if not found:
            break
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
    reap()


def reap() -> None:
    """Collect adopted orphans that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Plugin:
    """What nbval's run tells us, and what it may not do to us."""

    def __init__(self, judging: Judge, watch: Watch, limits: dict[str, Any]) -> None:
        self.judging = judging
        self.watch = watch
        self.limits = limits
        #: grade_id -> whether the cell ran without an error, and what it said.
        self.cells: dict[str, tuple[bool, str]] = {}
        self.trouble = ""

    def pytest_runtest_setup(self, item: Any) -> None:
        self.judging.cell = self._cell_of(item)

    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        if call.when == "setup" and call.excinfo is not None:
            self.trouble = self.trouble or f"the kernel did not start: {call.excinfo.value}"
        if call.when == "call":
            self.cells[self._cell_of(item)] = call.excinfo is None, self._words(item, call)

    def pytest_runtest_teardown(self, item: Any, nextitem: Any) -> None:
        self.judging.over = nextitem is None

    def _cell_of(self, item: Any) -> str:
        return item.cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {item.cell_num}")

    def _words(self, item: Any, call: Any) -> str:
        if call.excinfo is None:
            return ""
        for output in item.test_outputs or []:
            if output.output_type == "error":
                if output.ename == "KeyboardInterrupt":  # nbval's, at its timeout
                    return f"Timeout: stopped after {self.limits['cell_seconds']:g} s"
                return f"{output.ename}: {output.evalue}"[:MOST_WORDS]
        return str(call.excinfo.value)[:MOST_WORDS]

    def listen_with_care(self) -> None:
        """Have nbval read a kernel's outputs as they come, and only so many of them."""
        from jupyter_client.connect import ConnectionFileMixin
        from nbval.kernel import RunningKernel

        limit, plugin = self.limits["output"], self
        connect = ConnectionFileMixin._create_connected_socket

        def bounded(*args: Any, **options: Any) -> Any:
            found = connect(*args, **options)
            found.maxmsgsize, found.rcvhwm = limit, 100
            return found

        def get_message(kernel: Any, stream: str, timeout: float | None = None) -> Any:
            return plugin.message(kernel, stream, timeout)

        ConnectionFileMixin._create_connected_socket = bounded
        RunningKernel.get_message = get_message

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
            if self.judging.ended or not kernel.is_alive():
                raise KernelEnded(self.judging.ended or "the kernel ended")
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
        self.said = getattr(self, "said", 0) + len(str(message["content"]))
        if self.said > self.limits["output"]:
            self.watch.end(f"it printed more than {self.limits['output'] >> 10} KiB")
            raise KernelEnded(self.judging.ended)
        outputs.append(message)


class KernelEnded(Exception):
    """The kernel was ended, or ended itself."""


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Grade the job's notebook: what came out."""
    import pytest

    folder, limits = Path(job["folder"]), job["limits"]
    scratch = folder / "scratch"
    for path in (scratch, folder / "kernels/cage", folder / "runtime"):
        path.mkdir(parents=True)
    notebook = folder / "notebook.ipynb"
    notebook.write_text(json.dumps(job["notebook"]))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "judge.sock"))
    listener.listen(1)
    _write_kernelspec(job, folder, scratch)
    judging = Judge(job, listener)
    watch = Watch(judging, limits)
    plugin = Plugin(judging, watch, limits)
    plugin.listen_with_care()
    judging.start()
    watch.start()
    said = io.StringIO()
    options = ["-p", "nbval.plugin", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-kernel-name", "cage"]
    options += [
        "--nbval-cell-timeout",
        str(limits["cell_seconds"]),
        "-c",
        os.devnull,
        "--assert=plain",
        "--rootdir",
        str(folder),
    ]
    with contextlib.redirect_stdout(said):
        status = pytest.main([*options, str(notebook)], plugins=[plugin])
    watch.stop.set()
    watch.join()
    kill_all()
    trouble = plugin.trouble
    if not trouble and (int(status) > 1 or not plugin.cells):
        trouble = f"pytest ended with status {int(status)}: {said.getvalue()[-MOST_WORDS:]}"
    if not trouble and not judging.walls:
        trouble = f"the kernel never reached the judge: {judging.ended}"
    return {
        "cells": plugin.cells,
        "verdicts": {name: vars(verdict) for name, verdict in judging.verdicts.items()},
        "changed": judging.changed,
        "ended": judging.ended,
        "walls": judging.walls,
        "trouble": trouble,
    }


def _write_kernelspec(job: dict[str, Any], folder: Path, scratch: Path) -> None:
    options = {
        "scratch": str(scratch),
        "socket": str(folder / "judge.sock"),
        "exercise": job["exercise"],
        "checks": job["checks"],
        "limits": job["limits"],
        "uid": job["uid"],
    }
    command = [sys.executable, "-P", "-m", "labkit.coursework.cage", "{connection_file}", json.dumps(options)]
    environment = {
        "HOME": str(scratch),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MPLCONFIGDIR": str(scratch / "matplotlib"),
        "TMPDIR": str(scratch),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    spec = {"argv": command, "display_name": "cage", "language": "python", "env": environment}
    (folder / "kernels/cage/kernel.json").write_text(json.dumps(spec))


def main() -> None:
    """Read a job, write its outcome."""
    parent = os.getppid()
    die_with_parent(parent)
    adopt_orphans()
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # so that nobody else of this user reads our memory
    # jsonschema would import it, to check URIs that a notebook does not have: 1.3 s, half of a run.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    told = os.fdopen(os.dup(1), "w")
    job = json.load(sys.stdin)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.environ.update(
        JUPYTER_PATH=job["folder"],
        JUPYTER_RUNTIME_DIR=str(Path(job["folder"], "runtime")),
        JUPYTER_CONFIG_DIR=str(Path(job["folder"], "config")),
        JUPYTER_DATA_DIR=job["folder"],
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    outcome = run(job)
    told.write(json.dumps(outcome))
    told.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
