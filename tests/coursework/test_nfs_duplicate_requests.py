"""The judges of nfs-duplicate-requests: right answers in several styles pass, typical mistakes are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labkit.coursework.answers import Local
from labkit.coursework.exercises import nfs_duplicate_requests as exercise
from labkit.coursework.tasks import judge

Function = Callable[..., Any]


def same(call: Any, kept: Any) -> list[Any]:
    return [each for each in kept if tuple(each[:3]) == tuple(call)]


def decide(call: Any, kept: Any) -> str:
    found = same(call, kept)
    return "execute" if not found else "drop" if found[0].busy else "resend"


def places(kept: Any, room: int) -> list[int]:
    return [number for number, each in enumerate(kept) if not each.busy][: max(0, len(kept) - room)]


RIGHT: list[tuple[str, str, Function]] = [
    ("idempotent", "is_idempotent", lambda p: np.bool_(p in exercise.IDEMPOTENT)),
    ("decide", "decide", decide),
    ("once", "decide", lambda c, k: np.str_(decide(c, k))),
    ("forget", "forget", lambda k, r: np.array(places(k, r), dtype=int)),
    ("forget", "forget", lambda k, r: set(places(k, r))),
]
WRONG: list[tuple[str, str, Function, str]] = [
    ("idempotent", "is_idempotent", lambda p: True, "not False: the second time there is an error"),
    ("idempotent", "is_idempotent", lambda p: p.startswith("read"), "not True: the second time it returns"),
    ("idempotent", "is_idempotent", lambda p: None, "gave None, not"),
    ("decide", "decide", lambda c, k: None, "gave None, not '"),
    ("decide", "decide", lambda c, k: "resend" if k else "execute", "gave 'resend', not"),
    ("decide", "decide", lambda c, k: "resend" if same(c, k) else "execute", "gave 'resend', not 'drop'"),
    ("once", "decide", lambda c, k: "maybe", "'maybe'; it gives one of 'execute', 'resend', 'drop'"),
    ("once", "decide", lambda c, k: "resend", "not among those that are kept: there is no reply to send"),
    ("once", "decide", lambda c, k: "drop", "ETIMEDOUT.*: a call was dropped although nobody was at it"),
    ("once", "decide", lambda c, k: "execute", "of them twice .*: a call came again"),
    ("once", "decide", lambda c, k: k[99], "decide raised IndexError"),
    ("forget", "forget", lambda k, r: [], r"gave \[\], not \["),
    ("forget", "forget", lambda k, r: k[: len(k) - r], "not a list of places in kept"),
]  # fmt: skip


def verdict(task: str, **answers: Any) -> Any:
    return judge("nfs-duplicate-requests", exercise.tasks[task], Local(answers), exercise.tasks[task].visible)


@pytest.mark.parametrize(("task", "name", "answer"), RIGHT, ids=range(len(RIGHT)))
def test_right_in_its_own_style(task: str, name: str, answer: Function) -> None:
    assert verdict(task, **{name: answer}).message == ""


@pytest.mark.parametrize(("task", "name", "answer", "words"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_named(task: str, name: str, answer: Function, words: str) -> None:
    assert re.search(words, verdict(task, **{name: answer}).message)


def test_the_cache_is_worth_it() -> None:
    nobody = Local({})
    with_it, without = (exercise.run(nobody, 1, rule=rule) for rule in ("labkit's", "none"))
    assert (with_it.twice, with_it.errors) == ((), ())
    assert without.twice
    assert without.errors
