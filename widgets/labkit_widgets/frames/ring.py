"""The frame of `RingPanel`: a Chord ring as its nodes' own events tell it.

Nothing is asked of a node: `labkit.systems.chord.view` folds what they emitted. Who is dead is the runtime's
word, not the ring's: the difference between the two is what stabilisation has yet to repair, and what the
panel shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from labkit.systems.chord.view import Hop, LookupView, RingReducer, RingState
from labkit.trace.fold import History, fold
from labkit.trace.machines import EventLine, MachineView, natural

from ..numbers import Number

#: Above this many members the invariants are not judged ten times a second.
JUDGED_UP_TO = 300


@dataclass(frozen=True)
class RingNode:
    """One node's pointers and load."""

    name: str
    machine: str
    state: str  # alive, slow, paused or dead
    id: int
    predecessor: str | None = None
    successors: tuple[str, ...] = ()
    fingers: tuple[tuple[int, str], ...] = ()  # (k, node) for k that changed at least once
    own: int = 0
    copies: int = 0
    right: bool = True  # the first successor is the next living node
    problem: str = ""  # what is wrong, in words


@dataclass(frozen=True)
class RingFrame:
    """The ring at one position."""

    time: float
    bits: int
    machines: tuple[MachineView, ...]
    nodes: tuple[RingNode, ...]  # by id, dead ones included
    lookups: tuple[LookupView, ...]  # oldest first; the running ones last
    hops: tuple[Hop, ...]
    numbers: tuple[Number, ...]
    verdicts: tuple[tuple[str, bool, str], ...]  # invariant, holds, detail
    lines: tuple[EventLine, ...]
    keys: int
    scarce: int  # keys with fewer living copies than the ring promises
    lost: int  # keys with none

    def node(self, name: str) -> RingNode | None:
        """The node of that name, if it is on the stage."""
        return next((node for node in self.nodes if node.name == name), None)

    @property
    def living(self) -> int:
        """Members that are not dead."""
        return sum(node.state != "dead" for node in self.nodes)


def frame(
    trace: Any,
    position: float | None = None,
    *,
    history: History | None = None,
    bits: int = 0,
    replicas: int = 1,
    ids: Mapping[str, int] | None = None,
) -> RingFrame:
    """The ring at `position` seconds (None: now).

    `bits`, `replicas` and `ids` are the ring's, if the trace lacks them.
    """
    state = history.at(position) if history is not None else fold(RingReducer(), trace, position)
    places = {**(ids or {}), **state.ids}
    bits = bits or max((place.bit_length() for place in places.values()), default=8)
    nodes = _nodes(state, places)
    keys, scarce, lost = _copies(state, max(1, min(replicas, sum(n.state != "dead" for n in nodes))))
    return RingFrame(
        time=state.lab.now if position is None else position,
        bits=bits,
        machines=state.lab.views(),
        nodes=nodes,
        lookups=(*state.lookups, *state.open.values()),
        hops=tuple(state.hops),
        numbers=_numbers(state, nodes, keys, scarce, lost),
        verdicts=_verdicts(nodes, places),
        lines=tuple(state.lab.lines),
        keys=keys,
        scarce=scarce,
        lost=lost,
    )


# -- what follows from the state ------------------------------------------------------------


def _nodes(state: RingState, ids: Mapping[str, int]) -> tuple[RingNode, ...]:
    states = {machine.name: machine.state for machine in state.lab.views()}
    names = sorted((n for n in state.members if n in ids), key=lambda n: (ids[n], natural(n)))
    dead = {n for n in names if n in state.lab.gone or states.get(state.lab.places.get(n, "")) == "dead"}
    ring = [n for n in names if n not in dead]
    following = {name: ring[(index + 1) % len(ring)] for index, name in enumerate(ring)}
    return tuple(_node(state, name, ids[name], states, dead, following) for name in names)


def _node(
    state: RingState,
    name: str,
    place: int,
    states: Mapping[str, str],
    dead: set[str],
    following: Mapping[str, str],
) -> RingNode:
    machine = state.lab.places.get(name, "")
    successors = state.successors.get(name, ())
    first = successors[0] if successors else None
    problem = ""
    if name not in dead:
        if first in dead:
            problem = f"its successor {first} is dead; it has not noticed yet"
        elif first is None or (first != following[name] and len(following) > 1):
            problem = f"its successor should be {following[name]}, it is {first}"
    return RingNode(
        name=name,
        machine=machine,
        state="dead" if name in dead else states.get(machine, "alive"),
        id=place,
        predecessor=state.predecessors.get(name),
        successors=successors,
        fingers=tuple(sorted(state.fingers.get(name, {}).items())),
        own=state.held.get(name, (0, 0))[0],
        copies=state.held.get(name, (0, 0))[1],
        right=not problem,
        problem=problem,
    )


def _copies(state: RingState, wanted: int) -> tuple[int, int, int]:
    """Keys; those with fewer living copies than wanted; those with none. Counted anew after changes."""
    known = (state.changes, wanted, len(state.members))
    if state.memo.get("known") != known:
        state.memo.update(known=known, copies=_counted(state, wanted))
    keys, scarce, lost = state.memo["copies"]
    return keys, scarce, lost


def _counted(state: RingState, wanted: int) -> tuple[int, int, int]:
    # What lies on the disk of a node that is back and no member yet, nobody can find.
    there = state.members.keys() - state.lab.gone
    living = [sum(node in there for node, _ in entries) for entries in state.holders.values()]
    return len(living), sum(copies < wanted for copies in living), living.count(0)


def _verdicts(nodes: tuple[RingNode, ...], ids: Mapping[str, int]) -> tuple[tuple[str, bool, str], ...]:
    """The invariants of the correct protocol, judged on the living members' pointers."""
    living = [node for node in nodes if node.state != "dead"]
    if not 1 < len(living) <= JUDGED_UP_TO:
        return ()
    return _judged(
        tuple(
            (node.id, ids.get(node.predecessor or ""), tuple(ids[s] for s in node.successors if s in ids))
            for node in living
        )
    )


#: id, predecessor, successors: of one living member.
_Member = tuple[int, int | None, tuple[int, ...]]


@lru_cache(maxsize=32)
def _judged(
    members: tuple[tuple[int, int | None, tuple[int, ...]], ...],
) -> tuple[tuple[str, bool, str], ...]:
    """Judged once for each constellation of pointers: between changes a panel asks ten times a second."""
    from labkit.systems.chord.invariants import Pointers, judge

    length = max(len(successors) for _, _, successors in members)
    snapshot = {place: Pointers(predecessor, successors) for place, predecessor, successors in members}
    return tuple((verdict.name, verdict.holds, verdict.detail) for verdict in judge(snapshot, length))


def _numbers(
    state: RingState, nodes: tuple[RingNode, ...], keys: int, scarce: int, lost: int
) -> tuple[Number, ...]:
    living = [node for node in nodes if node.state != "dead"]
    count = len(living)
    right = sum(node.right for node in living)
    mean_hops = f"{state.hop_sum / state.finished:.2f}" if state.finished else "none yet"
    loads = [node.own for node in living]
    mean = sum(loads) / count if count else 0.0
    peak = f"{max(loads) / mean:.1f}× mean" if mean else "no keys yet"
    harmonic = sum(1 / k for k in range(1, count + 1))
    return (
        _successors_right(right, count, len(nodes)),
        _keys_copied(keys, scarce, lost),
        Number("Hops per lookup", mean_hops, theory=_hops_expected(living)),
        Number("Timeouts per lookup", _ratio(state.timeout_sum, state.finished), theory="0 without failures"),
        Number("Fullest node", peak, theory=f"{harmonic:.1f}×" if mean else ""),
    )


def _successors_right(right: int, living: int, known: int) -> Number:
    """Of no member nothing is right."""
    if not living and not known:
        return Number("Successors right", "no member yet")
    if not living:
        return Number("Successors right", "no member left", "", "bad")
    tone = "good" if right == living else "bad"
    return Number("Successors right", f"{right} of {living}", tone=tone, theory="all, once stabilised")


def _keys_copied(keys: int, scarce: int, lost: int) -> Number:
    if not keys:
        return Number("Keys fully copied", "no keys yet")
    safe = f"{lost:,} lost" if lost else f"{keys - scarce:,} of {keys:,}"
    return Number(
        "Keys fully copied", safe, tone="bad" if scarce or lost else "good", theory="all, once repaired"
    )


def _hops_expected(living: list[RingNode]) -> str:
    """What the paper's theory says, and why fewer may be seen."""
    if not living:
        return ""
    words = f"½ log₂ {len(living)} = {math.log2(len(living)) / 2:.2f} with fingers alone"
    near = max(len(node.successors) for node in living)
    return f"{words}; the successor lists of {near} shorten the way" if near > 1 else words


def _ratio(total: int, count: int) -> str:
    return f"{total / count:.2f}" if count else "none yet"
