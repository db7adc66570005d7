"""nfs-duplicate-requests: what a server remembers of its last replies (4.4BSD's rule; Sandberg et al., 1985).

The server, its clients and the network are labkit's. Calls and replies are lost and come twice, and the disk
is slow; for each call that changes something the server asks a student's ``decide``. What counts is the
trace: every change is carried out once, and every program gets its answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, NamedTuple

import numpy as np

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.systems.nfs import NFS
from labkit.systems.nfs.duplicates import DROP
from labkit.systems.nfs.nodes import ClientNode, LockManager, Server

from ..answers import Answers, Gone, Wrong
from ..nodes import failed_with, reported
from ..tasks import Case, Tasks, judge_prediction


class Call(NamedTuple):
    """A call that has come: from whom, its number, and what is to be done."""

    client: str
    xid: int
    procedure: str


class Kept(NamedTuple):
    """A call that the server remembers; busy: it is still being carried out."""

    client: str
    xid: int
    procedure: str
    busy: bool


tasks = Tasks("nfs-duplicate-requests", order=15, records=[Call, Kept])

#: Done twice in a row, the second time is as good as the first.
IDEMPOTENT = frozenset({"null", "lookup", "getattr", "read", "readlink", "readdir", "statfs"})
ONCE = frozenset({"create", "remove", "rename", "link", "symlink", "mkdir", "rmdir"})
DECISIONS = ("execute", "resend", "drop")
#: Of a run: rounds of each client, part of the messages that are lost and that come twice, and seconds of the
#: disk, longer than a client waits for its answer.
ROUNDS, LOST, TWICE, DISK, TIMEO = 3, 0.15, 0.3, 0.5, 0.2
#: Times that a call is sent again before its program is told that nobody answers.
RETRANS = 8


class Asked:
    """The duplicate request cache of a server, in which a student decides."""

    def __init__(self, answers: Answers, rule: str) -> None:
        self.answers, self.rule = answers, rule
        self.kept: dict[Call, Any] = {}  # the reply, or None while it is under way

    def look(self, key: Any, now: float) -> Any:
        """As of ``DuplicateRequestCache``. After a wrong answer every call is carried out."""
        call = Call(*key)
        try:
            decision = self._decide(call)
        except (Wrong, Gone) as failed:
            failed_with(self.answers, failed)
            decision = "execute"
        if decision == "execute":
            self.kept[call] = None
            return None
        return DROP if decision == "drop" else self.kept[call]

    def _decide(self, call: Call) -> str:
        if self.answers.failed is not None or self.rule == "none":
            return "execute"
        kept = [Kept(*each, reply is None) for each, reply in self.kept.items()]
        decision = labkits(call, kept) if self.rule == "labkit's" else self.answers.call("decide", call, kept)
        if decision not in DECISIONS:
            raise Wrong(f"decide gave {decision!r:.80}; it gives one of {', '.join(map(repr, DECISIONS))}")
        if decision == "resend" and self.kept.get(call) is None:
            why = "is still being carried out" if call in self.kept else "is not among those that are kept"
            raise Wrong(f"decide gave 'resend' for {said(call)}, which {why}: there is no reply to send")
        return str(decision)

    def keep(self, key: Any, reply: Any, now: float) -> None:
        """It was answered."""
        self.kept[Call(*key)] = reply


def labkits(call: Call, kept: list[Kept]) -> str:
    """4.4BSD's rule."""
    for each in kept:
        if tuple(each[:3]) == tuple(call):
            return "drop" if each.busy else "resend"
    return "execute"


class Asking(Server):
    """Its rule is in this process."""

    make: ClassVar[Callable[[], Asked]]

    def _renew(self) -> None:
        self.replies = type(self).make()  # type: ignore[assignment]


@dataclass(frozen=True)
class Ran:
    """What came out of a run."""

    carried_out: int
    twice: tuple[str, ...]  #: procedures that were carried out more than once for the same call
    resent: int  #: saved replies that were sent again
    errors: tuple[str, ...]  #: what programs were told, though nothing was wrong

    def __str__(self) -> str:
        words = f"; told to programs: {', '.join(self.errors)}" if self.errors else ""
        again = f" ({', '.join(sorted(set(self.twice)))})" if self.twice else ""
        return (
            f"{self.carried_out} changes, {len(self.twice)} of them twice{again}, "
            f"{self.resent} replies sent again{words}"
        )


def run(
    answers: Answers, seed: int = 1, lost: float = LOST, twice: float = TWICE, disk: float = DISK,
    rule: str = "yours",
) -> Ran:  # fmt: skip
    """Two clients make, rename and remove directories. lost, twice: parts of all messages; disk: seconds of a
    change; rule: "yours", "none" or "labkit's"."""
    cluster = Cluster(machines=3, engine="sim", seed=seed)
    with reported(answers, cluster):
        asking = type("Asking", (Asking,), {"make": staticmethod(lambda: Asked(answers, rule))})
        system = type("Asked", (NFS,), {"roles": (asking, ClientNode, LockManager)})
        nfs = system(
            cluster, duplicates=True, disk_seconds=disk, timeo=TIMEO, longest_wait=1.0, retrans=RETRANS,
            hard=False, consistency="no cache",
        )  # fmt: skip
        cluster.loss(lost)
        cluster.duplicate(twice)
        errors = [error for number in range(ROUNDS) for error in one_round(nfs, number)]
        cluster.loss(0.0)
        cluster.run(2 * disk + 2.0)
        view = nfs.view()
        again = tuple(name for _, _, name, _ in view.twice)
        return Ran(sum(view.executed.values()), again, view.answered_again, tuple(errors))
    raise AssertionError("reported() raises")


def one_round(nfs: Any, number: int) -> list[str]:
    """What its programs are told that is not so."""
    told = []
    for client in nfs.clients:
        first, second = f"/{client.name}-{number}", f"/{client.name}-{number}-renamed"
        for name, args in (("mkdir", (first,)), ("rename", (first, second)), ("rmdir", (second,))):
            try:
                getattr(client, name)(*args)
            except OSError as error:
                told.append(f"{name}: {str(error.strerror).split(':')[0]}")
                break
    return told


def said(call: Call) -> str:
    """In words."""
    return f"{call.procedure} number {call.xid} of {call.client}"


@tasks.task("idempotent", visible=(1,), hidden=2)
def idempotent(answers: Answers, case: Case) -> None:
    """Which procedures may be carried out once more."""
    names = sorted(IDEMPOTENT | ONCE)
    case.random.shuffle(names)
    for name in names:
        got, wanted = answers.call("is_idempotent", name), name in IDEMPOTENT
        if not isinstance(got, (bool, np.bool_)) or got != wanted:
            why = "the second time it returns the same" if wanted else "the second time there is an error"
            raise Wrong(f"is_idempotent({name!r}) gave {got!r:.80}, not {wanted}: {why}")


@tasks.task("decide", visible=(1, 2), hidden=20)
def decided(answers: Answers, case: Case) -> None:
    """What is to be done with a call that may have come before."""
    random = case.random
    for number in range(20):
        kept = some_kept(random, random.randint(0, 6))
        call = Call(random.choice(CLIENTS), random.randint(1, 4), random.choice(sorted(ONCE)))
        if kept and number % 2:
            call = Call(*random.choice(kept)[:3])
        got, wanted = answers.call("decide", call, kept), labkits(call, kept)
        if got != wanted:
            raise Wrong(f"decide({call}, {kept}) gave {got!r:.80}, not {wanted!r}")


CLIENTS = ("nfs-1", "nfs-2")


def some_kept(random: Random, count: int) -> list[Kept]:
    """Calls that a server may remember, oldest first; numbers of different clients are often the same."""
    calls = sorted(
        {(random.choice(CLIENTS), random.randint(1, 4), random.choice(sorted(ONCE))) for _ in range(count)}
    )
    random.shuffle(calls)
    return [Kept(*call, random.random() < 0.4) for call in calls]


def cell_of(seed: int) -> str:
    """Code that shows a run again."""
    return "\n".join(f"print(exercise.run(seed={seed}, rule={rule!r}))" for rule in ("yours", "labkit's"))


@tasks.task("once", visible=(1, 2), hidden=4)
def once(answers: Answers, case: Case) -> None:
    """On a network that loses and repeats, each change is carried out once and answered."""
    got = run(answers, case.seed)
    if got.twice or got.errors:
        unanswered = any("ETIMEDOUT" in error for error in got.errors)
        hint = "a call was dropped although nobody was at it" if unanswered else "a call came again"
        cell = cell_of(case.seed)
        raise Wrong(f"{got}: {hint}", cell)


@tasks.task("forget", visible=(1, 2), hidden=20)
def forget(answers: Answers, case: Case) -> None:
    """A cache with room for so many: the oldest go, but none that is under way."""
    random = case.random
    for _ in range(20):
        kept, room = some_kept(random, random.randint(0, 10)), random.randint(0, 5)
        done = [number for number, each in enumerate(kept) if not each.busy]
        wanted = done[: max(0, len(kept) - room)]
        got = answers.call("forget", kept, room)
        try:
            found = sorted(operator.index(number) for number in got)
        except TypeError:
            raise Wrong(f"forget gave {got!r:.80}, not a list of places in kept, from 0") from None
        if found != wanted:
            raise Wrong(f"forget({kept}, room={room}) gave {found}, not {wanted}")


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of dropped calls."""
    judge_prediction(answers, "predicted_drops", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    first = random.choice([0.5, 0.7, 1.0])
    disk = random.choice([2.0, 2.5, 4.0, 6.0, 8.0, 9.5])
    sent = [first * (2**k - 1) for k in range(1, 6)]
    found = [time for time in sent if time < disk]
    text = (
        f"A client sends mkdir at 0 s, and again when it has heard nothing for {first:g} s, then for "
        f"{2 * first:g} s, {4 * first:g} s, … The server's disk needs {disk:g} s; messages take no time, and "
        "none is lost. How many calls does a server drop that has your cache?"
    )
    times = ", ".join(f"{time:g}" for time in found)
    return text, f"{len(found)}: those of {times} s; at {disk:g} s it is done", len(found)
