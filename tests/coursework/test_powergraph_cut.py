"""The judges of powergraph-cut: right answers in several styles pass, and typical mistakes are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labkit.coursework.answers import Local
from labkit.coursework.exercises import powergraph_cut as exercise
from labkit.coursework.tasks import judge


def own(edges: Any, machines: int) -> Any:
    """As the paper has it, and of several machines with as few edges the last one."""
    left = np.bincount(np.array(edges).ravel())
    there: dict[int, set[int]] = {}
    load, places = np.zeros(machines), []
    for u, v in edges:
        may = exercise.allowed(there.get(u, set()), there.get(v, set()), left[u], left[v], machines)
        place = max(may, key=lambda machine: (-load[machine], machine))
        places.append(place)
        load[place] += 1
        left[[u, v]] -= 1
        for vertex in (u, v):
            there.setdefault(vertex, set()).add(place)
    return np.array(places)


RIGHT: list[Callable[..., Any]] = [own, exercise.greedy, lambda e, m: tuple(exercise.greedy(e, m))]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("replicas", exercise.by_chance, "labkit's cut makes .* at random it would be"),
    ("replicas", lambda edges, machines: None, "cut gave None, not a list of numbers of machines"),
    ("replicas", lambda edges, machines: [0], "cut gave 1 machine for 2,991 edges: give one for each"),
    ("balance", lambda edges, machines: [machines] * len(edges), "gave machine 8; the 8 machines are 0 to 7"),
    ("balance", lambda edges, machines: [0] * len(edges), "8.00 times the mean, and 2.5 times is allowed"),
    ("balance", lambda edges, machines: edges[10**6], "cut raised IndexError"),
]
CASES: list[tuple[Callable[..., Any], str]] = [
    (lambda a, b, x, y, m: a | b or set(range(m)), "nowhere together: the vertex with more edges left"),
    (lambda a, b, x, y, m: a & b, "only one has replicas|neither has a replica|nowhere together"),
    (lambda a, b, x, y, m: exercise.allowed(a, b, y, x, m), "the vertex with more edges left decides"),
    (lambda a, b, x, y, m: 0, "candidates gave 0, not a set of machines"),
]


def verdict(task: str, **answers: Any) -> Any:
    return judge("powergraph-cut", exercise.tasks[task], Local(answers), exercise.tasks[task].visible)


@pytest.mark.parametrize("cut", RIGHT, ids=range(len(RIGHT)))
def test_right_in_its_own_style(cut: Callable[..., Any]) -> None:
    for task in ("replicas", "balance"):
        assert verdict(task, cut=cut).message == ""


@pytest.mark.parametrize(("task", "cut", "words"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_named(task: str, cut: Callable[..., Any], words: str) -> None:
    assert re.search(words, verdict(task, cut=cut).message)


@pytest.mark.parametrize(("candidates", "words"), CASES, ids=range(len(CASES)))
def test_a_wrong_case_is_named(candidates: Callable[..., Any], words: str) -> None:
    assert re.search(words, verdict("cases", candidates=candidates).message)


def test_lists_of_candidates_are_as_good() -> None:
    assert verdict("cases", candidates=lambda *given: sorted(exercise.allowed(*given))).passed
