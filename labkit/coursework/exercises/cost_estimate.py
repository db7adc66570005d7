"""cost-estimate: how many cores does a system need to beat one thread (McSherry et al., HotOS 2015)?

A student predicts from two measurements what labkit's Pregel, on a simulated cluster, needs with more
cores; then it is run with those. Nothing is predicted by the judges: what they compare with was measured.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from labkit.parts.graphs import Graph, generate
from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.systems.pregel import Pregel, Sum, Vertex

from ..answers import Answers, NotWritten, Wrong
from ..tasks import Case, Tasks, judge_prediction

CORES = (2, 4, 8, 16)
KNOWN = 2  #: The first two of them are measured for the student.
SUPERSTEPS = 4
NEAR = 0.25  #: of the measured seconds


class Claim(NamedTuple):
    """A system's COST is asked for: what was measured of it, seconds by cores, what one thread needs, and
    with how many cores at most one may run it."""

    measured: dict[int, float]
    one_thread: float
    most: int


tasks = Tasks("cost-estimate", order=18, records=[Claim])


class Ranks(Vertex):
    """PageRank in the variant of Pregel's Figure 4, over arrays."""

    combiner = Sum()
    initial = 0.0

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """A whole partition."""
        n = self.num_vertices
        values[:] = 0.15 / n + 0.85 * messages.combined if self.superstep else 1 / n
        if self.superstep < SUPERSTEPS:
            out_edges.send(values / out_edges.degrees.clip(1))
        else:
            self.vote_to_halt()


def drawn(random: Random) -> tuple[Graph, float]:
    """A graph, and the seconds that an order takes: what does not become less with more cores."""
    n, mu = random.randint(1500, 3500), random.choice((2.5, 3.0))
    graph = generate.log_normal(n, random.randint(0, 2**31), mu, sigma=0.7)
    return graph, random.choice((6e-3, 9e-3, 1.2e-2))


@functools.lru_cache(maxsize=64)
def measured(seed: int) -> tuple[tuple[int, float], ...]:
    """Seconds of a superstep of PageRank, by cores: each is a run on as many simulated machines."""
    graph, per_order = drawn(stream(seed, "graph"))
    found = []
    for cores in CORES:
        with Cluster(machines=cores, engine="sim", seed=seed % 2**31) as cluster:
            job = Pregel(cluster, FileSystem(cluster, replicas=1)).run(
                Ranks, graph, "ranks", partitions=cores, seconds_per_order=per_order
            )
            # The last superstep sends nothing.
            found.append((cores, float(job.statistics().table.seconds.iloc[:SUPERSTEPS].mean())))
    return tuple(found)


def said(seconds: dict[int, float]) -> str:
    """Measurements in words."""
    return ", ".join(f"{value * 1e3:.1f} ms with {cores}" for cores, value in seconds.items())


def estimated(answers: Answers, two: dict[int, float], cores: int) -> float:
    """A student's seconds. Raises ``Wrong`` for what are none."""
    got = answers.call("seconds", two, cores)
    if isinstance(got, bool) or not isinstance(got, (int, float)) or not math.isfinite(got) or got <= 0:
        raise Wrong(f"seconds({two}, {cores}) gave {got!r:.80}, not a number of seconds above 0")
    return float(got)


@tasks.task("seconds", visible=(1, 2, 3), hidden=5)
def near(answers: Answers, case: Case) -> None:
    """From two and four cores to eight and sixteen."""
    true = dict(measured(case.seed))
    two = {cores: true[cores] for cores in CORES[:KNOWN]}
    for cores in CORES:
        got = estimated(answers, dict(two), cores)
        if abs(got - true[cores]) > NEAR * true[cores]:
            raise Wrong(
                f"measured were {said(two)}; for {cores} cores you say {got * 1e3:.1f} ms, and it took "
                f"{true[cores] * 1e3:.1f} ms. More than {NEAR:.0%} beside it"
            )


def claims(seed: int) -> list[tuple[Claim, int | None]]:
    """Claims with their true COST among powers of two: one thread is between two measurements, slower
    than all, or faster than all; where it is close, nobody can know, so it is not."""
    true = dict(measured(seed))
    two = {cores: true[cores] for cores in CORES[:KNOWN]}
    found: list[tuple[Claim, int | None]] = [
        (Claim(two, true[CORES[0]] * 1.3, CORES[-1]), CORES[0]),
        (Claim(two, true[CORES[-1]] * 0.7, CORES[-1]), None),
    ]
    for fewer, more in itertools.pairwise(CORES):
        if true[more] < 0.65 * true[fewer]:
            between = math.sqrt(true[fewer] * true[more])
            found.append((Claim(two, between, CORES[-1]), more))
            found.append((Claim(two, between, fewer), None))
    return found


@tasks.task("cost", visible=(1, 2, 3), hidden=5)
def cost(answers: Answers, case: Case) -> None:
    """The COST, or None: unbounded."""
    for claim, true in claims(case.seed):
        got = answers.call("cost", claim)
        if got is not None and (isinstance(got, bool) or not isinstance(got, int)):
            raise Wrong(f"cost gave {got!r:.80}, not a number of cores or None")
        if got != true:
            runs = {cores: value for cores, value in measured(case.seed) if cores <= claim.most}
            raise Wrong(
                f"one thread needs {claim.one_thread * 1e3:.1f} ms, of cores there are {claim.most}: "
                f"you say {got}, and it is {true or 'None'}. Measured: {said(runs)}"
            )


def run(
    answers: Answers, seed: int = 1, cores: Sequence[int] = CORES, predict: bool = True
) -> dict[int, float] | str:
    """PageRank on simulated clusters: seconds of a superstep by cores, beside what you predict from one
    and two.

    cores: out of 2, 4, 8, 16. predict: False returns only what is measured.
    """
    if not set(cores) <= set(CORES):
        raise ValueError(f"cores={cores!r}: give some of {', '.join(map(str, CORES))}")
    true = dict(measured(seed))
    if not predict:
        return {each: true[each] for each in cores}
    two = {each: true[each] for each in CORES[:KNOWN]}
    lines = []
    for each in cores:
        try:
            mine = f"predicted {estimated(answers, dict(two), each) * 1e3:6.2f} ms"
        except NotWritten:
            mine = "not predicted yet"
        lines.append(f"{each} cores: {true[each] * 1e3:6.2f} ms, {mine}")
    return "\n".join(lines)


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted cores."""
    judge_prediction(answers, "predicted_cores", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    fixed, cores = random.randint(2, 9), random.randint(3, 9)
    parallel = 60 * cores
    alone = fixed + parallel // cores + random.randint(1, 4)
    found = next(k for k in itertools.count(1) if fixed + parallel / k < alone)
    text = (
        f"An iteration of a system takes {fixed} s on any number of cores, and {parallel} s of work that is "
        f"shared evenly. One thread needs {alone} s for the iteration. What is the system's COST?"
    )
    words = (
        f"{found}: {fixed} + {parallel}/{found} = {fixed + parallel / found:.1f} s, and with one core less "
    )
    words += f"{fixed + parallel / (found - 1):.1f} s"
    return text, words, found
