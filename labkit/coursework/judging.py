"""The judge of a run: a thread of the trusted process that answers what a student's notebook asks.

What goes wrong while an answer is judged is a verdict on that answer and on nothing else. What goes wrong on
our side, such as a disk that is full, is no verdict: it is ``trouble``, and the submission is not graded."""

from __future__ import annotations

import json
import socket
import struct
import threading
from pathlib import Path
from typing import Any

from labkit.runtime.errors import LabError

from . import bridge
from .answers import Gone, Wrong
from .exercises import find_tasks
from .services import carry_out, searches, told
from .taken import CHECK
from .tasks import Task, Verdict, judge
from .values import NotPlain, encode

__all__ = ["Judge"]

#: Seconds a kernel has to connect.
STARTS_WITHIN = 60.0


class Judge(threading.Thread):
    """Answers the checks of the notebook as they come."""

    def __init__(self, job: dict[str, Any], listener: socket.socket) -> None:
        super().__init__(daemon=True, name="labkit-judge")
        self.job = job
        self.listener = listener
        #: The folder of the sockets, where a kernel may write.
        self.sockets = Path(job["sockets"])
        self.tasks = find_tasks(job["exercise"], Path(job["checks"]))
        #: The cell that nbval is running, by its grade_id.
        self.cell = ""
        self.verdicts: dict[str, Verdict] = {}
        #: The name that questions were drawn for.
        self.drawn_for = ""
        self.walls: list[str] = []
        self.pid = 0
        #: Why the kernel has ended, in plain words; and whether it has ended without us.
        self.ended = ""
        self.by_itself = False
        #: The notebook has been run to its end.
        self.over = False
        #: What went wrong on our side; and what a teacher should know.
        self.trouble = ""
        self.notes: list[str] = []
        #: A teacher's further judges of a task.
        self.further: dict[str, list[Task]] = {}
        self.add_hidden_cells()
        self.changed: list[str] = []

    def end(self, why: str, by_itself: bool = False) -> None:
        """The kernel is ended, or has ended: the first reason counts."""
        if not self.ended:
            self.ended, self.by_itself = why, by_itself

    def run(self) -> None:
        try:
            self.listener.settimeout(STARTS_WITHIN)
            line, _ = self.listener.accept()
            self.listener.close()
            self.pid = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            self._converse(line)
        except (Gone, OSError) as error:
            if not self.over:
                self.end(str(error), by_itself=str(error) == bridge.ENDED)
        except BaseException as error:
            self.trouble = self.trouble or f"the judge stopped with {type(error).__name__}: {error}"
            self.end("the judge stopped")

    def _converse(self, line: socket.socket) -> None:
        limits = self.job["limits"]
        remote = bridge.Remote(line, self.pid, limits["question_seconds"], limits["task_seconds"], self.end)
        while True:
            kind, text = bridge.receive(line)
            if kind == b"H" and not self.walls:
                self.walls = bridge.walls_in(text)
            elif kind == b"T":
                self.changed = self.changed or bridge.names_in(text)
            elif kind == b"X":
                raise Gone(bridge.reason_in(text))
            elif kind == b"C":
                self._go_on()
                bridge.send(line, b"V", self._answered(remote, text))

    def _go_on(self) -> None:
        """Nothing counts any more once it was decided to end the kernel, however long it then lives."""
        if self.ended:
            raise Gone(self.ended)

    def _answered(self, remote: bridge.Remote, text: bytes) -> str:
        try:
            request = bridge.checked_request(text)
            self.changed = self.changed or request["changed"]
            if request["do"] == "check":
                passed, words = self._checked(remote, request["task"])
                return json.dumps({"passed": passed, "text": words})
            return self._served(remote, **request)
        except Wrong as wrong:
            return json.dumps({"passed": False, "text": str(wrong)})

    # --- a task -----------------------------------------------------------------------------------------

    def _checked(self, remote: bridge.Remote, name: str) -> tuple[bool, str]:
        if self.cell != f"{CHECK}{name}" or name in self.verdicts or name not in self.job["tasks"]:
            return True, "judged in the task's own cell"
        remote.begin()
        verdict = self._judged(remote, name)
        self._go_on()
        self.verdicts[name] = verdict
        self.drawn_for = str(remote.values.get("student", "")) or self.drawn_for
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
            self.end(str(gone), by_itself=str(gone) == bridge.ENDED)
            self.verdicts[name] = Verdict(name, False, 0, str(gone))
            raise
        except RecursionError:
            return Verdict(name, False, 0, "the answers led to an endless recursion")
        except MemoryError:
            return Verdict(name, False, 0, self._too_much())
        except Exception as error:
            what = f"{type(error).__name__}: {error}"[: bridge.MOST_TEXT]
            if isinstance(error, OSError) and not isinstance(error, LabError):
                self.trouble = self.trouble or f"the judge of {name} failed: {what}"
            self.notes.append(f"the judge of {name} could do nothing with the answer: {what}")
            return Verdict(
                name, False, 0, f"what the answer gave is of a wrong kind: judging it led to {what}"
            )

    def _too_much(self) -> str:
        most = self.job["limits"]["judge_memory"] >> 20
        return f"what the answers gave made the judge keep more than {most} MiB"

    # --- something else ---------------------------------------------------------------------------------

    def _served(
        self, remote: bridge.Remote, do: str, task: str, options: Any, student: Any, changed: Any
    ) -> str:
        """A question, or a run to look at; ``Wrong`` says why not."""
        if do == "find" and searches(self.tasks, task):
            raise Wrong(
                f"exercise.solution({task!r}) is not there while it is graded: write down what you have found"
            )
        if options.get("engine", "sim") != "sim":
            raise Wrong(
                f'engine={options["engine"]!r}: while it is graded there is the simulator only, "sim"'
            )
        remote.begin()
        try:
            value = told(carry_out(self.tasks, do, task, remote, student, options))
            return encode({"passed": True, "value": value})
        except (Gone, Wrong):
            raise
        except MemoryError:
            raise Wrong(self._too_much()) from None
        except NotPlain as error:
            raise Wrong(str(error)) from None
        except Exception as error:
            raise Wrong(f"{type(error).__name__}: {error}"[: bridge.MOST_TEXT]) from None

    def add_hidden_cells(self) -> None:
        """A teacher's own judges, which came with the job and are in no file that a student could read."""
        for name, source in self.job.get("hidden_cells", {}).items():
            scope: dict[str, Any] = {"__name__": name.removesuffix(".py")}
            exec(compile(source, name, "exec"), scope)
            for task, further in scope["tasks"].items():
                self.further.setdefault(task, []).append(further)
