"""haloop-caching: what a loop may keep from one iteration to the next (Bu et al., VLDB 2010, §4).

The loop is labkit's, on a simulated cluster, with the tables in its caches that a student's
``cached_tables`` says. What counts is what comes out, compared with the same loop on one thread without any
cache, and how many bytes its reduce tasks fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.systems.haloop import HaLoop, LoopJob, file_of
from labkit.systems.haloop.model import Step
from labkit.systems.mapreduce.partition import hash_partition

from ..answers import Answers, Wrong
from ..tasks import Case, Tasks, judge_prediction

ITERATIONS, STEPS, KEYS = 3, 2, 6
MODULUS = 1_000_003


class LoopTable(NamedTuple):
    """A table that a step of a loop joins with what changes."""

    name: str
    step: int  #: 1 or 2
    files: tuple[str, ...]  #: what is read in iterations 1, 2, 3


class LoopPlan(NamedTuple):
    """A loop of two steps: its tables, and by step what the partition function looks at."""

    tables: tuple[LoopTable, ...]
    partition: dict[int, tuple[str, ...]]


tasks = Tasks("haloop-caching", order=9, records=[LoopTable, LoopPlan])


class Partitioned(Step):
    """A step whose partition function may look at the iteration."""

    moves = False

    def partition(self, key: Any, R: int) -> int:  # noqa: N803
        """By the key, and the iteration."""
        return (hash_partition(key, R) + self.iteration * self.moves) % R


class Loop(HaLoop):
    """With such steps. moving: which of them look at the iteration."""

    moving: tuple[int, ...] = ()

    def body(self) -> Any:
        """As HaLoop's."""
        body, steps = super().body()
        own = [Partitioned(*each._functions) for each in steps]
        for number, step in enumerate(own, start=1):
            step.moves = number in self.moving
        return body, own


def plan_of(random: Random, moving: int) -> LoopPlan:
    """A loop whose step ``moving`` looks at the iteration; on the other one there are tables that never
    change, and tables that do so early, late, or early and back again."""
    names = random.sample("ABCDEFGH", 6)
    other = STEPS + 1 - moving
    kinds = [(other, "111"), (other, "122"), (other, "112"), (other, "121"), (moving, "111")]
    kinds.append(random.choice([(moving, "112"), (other, "111"), (moving, "111")]))
    tables = [
        LoopTable(name, step, tuple(f"{name}/{version}" for version in versions))
        for name, (step, versions) in zip(names, kinds, strict=True)
    ]
    random.shuffle(tables)
    looks: dict[int, tuple[str, ...]] = {
        step: ("key", "iteration") if step == moving else ("key",) for step in (1, 2)
    }
    return LoopPlan(tuple(tables), looks)


def best(plan: LoopPlan) -> set[str]:
    """The tables that the reducer input cache is for."""
    return {
        table.name
        for table in plan.tables
        if len(set(table.files)) == 1 and "iteration" not in plan.partition[table.step]
    }


def map_pair(task: Any, key: int, value: Any) -> None:
    """Handed on: a number is what changes, ("weight", number) is of a table."""
    task.emit_intermediate(key, value)


def reduce_pair(task: Any, key: int, values: Any, invariant: list[Any]) -> None:
    """What changes, three times, and all weights."""
    total = 0
    for value in [*values, *invariant]:
        total += value[1] if isinstance(value, tuple) else 3 * value
    task.emit(total % MODULUS)


def made(plan: LoopPlan, seed: int, tables: set[str], output: bool) -> tuple[Loop, Cluster]:
    """The loop with these tables in the reducer input cache; output: with the reducer output cache."""
    cluster = Cluster(machines=2, engine="sim", seed=seed % 2**31)
    fs = FileSystem(cluster, replicas=1)
    random = stream(seed, "weights")
    for path in sorted({path for table in plan.tables for path in table.files}):
        more = 1000 * int(path[-1])  # so that no two versions are the same
        rows = ((key, ("weight", more + random.randint(1, 999))) for key in range(KEYS) for _ in range(2))
        fs.put(path, {"rows": file_of(rows)})
    fs.put("start", {"rows": file_of((key, random.randint(1, 99)) for key in range(KEYS))})
    loop = Loop(cluster, fs)
    loop.moving = tuple(step for step in (1, 2) if "iteration" in plan.partition[step])
    for step in (1, 2):
        loop.add_map(map_pair, step)
        loop.add_reduce(reduce_pair, step)
    loop.set_input("start/*")
    for table in plan.tables:
        if table.name in tables:
            loop.add_invariant_table(f"{table.files[0]}/*", table.step)
        else:
            loop.add_step_input(reading(table))
    loop.set_max_num_of_iterations(ITERATIONS)
    loop.set_reducer_input_cache(bool(tables))
    if output:
        loop.set_reducer_output_cache(True)
        loop.set_fixed_point_threshold(0)
    return loop, cluster


def reading(table: LoopTable) -> Callable[[int, int], str | None]:
    """A table that is read, sorted and sent in every iteration."""
    return lambda step, iteration: f"{table.files[iteration - 1]}/*" if step == table.step else None


class Ran(NamedTuple):
    """What came out of a run."""

    outputs: list[list[tuple[int, int]]]  #: of each iteration
    distances: list[float | None]
    shuffled: int  #: bytes
    compared: int  #: bytes that a job of its own reads, to compare each iteration with the one before

    def __str__(self) -> str:
        return f"{self.shuffled:,} bytes shuffled; the first rows at the end: {self.outputs[-1][:3]}"


def ran(plan: LoopPlan, seed: int, tables: set[str], output: bool = False) -> Ran:
    """Run it on two machines."""
    loop, cluster = made(plan, seed, tables, output)
    with cluster:
        job: LoopJob = loop.run("out", M=1, R=2)
        numbers = range(1, ITERATIONS + 1)
        outputs = [
            sorted((int(k), int(v)) for k, v in job.output(number).values.tolist()) for number in numbers
        ]
        sizes = [sum(job.fs.du(path) for path in job.files_of(number)) for number in numbers]
        compared = sum(sizes[:-1]) + sum(sizes[1:])
        shuffled = int(job.iterations().shuffled.sum())
        return Ran(outputs, job.distances, shuffled, compared)


def expected(plan: LoopPlan, seed: int) -> Ran:
    """The same on one thread, without a cache."""
    loop, cluster = made(plan, seed, set(), True)
    with cluster:
        local = loop.run_locally()
        return Ran([sorted(rows) for rows in local.outputs], local.distances, 0, 0)


def chosen(answers: Answers, plan: LoopPlan) -> set[str]:
    """A student's tables. Raises ``Wrong`` for what is none."""
    got, known = answers.call("cached_tables", plan), {table.name for table in plan.tables}
    if not isinstance(got, (set, frozenset, list, tuple)) or not all(isinstance(each, str) for each in got):
        hint = ": give table.name" if "LoopTable" in repr(got) else ""
        raise Wrong(f"cached_tables gave {got!r:.80}, not a set of names of tables{hint}")
    if not set(got) <= known:
        raise Wrong(f"cached_tables gave {set(got)!r:.80}; the tables are {', '.join(sorted(known))}")
    return set(got)


def run(answers: Answers, seed: int = 1, moving: int = 2, tables: Any = "yours") -> LoopPlan | str:
    """A loop whose step ``moving`` has a partition function that looks at the iteration. tables: "yours", or
    names of those that the reducer input cache is for; None: the loop itself, which is not run."""
    if moving not in (1, 2):
        raise ValueError(f"moving={moving!r}: it is a step, 1 or 2")
    plan = plan_of(stream(seed, "plan"), moving)
    if tables is None:
        return plan
    names = chosen(answers, plan) if tables == "yours" else set(tables)
    known = {table.name for table in plan.tables}
    if not names <= known:
        raise ValueError(f"tables={tables!r}: give names out of {', '.join(sorted(known))}")
    got, wanted = ran(plan, seed, names), expected(plan, seed)
    return f"{got}, {'as without a cache' if got.outputs == wanted.outputs else 'WRONG'}"


def told(plan: LoopPlan) -> str:
    """A loop in words."""
    words = [f"{table.name} of step {table.step} reads {', '.join(table.files)}" for table in plan.tables]
    looks = [f"step {step} looks at {' and '.join(plan.partition[step])}" for step in (1, 2)]
    return "; ".join([*words, *looks])


@tasks.task("right", visible=(1, 2, 3), hidden=8)
def right(answers: Answers, case: Case) -> None:
    """No cache makes a result wrong."""
    random = case.random
    plan = plan_of(random, random.choice((1, 2)))
    tables = chosen(answers, plan)
    got, wanted = ran(plan, case.seed, tables), expected(plan, case.seed)
    for number, (mine, true) in enumerate(zip(got.outputs, wanted.outputs, strict=True), start=1):
        if mine != true:
            raise Wrong(
                f"with {', '.join(sorted(tables))} in the cache iteration {number} gave {mine[:3]}…, "
                f"and without a cache it is {true[:3]}…. The loop: {told(plan)}"
            )


@tasks.task("bytes", visible=(1, 2, 3), hidden=8)
def shuffled(answers: Answers, case: Case) -> None:
    """What can be cached is not sent again."""
    random = case.random
    plan = plan_of(random, random.choice((1, 2)))
    tables, wanted = chosen(answers, plan), best(plan)
    if tables == wanted:
        return
    got, least = ran(plan, case.seed, tables).shuffled, ran(plan, case.seed, wanted).shuffled
    if got > least:
        raise Wrong(
            f"with {', '.join(sorted(tables)) or 'no table'} in the cache {got:,} bytes are shuffled, "
            f"and {least:,} are enough: a table is sent again that every reduce task has already. "
            f"The loop: {told(plan)}"
        )


@tasks.task("distance", visible=(1, 2), hidden=6)
def distance(answers: Answers, case: Case) -> None:
    """The reducer output cache, where distances are right with it."""
    for moving in (1, 2):
        plan = plan_of(case.random, moving)
        got = answers.call("caches_output", plan)
        if not isinstance(got, bool):
            raise Wrong(f"caches_output gave {got!r:.80}, not True or False")
        if not got and moving == 2:
            continue
        mine, true = ran(plan, case.seed, set(), got), expected(plan, case.seed).distances
        if not got:
            raise Wrong(
                "without the reducer output cache a job of its own compares the iterations, and reads "
                f"{mine.compared:,} bytes for it; with the cache none, and distances are right. "
                f"The loop: {told(plan)}"
            )
        if mine.distances != true:
            raise Wrong(
                f"with the reducer output cache the distances were {mine.distances}, and {true} is right. "
                f"The loop: {told(plan)}"
            )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted bytes."""
    judge_prediction(answers, "predicted_megabytes", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    links, ranks, iterations = random.randint(20, 60) * 10, random.randint(2, 9), random.randint(6, 15)
    lost = random.randint(3, iterations - 1)
    part = links // 10
    found = links + iterations * ranks + part
    text = (
        f"A loop of {iterations} iterations joins {links} MB of links, which never change, with {ranks} MB "
        "of ranks, which do. The links are in the reducer input caches of ten workers, a tenth in each. "
        f"In iteration {lost} one of them loses its disk, before its reduce task begins, and another worker "
        "does its work from then on; the map outputs of the first iteration are all still there. "
        "How many megabytes does the join step shuffle in all iterations together? "
        "(The ranks of an iteration are shuffled once.)"
    )
    words = (
        f"{found}: {links} in the first iteration, {iterations} times {ranks}, and {part} from the map "
        "outputs of the first iteration"
    )
    return text, words, found
