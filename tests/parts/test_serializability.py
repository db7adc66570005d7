"""The conflict graph of logged versions."""

from __future__ import annotations

import itertools
import random

import pytest

from labkit.parts.serializability import Transaction, conflict_cycle, conflicts


def test_one_after_the_other() -> None:
    log = [
        Transaction("a", reads={"x": 0}, writes={"x": 1}),
        Transaction("b", reads={"x": 1, "y": 0}, writes={"y": 1}),
        Transaction("c", reads={"y": 1}),
    ]
    assert conflict_cycle(log) is None
    assert [str(each) for each in conflicts(log)] == [
        "a wrote 'x', which b read",
        "b wrote 'y', which c read",
    ]


def test_a_lost_update() -> None:
    log = [Transaction("a", {"x": 0}, {"x": 1}), Transaction("b", {"x": 0}, {"x": 2})]
    found = conflict_cycle(log)
    assert found is not None
    assert [(each.before, each.after, each.kind) for each in found] in (
        [("a", "b", "ww"), ("b", "a", "rw")],
        [("a", "b", "rw"), ("b", "a", "rw")],
    )


def test_write_skew() -> None:
    """Neither sees what the other writes: two neighbours that choose one colour at the same time."""
    log = [Transaction("u", {"v": 0}, {"u": 1}), Transaction("v", {"u": 0}, {"v": 1})]
    found = conflict_cycle(log)
    assert found is not None
    assert {each.kind for each in found} == {"rw"}


def test_a_circle_of_three_behind_a_way_that_leads_to_it() -> None:
    log = [
        Transaction("first", writes={"p": 1}),
        Transaction("a", {"p": 1, "x": 0}, {"y": 1}),
        Transaction("b", {"y": 0}, {"z": 1}),
        Transaction("c", {"z": 0}, {"x": 1}),
    ]
    found = conflict_cycle(log)
    assert found is not None
    assert len(found) == 3
    assert all(one.after == two.before for one, two in itertools.pairwise([*found, found[0]]))


def test_two_makers_of_one_version_are_a_mistake_of_the_log() -> None:
    with pytest.raises(ValueError, match="a and b both made version 1 of 'x'"):
        conflicts([Transaction("a", writes={"x": 1}), Transaction("b", writes={"x": 1})])


@pytest.mark.parametrize("seed", range(30))
def test_as_trying_every_order_says(seed: int) -> None:
    """Up to five transactions over three items: serializable if and only if some serial order shows every
    transaction the versions that it read, and makes them in their order."""
    rng = random.Random(seed)
    newest = dict.fromkeys("xyz", 0)
    log = []
    for name in range(rng.randint(2, 5)):
        reads = {
            item: rng.randint(max(0, newest[item] - 1), newest[item]) for item in "xyz" if rng.random() < 0.6
        }
        writes = {}
        for item in "xyz":
            if rng.random() < 0.4:
                newest[item] += 1
                writes[item] = newest[item]
        log.append(Transaction(name, reads, writes))

    def serial(order: tuple[Transaction, ...]) -> bool:
        now = dict.fromkeys("xyz", 0)
        for each in order:
            if any(now[item] != version for item, version in each.reads.items()):
                return False
            for item, version in each.writes.items():
                if version != now[item] + 1:
                    return False
                now[item] = version
        return True

    assert (conflict_cycle(log) is None) == any(map(serial, itertools.permutations(log)))


def test_a_long_row() -> None:
    log = [Transaction(i, {"x": i}, {"x": i + 1}) for i in range(20_000)]
    assert conflict_cycle(log) is None
