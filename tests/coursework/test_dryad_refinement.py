"""The judges of dryad-refinement: right answers in several styles pass, and typical mistakes are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labkit.coursework.answers import Local
from labkit.coursework.exercises import dryad_refinement as exercise
from labkit.coursework.tasks import judge


def grouped(outputs: Any, by: Callable[[Any], str]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for each in outputs:
        found.setdefault(by(each), []).append(each.vertex)
    return [group for group in found.values() if len(group) > 1]


def by_machine_then_rack(waiting: Any, left: int) -> list[list[int]]:
    if left:
        return []
    return grouped(waiting, lambda e: e.machine) or grouped(waiting, lambda e: e.rack)


RIGHT: list[Callable[..., Any]] = [
    lambda waiting, left: [] if left else grouped(waiting, lambda e: e.rack),
    lambda waiting, left: () if left else tuple(map(np.array, grouped(waiting, lambda e: e.rack))),
    by_machine_then_rack,
]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("bytes", lambda waiting, left: [], "one output, not many"),
    ("thrift", lambda waiting, left: [], "0 vertices inserted, .* from 1 to 11"),
    ("bytes", lambda waiting, left: None, "choose gave None, not a list of lists of vertices"),
    ("bytes", lambda waiting, left: [waiting], r"a list of lists of vertices: give each\.vertex"),
    ("bytes", lambda waiting, left: [[99, 98]], r"of the outputs that wait, \[\d+\], each may be in it once"),
    ("bytes", lambda waiting, left: [[waiting[0].vertex]], "reads one output aggregates nothing"),
    ("thrift", lambda waiting, left: waiting[99], "choose raised IndexError"),
]


def verdict(task: str, **answers: Any) -> Any:
    return judge("dryad-refinement", exercise.tasks[task], Local(answers), exercise.tasks[task].visible[:1])


@pytest.mark.parametrize("choose", RIGHT, ids=range(len(RIGHT)))
def test_right_in_its_own_style(choose: Callable[..., Any]) -> None:
    for task in ("bytes", "thrift"):
        assert verdict(task, choose=choose).message == ""


@pytest.mark.parametrize(("task", "choose", "words"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_named(task: str, choose: Callable[..., Any], words: str) -> None:
    assert re.search(words, verdict(task, choose=choose).message)


def test_labkit_s_tree_moves_less_than_none() -> None:
    by_rule = {rule: exercise.run(Local({}), 3, rule) for rule in ("none", "labkit's")}
    assert by_rule["none"].between > 3 * by_rule["labkit's"].between
    assert all(ran.same and ran.ok for ran in by_rule.values())
