"""Checkers of histories agree with trying every order, and show what is wrong as a part that is wrong."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from labkit.explore.histories import (
    File,
    KeyValue,
    Lock,
    Model,
    Operation,
    Queue,
    Register,
    Set,
    UnorderedQueue,
    linearizable,
    sequential,
)
from tests.explore.brute_force import (
    Draw,
    has_order,
    of_file,
    of_lock,
    of_queue,
    of_register,
    of_set,
    random_history,
)

STALE = [
    Operation("a", "write", 1, None, 0.0, 1.0),
    Operation("a", "write", 2, None, 1.5, 2.0),
    Operation("b", "write", 3, None, 1.0, 1.4),
    Operation("b", "read", None, 1, 3.0, 4.0),
]

CASES: list[tuple[type[Model], Draw]] = [
    (Register, of_register),
    (Queue, of_queue),
    (UnorderedQueue, of_queue),
    (Set, of_set),
    (Lock, of_lock),
    (File, of_file),
]


@pytest.mark.parametrize(("model", "draw"), CASES, ids=[model.__name__ for model, _ in CASES])
@pytest.mark.parametrize("how", ["ties", "no ties", "values first"])
def test_the_same_as_trying_every_order(
    model: type[Model], draw: Draw, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a few values alone are looked at before all orders are tried."""
    if how == "values first":
        monkeypatch.setattr("labkit.explore.histories.checking.SOON", 0)
    random = Random(f"{model.__name__} {how}")
    seen = set()
    for _ in range(100):
        history = random_history(random, draw, most=5, ties=how == "ties")
        for check, real_time in ((linearizable, True), (sequential, False)):
            verdict = check(history, model())
            expected = has_order(history, model(), real_time)
            assert verdict.ok is expected, history
            seen.add(expected)
            if expected:
                assert has_order(verdict.order, model(), real_time)
            else:
                assert check(verdict.unplaceable, model()).ok is False, history
                assert all(any(each is one for one in history) for each in verdict.unplaceable)
    assert seen == {True, False}, "the drawing shows only one answer"


def test_a_stale_read() -> None:
    verdict = linearizable(STALE, Register())
    assert verdict.ok is False
    assert not verdict
    assert len(verdict.unplaceable) == 3
    assert "no order of these 3 operations" in str(verdict)
    assert sequential(STALE, Register()).ok is True


def test_a_value_that_nobody_wrote() -> None:
    history = [*STALE[:3], Operation("c", "read", None, 7, 5.0, 6.0)]
    verdict = linearizable(history, Register())
    assert verdict.unplaceable == history[3:]
    assert "nothing in the history explains" in verdict.why


def test_an_unanswered_write_may_have_happened_or_not() -> None:
    write = Operation("a", "write", 1, None, 0.0, None)

    def reads(*results: Any) -> list[Operation]:
        return [
            Operation("b", "read", None, each, 2.0 * at, 2.0 * at + 1) for at, each in enumerate(results, 1)
        ]

    assert linearizable([write, *reads(None, None)], Register()).ok is True
    assert linearizable([write, *reads(None, 1, 1)], Register()).ok is True
    verdict = linearizable([write, *reads(None, 1, None, 1)], Register())
    assert verdict.ok is False
    assert write in verdict.unplaceable


def test_keys_are_histories_of_their_own() -> None:
    history = [
        Operation("a", "put", 1, None, 0.0, 1.0, key="x"),
        Operation("a", "put", 1, None, 0.0, 1.0, key="y"),
        Operation("b", "get", None, 1, 2.0, 3.0, key="x"),
        Operation("b", "get", None, None, 2.0, 3.0, key="y"),
    ]
    verdict = linearizable(history, KeyValue())
    assert {each.key for each in verdict.unplaceable} == {"y"}
    assert "of 'y'" in verdict.why
    assert linearizable(history[:3], KeyValue()).ok is True


def test_sequential_consistency_is_not_local() -> None:
    """Each key alone has an order; together they have none (the example of Herlihy and Wing, §3.3)."""
    history = [
        Operation("a", "put", 1, None, 0.0, 1.0, key="x"),
        Operation("a", "get", None, None, 2.0, 3.0, key="y"),
        Operation("b", "put", 1, None, 0.0, 1.0, key="y"),
        Operation("b", "get", None, None, 2.0, 3.0, key="x"),
    ]
    for key in "xy":
        assert sequential([each for each in history if each.key == key], KeyValue()).ok is True
    verdict = sequential(history, KeyValue())
    assert verdict.ok is False
    assert len(verdict.unplaceable) == 4


def test_the_limit_is_an_answer() -> None:
    history = [Operation(f"c{n}", "append", b"%d" % n, None, 0.0, 10.0) for n in range(9)]
    verdict = linearizable([*history, Operation("r", "read", None, b"99", 0.0, 9.0)], File(), limit=100)
    assert verdict.ok is None
    assert not verdict
    assert "unknown" in str(verdict)
    assert "100 configurations" in verdict.why


def test_a_long_wrong_history_is_found_out_by_a_few_of_its_values() -> None:
    """Every order of the writes would have to be tried: 30 are under way at any time."""
    history = [Operation(n % 30, "write", n, None, float(n), n + 29.5) for n in range(300)]
    history += [Operation("r", "read", None, each, 400.0 + each, 400.5 + each) for each in (0, 299)]
    verdict = linearizable(history, Register())
    assert verdict.ok is False
    assert len(verdict.unplaceable) == 3
    assert verdict.tried <= 5_000


def test_what_was_before_is_left_out_when_it_does_not_matter() -> None:
    """Few values, written again and again: no value can be left out, but all that is over can."""
    history = [Operation(n % 3, "write", n % 2, None, 2.0 * n, 2.0 * n + 3) for n in range(40)]
    history += [Operation("r", "read", None, each, 100.0 + n, 100.5 + n) for n, each in enumerate((0, 1))]
    verdict = linearizable(history, Register())
    assert verdict.unplaceable == history[-2:]
    assert verdict.why.endswith("whatever was there before")


def test_two_holders_of_a_lock_among_many_that_were_not() -> None:
    calls = [("a", "acquire"), ("a", "release"), ("b", "acquire"), ("b", "release")] * 10
    history = [Operation(who, call, None, True, 2.0 * n, 2.0 * n + 1) for n, (who, call) in enumerate(calls)]
    history += [Operation(who, "acquire", None, True, 100.0, 101.0) for who in "ab"]
    verdict = linearizable(history, Lock())
    assert verdict.unplaceable == history[-2:]


def test_nothing_is_consistent() -> None:
    assert linearizable([], Register()).ok is True
    assert sequential([], Register()).ok is True


def test_values_as_they_come() -> None:
    """Lists, dictionaries and NaN as values; what is shown is what was given."""
    history = [
        Operation("a", "write", [1, {"b": [2]}], None, 0.0, 1.0),
        Operation("b", "read", None, [1, {"b": [2]}], 2.0, 3.0),
        Operation("a", "write", float("nan"), None, 4.0, 5.0),
        Operation("b", "read", None, float("nan"), 6.0, 7.0),
    ]
    assert linearizable(history, Register()).ok is True
    wrong = [history[0], Operation("b", "read", None, [1], 2.0, 3.0)]
    assert linearizable(wrong, Register()).unplaceable == wrong[1:]


def test_bad_questions() -> None:
    with pytest.raises(ValueError, match="returned before it was invoked"):
        linearizable([Operation("a", "read", None, 1, 2.0, 1.0)], Register())
    with pytest.raises(ValueError, match="a Register knows read, write, cas"):
        linearizable([Operation("a", "push", 1, None, 0.0, 1.0)], Register())
    with pytest.raises(ValueError, match=r"is a pair, \(old, new\), not 1"):
        linearizable([Operation("a", "cas", 1, True, 0.0, 1.0)], Register())
    with pytest.raises(ValueError, match=r"is a pair, \(offset, data\)"):
        linearizable([Operation("a", "write", b"data", None, 0.0, 1.0)], File())
    with pytest.raises(TypeError, match="they are numbers"):
        linearizable([Operation("a", "read", None, 1, "0", 1.0)], Register())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"write Register\(\)"):
        linearizable([], Register)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit=0"):
        linearizable([], Register(), limit=0)
    with pytest.raises(TypeError, match="from_trace"):
        linearizable([{"f": "read"}], Register())  # type: ignore[list-item]
