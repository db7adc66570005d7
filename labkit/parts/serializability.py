"""Was a concurrent run as good as some run of one thing after the other?

Each transaction says which versions it has read and made. Two *conflict* over an item if one of them wrote
it: the maker of a version comes before its readers (wr) and before the maker of the next one (ww), and a
reader of a version before the maker of the next (rw). The run was serializable if these orders make no
circle: any order that respects them is a serial run with the same result (Papadimitriou 1979).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Conflict", "Transaction", "conflict_cycle", "conflicts"]

Item = Hashable
Name = Hashable


@dataclass(frozen=True)
class Transaction:
    """One update. reads: item to the version that was read. writes: item to the version that was made.

    Versions of an item are numbers that grow in the order in which they were made; the first is there before
    the run.
    """

    name: Name
    reads: Mapping[Item, int] = field(default_factory=dict)
    writes: Mapping[Item, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Conflict:
    """``before`` has to come before ``after``, because of an item. kind: "wr", "ww" or "rw"."""

    before: Name
    after: Name
    item: Item
    kind: str

    def __str__(self) -> str:
        how = {
            "wr": "wrote {item!r}, which {after} read",
            "ww": "wrote {item!r} before {after} did",
            "rw": "read {item!r} before {after} wrote it",
        }[self.kind]
        return f"{self.before} " + how.format(item=self.item, after=self.after)


def conflicts(transactions: Iterable[Transaction]) -> list[Conflict]:
    """All orders that the versions demand, in the order of the transactions. Two makers of one version are a
    mistake of who logged them: ValueError.
    """
    transactions = list(transactions)
    maker: dict[Item, dict[int, Name]] = defaultdict(dict)
    for each in transactions:
        for item, version in each.writes.items():
            if version in maker[item]:
                raise ValueError(
                    f"{maker[item][version]} and {each.name} both made version {version} of {item!r}"
                )
            maker[item][version] = each.name
    next_version: dict[Item, dict[int, int]] = {}
    made: dict[Item, list[int]] = {item: sorted(versions) for item, versions in maker.items()}
    for item, versions in made.items():
        next_version[item] = dict(pairwise(versions))
    found = []

    def order(before: Name, after: Name, item: Item, kind: str) -> None:
        if before != after:
            found.append(Conflict(before, after, item, kind))

    for each in transactions:
        for item, version in each.reads.items():
            if item not in maker:
                continue
            if version in maker[item]:
                order(maker[item][version], each.name, item, "wr")
                later = next_version[item].get(version)
            else:  # what was there before the run, or is older than all that was logged
                later = next((v for v in made[item] if v > version), None)
            if later is not None:
                order(each.name, maker[item][later], item, "rw")
        for item, version in each.writes.items():
            if (later := next_version[item].get(version)) is not None:
                order(each.name, maker[item][later], item, "ww")
    return found


def conflict_cycle(transactions: Iterable[Transaction]) -> list[Conflict] | None:
    """Conflicts that make a circle, each leading to the next; None if there is none: the run was
    serializable.
    """
    after: dict[Name, list[Conflict]] = defaultdict(list)
    for each in conflicts(transactions):
        after[each.before].append(each)
    done: set[Name] = set()
    for start in list(after):
        if start in done:
            continue
        path: list[Conflict] = []  # the way to where we are
        on_path = {start: 0}  # how many conflicts lead to it
        rest = [iter(after[start])]
        while rest:
            step = next(rest[-1], None)
            if step is None:
                rest.pop()
                left = path[-1].after if path else start
                done.add(left)
                on_path.pop(left)
                if path:
                    path.pop()
            elif step.after in on_path:
                return [*path[on_path[step.after] :], step]
            elif step.after not in done:
                path.append(step)
                on_path[step.after] = len(path)
                rest.append(iter(after.get(step.after, [])))
    return None
