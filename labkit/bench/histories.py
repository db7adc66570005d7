"""How quickly a history is checked for linearizability, beside Wing and Gong's search as it was in 1993.

The histories are of a register, half reads, each operation with a moment of its own between its beginning and
its end at which it takes effect. A wrong one has a read, near its end, of a value that was overwritten long
ago: then every order has to be excluded. Seconds include the smallest part that shows it. The plain search
remembers no configuration. It gives up after ``STEPS`` placements; what is printed then is its time so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from labkit.bench import Row, bench, row
from labkit.explore.histories import Model, Operation, Register, linearizable
from labkit.runtime.copying import stream

OPERATIONS, CLIENTS = 1_000, 10
#: Seconds that the check of such a history may take.
ALLOWED = 5.0
#: What a plain search can still decide when the history is wrong.
FEW, FEW_CLIENTS = 20, 5
#: Placements after which the plain search gives up.
STEPS = 20_000
ROUNDS = 3


@bench("histories")
def histories() -> Iterator[Row]:
    """Checks of register histories for linearizability, beside a plain Wing–Gong search."""
    long, wrong = (register_history(OPERATIONS, CLIENTS, stale=stale) for stale in (False, True))
    few = register_history(FEW, FEW_CLIENTS, stale=True)
    name = f"{OPERATIONS:,} operations, {CLIENTS} clients"
    for case, history, right in (("right", long, True), ("wrong", wrong, False)):
        ours = best(history, right)
        yield row(f"{name}, {case}", "s", ours, ALLOWED, "allowed", 1.0, less_is_better=True)
    for case, history, right in ((f"{OPERATIONS:,}, right", long, True), (f"{FEW}, wrong", few, False)):
        ours = best(history, right)
        theirs, found = timed(partial(wing_gong, history, Register()))
        peer = "Wing–Gong" + (", gave up" if found is None else "")
        yield row(f"operations: {case}", "s", ours, theirs, peer, 1.0, less_is_better=True)


def best(history: list[Operation], expected: bool) -> float:
    """The least of some rounds' seconds."""
    return min(timed(partial(checks, history, expected))[0] for _ in range(ROUNDS))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what was returned."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def checks(history: list[Operation], expected: bool) -> None:
    """Check it; a wrong answer is no figure."""
    verdict = linearizable(history, Register())
    if verdict.ok is not expected:
        raise AssertionError(
            f"the history is {'right' if expected else 'wrong'}, and the checker says: {verdict}"
        )


def register_history(operations: int, clients: int, stale: bool = False, seed: int = 0) -> list[Operation]:
    """A history of a register; ``stale``: with one read of a value that was overwritten long ago."""
    random = stream(seed, "histories")
    drafts = []
    for client in range(clients):
        now = random.random()
        for _ in range(operations // clients):
            end = now + random.expovariate(1.0)
            drafts.append((random.uniform(now, end), f"c{client}", now, end))
            now = end + random.expovariate(4.0)
    value: int | None = None
    history: list[Operation] = []
    for number, (_, name, begin, end) in enumerate(sorted(drafts)):
        if random.random() < 0.5:
            history.append(Operation(name, "read", None, value, begin, end))
        else:
            value = number
            history.append(Operation(name, "write", value, None, begin, end))
    if stale:
        first = next(each for each in history if each.call == "write")
        last = max(n for n, each in enumerate(history) if each.call == "read")
        history[last] = replace(history[last], result=first.argument)
    return history


def wing_gong(history: list[Operation], model: Model) -> bool | None:
    """The search of 1993: place what may come next, take it back if that leads nowhere. None: gave up."""
    left = sorted(history, key=lambda each: each.invoked)

    def options(state: Any) -> list[tuple[Operation, Any]]:
        due = min(each.end for each in left)
        return [
            (each, after) for each in left if each.invoked <= due for after in model.step(state, each)
        ]  # fmt: skip

    choices = [options(model.initial)]
    placed: list[Operation] = []
    for _ in range(STEPS):
        if choices[-1]:
            each, state = choices[-1].pop(0)
            left.remove(each)
            placed.append(each)
            if not left:
                return True
            choices.append(options(state))
            continue
        choices.pop()
        if not choices:
            return False
        left.append(placed.pop())
    return None
