"""Session guarantees: what one client may rely on, whichever replica answers it (Terry et al., PDIS 1994).

A read *sees* some of the writes, and returns the latest of those to its key, in one order of all writes that
nobody has to know. A history keeps a guarantee if the reads can see such writes that

* ``read_your_writes``: a read sees what its client has written before;
* ``monotonic_reads``: a read sees what its client's earlier reads saw;
* ``monotonic_writes``: who sees a write sees what its client wrote before, which comes earlier in the order;
* ``writes_follow_reads``: who sees a write sees what its client had read before, which comes earlier.

From outside, a read that shows the older of a client's two writes may be blamed on the read or on the order
of the writes. So the first two are judged as if each client's writes were in its own order, and the last two
as if reads were monotonic. Every read has to say which write it saw: each value is written once for a key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Any

from labkit.explore.fewest import fewest

from .models import Register
from .operations import Operation, checked, frozen, of_clients
from .verdict import Verdict

__all__ = ["monotonic_reads", "monotonic_writes", "read_your_writes", "writes_follow_reads"]

OWN, READS, WRITES, FOLLOW = "read your writes", "monotonic reads", "monotonic writes", "writes follow reads"
#: Assumed, not judged: each client's writes are in its own order.
ORDER = "order"


def read_your_writes(history: Iterable[Operation], initial: Any = None) -> Verdict:
    """Whether no read misses what its client wrote before. ``initial``: what is read before any write."""
    return _judge(history, OWN, {OWN, ORDER}, initial)


def monotonic_reads(history: Iterable[Operation], initial: Any = None) -> Verdict:
    """Whether no client reads something older than it has read. ``initial``: as above."""
    return _judge(history, READS, {READS, ORDER}, initial)


def monotonic_writes(history: Iterable[Operation], initial: Any = None) -> Verdict:
    """Whether nobody sees a client's write and then misses an earlier one of its. ``initial``: as above."""
    return _judge(history, WRITES, {READS, WRITES}, initial)


def writes_follow_reads(history: Iterable[Operation], initial: Any = None) -> Verdict:
    """Whether nobody sees a write and then misses what its client had read. ``initial``: as above."""
    return _judge(history, FOLLOW, {READS, FOLLOW}, initial)


def _judge(history: Iterable[Operation], what: str, guarantees: set[str], initial: Any) -> Verdict:
    operations = _reads_and_writes(history)
    start = frozen(initial)
    writers: dict[Hashable, Operation] = {}
    for each in operations:
        if each.call == "write":
            other = writers.setdefault((each.key, each.argument), each)
            if other is not each or each.argument == start:
                again = f"{other} and {each}" if other is not each else f"{each}, the initial value,"
                return Verdict(None, [], f"unknown: {again} cannot be told apart by who reads it")
    for each in operations:
        if each.call == "read" and each.result != start and (each.key, each.result) not in writers:
            return Verdict(False, [each.original or each], f"nobody wrote what this read returned: {each}")
    if what in (WRITES, FOLLOW) and _Sight(operations, {READS}, start).wrong():
        return Verdict(None, [], f"unknown: reads go back already, which hides whether {what} holds")

    def fails(some: list[Operation]) -> bool:
        chosen = {id(each) for each in some}
        part = [each for each in operations if id(each) in chosen]
        return _Sight(part, guarantees, start).wrong()

    if not fails(operations):
        reads = sum(each.call == "read" for each in operations)
        return Verdict(True, [], f"{what}: kept by all {reads} reads")
    # Without the reads first: a write can go once nobody has read it.
    bad = fewest(sorted(operations, key=lambda each: each.call != "read"), fails)
    bad = [each.original or each for each in sorted(bad, key=lambda each: each.invoked)]
    return Verdict(False, bad, f"{what} is broken: these {len(bad)} operations show it")


def _reads_and_writes(history: Iterable[Operation]) -> list[Operation]:
    names = {**Register.also, "read": "read", "write": "write"}
    operations = checked(history)
    for each in operations:
        if each.call not in names:
            raise ValueError(
                f"{each}: session guarantees are about reads and writes (read, get; write, put, set), not "
                f"{each.call!r}; leave such operations' keys out, or rename them"
            )
    return [
        replace(each, call=names[each.call])
        for each in operations
        if each.answered or names[each.call] == "write"  # a read without an answer saw nothing
    ]


class _Sight:
    """The least that each operation must see, as sets of writes: the bits of a number."""

    def __init__(self, operations: list[Operation], guarantees: set[str], start: Any) -> None:
        self.guarantees, self.start = guarantees, start
        self.operations = [each for each in operations if each.call == "read"]
        self.writes = [each for each in operations if each.call == "write"]
        self.bit = {id(each): 1 << number for number, each in enumerate(self.writes)}
        self.writer = {(each.key, each.argument): each for each in self.writes}
        #: For a read: what it sees. For a write: what whoever sees it sees too.
        self.sees: dict[int, int] = {id(each): 0 for each in operations}
        self._earlier = {
            id(each): [other for other in theirs[:number] if other.end <= each.invoked]
            for theirs in of_clients(operations).values()
            for number, each in enumerate(theirs)
        }
        changed = True
        while changed:
            changed = False
            for each in operations:
                more = self.sees[id(each)] | self._must_see(each)
                changed = changed or more != self.sees[id(each)]
                self.sees[id(each)] = more

    def _with(self, write: Operation) -> int:
        return self.bit[id(write)] | self.sees[id(write)]

    def _must_see(self, each: Operation) -> int:
        reading = each.call == "read"
        found = 0
        if reading and (wrote := self.writer.get((each.key, each.result))) is not None:
            found |= self._with(wrote)
        for other in self._earlier[id(each)]:
            if other.call == "write" and (OWN if reading else WRITES) in self.guarantees:
                found |= self._with(other)
            if other.call == "read" and (READS if reading else FOLLOW) in self.guarantees:
                found |= self.sees[id(other)]
        return found

    def wrong(self) -> bool:
        """Whether a read returns what was there before a write that it sees, in every order of the writes."""
        after: dict[int, int] = {}  # for each write's bit: those that come before it
        for each in self.writes:
            own = [w for w in self._earlier[id(each)] if w.call == "write" and ORDER in self.guarantees]
            after[self.bit[id(each)]] = self.sees[id(each)] | sum(self.bit[id(w)] for w in own)
        of_key: dict[Hashable, int] = {}
        for each in self.writes:
            of_key[each.key] = of_key.get(each.key, 0) | self.bit[id(each)]
        for each in self.operations:
            seen = self.sees[id(each)] & of_key.get(each.key, 0)
            wrote = self.writer.get((each.key, each.result))
            if wrote is not None:
                after[self.bit[id(wrote)]] |= seen & ~self.bit[id(wrote)]
            elif each.result != self.start:
                return False  # its write was left out, so these operations are no evidence
            elif seen:
                return True
        return _circle(after)


def _circle(before: dict[int, int]) -> bool:
    """Whether some writes each come before the next, round in a circle: others can go one by one."""
    left = sum(before)
    while left:
        free = sum(bit for bit, others in before.items() if bit & left and not others & left)
        if not free:
            return True
        left &= ~free
    return False
