"""pregel-sssp: shortest paths, a vertex program and its combiner (Malewicz et al., SIGMOD 2010, Fig. 5).

The partitions are labkit's own, in one process: a student's ``compute`` and ``combine`` are what their
vertices and their combiner ask. What counts are the distances, beside Dijkstra's; how many messages are sent
and in how many supersteps, beside the paper's program; and what the combiner makes of two distances.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any, NamedTuple

from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.oracles import sssp
from labkit.runtime.copying import stream
from labkit.systems.pregel.model import Vertex
from labkit.systems.pregel.objects import UserFailed
from labkit.systems.pregel.programs import ShortestPaths
from labkit.systems.pregel.reductions import Combiner
from labkit.systems.pregel.single import supersteps

from ..answers import Answers, Wrong
from ..tasks import Case, Tasks, judge_prediction

SOURCE, PARTITIONS = 0, 3
#: Supersteps after which a program counts as one that never ends.
MOST = 60


class VertexState(NamedTuple):
    """A vertex, as compute is asked."""

    vertex_id: int
    superstep: int
    value: float  #: inf before superstep 0
    edges: tuple[tuple[int, float], ...]  #: (target, length) each
    is_source: bool


tasks = Tasks("pregel-sssp", order=10, records=[VertexState])


def drawn(random: Random, vertices: int = 9, edges: int = 24) -> Graph:
    """A graph with lengths, in which some vertices are first reached by a way that is not the shortest, and
    some not at all."""
    links = [(random.randrange(vertices), random.randrange(vertices), float(random.randint(1, 9)))
             for _ in range(edges - vertices)]  # fmt: skip
    chain = [(v, v + 1, 1.0) for v in range(vertices - 3)]
    return Graph.of([*chain, (0, vertices - 3, 20.0), *links], vertices=range(vertices + 2))


def asking(answers: Answers, combine: str) -> type[Vertex]:
    """The program that asks the student. combine: "yours", "min" or "none"."""

    class Asked(Combiner):
        def combine(self, one: float, other: float) -> Any:
            return number("combine", answers.call("combine", one, other))

    class Asking(Vertex):
        initial = math.inf
        combiner = {"yours": Asked(), "min": ShortestPaths.combiner, "none": None}[combine]

        def compute(self, messages: Any) -> None:
            edges = tuple((target, length) for target, length in self.out_edges)
            state = VertexState(self.vertex_id, self.superstep, self.value, edges, self.vertex_id == SOURCE)
            value, sent, halt = answer(answers.call("compute", state, list(messages)))
            self.value = value
            for target, message in sent:
                self.send_message_to(target, message)
            if halt:
                self.vote_to_halt()

    return Asking


def number(function: str, got: Any) -> float:
    """A distance. Raises ``Wrong``."""
    if isinstance(got, bool) or not isinstance(got, (int, float)) or math.isnan(got):
        raise Wrong(f"{function} gave {got!r:.80}, where a distance is to be: a number")
    return float(got)


def answer(got: Any) -> tuple[float, list[tuple[int, float]], bool]:
    """What compute returned. Raises ``Wrong``."""
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        raise Wrong(f"compute gave {got!r:.80}, not (value, messages, halt)")
    value, sent, halt = got
    if not isinstance(halt, bool):
        raise Wrong(f"compute gave halt = {halt!r:.40}, not True or False")
    pairs = isinstance(sent, (list, tuple)) and all(
        isinstance(m, (list, tuple)) and len(m) == 2 for m in sent
    )
    if not pairs:
        raise Wrong(f"compute gave messages = {sent!r:.80}, not a list of (target, message)")
    if not all(isinstance(target, int) for target, _ in sent):
        raise Wrong(f"compute gave messages = {sent!r:.80}: a target is the number of a vertex")
    return number("compute", value), [(target, number("compute", message)) for target, message in sent], halt


class Ran(NamedTuple):
    """What came out of a run."""

    distances: tuple[float, ...]
    supersteps: int
    sent: int  #: messages that compute sent
    travelled: int  #: of them, after the combiner

    def __str__(self) -> str:
        words = ", ".join(f"{each:g}" for each in self.distances)
        messages = f"{self.sent} messages, {self.travelled} travelled"
        return f"{self.supersteps} supersteps, {messages}; distances {words}"


def ran(program: type[Vertex], graph: Graph) -> Ran:
    """Run a program on three partitions. Raises ``Wrong``, also for what has not halted."""
    steps, sent, travelled, values = 0, 0, 0, {}
    try:
        for reports, found in supersteps(program, graph, PARTITIONS):
            steps, values = steps + 1, found
            sent += sum(report.sent for report in reports)
            travelled += sum(report.combined for report in reports)
            if steps > MOST:
                raise Wrong(
                    f"after {MOST} supersteps it has not halted: return halt = True, and do not send for ever"
                )
    except UserFailed as error:
        cause = error.__cause__
        raise cause if isinstance(cause, Wrong) else Wrong(str(error).splitlines()[0]) from None
    return Ran(tuple(values[v] for v in range(graph.n)), steps, sent, travelled)


def told(graph: Graph) -> str:
    """A graph in words."""
    lengths = {
        v: zip(graph.out(v).tolist(), graph.out_weights(v).tolist(), strict=True) for v in range(graph.n)
    }
    edges = ", ".join(f"{v} → {t}: {length:g}" for v, some in lengths.items() for t, length in some)
    return f"The edges, with their lengths: {edges}; the source is {SOURCE}"


def run(
    answers: Answers, seed: int = 1, program: str = "yours", combine: str = "min", graph: Any = None
) -> Ran | str:
    """Shortest paths on a small graph. program: "yours" or "paper" (Figure 5). combine: "yours", "min" or
    "none"; the paper's program does not take yours. graph: "edges" tells the graph, in words."""
    if program not in ("yours", "paper") or combine not in ("yours", "min", "none"):
        raise ValueError(f'program={program!r}, combine={combine!r}: write program="yours" or "paper", '
                         'combine="yours", "min" or "none"')  # fmt: skip
    found = drawn(stream(seed, "graph"))
    if graph is not None:
        return told(found)
    if program == "paper" and combine == "none":
        return ran(ShortestPaths.having(combiner=None), found)
    return ran(asking(answers, combine) if program == "yours" else ShortestPaths, found)


@tasks.task("distances", visible=(1, 2, 3), hidden=8)
def distances(answers: Answers, case: Case) -> None:
    """The distances are the shortest ones, with a combiner and without."""
    graph = drawn(case.random)
    wanted = tuple(sssp(graph, SOURCE).tolist())
    for combine in ("none", "min"):
        got = ran(asking(answers, combine), graph)
        if got.distances != wanted:
            v = next(v for v in range(graph.n) if got.distances[v] != wanted[v])
            raise Wrong(
                f"vertex {v} has {got.distances[v]:g}, and its distance is {wanted[v]:g}. {told(graph)}"
            )


@tasks.task("messages", visible=(1, 2, 3), hidden=8)
def messages(answers: Answers, case: Case) -> None:
    """Not more messages and supersteps than the paper's program needs."""
    graph = drawn(case.random)
    got, paper = ran(asking(answers, "min"), graph), ran(ShortestPaths, graph)
    if got.sent > paper.sent or got.supersteps > paper.supersteps:
        raise Wrong(
            f"{got.sent} messages in {got.supersteps} supersteps; {paper.sent} in {paper.supersteps} are "
            f"enough: who has not got nearer has nothing to tell. {told(graph)}"
        )


@tasks.task("combiner", visible=(1, 2), hidden=6)
def combiner(answers: Answers, case: Case) -> None:
    """The combiner changes no distance, in whichever order it is asked."""
    random = case.random
    for _ in range(20):
        one, other = float(random.randint(0, 30)), float(random.randint(0, 30))
        got = number("combine", answers.call("combine", one, other))
        if got != min(one, other):
            raise Wrong(
                f"combine({one:g}, {other:g}) gave {got:g}: a vertex that gets {one:g} and {other:g} takes "
                f"{min(one, other):g}, and is to take the same when it gets your message instead"
            )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted messages."""
    judge_prediction(answers, "predicted_messages", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    parts, layers = random.randint(2, 5), random.randint(3, 8)
    width = parts * random.randint(2, 6)
    found = width + (layers - 1) * parts * width
    text = (
        f"A source has an edge to each of the {width} vertices of the first of {layers} layers, and each "
        "vertex of a layer has an edge to each vertex of the next one; all edges have length 1. The graph is "
        f"in {parts} partitions, and each of them has as many vertices of each layer as the others. Messages "
        "for the same vertex from the same partition are combined. How many messages travel in all "
        "supersteps together?"
    )
    words = (
        f"{found}: {width} from the source, then {layers - 1} times one from each of {parts} partitions to "
        f"each of {width} vertices"
    )
    return text, words, found
