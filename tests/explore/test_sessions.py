"""Session guarantees, against trying everything that reads could have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, combinations, permutations, product
from random import Random
from typing import Any

import pytest

from labkit.explore.histories import (
    Operation,
    Verdict,
    monotonic_reads,
    monotonic_writes,
    read_your_writes,
    writes_follow_reads,
)

CHECKS: dict[Callable[..., Verdict], set[str]] = {
    read_your_writes: {"own", "order"},
    monotonic_reads: {"reads", "order"},
    monotonic_writes: {"reads", "writes"},
    writes_follow_reads: {"reads", "follow"},
}


def program(**clients: str) -> list[Operation]:
    """Each client's reads and writes, one after the other; all clients at the same time: ``a="wx1 ry-"``."""
    return [
        Operation(
            client,
            {"w": "write", "r": "read"}[each[0]],
            int(each[2]) if each[0] == "w" else None,
            int(each[2]) if each[0] == "r" and each[2] != "-" else None,
            2.0 * at,
            2.0 * at + 1,
            key=each[1],
        )
        for client, text in clients.items()
        for at, each in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("check", "broken", "kept"),
    [
        (read_your_writes, {"a": "wx1 rx-"}, {"a": "wx1 rx2", "b": "wx2"}),
        (read_your_writes, {"a": "wx1 wx2 rx1"}, {"a": "wx1 rx1 wx2"}),
        (monotonic_reads, {"a": "wx1 wx2", "b": "rx2 rx1"}, {"a": "wx1", "b": "wx2", "c": "rx2 rx1"}),
        (monotonic_reads, {"a": "wx1", "b": "wx2", "c": "rx2 rx1 rx2"}, {"a": "wx1 wx2", "b": "rx1 rx2"}),
        (monotonic_reads, {"a": "wx1", "b": "rx1 rx-"}, {"a": "wx1", "b": "rx- rx1"}),
        (monotonic_writes, {"a": "wx1 wx2", "b": "rx2 rx1"}, {"a": "wx1 wx2", "b": "rx1 rx2"}),
        (monotonic_writes, {"a": "wx1 wy1", "b": "ry1 rx-"}, {"a": "wx1 wy1", "b": "rx- ry1"}),
        (
            writes_follow_reads,
            {"a": "wx1", "b": "rx1 wy1", "c": "ry1 rx-"},
            {"a": "wx1", "b": "rx1 wy1", "c": "rx- ry1 rx1"},
        ),
    ],
)
def test_one_that_breaks_it_and_one_that_does_not(
    check: Callable[..., Verdict], broken: dict[str, str], kept: dict[str, str]
) -> None:
    assert check(program(**kept)).ok is True
    verdict = check(program(**broken))
    assert verdict.ok is False
    assert verdict.unplaceable
    assert check(verdict.unplaceable).ok is False


def test_the_part_that_shows_it_is_small() -> None:
    history = program(a="wx1 wx2 wx3 wx4", b="rx1 rx2 rx4 rx3 wy1", c="ry1 rx2 rx4")
    verdict = monotonic_writes(history)
    assert verdict.ok is False
    assert [str(each).split("  ")[0] for each in verdict.unplaceable] == [
        "a: write 'x'(3)", "b: read 'x'", "a: write 'x'(4)", "b: read 'x'",
    ] or len(verdict.unplaceable) == 4  # fmt: skip


def test_what_cannot_be_said() -> None:
    twice = program(a="wx1 wx1", b="rx1")
    assert read_your_writes(twice).ok is None
    assert "cannot be told apart" in read_your_writes(twice).why
    assert read_your_writes(program(a="wx0 rx0"), initial=0).ok is None
    back = program(a="wx1", b="rx1 rx-", c="wx2")
    assert monotonic_reads(back).ok is False
    assert monotonic_writes(back).ok is None
    assert "reads go back already" in monotonic_writes(back).why
    invented = program(a="wx1", b="rx7")
    assert monotonic_reads(invented).unplaceable == invented[1:]
    with pytest.raises(ValueError, match="about reads and writes"):
        read_your_writes([Operation("a", "cas", (1, 2), True, 0.0, 1.0)])


def test_an_unanswered_write_promises_nothing_to_its_client() -> None:
    lost = Operation("a", "write", 1, None, 0.0, None, key="x")
    assert read_your_writes([lost, Operation("a", "read", None, None, 1.0, 2.0, key="x")]).ok is True
    assert read_your_writes([lost, Operation("b", "read", None, 1, 1.0, 2.0, key="x")]).ok is True


# ── trying everything ────────────────────────────────────────────────────────────────────────────────────


def subsets(items: list[Any]) -> Iterator[frozenset[Any]]:
    return map(frozenset, chain.from_iterable(combinations(items, n) for n in range(len(items) + 1)))


def explained(history: list[Operation], guarantees: set[str]) -> bool:
    """Whether the reads can have seen sets of writes, in one order of all, that keep the guarantees."""
    reads = [n for n, each in enumerate(history) if each.call == "read"]
    writes = [n for n, each in enumerate(history) if each.call == "write"]

    def earlier(n: int, kinds: list[int]) -> list[int]:
        return [m for m in kinds if m < n and history[m].client == history[n].client]

    def keeps(sees: dict[int, frozenset[int]], rank: dict[int, int]) -> bool:
        for r in reads:
            own = [w for w in sees[r] if history[w].key == history[r].key]
            latest = max(own, key=lambda w: rank[w], default=None)
            if history[r].result != (None if latest is None else history[latest].argument):
                return False
            if "own" in guarantees and not sees[r] >= set(earlier(r, writes)):
                return False
            if "reads" in guarantees and not all(sees[r] >= sees[e] for e in earlier(r, reads)):
                return False
            for w in sees[r]:
                needed: set[int] = set(earlier(w, writes)) if "writes" in guarantees else set()
                if "follow" in guarantees:
                    needed.update(*(sees[e] for e in earlier(w, reads)))
                if not sees[r] >= needed:
                    return False
        for w in writes:
            needed = set(earlier(w, writes)) if "writes" in guarantees else set()
            if "follow" in guarantees:
                needed.update(*(sees[e] for e in earlier(w, reads)))
            if "order" in guarantees:
                needed.update(earlier(w, writes))
            if any(rank[m] >= rank[w] for m in needed):
                return False
        return True

    return any(
        keeps(dict(zip(reads, choice, strict=True)), {w: n for n, w in enumerate(order)})
        for order in permutations(writes)
        for choice in product(list(subsets(writes)), repeat=len(reads))
    )


def test_the_same_as_trying_everything() -> None:
    random, answers = Random(1), set()
    for _ in range(120):
        history, clock = [], 0.0
        values = iter((1, 2, 3))
        for kind in random.choices("wwrrr", k=random.randint(2, 5)):
            clock += 1
            key, client = random.choice("xy"), random.choice("abc")
            if kind == "w" and (value := next(values, None)) is not None:
                history.append(Operation(client, "write", value, None, clock, clock + 0.5, key))
            else:
                history.append(
                    Operation(client, "read", None, random.choice((None, 1, 2)), clock, clock + 0.5, key)
                )
        written = {(each.key, each.argument) for each in history if each.call == "write"}
        invented = any(
            each.result is not None and (each.key, each.result) not in written
            for each in history if each.call == "read"
        )  # fmt: skip
        if invented:
            continue
        for check, guarantees in CHECKS.items():
            found = check(history).ok
            expected = explained(history, guarantees)
            if found is None:
                assert not explained(history, {"reads"})
            else:
                assert found is expected, (check.__name__, *map(str, history))
            answers.add((check.__name__, found))
    assert len(answers) >= 8, answers
