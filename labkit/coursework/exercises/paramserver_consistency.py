"""paramserver-consistency: choose the bound for a given straggler, and justify it with measurements.

Each student has a straggler of their own. ``measure`` trains a linear model on a simulated parameter server
and gives two numbers: the seconds until the loss is small, and the part of the time that workers spent
waiting. The judge measures again: the numbers must be those of the student's own straggler, and the chosen
bound about as good as the best. For some stragglers several bounds are equally good.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.systems.paramserver import SSP, ParameterServer

from ..answers import Answers, Wrong
from ..tasks import Case, Tasks, judge_prediction
from ..words import shown

tasks = Tasks("paramserver-consistency", order=7, formerly="07-consistency")

#: Workers, numbers of the model, examples of each worker, and iterations at most.
WORKERS, SIZE, EXAMPLES, ITERATIONS = 4, 12, 30, 60

#: The bounds to choose from, and the loss that is small enough.
BOUNDS, SMALL = (0, 1, 2, 4, 8, 16), 0.01

#: Seconds of an iteration, and the step of gradient descent.
COST, RATE = 0.02, 0.8

#: How much slower than the best a good choice may be.
GOOD_ENOUGH = 1.1


def straggler(student: str) -> tuple[int, float, float]:
    """A student's straggler: a seed, how often an iteration of any worker is slow, and how many times
    slower."""
    random = stream(0, tasks.drawn, str(student))
    return random.randrange(1 << 20), random.uniform(0.08, 0.15), random.uniform(6.0, 10.0)


@lru_cache(maxsize=256)
def measure(student: str, bound: int) -> tuple[float, float]:
    """Seconds until the loss is small, and the fraction of the workers' time that was waiting, both to three
    decimals.
    """
    seed, often, slower = straggler(student)
    numbers = np.random.default_rng(seed)
    examples = numbers.normal(size=(WORKERS, EXAMPLES, SIZE))
    targets = examples @ numbers.normal(size=SIZE)

    async def train(worker: Any) -> float | None:
        rows, wanted = worker.shard
        reached: float | None = None
        for _ in worker.rounds():
            weights = await worker.pull("w")
            slow = slower if worker.random.random() < often else 1.0
            gradient = await worker.compute(_gradient, weights, rows, wanted, cost=COST * slow)
            await worker.push("w", None, -RATE / WORKERS * gradient)
            error = float(np.mean((rows @ weights - wanted) ** 2))
            if reached is None and error < SMALL:
                reached = worker.now
            worker.report(loss=error)
            await worker.clock()
        return reached

    with Cluster(machines=WORKERS + 1, engine="sim", seed=seed) as cluster:
        server = ParameterServer(cluster, servers=1, workers=WORKERS, replicas=0, consistency=SSP(bound))
        server.vector("w", SIZE)
        begun = cluster.now
        ends = server.run(train, ITERATIONS, data=list(zip(examples, targets, strict=True)))
        took = cluster.now - begun
        waited = sum(event.data["seconds"] for event in cluster.trace.filter(kind="wait_finished"))
    seconds = max(end - begun if end is not None else 10 * took for end in ends)
    return round(seconds, 3), round(waited / (took * WORKERS), 3)


def _gradient(weights: Any, rows: Any, wanted: Any) -> Any:
    return rows.T @ (rows @ weights - wanted) / len(wanted)


@tasks.task("measured", visible=(), hidden=1)
def measured(answers: Answers, case: Case) -> None:
    """The seconds of at least four bounds, with the student's own straggler."""
    _check(answers, "seconds", 0, "s")


@tasks.task("waiting", visible=(), hidden=1)
def waiting(answers: Answers, case: Case) -> None:
    """The fraction of time spent waiting, for at least four bounds."""
    _check(answers, "waited", 1, "of the time")


def _check(answers: Answers, name: str, which: int, unit: str) -> None:
    table, student = answers.value(name), str(answers.value("student"))
    if not isinstance(table, dict) or len(table) < 4:
        raise Wrong(f"{name} must be a dictionary with at least four bounds: {{bound: measured}}")
    for bound, told in table.items():
        if type(bound) is not int or bound not in BOUNDS or type(told) not in (int, float):
            raise Wrong(
                f"{name} has {shown(bound)}: {shown(told)}; bounds are {BOUNDS}, and what is measured is a "
                "number"
            )
        again = measure(student, bound)[which]
        if not abs(told - again) <= 0.02 * max(again, 0.1):  # which NaN is not, either
            raise Wrong(f"{name}[{bound}] is {shown(told)}; with your straggler it is {again} {unit}")


@tasks.task("chosen", visible=(), hidden=1)
def chosen(answers: Answers, case: Case) -> None:
    """The chosen bound was measured, and is about as quick as the best one."""
    bound, student = answers.value("bound"), str(answers.value("student"))
    if type(bound) is not int or bound not in BOUNDS:
        raise Wrong(f"bound is {shown(bound)}; choose one of {BOUNDS}")
    table = answers.value("seconds")
    if not isinstance(table, dict) or bound not in table:  # most students would be right with a guess
        raise Wrong(f"bound is {bound}, but seconds has no measurement of it")
    took, best = measure(student, bound)[0], min(measure(student, each)[0] for each in BOUNDS)
    if took > GOOD_ENOUGH * best:
        raise Wrong(f"with the bound {bound} it takes {took} s; another choice takes {best} s")


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted percentage of slow rounds."""
    judge_prediction(answers, "predicted_percent", question, within=1)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the percentage."""
    _, often, slower = straggler(str(student))
    percent = round(100 * (1 - (1 - often) ** WORKERS))
    text = (
        f"Any iteration of any worker is slow with probability {often:.3f}, and then takes "
        f"{slower:.1f} times as "
        f"long. There are {WORKERS} workers, and with the bound 0 a round lasts as long as its "
        f"slowest worker. "
        "Of a hundred rounds, how many are slow?"
    )
    return text, f"{percent}: a round is quick only if all are, with {1 - often:.3f}^{WORKERS}", percent


def run(answers: Answers, student: str, bound: int) -> tuple[float, float]:
    """The seconds that training takes with a bound, and the fraction of time that was spent waiting."""
    return measure(str(student), bound)


def find(student: str) -> dict[int, tuple[float, float]]:
    """What there is to measure: for the solved copy."""
    return {bound: measure(str(student), bound) for bound in BOUNDS}


def watch(answers: Answers, engine: str, student: str = "") -> list[str]:
    """All bounds, a line each (in the simulator, where seconds do not depend on your computer)."""
    return [
        f"s = {bound:2}: {seconds:6.3f} s, {waited:4.0%} of the time waiting"
        for bound, (seconds, waited) in find(student).items()
    ]
