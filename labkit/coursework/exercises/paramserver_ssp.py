"""paramserver-ssp: the wait condition of stale synchronous parallel training (Ho et al., NIPS 2013).

The parameter server is labkit's. Its scheduler asks a student's ``may_start`` whenever a worker wants to
begin an iteration. What counts is the trace: no worker is ever further ahead of the slowest than the bound,
under schedules in which machines are slow; and nobody waits without need, so a worker that can be ahead by
the bound once is.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.faults import Schedule, Slow
from labkit.systems.paramserver import SSP, ParameterServer

from ..answers import Answers, Gone, Wrong
from ..nodes import SETTLE, failed_with, reported
from ..tasks import Case, Tasks, judge_prediction, same
from ..words import shown

tasks = Tasks("paramserver-ssp", order=6, formerly="06-ssp")

#: Workers, each on a machine of its own, and their iterations.
WORKERS, ITERATIONS = 4, 12

#: Seconds that a whole run may take.
PATIENCE = 30.0

#: Seconds that an iteration takes where nothing is slow.
COST = 0.05


@dataclass(frozen=True)
class Answered(SSP):
    """SSP whose wait condition a student wrote."""

    answers: Any = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> Any:
        """What travels to workers is the bound; the condition is asked at the scheduler."""
        return SSP, (self.staleness,)

    def may_start(self, t: int, slowest: int) -> bool:
        try:
            got = self.answers.call("may_start", t, slowest, self.staleness)
            if not isinstance(got, bool):
                raise Wrong(
                    f"may_start({t}, {slowest}, {self.staleness}) gave {shown(got)}, not True or False"
                )
        except (Wrong, Gone) as failed:
            raise failed_with(self.answers, failed) from None
        return got


async def train(worker: Any) -> None:
    """A program without numbers: what matters is who is where. A shard's data say how to spend seconds."""
    for _ in worker.rounds():
        seconds = COST * (0.5 + worker.random.random())
        await worker.compute(worker.shard or _nothing, seconds, cost=seconds)
        worker.report(loss=0.0)  # in the trace: this iteration is finished
        await worker.clock()


def _nothing(seconds: float) -> None:
    """Work, in the simulator."""


def run(answers: Answers, seed: int, bound: int, schedule: Schedule) -> list[Any]:
    """The trace's events of a training run under a schedule of slow machines."""
    cluster = Cluster(machines=WORKERS + 1, engine="sim", seed=seed, schedule=schedule)
    with reported(answers, cluster):
        consistency = Answered(bound, answers)
        server = ParameterServer(cluster, servers=1, workers=WORKERS, replicas=0, consistency=consistency)
        training = server.start(train, iterations=ITERATIONS)
        with contextlib.suppress(Timeout):  # then somebody waits for ever, as the trace shows
            training.result(timeout=PATIENCE)
        return list(cluster.trace)
    raise AssertionError("reported() raises")


def leads(events: list[Any]) -> list[tuple[Any, int]]:
    """For each iteration that a worker entered: the event, and how far that was ahead of the slowest: of the
    number of iterations that everybody has finished.
    """
    finished = dict.fromkeys([f"worker-{number}" for number in range(WORKERS)], 0)
    found = []
    for event in events:
        if event.kind == "loss" and event.node in finished:
            finished[event.node] = event.data["iteration"] + 1
        elif event.kind == "clock" and event.node in finished:
            found.append((event, event.data["clock"] - min(finished.values())))
    return found


def slow_machines(random: Random) -> Schedule:
    """One or two machines that become slow, a worker's among them: where only the server's is, all are late
    alike, and nobody can be far ahead.
    """
    server, *workers = [f"m{number}" for number in range(1, WORKERS + 2)]
    straggler, other = random.sample(workers, 2)
    victims = [straggler, *random.sample([server, other], random.randint(0, 1))]
    return Schedule([(round(random.uniform(0.0, 0.3), 3), Slow(victim, 5.0)) for victim in victims])


@tasks.task("condition", visible=(1, 2), hidden=10)
def condition(answers: Answers, case: Case) -> None:
    """The condition itself, for some clocks."""
    random = case.random
    for _ in range(20):
        bound, slowest = random.randrange(6), random.randrange(20)
        clock = slowest + random.randrange(max(0, bound - 1), bound + 3)
        got, wanted = answers.call("may_start", clock, slowest, bound), clock - slowest <= bound
        if got is not wanted:
            raise Wrong(
                f"may_start(clock={clock}, slowest={slowest}, bound={bound}) gave {shown(got)}: to begin "
                f"iteration {clock} is to "
                f"be {clock - slowest} ahead, and {bound} are allowed"
            )


@tasks.task("training", visible=(1, 2), hidden=6)
def training(answers: Answers, case: Case) -> None:
    """Training under stragglers: never too far ahead, and as far as allowed."""
    random = case.random
    bound = random.randrange(4)
    schedule = slow_machines(random)
    events = run(answers, case.seed, bound, schedule)
    cell = (
        f"from labkit import Schedule, Slow\n\nevents = exercise.run(seed={case.seed}, "
        f"bound={bound}, schedule={schedule})"
    )
    cell += "\nfor event in events:\n    if event.kind in ('clock', 'wait_started'):\n        print(event)"
    found = leads(events)
    if len(found) < WORKERS * (ITERATIONS - 1):
        raise Wrong(
            f"only {len(found)} iterations were begun of {WORKERS * ITERATIONS}: somebody waits for ever",
            cell,
        )
    event, lead = max(found, key=lambda each: each[1])
    if lead > bound:
        raise Wrong(
            f"with the bound {bound}, {event.node} began iteration {event.data['clock']} at "
            f"{event.time:.3f} s, "
            f"{lead} ahead of the slowest",
            cell,
        )
    if lead < bound:
        raise Wrong(
            f"with the bound {bound} and stragglers nobody was ever more than {lead} ahead: waits too early",
            cell,
        )


@tasks.task("guarantee", visible=(1,), hidden=10)
def guarantee(answers: Answers, case: Case) -> None:
    """What a read is sure to see: the newest iteration whose updates of all workers it includes."""
    random = case.random
    for _ in range(10):
        clock, bound = random.randrange(30), random.randrange(8)
        got, wanted = answers.call("surely_seen", clock, bound), clock - bound - 1
        if not same(got, wanted):
            raise Wrong(
                f"surely_seen(clock={clock}, bound={bound}) gave {shown(got)}, not {wanted}; whoever is at "
                f"{clock} may be {bound} ahead, so the slowest has at least begun {clock - bound} and "
                "finished the one before"
            )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of workers that wait."""
    judge_prediction(answers, "predicted_waiting", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    bound, slowest = random.randint(1, 3), random.randint(3, 9)
    clocks = [slowest, *(slowest + random.randint(0, bound) for _ in range(5))]
    random.shuffle(clocks)
    waiting = [clock for clock in clocks if clock + 1 - slowest > bound]
    text = (
        f"Six workers are in the iterations {clocks}, and the bound is {bound}. All but the slowest "
        f"want to begin their next one. How many have to wait? (To be in iteration {slowest} is to "
        f"have finished {slowest} of them.)"
    )
    return text, f"{len(waiting)}: those who would be more than {bound} ahead of {slowest}", len(waiting)


def watch(answers: Answers, engine: str, bound: int = 2, seed: int = 1) -> list[str]:
    """A training run with a slow machine, by the student's condition; a line for each worker that waited."""
    with Cluster(machines=WORKERS + 1, engine=engine, seed=seed, name="exercise") as cluster:
        # Nobody fails here, however busy the computer is.
        server = ParameterServer(
            cluster,
            servers=1,
            workers=WORKERS,
            replicas=0,
            consistency=Answered(bound, answers),
            timeout=20.0,
        )
        cluster.inject(Slow(server.machine_of("worker-1"), 5.0))
        work = time.sleep if engine == "ray" else None  # where there is real time, real time has to pass
        training = server.start(train, iterations=ITERATIONS, data=[work] * WORKERS)
        try:
            training.result(timeout=PATIENCE if engine == "sim" else 4 * PATIENCE)
        except (Wrong, LabError) as error:
            return [str(answers.failed or error)]
        cluster.run(SETTLE)
        waits = [event for event in cluster.trace if event.kind == "wait_finished"]
        names = sorted({event.data["worker"] for event in waits})
        times = {name: sum(e.data["seconds"] for e in waits if e.data["worker"] == name) for name in names}
        return [f"{name} waited {seconds:.2f} s" for name, seconds in times.items()]
