"""A state-space model checker for ring maintenance: every interleaving of a small ring, breadth first.

A test run takes one path through the possible orders of events; this takes them all. The two protocols are
written down once more, as abstract as their authors did it: a state is the pointers of every node, a step
reads at most one other node and changes one. Breadth-first search from a settled ring visits each reachable
state once and checks the invariant in it, so the first violation found has the shortest possible history, and
none found means none exists up to the bound (number of ids, length L of the successor lists).

* ``Correct`` is Zave's: join by copying the list of the best predecessor's successor, stabilize in two atomic
  steps, rectify, and no pointer adopted without a check that its node lives.
* ``Published`` is SIGCOMM 2001 Fig. 7 with the successor lists of section 5.2 and ``check_predecessor``:
  stabilize adopts
  ``successor.predecessor`` unchecked, and join sets one successor.

Both live under the same operating assumption: a node may fail only if that leaves every member a live
successor and at least L + 1 principals (``failure_allowed``). A failed node does not come back under its old
id.

    >>> print(explore(Published(), ids=5, members=3).violated)
    OneLiveSuccessor
    >>> explore(Correct(), ids=4, members=3)
    Exploration(Correct, ids=4, length=2: 524 states, complete, no violation)

Left out: fingers (they never matter for correctness), message loss, and the busy rule, which is what makes
the steps of the running nodes atomic as they are here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .ids import between
from .invariants import INVARIANTS, Pointers, failure_allowed

__all__ = ["Correct", "Exploration", "Published", "Step", "explore"]

#: The largest circle the checker accepts: beyond it the number of states explodes.
MAX_IDS = 7


class Member(NamedTuple):
    """One live node of an abstract state."""

    predecessor: int | None
    successors: tuple[int, ...]
    #: Stabilize has read this node from its successor's predecessor pointer, and will ask it in its second
    #: step.
    candidate: int | None = None
    #: A notification that has arrived and not been acted on: rectify has to look at it.
    rectify_with: int | None = None


#: By id: a member, "dead" for a failed one, None for one that may still join.
State = tuple[Member | str | None, ...]


class Step(NamedTuple):
    """What happened, and the state it led to."""

    text: str
    state: State


def _put(state: State, n: int, member: Member | str) -> State:
    return (*state[:n], member, *state[n + 1 :])


def _live(state: State, n: int | None) -> bool:
    return n is not None and isinstance(state[n], Member)


def _members(state: State) -> dict[int, Pointers]:
    return {n: Pointers(m[0], m[1]) for n, m in enumerate(state) if isinstance(m, Member)}


class Protocol:
    """The steps both protocols share: failing, and which nodes take which steps."""

    def __init__(self, length: int = 2) -> None:
        #: L, the fixed length of successor lists.
        self.length = length

    def steps(self, state: State) -> Iterator[Step]:
        """Every step that some node can take in this state."""
        members = _members(state)
        for n, member in enumerate(state):
            if isinstance(member, Member):
                yield from self.member_steps(state, n, member)
                if failure_allowed(members, [n], self.length):
                    yield Step(f"{n} fails", _put(state, n, "dead"))
            elif member is None:
                yield from self.join(state, n, members)

    def member_steps(self, state: State, n: int, member: Member) -> Iterator[Step]:
        """The maintenance steps of one live node."""
        raise NotImplementedError

    def join(self, state: State, n: int, members: dict[int, Pointers]) -> Iterator[Step]:
        """The ways in which an absent node can join."""
        raise NotImplementedError

    def listed(self, first: int, rest: tuple[int, ...]) -> tuple[int, ...]:
        """``first`` followed by that node's own list, cut to L."""
        return (first, *rest)[: self.length]

    def notify(self, state: State, target: int, n: int) -> State:
        """Leave n's notification at the target; a dead target hears nothing."""
        member = state[target]
        return _put(state, target, member._replace(rectify_with=n)) if isinstance(member, Member) else state

    def ask_successor(self, state: State, n: int, member: Member, s: int, other: Member) -> Step:
        """Copy the live successor's list; note its predecessor if that lies between, else notify it."""
        successors = self.listed(s, other.successors)
        x = other.predecessor
        if x is not None and between(n, x, s):
            after = _put(state, n, member._replace(successors=successors, candidate=x))
            return Step(f"{n} stabilizes: list {successors}, {s} knows {x} between them", after)
        after = _put(state, n, member._replace(successors=successors))
        return Step(f"{n} stabilizes: list {successors}, notifies {s}", self.notify(after, s, n))


class Correct(Protocol):
    """Zave's protocol: no pointer is adopted before a check that its node is alive."""

    def join(self, state: State, n: int, members: dict[int, Pointers]) -> Iterator[Step]:
        for p, pointers in members.items():
            s = pointers.successors[0]
            if between(p, n, s) and _live(
                state, s
            ):  # p is the best predecessor of n, and its successor answers
                successors = self.listed(s, members[s].successors)
                yield Step(
                    f"{n} joins between {p} and {s}: list {successors}",
                    _put(state, n, Member(None, successors)),
                )

    def member_steps(self, state: State, n: int, member: Member) -> Iterator[Step]:
        if member.rectify_with is not None:
            yield self.rectify(state, n, member)
        if member.candidate is not None:
            yield self.stabilize_second(state, n, member, member.candidate)
        else:
            yield self.stabilize_first(state, n, member)

    def stabilize_first(self, state: State, n: int, member: Member) -> Step:
        """Ask the first successor for its predecessor and its list; drop it if it is dead."""
        s = member.successors[0]
        other = state[s]
        if not isinstance(other, Member):
            rest = member.successors[1:]
            return Step(
                f"{n} stabilizes: {s} is dead, list {rest}", _put(state, n, member._replace(successors=rest))
            )
        return self.ask_successor(state, n, member, s, other)

    def stabilize_second(self, state: State, n: int, member: Member, x: int) -> Step:
        """Ask the better successor; adopt it only if it answers."""
        other = state[x]
        member = member._replace(candidate=None)
        if isinstance(other, Member):
            member = member._replace(successors=self.listed(x, other.successors))
        first = member.successors[0]
        verb = "adopts" if first == x else "does not adopt the dead"
        text = f"{n} {verb} {x}: list {member.successors}, notifies {first}"
        return Step(text, self.notify(_put(state, n, member), first, n))

    def rectify(self, state: State, n: int, member: Member) -> Step:
        """Take the notifier as predecessor if there was none, it is dead, or the notifier is closer."""
        q, pred = member.rectify_with, member.predecessor
        assert q is not None
        if pred is None or not _live(state, pred) or between(pred, q, n):
            pred = q
        after = _put(state, n, member._replace(predecessor=pred, rectify_with=None))
        return Step(f"{n} rectifies with {q}: predecessor {pred}", after)


class Published(Protocol):
    """SIGCOMM 2001 Fig. 7 with the successor lists of section 5.2."""

    def join(self, state: State, n: int, members: dict[int, Pointers]) -> Iterator[Step]:
        """``predecessor = nil; successor = n'.find_successor(n)``."""
        for p in members:
            s = next((entry for entry in members[p].successors if _live(state, entry)), None)
            if s is not None and between(p, n, s):
                yield Step(f"{n} joins between {p} and {s}: list {(s,)}", _put(state, n, Member(None, (s,))))
                return  # all who are asked give the same answer while there is one ring

    def member_steps(self, state: State, n: int, member: Member) -> Iterator[Step]:
        if member.rectify_with is not None:
            yield self.take_notify(state, n, member)
        if member.predecessor is not None and not _live(state, member.predecessor):
            after = _put(state, n, member._replace(predecessor=None))
            yield Step(f"{n} checks its predecessor: {member.predecessor} is dead", after)
        if member.candidate is not None:
            yield self.adopt(state, n, member, member.candidate)
        else:
            yield self.stabilize(state, n, member)

    def stabilize(self, state: State, n: int, member: Member) -> Step:
        """``x = successor.predecessor``; the successor is the list's first live entry (section 5.2)."""
        s = next((entry for entry in member.successors if _live(state, entry)), None)
        if s is None:
            return Step(f"{n} stabilizes: nobody it knows is alive", state)
        other = state[s]
        assert isinstance(other, Member)
        return self.ask_successor(state, n, member, s, other)

    def adopt(self, state: State, n: int, member: Member, x: int) -> Step:
        """``if x in (n, successor): successor = x``, whether x lives or not; ``successor.notify(n)``."""
        successors = self.listed(x, member.successors)
        after = _put(state, n, member._replace(successors=successors, candidate=None))
        text = f"{n} adopts {x}{'' if _live(state, x) else ', which is dead'}: list {successors}, notifies it"
        return Step(text, self.notify(after, x, n))

    def take_notify(self, state: State, n: int, member: Member) -> Step:
        """``if predecessor is nil or n' in (predecessor, n): predecessor = n'``."""
        q, pred = member.rectify_with, member.predecessor
        assert q is not None
        if pred is None or between(pred, q, n):
            pred = q
        after = _put(state, n, member._replace(predecessor=pred, rectify_with=None))
        return Step(f"{n} is notified by {q}: predecessor {pred}", after)


@dataclass
class Exploration:
    """How far a search went, and the shortest history that breaks an invariant, if one does."""

    protocol: str
    ids: int
    length: int
    states: int
    #: Every reachable state was visited; False if the limit of states ended the search.
    complete: bool
    violated: str = ""
    detail: str = ""
    #: From the initial state to the violating one; the first step is the start.
    history: list[Step] = field(default_factory=list)

    def __repr__(self) -> str:
        found = (
            f"{self.violated} violated in {len(self.history) - 1} steps" if self.violated else "no violation"
        )
        extent = "" if self.violated else "complete, " if self.complete else "stopped at the limit, "
        scope = f"{self.protocol}, ids={self.ids}, length={self.length}"
        return f"Exploration({scope}: {self.states} states, {extent}{found})"

    def __str__(self) -> str:
        if not self.violated:
            return repr(self)
        lines = [f"{i:>3}  {step.text}" for i, step in enumerate(self.history)]
        return "\n".join([repr(self), *lines, f"     {self.violated}: {self.detail}", *self._picture()])

    def _picture(self) -> list[str]:
        """The last state, a line for each node."""
        lines = []
        for n, member in enumerate(self.history[-1].state):
            if isinstance(member, Member):
                lines.append(f"     {n}: predecessor {member.predecessor}, successors {member.successors}")
            elif member:
                lines.append(f"     {n}: {member}")
        return lines


def explore(
    protocol: Protocol,
    ids: int = 5,
    members: int | tuple[int, ...] = 3,
    limit: int = 200_000,
    broken: Callable[[dict[int, Pointers], int], tuple[str, str]] | None = None,
) -> Exploration:
    """Search every state reachable from the settled ring of ``members`` (a count, or their ids) on a circle
    of ``ids``.

    The other ids may join. ``broken`` names the violated invariant and why (default: all of them, the cheap
    ones first).
    """
    start = _start(protocol, ids, members)
    broken = broken or first_broken
    parents: dict[State, tuple[State | None, str]] = {start: (None, f"a settled ring of {_names(start)}")}
    frontier = [start]
    while frontier:
        following: list[State] = []
        for state in frontier:
            for step in protocol.steps(state):
                if step.state in parents:
                    continue
                parents[step.state] = (state, step.text)
                violated, detail = broken(_members(step.state), protocol.length)
                if violated:
                    history = _history(parents, step.state)
                    return _outcome(protocol, ids, len(parents), False, violated, detail, history)
                following.append(step.state)
            if len(parents) > limit:
                return _outcome(protocol, ids, len(parents), False)
        frontier = following
    return _outcome(protocol, ids, len(parents), True)


def first_broken(members: dict[int, Pointers], length: int) -> tuple[str, str]:
    """The first invariant that does not hold, with the reason; two empty strings if all do."""
    for name, predicate in INVARIANTS.items():
        detail = predicate(members, length)
        if detail:
            return name, detail
    return "", ""


def _start(protocol: Protocol, ids: int, members: int | tuple[int, ...]) -> State:
    if not 2 <= ids <= MAX_IDS:
        raise ValueError(f"ids={ids}: the checker explores circles of 2 to {MAX_IDS} ids; write ids=5")
    chosen = tuple(range(members)) if isinstance(members, int) else tuple(sorted(members))
    if not chosen or chosen[-1] >= ids or chosen[0] < 0:
        raise ValueError(
            f"members={members!r} do not fit on a circle of {ids} ids; write members=3 or members=(0, 2, 4)"
        )
    if len(chosen) <= protocol.length:
        raise ValueError(
            f"{len(chosen)} members with successor lists of {protocol.length}: "
            f"the initial ring must contain at least L + 1 = {protocol.length + 1} nodes; "
            "add members or shorten the lists"
        )
    count = min(protocol.length, len(chosen) - 1)
    settled: list[Member | str | None] = [None] * ids
    for i, n in enumerate(chosen):
        successors = tuple(chosen[(i + step) % len(chosen)] for step in range(1, count + 1))
        settled[n] = Member(chosen[i - 1], successors)
    return tuple(settled)


def _names(state: State) -> str:
    return ", ".join(str(n) for n, member in enumerate(state) if isinstance(member, Member))


def _history(parents: dict[State, tuple[State | None, str]], state: State | None) -> list[Step]:
    steps = []
    while state is not None:
        before, text = parents[state]
        steps.append(Step(text, state))
        state = before
    return steps[::-1]


def _outcome(
    protocol: Protocol,
    ids: int,
    states: int,
    complete: bool,
    violated: str = "",
    detail: str = "",
    history: list[Step] | None = None,
) -> Exploration:
    name = type(protocol).__name__
    return Exploration(name, ids, protocol.length, states, complete, violated, detail, history or [])
