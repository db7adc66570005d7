"""Values are checked where they enter the parameters, programs before they run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest

from labkit.systems.paramserver import SGD, Async, Update, single
from labkit.systems.paramserver.algorithms.data import Digits
from labkit.systems.paramserver.updates import all_finite
from labkit.systems.paramserver.vectors import VectorSpec, as_keys, as_push

from .conftest import MakePs

W = VectorSpec("w", 10)
NAN, INF = float("nan"), float("inf")


async def unfinished() -> int:
    return 1


@pytest.mark.parametrize(
    ("keys", "values", "error", "match"),
    [
        ([0], [None], TypeError, r"push to 'w': values are real numbers, not \[None\] of dtype object"),
        ([1], None, TypeError, r"no values; write push\(keys, values\)"),
        ([2, 3], None, TypeError, "no values"),
        (None, None, TypeError, "no values"),
        ([0], ["1.5"], TypeError, "real numbers, not .'1.5'. of dtype"),
        ([0], [1j], TypeError, "real numbers, not .1j. of dtype complex128"),
        ([0], [object()], TypeError, "real numbers"),
        ([0, 1], [[1.0], [1.0, 2.0]], ValueError, "is no array; give rows of one length"),
        ([0, 1], [1.0, NAN], ValueError, r"value number 1 is nan; .*ps\.vector\('w', \.\.\., finite=False\)"),
        (None, -INF, ValueError, "value number 0 is -inf"),
        (None, np.float32("inf"), ValueError, "value number 0 is inf"),
        ([0], np.ma.masked_array([1.0], [True]), ValueError, r"masked; write values\.filled"),
        ([0, 1, 2], [1.0, 2.0], ValueError, r"3 keys need values of shape \(3,\), not \(2,\)"),
        ([1.5], [1.0], TypeError, r"keys of 'w' are whole numbers, not array\(\[1.5\]\)"),
        ([None], [1.0], TypeError, "whole numbers"),
        ([10], [1.0], IndexError, "has keys 0 to 9, not 10"),
        (np.array([1 << 63], np.uint64), [1.0], IndexError, f"not {1 << 63}"),
        (range(8, 12), 1.0, IndexError, "has keys 0 to 9, not 11"),
        (range(-2, 2), 1.0, IndexError, "has keys 0 to 9, not -2"),
        (slice(0.5, 3), 1.0, TypeError, r"whole numbers, not 0.5; write int\(0.5\)"),
    ],
)
def test_what_is_no_number_does_not_enter(keys: Any, values: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        as_push(W, keys, values)


def test_what_was_not_awaited_does_not_enter() -> None:
    coroutine = unfinished()
    with pytest.raises(TypeError, match=r"push to 'w': you forgot `await` before unfinished\(\.\.\.\)"):
        as_push(W, None, coroutine)
    coroutine.close()


def test_what_is_a_number_enters() -> None:
    for values in (1, True, np.float32(2), [3] * 10, np.full(10, 1 << 40), np.full(10, 1e308)):
        assert all_finite(as_push(W, None, values)[1])
    assert as_push(VectorSpec("w", 2, finite=False), None, [NAN, INF])[1].tolist()[1] == INF
    assert as_keys(W, range(0))[0] == (0, 0)


def test_a_vector_that_allows_them(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w, free = ps.vector("w", 4), ps.vector("free", 4, finite=False)
    with pytest.raises(ValueError, match="value number 2 is nan"):
        w.push(None, [0, 0, NAN, 0])
    free.push([1], [INF]).result()
    assert free[1] == INF
    assert w[:].tolist() == [0.0] * 4
    with pytest.raises(TypeError, match=r"an Update, such as SGD\(0.1\)"):
        ps.vector("v", 4, update=SGD)  # type: ignore[arg-type]
    for size in (True, 2.5, "4", 0):
        with pytest.raises(ValueError, match="the number of keys"):
            ps.vector("v", size)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [NAN, INF, "0.1", None, 0])
def test_a_step_is_a_finite_number(rate: Any) -> None:
    with pytest.raises(ValueError, match="the step is a finite number > 0"):
        SGD(rate)


@dataclass(frozen=True)
class Roots(Update):
    """An update that cannot take every push."""

    extras: ClassVar[tuple[str, ...]] = ("count",)

    def apply(
        self, values: np.ndarray, pushed: np.ndarray, extras: dict[str, np.ndarray], share: float = 1.0
    ) -> None:
        """NaN for negative numbers."""
        extras["count"] += 1
        with np.errstate(invalid="ignore"):
            values += np.sqrt(pushed)


def test_what_an_update_makes_is_checked_too(sim_ps: MakePs) -> None:
    ps = sim_ps(consistency=Async())
    for sparse in (False, True):
        w = ps.vector(f"w-{sparse}", 8, sparse=sparse, update=Roots())
        w.push([0, 3], [4.0, 9.0]).result()
        with pytest.raises(ValueError, match=r"Roots\(\) made nan of a value of 'w-.*', to which -1.0 was"):
            w.push([3], [-1.0]).result()
        w.push([0], [4.0]).result()
        assert w[[0, 3]].tolist() == [4.0, 3.0]


def test_what_an_update_makes_in_a_round_ends_the_run(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w = ps.vector("w", 8, update=Roots())

    async def program(worker: Any) -> None:
        for _ in worker.rounds():
            await worker.push(w, None, -1.0)
            await worker.clock()

    with pytest.raises(ValueError, match=r"Roots\(\) made nan"):
        ps.run(program, iterations=2)
    assert w[:].tolist() == [0.0] * 8


def test_the_single_thread_version_refuses_alike() -> None:
    shard = Digits(np.full((2, 3), NAN), np.array([0, 1]))
    with pytest.raises(ValueError, match="made nan of a value"):
        single.softmax([shard], SGD(0.1), iterations=1, classes=2)


def test_tables(sim_ps: MakePs) -> None:
    ps = sim_ps()
    t = ps.table("t", rows=3, width=2)
    wrong = [
        (IndexError, "rows 0 to 2, not 3", lambda table: table.inc(3, 1.0)),
        (IndexError, "rows 0 to 2, not 0.5", lambda table: table.get(0.5)),
        (ValueError, "value number 0 is nan", lambda table: table.inc(0, NAN)),
        (ValueError, r"a row has 2 numbers, not shape \(3,\)", lambda table: table.inc(0, [1, 2, 3])),
        (TypeError, "inc of 't': no values", lambda table: table.inc(0, None)),
    ]

    async def program(worker: Any) -> None:
        table = worker.table(t, 2)
        for error, match, use in wrong:
            with pytest.raises(error, match=match):
                use(table)

    ps.run(program)


# ── programs ────────────────────────────────────────────────────────────────────────────────────────────


class Program:
    async def __call__(self, worker: Any) -> int:
        return int(worker.rank)


async def added(number: int, worker: Any) -> int:
    return number + int(worker.rank)


def generator(worker: Any) -> Any:
    yield 1


async def generator_of_async(worker: Any) -> Any:
    yield 1


def test_what_can_be_run(sim_ps: MakePs) -> None:
    ps = sim_ps(workers=2)
    assert ps.run(Program()) == [0, 1]
    assert ps.run(partial(added, 10)) == [10, 11]
    assert ps.run(lambda worker: added(20, worker)) == [20, 21]
    for program in (generator, generator_of_async, lambda worker: 1, 7, Program):
        with pytest.raises(TypeError, match=r"an async function of a worker, not .*; write: async def"):
            ps.run(program)
    assert ps.run(Program()) == [0, 1]


def test_a_pull_that_was_not_awaited(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w = ps.vector("w", 4)
    uses = [bool, lambda pull: pull == 0, lambda pull: 0.1 * pull, lambda pull: np.ones(4) - pull, list]

    async def program(worker: Any) -> None:
        for use in uses:
            with pytest.raises(TypeError, match=r"you forgot `await` before worker\.pull"):
                use(worker.pull(w))
        with pytest.raises(TypeError, match=r"push to 'w': you forgot `await` before worker\.pull"):
            worker.push(w, None, worker.pull(w))

    ps.run(program)
