"""spark-lineage: what Spark computes again after a machine has died, predicted by a student's functions.

A machine is killed between two actions on a simulated cluster. The truth is in the trace, where each task
says which partitions of which RDDs it computed; the student's functions see only what a driver knows
before.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import add
from random import Random

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.systems.spark import SparkContext

from ..answers import Answers, Wrong
from ..tasks import Case, Tasks, judge_prediction, same
from ..words import shown

tasks = Tasks("spark-lineage", order=5, formerly="05-lineage")

#: The RDDs of a chain, each made from the one before by a narrow dependency.
CHAIN = ("numbers", "squares", "even", "shifted")

#: Executors, each on a machine of its own.
MACHINES = 4


@dataclass(frozen=True)
class Narrow:
    """A chain of narrow dependencies, its second action after a death."""

    #: Names from the first RDD on; which of them is persisted, or None; how many partitions each has.
    chain: list[str]
    cached: str | None
    partitions: int
    #: Partitions of the persisted RDD that were on the dead machine.
    lost: list[int]
    #: What the second action computed: (name, partition).
    computed: set[tuple[str, int]]


def narrow_run(seed: int, random: Random) -> Narrow:
    """Persist an RDD of the chain, or none; count; kill a machine; count again."""
    length, partitions = random.randint(2, len(CHAIN)), random.randint(4, 8)
    chain = list(CHAIN[:length])
    cached = random.choice([*chain, *chain, None])
    functions = [lambda n: n * n, lambda n: n + n % 2, lambda n: n + 7]
    with Cluster(machines=MACHINES, engine="sim", seed=seed) as cluster, SparkContext(cluster) as sc:
        rdds = [sc.parallelize(range(40), partitions)]
        for function in functions[: length - 1]:
            rdds.append(rdds[-1].map(function))
        for name, rdd in zip(chain, rdds, strict=True):
            rdd.setName(name)
            if name == cached:
                rdd.cache()
        rdds[-1].count()
        names = {rdd.id(): name for name, rdd in zip(chain, rdds, strict=True)}
        stored = [(e.data["partition"], e.data["machine"]) for e in cluster.trace.filter(kind="block_stored")]
        victim = random.choice([machine.name for machine in cluster.machines])
        cluster.kill(victim)
        begun = cluster.trace.count
        rdds[-1].count()
        done = [event for event in cluster.trace.since(begun) if event.kind == "task_finished"]
        computed = {(names[rdd], p) for event in done for rdd, p in event.data["computed"] if rdd in names}
    lost = sorted(partition for partition, machine in stored if machine == victim)
    return Narrow(chain, cached, partitions, lost, computed)


def wide_run(seed: int, random: Random) -> tuple[dict[int, str], str, list[int]]:
    """Reduce by key; kill a machine; the same action again: where the map outputs were, who died, and which
    map
    tasks ran again.
    """
    partitions = random.randint(4, 8)
    with Cluster(machines=MACHINES, engine="sim", seed=seed) as cluster, SparkContext(cluster) as sc:
        pairs = sc.parallelize([(n % 5, n) for n in range(40)], partitions)
        sums = pairs.reduceByKey(add, 3)
        sums.count()
        stored = {e.data["map"]: e.data["machine"] for e in cluster.trace.filter(kind="outputs_stored")}
        victim = random.choice(sorted(set(stored.values())))
        cluster.kill(victim)
        begun = cluster.trace.count
        sums.count()
        again = {e.data["map"] for e in cluster.trace.since(begun) if e.kind == "outputs_stored"}
    return stored, victim, sorted(again)


@tasks.task("narrow", visible=(1, 2, 3), hidden=6)
def narrow(answers: Answers, case: Case) -> None:
    """Which partitions of a chain are computed by an action after a death: cached ones that live are not."""
    truth = narrow_run(case.seed, case.random)
    got = answers.call("recomputed", truth.chain, truth.cached, truth.partitions, truth.lost)
    if not isinstance(got, (set, list, tuple)) or not all(_is_pair(each) for each in got):
        raise Wrong(f"recomputed gave {shown(got)}; return a set of pairs (name, partition)")
    found = {(name, partition) for name, partition in got}
    if found != truth.computed:
        missing, more = sorted(truth.computed - found)[:4], sorted(found - truth.computed)[:4]
        raise Wrong(
            f"of the chain {' → '.join(truth.chain)} with {truth.partitions} partitions, "
            f"{truth.cached} persisted "
            f"and its partitions {truth.lost} lost, Spark computed "
            + (f"{missing}, which you do not name" if missing else f"no {more}, which you name")
        )


@tasks.task("wide", visible=(1, 2), hidden=6)
def wide(answers: Answers, case: Case) -> None:
    """Which map tasks run again when a machine with shuffle outputs has died."""
    stored, victim, truth = wide_run(case.seed, case.random)
    got = answers.call("maps_again", stored, victim)
    if not isinstance(got, (list, tuple, set)) or not same(sorted(got, key=str), sorted(truth, key=str)):
        raise Wrong(
            f"with map outputs at {stored} and {victim} dead, {truth} ran again; you say {shown(got)}"
        )


def _is_pair(value: object) -> bool:
    return isinstance(value, (tuple, list)) and list(map(type, value)) == [str, int]


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of partitions."""
    judge_prediction(answers, "predicted_count", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    while True:
        truth = narrow_run(random.randrange(1000), random)
        if truth.cached and truth.lost:
            break
    text = (
        f"{' → '.join(truth.chain)}, {truth.partitions} partitions each, and {truth.cached} is "
        f"persisted. A machine "
        f"dies with its partitions {truth.lost}. How many partitions, of all RDDs together, does the "
        f"next count compute?"
    )
    return text, f"{len(truth.computed)}: {sorted(truth.computed)}", len(truth.computed)


def watch(answers: Answers, engine: str, seed: int = 1) -> list[str]:
    """One run in the simulator, as it was: what was lost and what was computed again."""
    truth = narrow_run(seed, stream(seed, "watch"))
    return [
        f"{' → '.join(truth.chain)}, {truth.partitions} partitions, persisted: {truth.cached}, lost: "
        f"{truth.lost}",
        *(f"{name:8} {sorted(p for other, p in truth.computed if other == name)}" for name in truth.chain),
    ]
