"""gnutella-flooding: which neighbours a servent hands a query on to, and which way a hit goes (protocol 0.4).

Each peer is a node whose routing a student wrote; messages are real, and the links differ in speed. What
counts is who heard of a query, and how many messages the trace shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.network import Network, Uniform
from labkit.runtime.node import rpc
from labkit.systems.filesharing.topology import Graph, ball, edges, generate

from ..answers import Answers, Wrong
from ..nodes import Answering, answered_by, failed_with, reported
from ..tasks import Case, Tasks, judge_prediction
from ..values import State

tasks = Tasks("gnutella-flooding", order=16)

GUID = "a1"
#: Copies after which a query is taken to go round for ever.
MOST = 2000
#: Seconds within which every copy has come.
LONG = 10.0
#: So many times the messages of a flood without a second look are allowed to the better one.
MORE = 1.5


class Peer(Answering):
    """A servent: its neighbours, what it has seen, and a student's routing."""

    def __init__(self, neighbours: tuple[str, ...], function: str) -> None:
        self.neighbours, self.function = neighbours, function
        self.seen: dict[str, str] = {}
        self.best: dict[str, int] = {}

    def told(self) -> dict[str, Any]:
        return state_of(self.name, self.neighbours, self.seen, self.best)

    def adopt_state(self, state: dict[str, Any]) -> None:
        for what in ("seen", "best"):
            if what in state:
                if not isinstance(state[what], dict):
                    raise Wrong(f"n.{what} must stay a dictionary, not {state[what]!r:.60}")
                setattr(self, what, state[what])

    @rpc
    def ask(self, ttl: int) -> None:
        """A query of this peer's own user."""
        self.seen[GUID], self.best[GUID] = "", ttl + 1
        for host in self.neighbours:
            self.send(host, "query", self.name, ttl, 0)

    @rpc
    async def query(self, source: str, ttl: int, hops: int) -> None:
        """A copy of a query has come."""
        self.emit("asked", source=source, ttl=ttl, hops=hops)
        self.answers.hops += 1
        if self.answers.hops > MOST:
            raise failed_with(self.answers, Wrong(f"after {MOST} messages the query still goes round"))
        copies = await self.play(self.function, source, GUID, ttl, hops)
        try:
            sent = checked(copies, self, source, ttl, hops)
        except Wrong as wrong:
            raise failed_with(self.answers, wrong) from None
        for host, more, gone in sent:
            self.send(host, "query", self.name, more, gone)


def state_of(name: str, neighbours: Any, seen: Any, best: Any) -> State:
    """A peer as a function is told of it."""
    return State(name=name, neighbours=list(neighbours), seen=dict(seen), best=dict(best))


def checked(copies: Any, peer: Any, source: str, ttl: int, hops: int) -> list[tuple[str, int, int]]:
    """The copies that a student's code gave. Raises ``Wrong`` for what breaks the protocol."""
    what = f"{peer.function} of {peer.name}, asked by {source} with TTL {ttl} after {hops} hops,"
    if not isinstance(copies, (list, tuple)):
        raise Wrong(f"{what} returned {copies!r:.80}, not a list of (neighbour, ttl, hops)")
    found = []
    for copy in copies:
        if not (isinstance(copy, (list, tuple)) and len(copy) == 3):
            raise Wrong(f"{what} returned {copy!r:.80} in its list; each is (neighbour, ttl, hops)")
        host, more, gone = copy
        if host not in peer.neighbours:
            raise Wrong(f"{what} sends to {host!r:.40}, which is no neighbour: {', '.join(peer.neighbours)}")
        if host == source:
            raise Wrong(f"{what} sends the query back to its sender")
        if type(more) is not int or type(gone) is not int or more + gone != ttl + hops:
            raise Wrong(f"{what} sends TTL {more!r} and {gone!r} hops: TTL + hops must stay {ttl + hops}")
        if more < 1:
            raise Wrong(f"{what} hands on a query whose TTL is {more}: TTL 1 is not handed on")
        if more >= ttl:
            raise Wrong(f"{what} does not lower the TTL")
        found.append((host, more, gone))
    return found


@dataclass(frozen=True)
class Ran:
    """What a query came to."""

    messages: int
    reached: set[int]

    def __str__(self) -> str:
        return f"{self.messages} messages, {len(self.reached)} peers reached"


def flood(answers: Answers, graph: Graph, origin: int, ttl: int, seed: int, function: str) -> Ran:
    """A query over the overlay, each peer on a machine of its own."""
    names = [f"peer-{number}" for number in range(len(graph))]
    cls = answered_by(answers, Peer)
    answers.hops = 0
    with _overlay(answers, len(graph), seed) as cluster:
        cluster.spawn_many(
            (cls, (tuple(names[other] for other in links), function), {}, names[number], f"m{number + 1}")
            for number, links in enumerate(graph)
        )
        cluster.call(names[origin], "ask", ttl)
        cluster.run(LONG)
        asked = cluster.trace.filter("asked")
        return Ran(len(asked), {names.index(str(event.node)) for event in asked} - {origin})
    raise AssertionError("reported() raises")


@contextmanager
def _overlay(answers: Answers, peers: int, seed: int) -> Iterator[Cluster]:
    network = Network(latency=Uniform(0.001, 0.05))
    with reported(answers, Cluster(peers, engine="sim", seed=seed, network=network)) as cluster:
        yield cluster


def drawn(random: Random, least: int = 6, most: int = 14) -> tuple[Graph, int]:
    """An overlay and an origin."""
    size = random.randint(least, most)
    kind = random.choice(["power law", "random", "ring", "tree"])
    graph = generate(kind, size, random.choice([3, 4]), random.getrandbits(30))
    return graph, random.randrange(size)


def said(graph: Graph, origin: int) -> str:
    """An overlay in words."""
    pairs = [f"{a}–{b}" for a, links in enumerate(graph) for b in links if a < b]
    return f"in the overlay {', '.join(pairs)}, asked by peer {origin}"


@tasks.task("flood", visible=(1, 2), hidden=12)
def flood_all(answers: Answers, case: Case) -> None:
    """With an ample TTL, everybody hears, by 2|E| - (|V| - 1) messages; with a small one, nobody too far."""
    graph, origin = drawn(case.random)
    size = len(graph)
    ran = flood(answers, graph, origin, size, case.seed, "on_query")
    wanted = 2 * edges(graph) - (size - 1)
    if len(ran.reached) < size - 1:
        missing = sorted(set(range(size)) - ran.reached - {origin})
        raise Wrong(f"{said(graph, origin)} with TTL {size}: {ran}; peers {missing} never heard of it")
    if ran.messages != wanted:
        raise Wrong(
            f"{said(graph, origin)} with TTL {size}: {ran}; with {edges(graph)} links and {size} peers it is "
            f"2·{edges(graph)} - {size - 1} = {wanted}: each peer hands a query on once"
        )
    ttl = case.random.randint(1, 2)
    near = flood(answers, graph, origin, ttl, case.seed, "on_query").reached
    beyond = near - ball(graph, origin, ttl)
    if beyond:
        raise Wrong(f"{said(graph, origin)} with TTL {ttl}: peers {sorted(beyond)} are further away")
    if ttl == 1 and near != ball(graph, origin, 1) - {origin}:
        raise Wrong(f"{said(graph, origin)} with TTL 1: {sorted(near)} heard of it, not all neighbours")


@tasks.task("back", visible=(1, 2), hidden=20)
def back(answers: Answers, case: Case) -> None:
    """A hit goes to the neighbour from which the query came first; nowhere, if that is not known or gone."""
    random = case.random
    names = [f"peer-{number}" for number in range(8)]
    me, *others = random.sample(names, random.randint(3, 8))
    guids = [f"g{number}" for number in range(4)]
    seen = {guid: random.choice(others) for guid in guids[:3]}
    gone = random.choice(sorted(set(seen.values())))
    for links in (others, [other for other in others if other != gone]):
        for guid in guids:
            got = answers.call("on_hit", state_of(me, links, seen, {}), guid)
            source = seen.get(guid)
            wanted = source if source in links else None
            if got != wanted:
                raise Wrong(
                    f"n.seen is {seen} and n.neighbours {links}: on_hit(n, {guid!r}) gave {got!r:.40}, not "
                    f"{wanted!r}"
                )


@tasks.task("tight", visible=(1, 2, 3), hidden=10)
def tight(answers: Answers, case: Case) -> None:
    """Everybody within the TTL hears, whatever the delays; not by sending every copy on."""
    random = case.random
    size = random.randint(30, 36)
    graph, ttl = generate("random", size, 3, random.getrandbits(30)), random.randint(3, 4)
    ran = flood(answers, graph, 0, ttl, case.seed, "on_query_tight")
    missing = ball(graph, 0, ttl) - ran.reached - {0}
    if missing:
        raise Wrong(
            f"{said(graph, 0)} with TTL {ttl}: peers {sorted(missing)} are within {ttl} hops and never "
            "heard: a better copy came late, and was dropped"
        )
    allowed = MORE * (2 * edges(graph) - (size - 1))
    if ran.messages > allowed:
        raise Wrong(
            f"{said(graph, 0)} with TTL {ttl}: {ran}; {allowed:.0f} are allowed: hand a duplicate on only if "
            "its TTL is higher than that of all before"
        )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of messages."""
    judge_prediction(answers, "predicted_messages", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    graph = generate("random", random.randint(7, 9), 3, random.getrandbits(30))
    pairs = ", ".join(f"{a}–{b}" for a, links in enumerate(graph) for b in links if a < b)
    size, count = len(graph), edges(graph)
    wanted = 2 * count - (size - 1)
    text = f"{size} peers with the links {pairs}. Peer 0 floods a query, TTL 9. How many messages?"
    return text, f"2·{count} - ({size} - 1) = {wanted}", wanted
