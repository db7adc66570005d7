"""A task: what it asks, and who judges it. A judge asks a student's answers and simulates; it raises
``Wrong``.

    tasks = Tasks("chord-routing")

    @tasks.task("closest", visible=(1, 2), hidden=20)
    def closest(answers, case):
        '''The finger closest before the key.'''
        got = answers.call("closest_preceding_finger", node, key)
        if got != expected:
            raise Wrong(f"…")

A case is one seed. The visible ones are the same for everybody; the hidden ones come from the teacher's
secret, other ones for each student and task. The judge is the same: knowing it does not help.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from labkit.runtime.copying import stream

from .answers import QUESTIONS, Answers, NotWritten, Stepper, Wrong
from .values import RECORDS
from .words import MOST_MESSAGE, shown

__all__ = ["Case", "Task", "Tasks", "Verdict", "hidden_seeds", "judge", "judge_prediction", "same"]

#: Bits of a hidden seed: short enough to type, and too many to prepare for.
SEED_BITS = 40

Judge = Callable[[Answers, "Case"], None]


@dataclass(frozen=True)
class Case:
    """One run of a judge."""

    exercise: str
    task: str
    seed: int

    @property
    def random(self) -> Random:
        """A new stream of random numbers, the same for the same case."""
        return stream(self.seed, self.exercise, self.task)


@dataclass(frozen=True)
class Task:
    """One thing to be done, and marked."""

    name: str
    #: What is judged, in a line.
    text: str
    judge: Judge
    visible: tuple[int, ...]
    #: How many hidden cases there are.
    hidden: int


@dataclass(frozen=True)
class Verdict:
    """What came out for one task."""

    task: str
    passed: bool
    #: Cases that were judged, the failing one included.
    cases: int
    message: str = ""
    #: A cell that shows the failure again.
    replay: str = ""


class Tasks(dict[str, Task]):
    """The tasks of an exercise by name, and what the exercise says of itself.

    opens: modules of labkit that its notebook may import while it is graded, with all that is below them; all
    other systems, and every judge, are closed then (``closed.py``). order: its place in the course. formerly:
    a name it had; submissions may still bear it. records: named tuples that travel between judge and student.
    questions: see ``answers.QUESTIONS``; they are answered in the student's process, from modules of
    installed packages. Raises ``ValueError`` for one that stands with the judges."""

    def __init__(
        self,
        exercise: str,
        *,
        order: float = math.inf,
        formerly: str = "",
        records: Iterable[type[Any]] = (),
        questions: Mapping[str, Callable[[Stepper, dict[str, Any]], Any]] | None = None,
        opens: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.exercise = exercise
        self.order = order
        self.formerly = formerly
        self.records = tuple(records)
        self.questions = dict(questions or {})
        for question, each in self.questions.items():
            if each.__module__ in ("__main__", f"{exercise.replace('-', '_')}_checks"):
                raise ValueError(
                    f"question {question!r} of {exercise}: {each.__name__} stands in {each.__module__}, with "
                    "the judges, and these are closed to the process that is to answer it: put it into a "
                    "module of an installed package"
                )
        #: Those that its questions need are opened, too.
        self.opens = (*opens, *sorted({each.__module__ for each in self.questions.values()}))
        RECORDS.update({kind.__name__.lower(): kind for kind in self.records})
        QUESTIONS.update(self.questions)

    @property
    def names(self) -> tuple[str, ...]:
        """The exercise's name, and the one it had."""
        return (self.exercise, self.formerly) if self.formerly else (self.exercise,)

    @property
    def drawn(self) -> str:
        """What cases and questions are drawn from: the first name, so that a new one changes none."""
        return self.names[-1]

    def task(
        self, name: str, *, visible: Iterable[int] = (1, 2, 3), hidden: int = 10
    ) -> Callable[[Judge], Judge]:
        """Register a judge. Its docstring's first line says what is judged."""

        def add(judge: Judge) -> Judge:
            text = (judge.__doc__ or name).strip().split("\n")[0]
            self[name] = Task(name, text, judge, tuple(visible), hidden)
            return judge

        return add


def judge(exercise: str, task: Task, answers: Answers, seeds: Iterable[int]) -> Verdict:
    """Try one case after the other, up to the first that fails. ``Gone`` passes through."""
    count = 0
    for seed in seeds:
        count += 1
        try:
            task.judge(answers, Case(exercise, task.name, seed))
        except NotWritten as missing:
            return Verdict(task.name, False, count, str(missing)[:MOST_MESSAGE])
        except Wrong as wrong:
            replay = wrong.replay or f"exercise.check({task.name!r}, seed={seed})"
            return Verdict(task.name, False, count, str(wrong)[:MOST_MESSAGE], replay)
    return Verdict(task.name, True, count)


def same(got: Any, wanted: Any) -> bool:
    """Whether an answer is what is wanted, and of its kind: an array is no number, True is not 1, a tuple no
    list, and NaN is nothing at all. 2.0 is 2.
    """
    if type(wanted) in (int, float):
        return type(got) in (int, float) and bool(got == wanted)
    if type(wanted) in (list, tuple):
        return type(got) is type(wanted) and len(got) == len(wanted) and all(map(same, got, wanted))
    return type(got) is type(wanted) and bool(got == wanted)


def judge_prediction(
    answers: Answers, name: str, question: Callable[[str], tuple[str, str, Any]], within: float = 0
) -> None:
    """Whether the prediction of this name answers the student's question, a number to within so much. Raises
    ``Wrong``.
    """
    guess = answers.value(name)
    if guess is None:
        raise Wrong("there is no prediction yet")
    truth = question(str(answers.value("student")))[2]
    if isinstance(truth, list) and hasattr(guess, "tolist"):
        guess = guess.tolist()
    guess = list(guess) if isinstance(guess, tuple) else guess
    near = within and type(guess) in (int, float) and abs(guess - truth) <= within
    if not near and not same(guess, truth):
        raise Wrong(f"predicted {shown(guess)}; run exercise.reveal('predict', {name})")


def hidden_seeds(secret: bytes, exercise: str, student: str, task: str, count: int) -> list[int]:
    """The seeds of one student's hidden cases: a keyed hash, so only who has the secret knows them."""
    if not secret:
        raise ValueError("the secret is empty; make one with `labkit grade --secret FILE`, which writes it")
    seeds = []
    for number in range(count):
        text = "\0".join([exercise, student, task, str(number)]).encode()
        digest = hmac.new(secret, text, hashlib.sha256).digest()
        seeds.append(int.from_bytes(digest, "big") >> (256 - SEED_BITS))
    return seeds
