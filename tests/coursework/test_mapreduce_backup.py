"""The judges of mapreduce-backup: right answers in several styles pass, and typical mistakes are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import mean, median, quantiles
from typing import Any

import numpy as np
import pytest

from labkit.coursework.answers import Local
from labkit.coursework.exercises import mapreduce_backup as exercise
from labkit.coursework.tasks import judge

RIGHT: list[Callable[..., Any]] = [
    lambda r, s, t, f: [e.task for e in sorted(r, key=lambda e: -e.seconds) if e.seconds >= 1.3 * median(s)],
    lambda r, s, t, f: [e.task for e in r if e.seconds > 2 * median(s)][:f] if len(s) > 0.75 * t else [],
    lambda r, s, t, f: np.array([e.task for e in r if e.seconds > 1.4 * np.median(s)], dtype=int),
    lambda r, s, t, f: {e.task for e in r if e.seconds > 1.1 * quantiles(s, n=10)[8]},
]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("makespan", lambda r, s, t, f: [], "0 backups of which 0 .* a backup comes too late, or never"),
    (
        "waste",
        lambda r, s, t, f: [e.task for e in r],
        "on average, and 1.5% is allowed: tasks that",
    ),
    ("makespan", lambda r, s, t, f: r, r"not a list of numbers of tasks: give each\.task"),
    ("makespan", lambda r, s, t, f: None, "choose gave None, not a list of numbers of tasks"),
    ("makespan", lambda r, s, t, f: [r[0].task] * 2, "each may be in it once"),
    ("makespan", lambda r, s, t, f: [99], r"choose gave \[99\]; of the tasks in progress"),
    ("makespan", lambda r, s, t, f: r[99], "choose raised IndexError"),
]
LATE = lambda seconds, done: np.float64(seconds) >= 1.3 * np.median(done)  # noqa: E731  # gives numpy's True


def verdict(task: str, **answers: Any) -> Any:
    return judge("mapreduce-backup", exercise.tasks[task], Local(answers), exercise.tasks[task].visible)


@pytest.mark.parametrize("choose", RIGHT, ids=range(len(RIGHT)))
def test_right_in_its_own_style(choose: Callable[..., Any]) -> None:
    for task in ("makespan", "waste"):
        assert verdict(task, choose=choose).message == ""


def test_numpy_s_true_is_true() -> None:
    assert verdict("late", is_late=LATE).passed


@pytest.mark.parametrize(("task", "choose", "words"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_named(task: str, choose: Callable[..., Any], words: str) -> None:
    assert re.search(words, verdict(task, choose=choose).message)


def test_labkit_s_rule_is_faster_than_none_and_wastes_less_than_all() -> None:
    every = Local({"choose": lambda r, s, t, f: [e.task for e in r]})
    slow = [(5.0, "m4")]
    by_rule = {rule: exercise.run(every, 3, slow, rule) for rule in ("none", "yours", "labkit's")}
    assert by_rule["none"].seconds > 2 * by_rule["labkit's"].seconds
    assert by_rule["yours"].wasted > 5 * by_rule["labkit's"].wasted
    assert mean(ran.backups for ran in by_rule.values()) > 1
