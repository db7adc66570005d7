"""mapreduce-backup: which tasks are executed twice (Dean and Ghemawat, OSDI 2004, §3.6).

The job is labkit's. Its master asks a student's ``choose`` whenever no map task is idle any more. What counts
is the trace: how long the maps took while machines became slow, and how much work backup executions did for
nothing. Both are compared with labkit's own rule on the same machines.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median
from typing import Any, ClassVar

import numpy as np

from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.faults import Schedule, Slow
from labkit.systems.mapreduce import Backup, Job, MapReduce, Options, Remaining
from labkit.systems.mapreduce.experiments import ModelledMaster, ModelledWorker
from labkit.systems.mapreduce.messages import MAP, Outcome

from ..answers import Answers, Gone, Wrong
from ..nodes import failed_with, reported
from ..tasks import Case, Tasks, judge_prediction

tasks = Tasks("mapreduce-backup", order=8, records=[Remaining])

#: Workers, map tasks, seconds of a task and the spread of its logarithm.
WORKERS, MAPS, SECONDS, SIGMA = 10, 60, 10.0, 0.15
#: How many times slower a slow machine is, and the seconds within which it becomes slow.
SLOWNESS, WITHIN = 20.0, 40.0
#: So many times as long as by labkit's own rule the maps may take; the part of all seconds of map work that
#: backup executions may spend for nothing, on average of two runs.
LONGER, WASTED = 1.25, 0.015
#: A task is late from so many times the median on.
SLOWER = 1.3


@dataclass(frozen=True)
class Asked(Backup):
    """The rule of a student. After a wrong answer no task is chosen any more, and the run comes to an end."""

    answers: Any = field(default=None, compare=False, repr=False)

    def choose(
        self, remaining: Sequence[Remaining], seconds: Sequence[float], total: int, free: int
    ) -> list[int]:
        """Asks; not of the reduce task, which only waits for the maps."""
        if self.answers.failed is not None or total != MAPS:
            return []
        try:
            return chosen(self.answers.call("choose", list(remaining), list(seconds), total, free), remaining)
        except (Wrong, Gone) as failed:
            failed_with(self.answers, failed)
            return []


def chosen(got: Any, remaining: Sequence[Remaining]) -> list[int]:
    """An answer as numbers of tasks. Raises ``Wrong`` for what is none."""
    known = [each.task for each in remaining]
    try:
        found = [operator.index(task) for task in got]
    except TypeError:
        hint = ": give each.task" if got and "Remaining" in repr(got) else ""
        raise Wrong(f"choose gave {got!r:.80}, not a list of numbers of tasks{hint}") from None
    if len(set(found)) < len(found) or not set(found) <= set(known):
        raise Wrong(f"choose gave {found!r:.80}; of the tasks in progress, {known}, each may be in it once")
    return found


class Asking(ModelledMaster):
    """Its rule is in this process."""

    rule: ClassVar[Backup | None]

    def __init__(self, job: Any) -> None:
        super().__init__(job)
        self.options = replace(job.options, backup=self.rule or False)


class Mapper(ModelledWorker):
    """Its map tasks take about ``SECONDS``, its reduce task ends with the last of them."""

    async def map(self, running: Any) -> Outcome:
        """Time passes."""
        cost = SECONDS * stream(self.job.output, running.order.task).lognormvariate(0.0, SIGMA)
        await self.compute(int, cost=cost)
        return Outcome("ok", sizes=(1,), pairs=(0,), bytes_in=1, bytes_out=1)

    async def reduce(self, running: Any) -> Outcome:
        """Wait."""
        while self.available < self.job.maps:
            await self.news.wait()
        return Outcome("ok", pairs=(0,), bytes_in=0, bytes_out=0)


@dataclass(frozen=True)
class Ran:
    """What came out of a run."""

    seconds: float  #: until the last map task was completed
    backups: int
    won: int
    wasted: float  #: part of all seconds of map work: backup executions that were not first

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {self.backups} backups of which {self.won} were first, "
            f"{self.wasted:.1%} of the work wasted by the others"
        )


def run(answers: Answers, seed: int = 1, slow: Any = (), rule: str = "yours") -> Ran:
    """The maps of a job on ten workers. slow: (seconds, machine) when which becomes slow. rule: "yours",
    "none" or "labkit's"."""
    schedule = Schedule([(time, Slow(machine, SLOWNESS)) for time, machine in slow])
    cluster = Cluster(machines=WORKERS, engine="sim", seed=seed, schedule=schedule)
    with reported(answers, cluster):
        master = type("Asking", (Asking,), {"rule": RULES[rule](answers)})
        options = Options(M=MAPS, R=1, ping_every=2.0, timeout=10.0)
        fs = FileSystem(cluster, replicas=1, machines=["m1"], heartbeat_every=5.0)
        files = [("input", MAPS)]
        job = Job(MapReduce(cluster, fs), cluster, fs, files, f"out-{seed}", None, (master, Mapper), options)
        job.result()
        return told(job)
    raise AssertionError("reported() raises")


RULES: dict[str, Callable[[Answers], Backup | None]] = {
    "yours": lambda answers: Asked(answers=answers),
    "none": lambda _: None,
    "labkit's": lambda _: Backup(slower=SLOWER),
}


def told(job: Job) -> Ran:
    """What a job's executions add up to."""
    view = job.view()
    maps = [each for each in view.executions.values() if each.kind == MAP]
    spent = {each.attempt: (each.end or each.began) - each.began for each in maps}
    backups = [each for each in maps if each.why == "backup"]
    lost = sum(spent[each.attempt] for each in backups if each.result != "ok")
    won = sum(each.result == "ok" for each in backups)
    last = max(each.end or 0.0 for each in maps)
    return Ran(last - view.began, len(backups), won, lost / sum(spent.values()))


def slow_machines(random: Random) -> list[tuple[float, str]]:
    """One or two that become slow, never the master's."""
    names = random.sample([f"m{number}" for number in range(2, WORKERS + 1)], random.randint(1, 2))
    return sorted((round(random.uniform(0.0, WITHIN), 1), name) for name in names)


def cell(seed: int, slow: Any, *rules: str) -> str:
    """Code that shows a run again, by several rules."""
    calls = [f"print(exercise.run(seed={seed}, slow={slow}, rule={rule!r}))" for rule in rules]
    return "\n".join(calls)


def said(slow: Any) -> str:
    """Which machines are slow, in words."""
    words = [f"{machine} {SLOWNESS:g} times slower from {time} s on" for time, machine in slow]
    return " and ".join(words) or "no machine slow"


@tasks.task("late", visible=(1, 2), hidden=10)
def late(answers: Answers, case: Case) -> None:
    """Which tasks are late."""
    random = case.random
    for number in range(21):
        done = [round(random.lognormvariate(2.3, 0.5), 1) for _ in range(random.randint(1, 12))]
        limit = SLOWER * median(done)
        seconds = round(limit * random.choice([0.5, 0.8, 0.95, 1.05, 1.2, 3.0]), 2)
        if number == 0:  # at the limit itself, where no rounding is in the way
            done, seconds = [9.0, 10.0, 14.0], 13.0
            limit = seconds
        got, wanted = answers.call("is_late", seconds, done), seconds >= limit
        if not isinstance(got, (bool, np.bool_)) or got != wanted:
            raise Wrong(
                f"is_late({seconds}, {done}) gave {got!r:.80}, not {wanted}: the median is "
                f"{median(done):.2f}, and {SLOWER} times that is {limit:.2f}"
            )


@tasks.task("makespan", visible=(1, 2, 3), hidden=6)
def makespan(answers: Answers, case: Case) -> None:
    """Slow machines do not hold the job up."""
    slow = slow_machines(case.random)
    got, wanted = run(answers, case.seed, slow), run(answers, case.seed, slow, "labkit's")
    if got.seconds > LONGER * wanted.seconds:
        raise Wrong(
            f"with {said(slow)}: {got}; labkit's rule needs {wanted.seconds:.1f} s, and {LONGER} times that "
            "is allowed: a backup comes too late, or never",
            cell(case.seed, slow, "yours", "none", "labkit's"),
        )


@tasks.task("waste", visible=(1, 2, 3), hidden=6)
def waste(answers: Answers, case: Case) -> None:
    """Little work is done for nothing, with slow machines and without."""
    runs = [(slow, run(answers, case.seed, slow)) for slow in ([], slow_machines(case.random))]
    share = sum(ran.wasted for _, ran in runs) / len(runs)
    if share > WASTED:
        words = "; ".join(f"with {said(slow)}: {ran}" for slow, ran in runs)
        raise Wrong(
            f"{words}. That is {share:.1%} on average, and {WASTED:.1%} is allowed: tasks that are about to "
            "be completed need no backup",
            "\n".join(cell(case.seed, slow, "yours", "labkit's") for slow, _ in runs),
        )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of backup tasks."""
    judge_prediction(answers, "predicted_backups", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    done = [random.randint(8, 12) for _ in range(9)]
    limit = SLOWER * median(done)
    running = [random.choice([2, 5, 7, 16, 22, 30]) for _ in range(3)]
    found = sum(each >= limit for each in running)
    text = (
        f"Nine of twelve map tasks are completed; they took {sorted(done)} seconds. The other three have "
        f"run for {running} seconds, and all other workers are free. How many get a backup now, if a task "
        f"is late from {SLOWER} times the median on?"
    )
    return text, f"{found}: {SLOWER} times the median {median(done)} is {limit:.1f}", found
