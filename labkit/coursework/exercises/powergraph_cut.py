"""powergraph-cut: a greedy vertex cut (Gonzalez et al., OSDI 2012, §5.2.1).

A student's ``cut`` places the edges of a graph with a few vertices of high degree, one after the other. It is
judged by what it costs: replicas beside those of labkit's coordinated greedy cut on the same edges in the
same order, and the edges of the fullest machine.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from random import Random

import numpy as np

from labkit.parts.graphs.cuts import Greedy
from labkit.parts.graphs.generate import barabasi_albert
from labkit.runtime.copying import stream
from labkit.trace.words import many

from ..answers import Answers, Wrong
from ..tasks import Case, Tasks, judge_prediction

tasks = Tasks("powergraph-cut", order=13)

#: Vertices, edges that each of them brings, machines. On denser graphs the rules balance less well.
VERTICES, BRINGS, MACHINES = 1000, 3, 8
#: So many times the replicas of labkit's cut are allowed, and of the mean of edges on the fullest machine.
MORE, FULLER = 1.15, 2.5

Edge = tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """What a cut costs."""

    replicas: float  #: of a vertex with edges, in the mean
    fullest: float  #: edges of the fullest machine over the mean

    def __str__(self) -> str:
        fullest = f"the fullest machine has {self.fullest:.2f} times the mean"
        return f"{self.replicas:.2f} replicas of a vertex, {fullest}"


def edges_of(seed: int) -> list[Edge]:
    """The edges of a graph, in an order that says nothing."""
    graph = barabasi_albert(VERTICES, BRINGS, seed=seed % 2**32)
    both = zip(graph.sources().tolist(), graph.targets.tolist(), strict=True)
    edges = [(u, v) for u, v in both if u < v]
    stream(seed, "order of edges").shuffle(edges)
    return edges


def greedy(edges: list[Edge], machines: int) -> list[int]:
    """labkit's."""
    left = np.bincount(np.array(edges).ravel(), minlength=VERTICES).tolist()
    rule = Greedy(machines, left)
    return [rule.place(u, v) for u, v in edges]


def by_chance(edges: list[Edge], machines: int) -> list[int]:
    """The random cut."""
    random = stream(0, "random cut", len(edges))
    return [random.randrange(machines) for _ in edges]


def measured(edges: list[Edge], places: list[int], machines: int) -> Cut:
    """What it costs."""
    there = {(vertex, place) for edge, place in zip(edges, places, strict=True) for vertex in edge}
    vertices = {vertex for vertex, _ in there}
    load = np.bincount(places, minlength=machines)
    return Cut(len(there) / len(vertices), float(load.max() / load.mean()))


def placed(answers: Answers, edges: list[Edge], machines: int) -> list[int]:
    """A student's. Raises ``Wrong`` for what is none."""
    got = answers.call("cut", list(edges), machines)
    try:
        places = [operator.index(place) for place in got]
    except TypeError:
        raise Wrong(f"cut gave {got!r:.80}, not a list of numbers of machines") from None
    if len(places) != len(edges):
        count = f"{many(len(places), 'machine')} for {many(len(edges), 'edge')}"
        raise Wrong(f"cut gave {count}: give one for each, in order")
    if wrong := [place for place in places if not 0 <= place < machines]:
        raise Wrong(f"cut gave machine {wrong[0]}; the {machines} machines are 0 to {machines - 1}")
    return places


def run(answers: Answers, seed: int = 1, machines: int = MACHINES, rule: str = "yours") -> Cut:
    """A cut of a graph. rule: "yours", "random" or "labkit's"."""
    edges = edges_of(seed)
    if rule == "yours":
        return measured(edges, placed(answers, edges, machines), machines)
    return measured(edges, {"random": by_chance, "labkit's": greedy}[rule](edges, machines), machines)


def cell(seed: int) -> str:
    """Code that shows a run again, by all rules."""
    rules = ("yours", "random", "labkit's")
    return "\n".join(f"print(exercise.run(seed={seed}, rule={rule!r}))" for rule in rules)


def allowed(of_u: set[int], of_v: set[int], left_u: int, left_v: int, machines: int) -> set[int]:
    """The four cases."""
    if of_u & of_v:
        return of_u & of_v
    if of_u and of_v:
        return of_u if left_u >= left_v else of_v
    return of_u or of_v or set(range(machines))


@tasks.task("cases", visible=(1, 2), hidden=10)
def cases(answers: Answers, case: Case) -> None:
    """Which machines may get an edge."""
    random = case.random
    for _ in range(24):
        machines = random.randint(2, 8)
        of_u, of_v = (some(random, machines) for _ in range(2))
        left_u, left_v = random.sample(range(1, 50), 2)
        wanted = allowed(of_u, of_v, left_u, left_v, machines)
        given = set(of_u), set(of_v), left_u, left_v, machines
        got = answers.call("candidates", *given)
        try:
            found = set(got)
        except TypeError:
            raise Wrong(f"candidates gave {got!r:.80}, not a set of machines") from None
        if found != wanted:
            raise Wrong(
                f"candidates({of_u or 'set()'}, {of_v or 'set()'}, {left_u}, {left_v}, {machines}) gave "
                f"{got!r:.80}, not {wanted}: {why(of_u, of_v)}"
            )


def why(of_u: set[int], of_v: set[int]) -> str:
    """Which case it is."""
    if of_u & of_v:
        return "some machines have both"
    if of_u and of_v:
        return "both are somewhere, but nowhere together: the vertex with more edges left decides"
    return "only one has replicas" if of_u or of_v else "neither has a replica"


def some(random: Random, machines: int) -> set[int]:
    """No machines, or a few."""
    return set(random.sample(range(machines), random.choice([0, 1, 1, min(2, machines)])))


@tasks.task("replicas", visible=(1, 2), hidden=6)
def replicas(answers: Answers, case: Case) -> None:
    """Hardly more replicas than labkit's cut makes."""
    got, wanted = run(answers, case.seed), run(answers, case.seed, rule="labkit's")
    if got.replicas > MORE * wanted.replicas:
        raise Wrong(
            f"{got}. labkit's cut makes {wanted.replicas:.2f} of the same edges, and {MORE} times that is "
            f"allowed; at random it would be {run(answers, case.seed, rule='random').replicas:.2f}",
            cell(case.seed),
        )


@tasks.task("balance", visible=(1, 2), hidden=6)
def balance(answers: Answers, case: Case) -> None:
    """No machine has far more edges than others."""
    got = run(answers, case.seed)
    if got.fullest > FULLER:
        raise Wrong(
            f"{got}, and {FULLER} times is allowed: of several machines that may get an edge, take the one "
            "with the fewest",
            cell(case.seed),
        )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of replicas."""
    judge_prediction(answers, "predicted_replicas", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    leaves, machines = random.randint(20, 60), random.randint(3, 9)
    total = leaves + machines
    text = (
        f"A star: one vertex in the middle, {leaves} around it, and an edge to each of these. It is cut over "
        f"{machines} machines so that each has some of its edges. How many replicas have all its vertices "
        "together?"
    )
    words = f"{total}: one on each of {machines} machines for the middle, and one for each of {leaves} others"
    return text, words, total
