"""chord-break: invariants that say when a ring is broken, and a schedule that breaks the published
protocol.

An invariant is judged by the mutants that it kills: rings that are broken in one way or another. It must
also keep still on rings that look odd and are not broken, with a newcomer beside them or a dead entry in
front of a list. A schedule is data. The judge runs it, on both protocols.
"""

from __future__ import annotations

from random import Random
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.faults import Kill, Schedule
from labkit.systems.chord.invariants import Pointers, ideal_snapshot, principals
from labkit.systems.chord.model import Chord
from labkit.systems.chord.scenarios import JOIN_EVERY, JOINS, LASTS, LENGTH, MEMBERS
from labkit.systems.chord.trace_checks import Report, check_trace

from ..answers import Answers, Wrong
from ..tasks import Case, Tasks, judge_prediction
from ..words import shown

tasks = Tasks(
    "chord-break",
    order=3,
    formerly="03-break-chord",
    records=[Pointers],
    opens=["labkit.systems.chord.ids", "labkit.systems.chord.snapshot"],
)

Ring = dict[int, Pointers]

#: Length of the lists in the rings that an invariant is asked about.
LIST = 2


# --- rings, whole and broken ----------------------------------------------------------------------------


def settled(random: Random) -> Ring:
    """As it should be."""
    return ideal_snapshot(random.sample(range(100), 2 * random.randint(3, 6) + 1), LIST)


def with_newcomer(random: Random) -> Ring:
    """A newcomer knows its successors, and nobody knows it yet: that is how joining begins."""
    ring = settled(random)
    id = random.choice([id for id in range(100) if id not in ring])
    order = sorted(ring, key=lambda other: (other - id) % 100)
    return {**ring, id: Pointers(None, tuple(order[:LIST]))}


def with_last_newcomer(random: Random) -> Ring:
    """The newcomer has the largest identifier, so that its own step leads to a smaller one: it is on no ring,
    and its steps do not count."""
    ring = settled(random)
    order = sorted(ring)
    return {**ring, random.randint(order[-1] + 1, 120): Pointers(None, tuple(order[:LIST]))}


def with_dead_entries(random: Random) -> Ring:
    """A member has just failed, and lists still name it: each has another entry that lives."""
    ring = settled(random)
    del ring[random.choice(sorted(ring))]
    return ring


def lost_member(random: Random) -> Ring:
    """Two neighbours have failed at once, and with lists of two a member knows nobody that lives."""
    ring = settled(random)
    order = sorted(ring)
    at = random.randrange(len(order))
    for step in range(1, LIST + 1):
        del ring[order[(at + step) % len(order)]]
    return ring


def two_rings(random: Random) -> Ring:
    """Every other member is in a ring of its own, as after a partition."""
    order = sorted(settled(random))
    return {**ideal_snapshot(order[::2], LIST), **ideal_snapshot(order[1::2], LIST)}


def two_arcs(random: Random) -> Ring:
    """Two rings beside each other: each knows only its part of the circle."""
    order = sorted(settled(random))
    at = random.randint(3, len(order) - 3)
    return {**ideal_snapshot(order[:at], LIST), **ideal_snapshot(order[at:], LIST)}


def loopy(random: Random) -> Ring:
    """One ring that goes round the circle twice: locally each node looks right, and no stabilize repairs
    it."""
    order = sorted(settled(random))
    count = len(order)  # odd, so that steps of two reach everybody
    return {
        id: Pointers(order[at - 2], tuple(order[(at + 2 * step) % count] for step in range(1, LIST + 1)))
        for at, id in enumerate(order)
    }


WHOLE = (settled, with_newcomer, with_last_newcomer, with_dead_entries)


def _judge(answers: Answers, case: Case, function: str, *mutants: Any) -> None:
    random = case.random
    for make in (*WHOLE, *mutants, *mutants):
        ring = make(random)
        got = answers.call(function, ring)
        if got is not (make not in mutants):
            kind = make.__name__.replace("_", " ")
            lists = "\n".join(f"  {id:>2}: {pointers.successors}" for id, pointers in sorted(ring.items()))
            raise Wrong(
                f"{function}(members) gave {shown(got)} for a ring of the kind '{kind}', which "
                f"{'is broken' if make in mutants else 'is not broken'}: {make.__doc__.strip()}\n{lists}"
            )


@tasks.task("alive", visible=(1,), hidden=10)
def alive(answers: Answers, case: Case) -> None:
    """Notices a member that knows nobody alive, and nothing else."""
    _judge(answers, case, "everybody_knows_somebody", lost_member)


@tasks.task("one", visible=(1,), hidden=10)
def one(answers: Answers, case: Case) -> None:
    """Notices that there are two rings."""
    _judge(answers, case, "one_ring", two_rings, two_arcs)


@tasks.task("ordered", visible=(1,), hidden=10)
def ordered(answers: Answers, case: Case) -> None:
    """Notices a ring that goes round twice."""
    _judge(answers, case, "one_ring", loopy)


# --- a schedule -----------------------------------------------------------------------------------------


def run(
    answers: Answers | None = None, student: str = "", schedule: Any = (), maintenance: str = "sigcomm2001"
) -> Report:
    """A student's own ring of eight, with four joining, under failures: pairs of a time and a machine.
    Judged at
    every instant.

    Each member has a machine of its own, ``m1`` to ``m8``; the newcomers are on ``m9`` to ``m12``.
    """
    faults = Schedule([(float(moment), Kill(machine)) for moment, machine in schedule])
    seed = stream(0, tasks.drawn, str(student)).randrange(1 << 20)
    with Cluster(machines=MEMBERS + JOINS, engine="sim", seed=seed) as cluster:
        homes = [f"m{number}" for number in range(1, MEMBERS + 1)]
        options: dict[str, Any] = {"successors": LENGTH, "replicas": 1, "machines": homes, "name": f"r{seed}"}
        ring = Chord(cluster, MEMBERS, bits=16, maintenance=maintenance, **options)
        cluster.play(faults)
        for number in range(JOINS):
            cluster.run(JOIN_EVERY)
            home = f"m{MEMBERS + 1 + number}"
            if cluster.machine(home).alive:
                ring.start_joining(machine=home)
        cluster.run(LASTS - JOINS * JOIN_EVERY)
        return check_trace(cluster.trace, LENGTH, founders=ring.founders, whatever=True)


def find(student: str, limit: int = 300) -> list[tuple[float, str]]:
    """A schedule that breaks the published protocol in a student's ring, found by search: for the solved
    copy."""
    machines = [f"m{number}" for number in range(1, MEMBERS + JOINS + 1)]
    random = stream(0, tasks.drawn, "search", str(student))
    for _ in range(limit):
        schedule = sorted(
            (round(random.uniform(0.5, 8.0), 3), machine) for machine in random.sample(machines, 2)
        )
        if run(None, student, schedule).violations and not run(None, student, schedule, "correct").violations:
            return schedule
    raise LookupError(f"no schedule of {limit} breaks the ring of {student!r}")


@tasks.task("schedule", visible=(), hidden=1)
def schedule(answers: Answers, case: Case) -> None:
    """Fewer failures than a list has entries break the published protocol, and not the correct one."""
    given = answers.value("schedule")
    if not isinstance(given, (list, tuple, set)) or not given:
        raise Wrong("there is no schedule yet: write pairs of a time and a machine, [(1.5, 'm3'), ...]")
    pairs = _pairs(given)
    student = str(answers.value("student"))
    if not run(None, student, pairs).violations:
        raise Wrong(f"{pairs} does not break the published protocol in your ring; look for a better moment")
    broken = run(None, student, pairs, "correct")
    if broken.violations:
        raise Wrong(f"{pairs} breaks the correct protocol too: {broken.violations[0]}")


def _pairs(given: Any) -> list[tuple[float, str]]:
    machines = {f"m{number}" for number in range(1, MEMBERS + JOINS + 1)}
    try:
        pairs = [(float(moment), str(machine)) for moment, machine in given]
        good = all(0 <= moment <= LASTS and machine in machines for moment, machine in pairs)  # no NaN is
    except (TypeError, ValueError, OverflowError):
        good, pairs = False, []
    if not good:
        raise Wrong(
            f"{given!r:.200} is no schedule: write [(1.5, 'm3'), (2.0, 'm7')], times from 0 to {LASTS:g} s"
        )
    if len(pairs) >= LENGTH:
        raise Wrong(
            f"{len(pairs)} failures: with lists of {LENGTH}, {LENGTH - 1} are what a ring must survive"
        )
    return pairs


# --- a prediction ---------------------------------------------------------------------------------------


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of principals."""
    judge_prediction(answers, "predicted_principals", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    ring = ideal_snapshot(random.sample(range(60), 6), LIST)
    order = sorted(ring)
    at = random.randrange(6)
    forgetful, others = order[at], [order[(at + step) % 6] for step in range(1, 6)]
    ring[forgetful] = Pointers(order[at - 1], tuple(others[1:3]))
    lists = ", ".join(f"{id}: {list(ring[id].successors)}" for id in order)
    found = principals(ring)
    text = (
        f"A member is a principal if no list skips it, that is, if no two neighbours of a node and "
        f"its list have it "
        f"between them. How many principals has this ring? {lists}"
    )
    return text, f"{len(found)}: {found}; node {forgetful} skips {others[0]}", len(found)


def watch(answers: Answers, engine: str, student: str = "") -> list[str]:
    """What both protocols make of the student's schedule (always in the simulator: it is about one
    instant)."""
    pairs = _pairs(answers.value("schedule") or [])
    return [f"{name}: {run(None, student, pairs, name)}" for name in ("sigcomm2001", "correct")]
