"""dryad-refinement: an aggregation manager (Isard et al., EuroSys 2007, §3.6 and Figure 6).

The job is labkit's: a histogram of the queries in a log. Its job manager asks a student's ``choose`` whenever
an output of the stage is there, and inserts a vertex for each group that it names. What counts is the trace:
the bytes that moved between racks, the vertices inserted, and a result that is the same as without.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add
from random import Random
from typing import Any, ClassVar, NamedTuple

from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.systems.dryad import AggregationTree, Dryad, StageManager
from labkit.systems.dryad.nodes import Daemon, JobManager
from labkit.systems.dryad.plan import Link
from labkit.systems.dryad.queries import histogram, queries
from labkit.systems.dryad.stages import Refining
from labkit.systems.dryad.vertices import reduce

from ..answers import Answers, Gone, Wrong
from ..nodes import failed_with, reported
from ..tasks import Case, Tasks, judge_prediction

__all__ = ["Output", "run", "tasks"]

#: Machines, racks, partitions of the log, queries in each, different ones.
MACHINES, RACKS, PARTS, ROWS, DISTINCT = 8, 3, 24, 60, 40
#: So many times the bytes of labkit's tree may move between racks; and so many vertices may be inserted, for
#: each machine and rack.
MORE, VERTICES = 1.15, 1.0


class Output(NamedTuple):
    """An output of the stage that is there, and in no group yet."""

    vertex: int
    machine: str
    rack: str
    bytes: int


tasks = Tasks("dryad-refinement", order=10, records=[Output])


class Asked(StageManager):
    """Inserts a vertex for each group that the student names. The inserted ones report to it as well."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers
        self.left: dict[int, None] = {}
        self.waiting: dict[int, tuple[Output, Link]] = {}
        self.program: Any = reduce(add, "T").vertices[0].program

    def begin(self, job: Refining, stage: str) -> None:
        """All of the stage are to come."""
        self.left = dict.fromkeys(job.vertices(stage))

    def completed(self, job: Refining, vertex: int) -> None:
        """Its output is there: ask."""
        if vertex not in self.left or self.answers.failed is not None:
            return
        del self.left[vertex]
        (link,) = job.links(vertex)
        machine, rack = job.where(vertex)
        self.waiting[vertex] = Output(vertex, machine, rack, job.size(link)), link
        outputs = [output for output, _ in self.waiting.values()]
        try:
            groups = chosen(self.answers.call("choose", outputs, len(self.left)), list(self.waiting))
        except (Wrong, Gone) as failed:
            failed_with(self.answers, failed)
            return
        for group in groups:
            inserted = job.insert([self.waiting.pop(each)[1] for each in group], self.program, "T", self)
            self.left[inserted] = None


def chosen(got: Any, known: Sequence[int]) -> list[list[int]]:
    """An answer as groups of vertices. Raises ``Wrong`` for what is none."""
    try:
        found = [[operator.index(vertex) for vertex in group] for group in got]
    except TypeError:
        hint = ": give each.vertex" if "Output" in repr(got) else ""
        raise Wrong(f"choose gave {got!r:.80}, not a list of lists of vertices{hint}") from None
    named = [vertex for group in found for vertex in group]
    if len(set(named)) < len(named) or not set(named) <= set(known):
        raise Wrong(f"choose gave {found!r:.80}; of the outputs that wait, {known}, each may be in it once")
    if short := [group for group in found if len(group) < 2]:
        raise Wrong(f"choose gave the group {short[0]}: a vertex that reads one output aggregates nothing")
    return found


class Asking(JobManager):
    """Its stage manager is in this process."""

    manager: ClassVar[StageManager | None]

    def chosen_managers(self) -> dict[str, list[StageManager]]:
        """The student's for the stage Q."""
        return {"Q": [self.manager]} if self.manager is not None else {}


@dataclass(frozen=True)
class Ran:
    """What came out of a run."""

    between: int  #: bytes between racks
    inserted: int
    seconds: float
    same: bool  #: whether the histogram is that of one thread
    ok: bool  #: whether no rule of Dryad was broken

    def __str__(self) -> str:
        return (
            f"{self.between:,} bytes between racks, {self.inserted} vertices inserted, {self.seconds:.2f} s"
        )


def run(answers: Answers, seed: int = 1, rule: str = "yours") -> Ran:
    """The histogram on eight machines in three racks. rule: "yours", "none" or "labkit's"."""
    cluster = Cluster(machines=MACHINES, engine="sim", seed=seed)
    with reported(answers, cluster):
        managers: dict[str, StageManager | None] = {
            "yours": Asked(answers), "none": None, "labkit's": AggregationTree(reduce(add, "T")),
        }  # fmt: skip
        master = type("Asking", (Asking,), {"manager": managers[rule]})
        fs = FileSystem(cluster, replicas=1, machines=["m1"], heartbeat_every=5.0)
        dryad = Dryad(cluster, fs, racks=racks(Random(seed)), roles=(master, Daemon))
        graph = histogram(queries(dryad, PARTS, ROWS, DISTINCT, seed))
        job = dryad.submit(graph, seconds_per_vertex=0.2, ping_every=1.0, timeout=4.0).result()
        view = job.view()
        same = job.output() == dryad.run_locally(graph)
        seconds = (view.end or 0.0) - view.began
        return Ran(view.bytes_between, len(view.inserted), seconds, same, job.check().ok)
    raise AssertionError("reported() raises")


def racks(random: Random) -> dict[str, str]:
    """Machines in racks, each of at least two."""
    places = [f"rack-{1 + number % RACKS}" for number in range(MACHINES)]
    random.shuffle(places)
    return {f"m{number + 1}": place for number, place in enumerate(places)}


def cell(seed: int) -> str:
    """Code that shows a run again, by each rule."""
    rules = ("yours", "none", "labkit's")
    return "\n".join(f"print(exercise.run(seed={seed}, rule={rule!r}))" for rule in rules)


@tasks.task("racks", visible=(1, 2), hidden=10)
def by_rack(answers: Answers, case: Case) -> None:
    """Outputs grouped by rack."""
    random = case.random
    for _ in range(10):
        outputs = drawn(random, random.randint(0, 9))
        wanted: dict[str, list[int]] = {}
        for each in outputs:
            wanted.setdefault(each.rack, []).append(each.vertex)
        got = answers.call("by_rack", outputs)
        try:
            same = {key: sorted(some) for key, some in got.items()} == wanted
        except (AttributeError, TypeError):
            same = False
        if not same:
            raise Wrong(f"by_rack({outputs}) gave {got!r:.200}, not {wanted}")


def drawn(random: Random, count: int) -> list[Output]:
    """Some outputs, by increasing vertex."""
    where = [random.randrange(6) for _ in range(count)]
    return [Output(10 + i, f"m{k + 1}", f"rack-{1 + k // 2}", 100 * (k + 1)) for i, k in enumerate(where)]


@tasks.task("bytes", visible=(1, 2, 3), hidden=6)
def bytes_between(answers: Answers, case: Case) -> None:
    """Few bytes move between racks, and the result is the same."""
    got, wanted = run(answers, case.seed), run(answers, case.seed, "labkit's")
    if not got.same or not got.ok:
        raise Wrong("the histogram is not the same as without refinement", cell(case.seed))
    if got.between > MORE * wanted.between:
        raise Wrong(
            f"{got}; labkit's tree moves {wanted.between:,} bytes between racks, and {MORE} times that is "
            "allowed: what leaves a rack should be one output, not many",
            cell(case.seed),
        )


@tasks.task("thrift", visible=(1, 2, 3), hidden=6)
def thrift(answers: Answers, case: Case) -> None:
    """Not many vertices are inserted, and some are."""
    got = run(answers, case.seed)
    most = int(VERTICES * (MACHINES + RACKS))
    if not 1 <= got.inserted <= most:
        raise Wrong(
            f"{got}; from 1 to {most} vertices are allowed: {MACHINES} machines and {RACKS} racks need no "
            "more, if a group waits until all of it is there",
            cell(case.seed),
        )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted bytes between racks."""
    judge_prediction(answers, "predicted_kilobytes", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    number, outputs, size = random.choice([3, 4, 5]), random.choice([6, 8, 10]), random.choice([2, 5])
    found = (number - 1) * size
    text = (
        f"{number} racks have {outputs} counts each. Every count has {size} kB, and so has a sum of any "
        "number of counts, since the same queries occur everywhere. One vertex R, in one of the racks, sums "
        "all; in each rack a vertex sums that rack's counts first. How many kB move between racks?"
    )
    without = (number - 1) * outputs * size
    return text, f"{found}: one sum from each of {number - 1} racks; without, it would be {without}", found
