"""What a worker's program or a vector's update function raises ends the run, and nothing else."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from labkit.runtime.raised import text_of
from labkit.systems.paramserver import BSP, SSP, Async, Update
from labkit.systems.paramserver.store import new_store
from labkit.systems.paramserver.vectors import VectorSpec
from tests.runtime.raising import MAKERS, Ordinary, Raising, throw
from tests.systems.paramserver.conftest import MakePs


@dataclass(frozen=True)
class Fussy(Update):
    """Adds, and raises at a number that it does not like."""

    error: str = "Own"

    def apply(self, values: Any, pushed: Any, extras: dict[str, Any], share: float = 1.0) -> None:
        values += pushed
        if (pushed > 1000).any():
            throw(self.error)


def described(error: BaseException) -> str:
    return f"{type(error).__name__}: {text_of(error)}"


@pytest.mark.parametrize("consistency", [BSP(), SSP(1), Async()], ids=repr)
def test_the_run_ends_with_the_error_and_the_next_works(make_ps: MakePs, consistency: Any) -> None:
    ps = make_ps(machines=5, servers=3, workers=2, replicas=2, consistency=consistency)
    w = ps.vector("w", size=6, update=Fussy())

    async def good(worker: Any) -> str:
        for _ in worker.rounds():
            await worker.pull(w)
            await worker.push(w, None, np.ones(6))
            await worker.clock()
        return "done"

    def raising(name: str) -> Any:
        async def program(worker: Any) -> None:
            for t in worker.rounds():
                await worker.push(w, None, np.ones(6))
                if worker.shard == 1 and t == 1:
                    throw(name)
                await worker.clock()

        return program

    async def bad_push(worker: Any) -> None:
        for t in worker.rounds():
            await worker.push(w, None, np.full(6, 2000.0 if worker.shard == 1 and t == 1 else 1.0))
            await worker.clock()

    async def bad_push_that_is_not_awaited(worker: Any) -> None:
        for t in worker.rounds():
            worker.push(w, None, np.full(6, 2000.0 if worker.shard == 1 and t == 1 else 1.0))
            await worker.clock()

    async def bad_result(worker: Any) -> Any:
        for _ in worker.rounds():
            await worker.clock()
        return Raising("Own") if worker.shard == 1 else threading.get_ident()

    async def exits(worker: Any) -> None:
        if worker.shard == 1:
            raise SystemExit(3)

    names = ["Own", "NoText", "CancelledError", "KeyboardInterrupt", "TwoArguments"]
    programs = [(name, raising(name)) for name in names] + [("SystemExit", exits)]
    programs += [("Own", each) for each in (bad_push, bad_push_that_is_not_awaited, bad_result)]
    for name, program in programs:
        with pytest.raises(Exception) as caught:
            ps.run(program, iterations=4, data=[0, 1])
        assert name in described(caught.value) or text_of(MAKERS[name]()) in described(caught.value)
        assert ps.run(good, iterations=2) == ["done", "done"], name


def test_a_function_that_raises_half_way_has_changed_nothing() -> None:
    store = new_store(VectorSpec("w", 6, update=Fussy("Ordinary")), 0, 6)
    store.apply((0, 6), np.ones(6), 1.0)
    with pytest.raises(Ordinary):
        store.apply((0, 6), np.full(6, 2000.0), 1.0)
    assert store.take((0, 6)).values.tolist() == [1.0] * 6
