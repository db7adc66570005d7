"""chord-repair: a ring whose maintenance a student wrote: successor lists, stabilize, rectify.

The members are those of ``labkit.systems.chord``; only ``stabilize`` and ``rectify`` are the student's.
They are judged by Zave's invariants at every instant of the trace, and by what the ring is like in the end,
under joins and failures that her operating assumption allows: whoever fails leaves each member a live
successor.

The sharpest of the failures waits for its moment: a newcomer and the node that has just named it to its
predecessor fail together. A successor that is adopted without having been asked is then a dead one, in
front of another.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.faults import Kill, Schedule, when
from labkit.runtime.loop import Future
from labkit.runtime.network import Constant, Network
from labkit.runtime.node import every, rpc
from labkit.systems.chord.correct import Busy, Correct
from labkit.systems.chord.ids import Peer
from labkit.systems.chord.invariants import Pointers, not_ideal
from labkit.systems.chord.nodes import Reply, Settled
from labkit.systems.chord.options import Settings
from labkit.systems.chord.pointers import NotAMember
from labkit.systems.chord.single import IdealRing
from labkit.systems.chord.store import BlockStore
from labkit.systems.chord.trace_checks import Report, check_trace
from labkit.trace.trace import Trace

from ..answers import Answers, Wrong
from ..nodes import Answering, answered_by, reported
from ..tasks import Case, Tasks, judge_prediction
from ..values import State
from .chord_routing import peer_of, peers_of

tasks = Tasks(
    "chord-repair",
    order=2,
    formerly="02-chord-repair",
    records=[Peer, Pointers],
    opens=["labkit.systems.chord.ids", "labkit.systems.chord.snapshot"],
)

#: Length of the successor lists, members at the start, and bits of an identifier.
LENGTH, MEMBERS, BITS = 2, 7, 8

#: Seconds that a message takes, and that a reply is under way when its sender fails.
LATENCY, ON_ITS_WAY = 0.01, 0.005

#: Seconds between two things that happen to the ring, and at the end, to come to rest.
PAUSE, REST = 8.0, 25.0

#: Seconds after which a silent node is taken for dead; and a real process, which may stand still for a while:
#: two neighbours that are taken for dead at the same time break a ring with lists of two for ever.
TIMEOUT, REAL_TIMEOUT = 0.3, 3.0

#: How often a busy node is asked again.
PATIENCE = 50


class Repair(Correct):
    """Ring maintenance by a student's functions."""

    node: RepairNode
    tries = 1
    #: Whether the student's stabilize is under way.
    at_work = False

    def request(self, name: str) -> Future:
        return self.node.call(name, "pointers_for", self.node.name, timeout=self.node.patience)

    async def stabilize(self) -> None:
        """One round, by the student's function."""
        if not self.node.joined or self.at_work or not self.node.successors:
            return
        self.at_work = True
        try:
            await self.node.play("stabilize")
        finally:
            self.at_work = False

    async def rectify(self) -> None:
        try:
            while self.rectify_with is not None:
                notifier, self.rectify_with = self.rectify_with, None
                await self.node.play("rectify", notifier)
        finally:
            self.rectifying = False


class RepairNode(Answering, BlockStore):
    """A member of a ring that is maintained by a student's functions."""

    maintained_by = Repair
    sendable = ("notify",)

    def __init__(self, id: int, settings: Settings, *more: Any) -> None:
        super().__init__(id, settings, *more)
        self.patience = settings.timeout

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "peer": self.peer,
            "length": self.settings.successors,
            "predecessor": self.predecessor,
            "successors": list(self.successors),
        }

    def adopt_state(self, state: dict[str, Any]) -> None:
        successors = peers_of(state.get("successors"), "n.successors")
        if len(successors) > self.settings.successors:
            raise Wrong(
                f"n.successors has {len(successors)} entries; a list has n.length = "
                f"{self.settings.successors}"
            )
        self.set_successors(successors)
        before = state.get("predecessor")
        self.set_predecessor(None if before is None else peer_of(before, "n.predecessor"))

    async def asked(self, name: str) -> Any:
        """A peer's predecessor and successor list."""
        for _ in range(PATIENCE):
            try:
                reply = await self.protocol.ask(name)
                return reply.predecessor, list(reply.successors)
            except NotAMember as error:
                raise Timeout(str(error)) from None
            except Busy:
                continue
        raise Timeout(f"{name} was busy {PATIENCE} times")

    @rpc
    def pointers_for(self, asker: str) -> Reply | None:
        """As ``pointers``, with a note in the trace of who was told what."""
        reply = self.pointers()
        if reply is not None:
            known = reply.predecessor.name if reply.predecessor else None
            self.emit("pointers_told", asker=asker, predecessor=known)
        return reply

    @rpc
    def notify(self, id: Any, name: Any = None) -> None:
        """Somebody thinks it is our predecessor; a student's function sends its peer."""
        self.protocol.notify(peer_of((id, name) if name is not None else id, "what notify sends"))

    def silent(self, peer: Peer) -> None:
        """A lookup met a dead node: it is avoided, and no pointer changes; that is the student's part."""
        self.avoid(peer)

    @every("maintain_every")
    async def check_predecessor(self) -> None:
        """Nothing: rectify is to look after it."""


@dataclass
class Run:
    """A run of the ring, judged."""

    trace: Trace
    report: Report
    #: What differs from the ideal ring in the end.
    differences: list[str]

    def __str__(self) -> str:
        return "\n".join([str(self.report), *self.differences])


def place(seed: int) -> tuple[list[int], int]:
    """The members of a run, and the place of its newcomer: they depend on the seed alone."""
    random = Random(seed)
    ids = sorted(random.sample(range(0, 1 << BITS, 2), MEMBERS))
    gap = random.randrange(MEMBERS)
    return ids, (ids[gap] + 1) % (1 << BITS)


def name_of(id: int) -> str:
    """A member's name; its machine has the same one."""
    return f"n{id}"


def run(answers: Answers, seed: int, schedule: Schedule) -> Run:
    """A settled ring, a newcomer after two seconds, and a schedule of failures."""
    ids, newcomer = place(seed)
    settings = Settings(BITS, LENGTH, 1, 1.0, timeout=TIMEOUT, sampling=False)
    network = Network(latency=Constant(LATENCY))
    machines = [name_of(id) for id in (*ids, newcomer)]
    cluster = Cluster(machines=machines, engine="sim", seed=seed, network=network, schedule=schedule)
    with reported(answers, cluster):
        cls = answered_by(answers, RepairNode)
        ring = IdealRing([(id, name_of(id)) for id in ids], BITS)
        cluster.spawn_many(
            (cls, (peer.id, settings, settled(ring, peer)), {}, peer.name, peer.name) for peer in ring.peers
        )
        cluster.run(2.0)
        contacts = tuple(peer.name for peer in ring.peers)
        cluster.spawn(
            cls, newcomer, settings, None, contacts, name=name_of(newcomer), machine=name_of(newcomer)
        )
        last = max([2.0, *(moment for moment, _ in schedule if isinstance(moment, float))])
        cluster.run(last - 2.0 + REST)
        report = check_trace(cluster.trace, LENGTH, replicas=1, founders=MEMBERS)
        return Run(cluster.trace, report, differences(cluster))
    raise AssertionError("reported() raises")


def settled(ring: IdealRing, peer: Peer) -> Settled:
    """The pointers of the settled ring."""
    fingers = tuple(None if finger == peer else finger for finger in ring.fingers(peer.id))
    return Settled(ring.predecessor(peer.id), tuple(ring.successors(peer.id, LENGTH)), fingers)


def differences(cluster: Cluster) -> list[str]:
    """What differs from the ideal ring now."""
    members: dict[int, Pointers] = {}
    absent = []
    for name, machine in cluster.nodes.items():
        if cluster.machine(machine).alive:
            node = cluster.state(name, "id", "joined", "predecessor", "successors")
            before = node["predecessor"].id if node["predecessor"] else None
            if node["joined"]:
                members[node["id"]] = Pointers(before, tuple(peer.id for peer in node["successors"]))
            else:
                absent.append(f"{name} has not joined")
    return absent + not_ideal(members, LENGTH)


def trap(seed: int) -> list[tuple[Any, Kill]]:
    """The newcomer and its successor fail just when the successor has named it to the newcomer's
    predecessor."""
    ids, newcomer = place(seed)
    ring = IdealRing([(id, name_of(id)) for id in ids], BITS)
    before, after = ring.predecessor(newcomer).name, ring.successor(newcomer).name
    told = when("pointers_told", node=after, asker=before, predecessor=name_of(newcomer), after=ON_ITS_WAY)
    return [(told, Kill(after)), (told, Kill(name_of(newcomer)))]


def _judge(answers: Answers, seed: int, schedule: Schedule) -> None:
    outcome = run(answers, seed, schedule)
    text = ""
    if not outcome.report.ok:
        text = str(outcome.report.violations[0])
    elif outcome.differences:
        text = f"{REST:g} s after the last failure the ring is not whole: {outcome.differences[0]}"
    if text:
        gone = ", ".join(fault.machine for _, fault in schedule)
        words = f"with the failures of {gone}: {text}" if gone else f"without a failure: {text}"
        cell = (
            f"from labkit import Kill, Schedule, when\n\nrun = exercise.run(seed={seed}, schedule={schedule})"
        )
        raise Wrong(words, f"{cell}\nprint(run)\nprint(run.trace.story({name_of(place(seed)[1])!r}))")


@tasks.task("list", visible=(1, 2), hidden=10)
def successor_list(answers: Answers, case: Case) -> None:
    """A node's list: the first entry, then that node's own list, cut to n.length and before the node
    itself."""
    random = case.random
    for _ in range(10):
        count, length = random.randint(2, 7), random.randint(1, 4)
        ids = random.sample(range(64), count)
        here, first, *rest = [Peer(id, name_of(id)) for id in ids]
        rest = [*rest, here, Peer(70, "n70")] if random.random() < 0.5 else rest
        node = State(id=here.id, name=here.name, peer=here, length=length)
        got = peers_of(answers.call("make_list", node, first, rest), "what make_list returns")
        wanted = tuple([first, *rest][: [first, *rest, here].index(here)][:length])
        if got != wanted:
            raise Wrong(
                f"make_list of node {here.id} with n.length = {length}, first {first.id} and its list "
                f"{[peer.id for peer in rest]} gave {[peer.id for peer in got]}, not "
                f"{[peer.id for peer in wanted]}"
            )


@tasks.task("rectify", visible=(1, 2), hidden=10)
def rectify(answers: Answers, case: Case) -> None:
    """The predecessor after a notification: the closer one, or the other if the old one is dead."""
    random = case.random
    for _ in range(8):
        here, before, notifier = (Peer(id, name_of(id)) for id in random.sample(range(64), 3))
        old = random.choice([before, before, None])
        alive = random.random() < 0.5
        state = {"id": here.id, "name": here.name, "peer": here, "predecessor": old, "successors": [notifier]}
        number, reply = answers.start("rectify", state, notifier)
        while "request" in reply:
            what, *args = reply["request"]
            if what != "ping":
                raise Wrong(f"rectify awaits n.{what}; n.ping(peer) says all that it needs")
            lives = alive if args == [before.name] else True
            told = {**state, **reply["state"]}
            reply = answers.resume("rectify", number, told, lives, None)
        told = reply["state"].get("predecessor")
        got = None if told is None else peer_of(told, "n.predecessor")
        closer = old is None or (notifier.id - old.id) % 64 < (here.id - old.id) % 64
        wanted = notifier if closer or not alive else old
        if got != wanted:
            life = "" if old is None else f", which {'lives' if alive else 'is dead'}"
            raise Wrong(
                f"node {here.id} had the predecessor {old.id if old else None}{life}, and was notified by "
                f"{notifier.id}: it is to have {wanted.id} and has {got.id if got else None}"
            )


@tasks.task("stabilize", visible=(1, 2), hidden=4)
def stabilize(answers: Answers, case: Case) -> None:
    """A newcomer is taken in, then one member fails, and the ring is whole again."""
    _judge(answers, case.seed, Schedule([]))
    victim = case.random.choice(place(case.seed)[0])
    _judge(answers, case.seed, Schedule([(2.0 + PAUSE, Kill(name_of(victim)))]))


def _asked_first(answers: Answers, random: Random) -> None:
    """One round in which the first entry answers, and names nobody, or a newcomer that has failed since."""
    here, gone, first, second, third = (Peer(id, name_of(id)) for id in sorted(random.sample(range(64), 5)))
    state = {"id": here.id, "name": here.name, "peer": here, "length": LENGTH, "predecessor": third}
    state["successors"] = [first, second]
    known = {first.name: [second, third], second.name: [third, here], third.name: [here, first]}
    for named, words in ((None, "no predecessor"), (gone, f"the newcomer {gone.id}, which has failed")):
        number, reply = answers.start("stabilize", state)
        while "request" in reply:
            what, *args = reply["request"]
            lives, value, error = args != [gone.name], None, None
            if what == "ask" and lives:
                value = named if args == [first.name] else None, known.get(str(args[0]), [])
            elif what == "ask":
                error = ["Timeout", f"{gone.name} does not answer"]
            elif what == "ping":
                value = lives
            reply = answers.resume("stabilize", number, {**state, **reply["state"]}, value, error)
        got = peers_of(reply["state"].get("successors"), "n.successors")
        if got[:1] != (first,):
            raise Wrong(
                f"node {here.id} asked its successor {first.id}, which answered, and named {words}: then the "
                f"list is to begin with {first.id}, and is {[peer.id for peer in got]}"
            )


@tasks.task("survive", visible=(1, 2), hidden=8)
def survive(answers: Answers, case: Case) -> None:
    """Failures at bad moments, each of which leaves everybody a live successor: the ring never breaks."""
    _asked_first(answers, case.random)
    victims = list(place(case.seed)[0])
    entries: list[tuple[Any, Kill]] = [*trap(case.seed)]
    fallen = {fault.machine for _, fault in entries}
    left = [id for id in victims if name_of(id) not in fallen]
    entries.append((2.0 + 2 * PAUSE, Kill(name_of(case.random.choice(left)))))
    _judge(answers, case.seed, Schedule(entries))


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted successor list."""
    judge_prediction(answers, "predicted_list", question)


def question(student: str) -> tuple[str, str, list[int]]:
    """A question for one student: its text, its answer in words, and the list."""
    from labkit.runtime.copying import stream

    random = stream(0, tasks.drawn, "predict", str(student))
    ids = sorted(random.sample(range(64), 7))
    at = random.randrange(7)
    here, dead, *alive = [ids[(at + step) % 7] for step in range(7)]
    text = (
        f"Members {', '.join(map(str, ids))}, and lists of 3. Node {dead} fails. Which list does node "
        f"{here} have "
        "after all members have stabilized a few times?"
    )
    return text, f"{alive[:3]}: the next three members that live", alive[:3]


def watch(
    answers: Answers, engine: str, seed: int = 1, seconds: float = 12.0, patience: float = 30.0
) -> list[str]:
    """The ring as the student's functions keep it, with a newcomer and a failure; a line for each member."""
    ids, newcomer = place(seed)
    timeout = TIMEOUT if engine == "sim" else REAL_TIMEOUT
    settings = Settings(BITS, LENGTH, 1, 1.0, timeout=timeout, sampling=False)
    ring = IdealRing([(id, name_of(id)) for id in ids], BITS)
    with Cluster(machines=4, engine=engine, seed=seed, name="exercise") as cluster:
        cls = answered_by(answers, RepairNode)
        machines = [machine.name for machine in cluster.machines]
        cluster.spawn_many(
            (cls, (peer.id, settings, settled(ring, peer)), {}, peer.name, machines[number % 4])
            for number, peer in enumerate(ring.peers)
        )
        contacts = tuple(peer.name for peer in ring.peers)
        cluster.spawn(cls, newcomer, settings, None, contacts, name=name_of(newcomer), machine="m1")
        try:
            _pass(cluster, seconds / 2, patience)
            cluster.remove(name_of(ids[0]))
            _pass(cluster, seconds / 2, patience)
        except LabError as error:
            return [str(answers.failed or error)]
        lines = []
        for name in sorted(cluster.nodes, key=lambda name: int(name.removeprefix("n"))):
            state = cluster.state(name, "predecessor", "successors")
            before = state["predecessor"].name if state["predecessor"] else None
            lines.append(
                f"{name:5} predecessor {before}, successors {[peer.name for peer in state['successors']]}"
            )
        return lines


def _pass(cluster: Cluster, seconds: float, patience: float) -> None:
    """Let time pass. Real processes on a busy computer may need more of it until the ring is in order, and
    get so much."""
    cluster.run(seconds)
    if cluster.engine != "sim":
        with suppress(Timeout):
            cluster.run_until(lambda: not differences(cluster), timeout=patience, every=0.5)
