"""What a student holds in a notebook: the checks, the question, and a way to see a failure again.

    exercise = Exercise("chord-routing")
    exercise.check("closest")               # the visible tests, on what the notebook's cells have defined
    exercise.ask("predict"); exercise.reveal("predict", predicted_hops)

In a process that grades, ``check`` hands itself over to the judge outside (``labkit.coursework.bridge``):
there, nothing in this process decides anything.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from labkit.runtime.errors import Interrupted

from .answers import TASK_SECONDS, Local, Wrong
from .exercises import find_tasks
from .tasks import Task, hidden_seeds, judge

__all__ = ["Exercise"]


class Exercise:
    """An exercise of this name, on the names of the notebook that makes it."""

    def __init__(self, name: str) -> None:
        self.tasks = find_tasks(name)
        self.name = self.tasks.exercise
        self._names = sys._getframe(1).f_globals

    def check(self, task: str, seed: int | None = None) -> None:
        """Judge one task by its visible tests, or by one seed. Raises ``Wrong`` with what is not right
        yet."""
        chosen = self._task(task)
        channel = sys.modules.get("labkit.coursework.bridge")
        if channel is not None and channel.here is not None and seed is None:
            passed, text = channel.here.serve(task, self._names)
        else:
            seeds = (chosen.visible or (0,)) if seed is None else (seed,)
            try:
                verdict = judge(
                    self.tasks.drawn, chosen, Local(self._names, task_seconds=TASK_SECONDS), seeds
                )
            except KeyboardInterrupt:
                raise Interrupted(f"the check of {task} was stopped before it came to an end") from None
            passed, text = verdict.passed, verdict.message or self._good(chosen, verdict.cases)
            if verdict.replay and seed is None and not passed:
                text += f"\nto see it again: {verdict.replay}"
        if not passed:
            raise Wrong(f"{task}: {text}")
        print(f"{task}: {text}")

    def _good(self, task: Task, cases: int) -> str:
        return f"right, in {cases} {'run' if cases == 1 else 'runs'}. ({task.text})"

    def ask(self, task: str = "predict") -> None:
        """Print the question that is asked of the student named in the notebook."""
        if not self._names.get("student"):
            print('first write your name: student = "…"; the question is drawn from it')
        print(self._question(task)[0])

    def reveal(self, task: str, prediction: Any) -> None:
        """Print the answer, once there is a prediction."""
        if prediction is None:
            print(f"first predict, then reveal: exercise.reveal({task!r}, prediction)")
        else:
            print(self._question(task)[1])

    def solution(self, task: str) -> Any:
        """The answer to a question itself, or what a search finds: for the solved copy."""
        if hasattr(self._module(), "find") and task != "predict":
            return self._module().find(self._names.get("student", ""))
        return self._question(task)[2]

    def check_hidden(self, task: str) -> None:
        """As ``check``, with hidden cases from the secret in the file that ``LABKIT_SECRET`` names: for those
        who grade with nbgrader. Without it, nothing is checked.
        """
        chosen, path = self._task(task), os.environ.get("LABKIT_SECRET", "")
        if path:
            student = str(self._names.get("student", ""))
            for seed in hidden_seeds(Path(path).read_bytes(), self.tasks.drawn, student, task, chosen.hidden):
                self.check(task, seed)

    def run(self, **options: Any) -> Any:
        """One run as it is judged, to look at: what the cells in a feedback call."""
        return self._module().run(Local(self._names), **options)

    def watch(self, engine: str = "sim", **options: Any) -> Any:
        """Run the answers on an engine of your choice, to look at: see the exercise's text."""
        return self._module().watch(Local(self._names), engine, **options)

    def _module(self) -> Any:
        return sys.modules[next(iter(self.tasks.values())).judge.__module__]

    def _question(self, task: str) -> Any:
        self._task(task)
        return self._module().question(self._names.get("student", ""))

    def _task(self, task: str) -> Task:
        if task not in self.tasks:
            raise LookupError(f"{self.name} has no task {task!r}; its tasks are {', '.join(self.tasks)}")
        return self.tasks[task]

    def __repr__(self) -> str:
        return f"<exercise {self.name}: {', '.join(self.tasks)}>"
