"""What must hold of a Chord ring: Zave's invariant and its consequences, as pure predicates over pointers.

Source: P. Zave, "Reasoning about identifier spaces: how to make Chord correct", and the Coq development of
verdi-chord. A *snapshot* (``snapshot.py``) says for every live member what its predecessor and successor list
are; whoever is not in it is dead or has not joined. The same predicates judge the states of the model
checker, the pointers of running nodes, and every instant of a recorded trace (``trace_checks.py``).

The inductive invariant has two parts. It holds at every instant, in every ring that has not stabilised yet:

* **one live successor**: every member's successor list contains a live member;
* **enough principals**: at least L + 1 members are *principals*, members that no adjacent pair in anybody's
  *extended* successor list (the node itself, then its list) skips. They are the members the whole ring agrees
  on.

From it follow the five consequences below, which are what makes lookups right. The *ideal* state is what
stabilisation reaches when nodes stop joining and failing.

    >>> ring = ideal_snapshot([0, 1, 3, 6], length=2)
    >>> principals(ring)
    [0, 1, 3, 6]
    >>> broken = {**ring, 0: Pointers(6, (3, 6))}       # 0 has forgotten 1
    >>> principals(broken), not_ideal(broken, length=2)[0]
    ([0, 3, 6], '0 has successors (3, 6), ideal is (1, 3)')
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from .ids import NamedId, between
from .snapshot import Pointers, Snapshot, best_successor

__all__ = [
    "INVARIANTS",
    "Pointers",
    "Verdict",
    "best_successor",
    "failure_allowed",
    "ideal_snapshot",
    "judge",
    "not_ideal",
    "principals",
    "rings",
    "with_names",
]


def with_names(members: Mapping[int, Pointers], names: Mapping[int, str]) -> dict[int, Pointers]:
    """The same snapshot, in whose verdicts every id has its node's name beside it."""
    named = partial(NamedId.of, names=names)
    return {
        named(n): Pointers(
            None if pointers.predecessor is None else named(pointers.predecessor),
            tuple(named(entry) for entry in pointers.successors),
        )
        for n, pointers in members.items()
    }


@dataclass(frozen=True)
class Verdict:
    """One invariant, judged: whether it holds, whether theory says it must, and what breaks it."""

    name: str
    holds: bool
    expected: bool
    detail: str = ""

    def __str__(self) -> str:
        mark = "holds " if self.holds else "BROKEN"
        return f"{mark}  {self.name}" + (f": {self.detail}" if self.detail else "")


# --- the vocabulary -------------------------------------------------------------------------------------


def principals(members: Snapshot) -> list[int]:
    """The members that no extended successor list skips, in id order."""
    order = sorted(members)
    skipped: set[int] = set()
    for n, pointers in members.items():
        here = n
        for entry in pointers.successors:
            skipped.update(_inside(order, here, entry))
            here = entry
    return [n for n in order if n not in skipped]


def _inside(order: list[int], a: int, b: int) -> list[int]:
    """The sorted members strictly between a and b, clockwise."""
    first = bisect_right(order, a)
    if first < len(order) and a < order[first] < b:  # the common case of neighbours is none at all
        return [x for x in order[first:] if x < b]
    if a < b:
        return []
    return order[first:] + [x for x in order if x < b]


def rings(members: Snapshot) -> list[list[int]]:
    """The cycles that best successors form, each from its smallest id; a healthy network has exactly one."""
    found: list[list[int]] = []
    colour: dict[int, int] = {}  # the walk on which a member was first met
    for number, start in enumerate(sorted(members)):
        here: int | None = start
        walk: list[int] = []
        while here is not None and here not in colour:
            colour[here] = number
            walk.append(here)
            here = best_successor(members, here)
        if here is not None and colour[here] == number:
            cycle = walk[walk.index(here) :]
            low = cycle.index(min(cycle))
            found.append(cycle[low:] + cycle[:low])
    return found


# --- the invariant and its consequences: each returns what breaks it, "" if nothing does ----------------


def one_live_successor(members: Snapshot, length: int) -> str:
    """(i) Every member's successor list contains a live member."""
    alone = [n for n in members if best_successor(members, n) is None]
    return f"{_ids(alone)} knows no live successor" if alone else ""


def enough_principals(members: Snapshot, length: int) -> str:
    """(ii) At least L + 1 members are skipped by nobody."""
    count = len(principals(members))
    return "" if count > length else f"{count} principals, {length + 1} are needed for lists of {length}"


def ordered_successor_lists(members: Snapshot, length: int) -> str:
    """Every three entries in a row of an extended successor list are in cyclic order."""
    for n, pointers in members.items():
        row = (n, *pointers.successors)
        for a, b, c in zip(row, row[1:], row[2:], strict=False):
            if not between(a, b, c):
                return f"{n} lists {pointers.successors}: {b} is not between {a} and {c}"
    return ""


def no_duplicates(members: Snapshot, length: int) -> str:
    """No extended successor list names a node twice."""
    for n, pointers in members.items():
        row = (n, *pointers.successors)
        if len(set(row)) != len(row):
            return f"{n} lists {pointers.successors}"
    return ""


def principals_in_ring(members: Snapshot, length: int) -> str:
    """Every principal is on the ring."""
    on_ring = {n for ring in rings(members) for n in ring}
    outside = [n for n in principals(members) if n not in on_ring]
    return f"{_ids(outside)} outside the ring" if outside else ""


def one_ordered_ring(members: Snapshot, length: int) -> str:
    """Best successors form one ring, and it goes round the circle once."""
    cycles = rings(members)
    if len(cycles) != 1:
        return (
            f"{len(cycles)} rings: {' and '.join(_ids(cycle) for cycle in cycles[:4])}"
            if cycles
            else "no ring"
        )
    ring = cycles[0]
    return "" if ring == sorted(ring) else f"the ring is out of order: {_ids(ring)}"


def connected_appendages(members: Snapshot, length: int) -> str:
    """From every member, best successors lead to the ring (members beside it are appendages)."""
    reached = {n for ring in rings(members) for n in ring}
    lost = []
    for start in members:
        walk = []
        here: int | None = start
        while here is not None and here not in reached and here not in walk:
            walk.append(here)
            here = best_successor(members, here)
        if here in reached:
            reached.update(walk)
        else:
            lost.append(start)
    return f"{_ids(lost)} cannot reach the ring" if lost else ""


#: Name to predicate: the invariant's two parts first, then what follows from them.
INVARIANTS = {
    "OneLiveSuccessor": one_live_successor,
    "EnoughPrincipals": enough_principals,
    "OrderedSuccessorLists": ordered_successor_lists,
    "NoDuplicates": no_duplicates,
    "PrincipalsInRing": principals_in_ring,
    "OneOrderedRing": one_ordered_ring,
    "ConnectedAppendages": connected_appendages,
}


def judge(members: Snapshot, length: int, expected: bool = True) -> list[Verdict]:
    """Every invariant's verdict on a snapshot; ``expected`` says whether the protocol promises them."""
    details = {name: predicate(members, length) for name, predicate in INVARIANTS.items()}
    return [Verdict(name, not detail, expected, detail) for name, detail in details.items()]


def failure_allowed(members: Snapshot, victims: Iterable[int], length: int) -> bool:
    """Zave's operating assumption: the failure leaves every member a live successor, and L + 1 principals."""
    gone = set(victims)
    after = {n: pointers for n, pointers in members.items() if n not in gone}
    return bool(after) and not one_live_successor(after, length) and not enough_principals(after, length)


# --- the ideal state ------------------------------------------------------------------------------------


def ideal_snapshot(ids: Iterable[int], length: int) -> dict[int, Pointers]:
    """The pointers these members have when the ring has stabilised."""
    order = sorted(ids)
    count = min(length, len(order) - 1)
    return {
        n: Pointers(
            order[i - 1] if count else None,
            tuple(order[(i + step) % len(order)] for step in range(1, count + 1)),
        )
        for i, n in enumerate(order)
    }


def not_ideal(members: Snapshot, length: int) -> list[str]:
    """What still differs from the ideal state, one line for each difference."""
    differences = []
    for n, ideal in ideal_snapshot(members, length).items():
        real = members[n]
        if real.successors != ideal.successors:
            differences.append(f"{n} has successors {real.successors}, ideal is {ideal.successors}")
        if real.predecessor != ideal.predecessor:
            differences.append(f"{n} has predecessor {real.predecessor}, ideal is {ideal.predecessor}")
    return differences


def _ids(ids: Iterable[int]) -> str:
    shown = [str(n) for n in ids]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
