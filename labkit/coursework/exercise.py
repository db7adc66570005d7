"""What a student holds in a notebook: the checks, the question, and a way to see a failure again.

    exercise = Exercise("chord-routing")
    exercise.check("closest")               # the visible tests, on what the notebook's cells have defined
    exercise.ask("predict"); exercise.reveal("predict", predicted_hops)

In a process that grades, all of this is asked of the judge outside (``labkit.coursework.bridge``): there,
nothing in this process decides anything, and no judge is in it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from labkit.runtime.errors import Interrupted

from . import bridge
from .answers import TASK_SECONDS, Local, Wrong
from .tasks import Task, Tasks, hidden_seeds, judge

__all__ = ["Exercise"]


class Exercise:
    """An exercise of this name, on the names of the notebook that makes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._names = sys._getframe(1).f_globals
        self._tasks: Tasks | None = None
        if bridge.here is None:
            from .exercises import find_tasks

            self._tasks = find_tasks(name)
            self.name = self._tasks.exercise

    @property
    def tasks(self) -> Tasks:
        """The tasks and their judges, which are not there while it is graded."""
        if self._tasks is None:
            raise Wrong(f"the judges of {self.name} are not in a notebook that is graded")
        return self._tasks

    def check(self, task: str, seed: int | None = None) -> None:
        """Judge one task by its visible tests, or by one seed. Raises ``Wrong`` with what is not right
        yet."""
        if bridge.here is not None:
            passed, text = bridge.here.check(task, self._names)
        else:
            passed, text = self._checked(self._task(task), seed)
        if not passed:
            raise Wrong(f"{task}: {text}")
        print(f"{task}: {text}")

    def _checked(self, task: Task, seed: int | None) -> tuple[bool, str]:
        seeds = (task.visible or (0,)) if seed is None else (seed,)
        try:
            verdict = judge(self.tasks.drawn, task, Local(self._names, task_seconds=TASK_SECONDS), seeds)
        except KeyboardInterrupt:
            raise Interrupted(f"the check of {task.name} was stopped before it came to an end") from None
        text = verdict.message or self._good(task, verdict.cases)
        if verdict.replay and seed is None and not verdict.passed:
            text += f"\nto see it again: {verdict.replay}"
        return verdict.passed, text

    def _good(self, task: Task, cases: int) -> str:
        return f"right, in {cases} {'run' if cases == 1 else 'runs'}. ({task.text})"

    def ask(self, task: str = "predict") -> None:
        """Print the question that is asked of the student named in the notebook."""
        if not self._names.get("student"):
            print('first write your name: student = "…"; the question is drawn from it')
        print(self._do("question", task)[0])

    def reveal(self, task: str, prediction: Any) -> None:
        """Print the answer, once there is a prediction."""
        if prediction is None:
            print(f"first predict, then reveal: exercise.reveal({task!r}, prediction)")
        else:
            print(self._do("question", task)[1])

    def solution(self, task: str) -> Any:
        """The answer to a question itself, which ``reveal`` tells too; or what a search finds, for the
        teacher: not while it is graded.
        """
        found = self._do("find", task)
        return self._do("question", task)[2] if found is None else found

    def check_hidden(self, task: str) -> None:
        """As ``check``, with hidden cases from the secret in the file that ``LABKIT_SECRET`` names: for those
        who grade with nbgrader. Without it, nothing is checked.
        """
        path = os.environ.get("LABKIT_SECRET", "")
        if path and bridge.here is None:
            chosen, student = self._task(task), str(self._names.get("student", ""))
            for seed in hidden_seeds(Path(path).read_bytes(), self.tasks.drawn, student, task, chosen.hidden):
                self.check(task, seed)

    def run(self, **options: Any) -> Any:
        """One run as it is judged, to look at: what the cells in a feedback call."""
        return self._do("run", "", **options)

    def watch(self, engine: str = "sim", **options: Any) -> Any:
        """Run the answers on an engine of your choice, to look at: see the exercise's text."""
        return self._do("watch", "", engine=engine, **options)

    def _do(self, do: str, task: str, **options: Any) -> Any:
        student = self._names.get("student", "")
        if bridge.here is not None:
            return bridge.here.request(do, task, student, options, self._names)
        from .services import carry_out

        if task:
            self._task(task)
        return carry_out(self.tasks, do, task, Local(self._names), student, options)

    def _task(self, task: str) -> Task:
        if task not in self.tasks:
            raise LookupError(f"{self.name} has no task {task!r}; its tasks are {', '.join(self.tasks)}")
        return self.tasks[task]

    def __repr__(self) -> str:
        of = "" if bridge.here is not None else f": {', '.join(self.tasks)}"
        return f"<exercise {self.name}{of}>"
