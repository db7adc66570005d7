"""The paper's results, in their shape: cuts, delta caching, colouring; and forks and token alone."""

from __future__ import annotations

import random

import pytest

from labkit.systems.powergraph import experiments
from labkit.systems.powergraph.forks import READY, THINKING, Forks
from labkit.systems.powergraph.termination import Ring


def test_a_random_cut_is_as_theorem_5_2_says_and_greedy_ones_are_better() -> None:
    table = experiments.replication(machines=(8,), n=2000)
    found = table.loc[8]
    assert found["random"] == pytest.approx(found["Theorem 5.2"], rel=0.03)
    assert found["coordinated"] < 0.75 * found["random"]
    assert found["coordinated"] < found["oblivious"] < found["random"]


def test_bytes_follow_replicas() -> None:
    table = experiments.figure_7(machines=8, n=1000)
    ratio = table["bytes / random"] / (table["replicas"] / table["replicas"]["random"])
    assert ratio.between(0.75, 1.2).all()
    assert table["bytes / random"]["coordinated"] < 0.7
    assert table["balance"]["2d"] < table["balance"]["1d"]


def test_delta_caching_saves_most_gathers() -> None:
    table = experiments.delta_caching(n=150)
    assert table.gathers[True] < 0.2 * table.gathers[False]
    assert table["seconds / without"][True] < 0.95
    assert table.runs[True] == table.runs[False]


def test_async_needs_twice_the_runs_of_async_s() -> None:
    table = experiments.colouring(n=100)
    assert table["runs of a vertex"]["serializable"] == 1
    assert table["most conflicts"]["serializable"] == 0
    assert table["runs of a vertex"]["asynchronous"] > 2
    assert list(table.serializable) == [False, True]


@pytest.mark.parametrize("seed", range(5))
def test_philosophers_with_several_tables_never_eat_beside_each_other_and_all_eat(seed: int) -> None:
    """Each edge is on one of three machines; messages between masters and machines come in any order."""
    draw = random.Random(seed)
    pairs = [(u, v) for v in range(12) for u in range(v) if draw.random() < 0.4]
    tables = [Forks([pair for pair in pairs if hash(pair) % 3 == k]) for k in range(3)]
    locked: dict[int, set[int]] = {u: set() for u in range(12)}
    hungry, eating, meals = set(range(12)), set(), [0] * 12
    channels: list[list[tuple[str, int, int]]] = [
        [("lock", u, k) for u in draw.sample(range(12), 12)] for k in range(3)
    ]  # in order for each machine
    answers: list[list[tuple[str, int]]] = [[], [], []]
    while min(meals) < 5:
        k = draw.randrange(3)
        if channels[k] and draw.random() < 0.5:
            what, u, _ = channels[k].pop(0)
            answers[k] += getattr(tables[k], what)(u)
        elif answers[k]:
            what, u = answers[k].pop(0)
            if what == "locked":
                locked[u].add(k)
            elif u in hungry and k in locked[u]:
                locked[u].discard(k)
                channels[k].append(("cancelled", u, k))
            if u in hungry and len(locked[u]) == 3:
                hungry.discard(u)
                eating.add(u)
                assert not any((min(u, v), max(u, v)) in pairs for v in eating)
        elif eating:
            u = draw.choice(sorted(eating))
            eating.discard(u)
            meals[u] += 1
            hungry.add(u)
            locked[u] = set()
            for each in range(3):
                channels[each] += [("release", u, each), ("lock", u, each)]
    assert {tables[0].state[u] for u in range(12)} <= {THINKING, READY, "hungry"}


def test_the_token_believes_nobody_who_has_sent_work() -> None:
    rings = [Ring(rank, 3) for rank in range(3)]

    def round_() -> None:
        at = 0
        for _ in range(3):
            at, black = rings[at].pass_on()
            rings[at].received(black)

    round_()
    assert rings[0].over
    rings[2].black = True  # it sends work to 1, which the token has passed
    assert rings[0].over  # but machine 0 would not be idle, or has begun another round
    round_()
    assert not rings[0].over
    round_()
    assert rings[0].over
    assert rings[0].rounds == 3
