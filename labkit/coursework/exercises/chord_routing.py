"""chord-routing: ``closest_preceding_finger`` and ``find_successor`` over messages (SIGCOMM 2001, Fig. 4).

The members have exact fingers; a student's functions are their handlers. What counts is the answer, and the
messages that the trace shows.
"""

from __future__ import annotations

from random import Random
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.errors import LabError
from labkit.runtime.node import rpc
from labkit.systems.chord.ids import Peer
from labkit.systems.chord.single import IdealRing

from ..answers import Answers, Wrong
from ..nodes import SETTLE, Answering, answered_by, failed_with, reported
from ..tasks import Case, Tasks, judge_prediction
from ..values import State

tasks = Tasks(
    "chord-routing",
    order=1,
    formerly="01-chord-routing",
    records=[Peer],
    opens=["labkit.systems.chord.ids", "labkit.systems.chord.single"],
)

#: Entries of a successor list.
LENGTH = 4

#: Lookups round dead members, and so many times the hops of the best way are allowed.
LOOKUPS, MORE_HOPS = 8, 1.5

#: Messages after which a lookup is taken to go round for ever.
MOST_HOPS = 100


def peer_of(value: Any, what: str) -> Peer:
    """The peer that a student's code gave. Raises ``Wrong``."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        id, name = value
        if type(id) is int and type(name) is str:
            return Peer(id, name)
    raise Wrong(f"{what} must be a Peer, not {value!r:.80}")


def peers_of(value: Any, what: str, most: int = 1000) -> tuple[Peer, ...]:
    """The peers that a student's code gave. Raises ``Wrong``."""
    if not isinstance(value, (tuple, list)):
        raise Wrong(f"{what} must be a list of peers, not {value!r:.80}")
    if len(value) > most:
        raise Wrong(f"{what} has {len(value)} entries; {most} are enough")
    return tuple(peer_of(entry, f"an entry of {what}") for entry in value)


class RoutingNode(Answering):
    """A member with exact pointers that never change."""

    answering = ("find_successor", "find_live_successor")

    def __init__(self, id: int, bits: int, fingers: tuple[Peer, ...], successors: tuple[Peer, ...]) -> None:
        self.id = id
        self.bits = bits
        self.fingers = fingers
        self.successors = successors

    def told(self) -> dict[str, Any]:
        return state_of(self)

    @rpc
    async def find_successor(self, key: int) -> Peer:
        """The owner of a key, found by the student's code."""
        return peer_of(await self.hop("find_successor", key), "what find_successor returns")

    @rpc
    async def find_live_successor(self, key: int) -> Peer:
        """The first living member at or after a key."""
        return peer_of(await self.hop("find_live_successor", key), "what find_live_successor returns")

    async def hop(self, function: str, key: int) -> Any:
        """One more node is asked; many mean a lookup that never ends."""
        self.emit("asked", key=key)
        self.answers.hops += 1
        if self.answers.hops > MOST_HOPS:
            raise failed_with(self.answers, Wrong(f"after {MOST_HOPS} messages {function}({key}) never ends"))
        return await self.play(function, key)


def state_of(node: Any) -> State:
    """A node's attributes, as a function is told them."""
    return State(
        id=node.id,
        name=node.name,
        bits=node.bits,
        fingers=list(node.fingers),
        successors=list(node.successors),
        successor=node.successors[0],
        peer=Peer(node.id, node.name),
    )


def make_ring(random: Random, members: int, bits: int) -> IdealRing:
    """Members at random places."""
    ids = random.sample(range(1 << bits), members)
    return IdealRing([(id, f"node-{id}") for id in ids], bits)


def start(cluster: Cluster, ring: IdealRing, answers: Answers) -> None:
    """Start the ring's members, each on a machine of its own."""
    cls = answered_by(answers, RoutingNode)
    machines = [machine.name for machine in cluster.machines]
    cluster.spawn_many(
        (
            cls,
            (
                peer.id,
                ring.bits,
                tuple(ring.fingers(peer.id)),
                tuple(ring.successors(peer.id, LENGTH)),
            ),
            {},
            peer.name,
            machines[number % len(machines)],
        )
        for number, peer in enumerate(ring.peers)
    )


class _Told:
    """What `state_of` needs of a node, for a function that is called without one."""

    def __init__(self, ring: IdealRing, peer: Peer) -> None:
        self.id, self.name = peer
        self.bits = ring.bits
        self.fingers = ring.fingers(peer.id)
        self.successors = ring.successors(peer.id, LENGTH)


def _of_ring(ring: IdealRing) -> str:
    return f"in the ring of {', '.join(str(id) for id in ring.ids)} (of {1 << ring.bits} places)"


@tasks.task("closest", visible=(1, 2, 3), hidden=25)
def closest(answers: Answers, case: Case) -> None:
    """The finger that comes closest before the key, also across 0; the node itself if none does."""
    random = case.random
    ring = make_ring(random, random.randint(2, 12), random.randint(4, 6))
    for peer in ring.peers[:6]:
        keys = [random.randrange(1 << ring.bits) for _ in range(6)]
        for key in [*keys, peer.id, (peer.id + 1) % (1 << ring.bits)]:
            told = _Told(ring, peer)
            got = answers.call("closest_preceding_finger", state_of(told), key)
            wanted = expected_finger(told, key)
            if peer_of(got, "what closest_preceding_finger returns") != wanted:
                fingers = ", ".join(str(finger.id) for finger in told.fingers)
                raise Wrong(
                    f"node {peer.id} with the fingers {fingers} was asked for key {key}: "
                    f"closest_preceding_finger gave {got[0]}, the closest before the key is {wanted.id} "
                    f"{_of_ring(ring)}"
                )


def expected_finger(node: Any, key: int) -> Peer:
    """The finger strictly between node and key that is farthest from the node; else the node (Fig. 4)."""
    size = 1 << node.bits
    span = (key - node.id) % size or size
    inside = [finger for finger in node.fingers if 0 < (finger.id - node.id) % size < span]
    return max(inside, key=lambda finger: (finger.id - node.id) % size, default=Peer(node.id, node.name))


@tasks.task("lookup", visible=(1, 2), hidden=10)
def lookup(answers: Answers, case: Case) -> None:
    """The owner of every key, found by messages along fingers: no more hops than Fig. 4 needs."""
    random = case.random
    ring = make_ring(random, random.randint(8, 32), 8)
    with reported(answers, Cluster(machines=4, engine="sim", seed=case.seed)) as cluster:
        start(cluster, ring, answers)
        for _ in range(12):
            origin, key = random.choice(ring.peers), random.randrange(1 << ring.bits)
            before = cluster.trace.count
            found = _asked(cluster, answers, origin, "find_successor", key)
            owner, path = ring.successor(key), ring.path(origin.id, key)
            if found != owner:
                raise Wrong(
                    f"node {origin.id} was asked for the successor of {key} and found {found[0]}; it is "
                    f"{owner.id} {_of_ring(ring)}"
                )
            hops = len([e for e in cluster.trace.since(before) if e.kind == "asked"]) - 1
            if hops > len(path):  # Fig. 4, or Fig. 4 and a last step to the owner
                raise Wrong(
                    f"the lookup of {key} from {origin.id} took {hops} hops; along the closest fingers it is "
                    f"{' → '.join(str(peer.id) for peer in path)}, {len(path) - 1} hops"
                )
            if hops < len(path) - 1:
                raise Wrong(
                    f"the lookup of {key} from {origin.id} took {hops} messages, and with only its own "
                    f"fingers a node needs {len(path) - 1}: ask with await n.call(peer, "
                    f"'find_successor', key)"
                )


@tasks.task("detour", visible=(1, 2), hidden=10)
def detour(answers: Answers, case: Case) -> None:
    """The first living member at or after a key, although a third of all members are dead; in few hops."""
    random = case.random
    ring = make_ring(random, random.randint(36, 44), 8)
    alive, dead = survivors(random, ring)
    hops = needed = 0
    with reported(answers, Cluster(machines=len(ring), engine="sim", seed=case.seed)) as cluster:
        start(cluster, ring, answers)
        for peer in dead:
            cluster.kill(cluster.nodes[peer.name])
        for _ in range(LOOKUPS):
            origin, key = random.choice(alive.peers), random.randrange(1 << ring.bits)
            before = cluster.trace.count
            found = _asked(cluster, answers, origin, "find_live_successor", key)
            hops += len([e for e in cluster.trace.since(before) if e.kind == "asked"]) - 1
            needed += len(way_round(ring, alive, origin, key))
            if found != alive.successor(key):
                gone = ", ".join(str(peer.id) for peer in dead)
                raise Wrong(
                    f"with the members {gone} dead, node {origin.id} was asked for {key} and found "
                    f"{found[0]}; "
                    f"the first living member there is {alive.successor(key).id} {_of_ring(ring)}"
                )
    if hops > MORE_HOPS * needed + LOOKUPS:
        raise Wrong(
            f"{LOOKUPS} lookups took {hops} hops, and {needed} where each node asks whom it knows closest "
            f"before the key: {MORE_HOPS} times as many, and one more for each, are allowed. Do not walk "
            "along the successors: a finger goes farther"
        )


def way_round(ring: IdealRing, alive: IdealRing, origin: Peer, key: int) -> list[Peer]:
    """The nodes that are asked where each asks the living one that it knows closest before the key."""
    here, asked, size = origin, [], 1 << ring.bits
    while True:
        span = (key - here.id) % size or size
        known = [*ring.fingers(here.id), *ring.successors(here.id, LENGTH)]
        living = [peer for peer in known if peer in alive.peers]
        if any((peer.id - here.id) % size >= span for peer in living if peer in known[ring.bits :]):
            return asked
        here = max(living, key=lambda peer: (peer.id - here.id) % size * ((peer.id - here.id) % size < span))
        asked.append(here)


def survivors(random: Random, ring: IdealRing) -> tuple[IdealRing, list[Peer]]:
    """A third of the members dead, and never a whole successor list in a row (then nothing can be done)."""
    while True:
        dead = sorted(random.sample(ring.peers, len(ring) // 3))
        for peer in ring.peers:
            if all(each in dead for each in ring.successors(peer.id, LENGTH)):
                break
        else:
            return IdealRing([peer for peer in ring.peers if peer not in dead], ring.bits), dead


def _asked(cluster: Cluster, answers: Answers, origin: Peer, method: str, key: int) -> Peer:
    answers.hops = 0
    try:
        return cluster.call(origin.name, method, key, timeout=300.0)
    except LabError as error:
        failed = answers.failed
        if failed is not None:
            raise failed from None
        raise Wrong(
            f"{method}({key}) at node {origin.id} ended with {type(error).__name__}: {error}"
        ) from None


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of hops."""
    judge_prediction(answers, "predicted_hops", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    while True:
        ring = make_ring(random, 7, 5)
        origin, key = random.choice(ring.peers), random.randrange(32)
        path = ring.path(origin.id, key)
        if len(path) >= 3:
            break
    ids = ", ".join(str(id) for id in ring.ids)
    text = (
        f"Members {ids} on a circle of 32. How many hops does node {origin.id} need to the "
        f"predecessor of {key}?"
    )
    words = (
        f"{' → '.join(str(peer.id) for peer in path)}: {len(path) - 1} hops; the owner is "
        f"{ring.successor(key).id}"
    )
    return text, words, len(path) - 1


def watch(answers: Answers, engine: str, members: int = 24, seed: int = 1) -> list[str]:
    """Some lookups by the student's code, a line each."""
    ring = make_ring(stream(seed, "watch"), members, 8)
    lines = []
    with Cluster(machines=4, engine=engine, seed=seed, name="exercise") as cluster:
        start(cluster, ring, answers)
        found: dict[int, tuple[int, str]] = {}
        for key in range(0, 256, 32):
            answers.hops = 0
            with cluster.span(f"key {key}") as span:
                try:
                    peer = cluster.call(ring.peers[0].name, "find_successor", key, timeout=10.0)
                    found[key] = span, str(peer_of(peer, "it").id)
                except (LabError, Wrong) as error:
                    found[key] = span, str(error)
        cluster.run(SETTLE)  # what real processes have to tell arrives a little later
        for key, (span, owner) in found.items():
            asked = [str(event.node) for event in cluster.trace.filter(kind="asked", span=span)]
            lines.append(f"key {key:3}: {' → '.join([*once_round(asked), owner])}")
    return lines


def once_round(path: list[str]) -> list[str]:
    """The path up to the first node that is asked again."""
    for number, name in enumerate(path):
        if name in path[:number]:
            return [*path[: number + 1], "…"]
    return path
