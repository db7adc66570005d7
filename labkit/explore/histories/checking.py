"""Is there one order of all operations in which each returned what it did?

``linearizable``: an order that also keeps real time: what returned before another was invoked comes before it
(Herlihy and Wing, TOPLAS 1990). ``sequential``: an order that keeps each client's own (Lamport 1979).

The search is Wing and Gong's (JPDC 1993): choose an operation that may come next, see whether the model lets
it return what it did, go on, take the choice back if that leads nowhere (``search.py``). Linearizability is
local: each key is a history of its own. The problem is NP-complete (Gibbons and Korach, SIAM J. Comput.
1997), so a search has a limit, and there is a third answer: unknown.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from .models import Model
from .operations import Operation, checked
from .search import Search
from .smallest import smallest, wrong_values
from .verdict import Verdict

__all__ = ["LIMIT", "linearizable", "sequential"]

#: Configurations that a check tries by default before it gives up: some ten seconds.
LIMIT = 500_000
#: Configurations after which it is worth to look at a few values alone.
SOON = 5_000


def linearizable(history: Iterable[Operation], model: Model, limit: int = LIMIT) -> Verdict:
    """Whether the history is linearizable; ``limit``: configurations tried (of each key) before nobody knows.

    Two operations at the same instant have no order, unless they are one client's.
    """
    operations = _prepared(history, model, limit)
    keys: dict[Hashable, list[Operation]] = {}
    for each in operations:
        keys.setdefault(each.key, []).append(each)
    tried, order, unknown = 0, [], False
    for key, part in keys.items():
        found, search, bad, whatever = _searched(part, model, True, limit)
        tried += search.tried
        if found is False:
            of_key = "" if key is None else f" of {key!r}"
            return Verdict(False, bad, _no_order(bad, of_key) + whatever, tried)
        unknown = unknown or found is None  # another key may still show that it is not
        order += search.order()
    if unknown:
        return Verdict(None, [], _gave_up(limit), tried)
    words = f"{_many(operations)} can stand in one order that keeps real time"
    return Verdict(True, [], words, tried, order if len(keys) == 1 else [])


def sequential(history: Iterable[Operation], model: Model, limit: int = LIMIT) -> Verdict:
    """Whether the history is sequentially consistent: real time counts only within one client.

    This is not local: keys are checked together, which costs much more than ``linearizable``.
    """
    operations = _prepared(history, model, limit)
    joint = _PerKey(model) if any(each.key is not None for each in operations) else model
    found, search, bad, _ = _searched(operations, joint, False, limit)
    if found is False:
        return Verdict(False, bad, _no_order(bad, "", "each client's order"), search.tried)
    if found is None:
        return Verdict(None, [], _gave_up(limit), search.tried)
    words = f"{_many(operations)} can stand in one order that keeps each client's own"
    return Verdict(True, [], words, search.tried, search.order())


def _searched(
    operations: list[Operation], model: Model, real_time: bool, limit: int
) -> tuple[bool | None, Search, list[Operation], str]:
    """Whether there is an order, the search that says so, and what has none, with more words on it."""
    search = Search(operations, model, real_time)
    found = search.run(min(limit, SOON))
    if found is None:  # it goes on for long, perhaps because something is wrong early in every order
        part = wrong_values(operations, model, real_time)
        if part is not None:
            return False, search, *smallest(part, model, real_time)
        search = Search(operations, model, real_time)
        found = search.run(limit)
    if found is not False:
        return found, search, [], ""
    part = wrong_values(operations, model, real_time) if search.foresaw else None
    whole = search.prefix() if part is None else part
    return False, search, *smallest(whole, model, real_time, search.stuck)


def _prepared(history: Iterable[Operation], model: Model, limit: int) -> list[Operation]:
    if isinstance(model, type):
        raise TypeError(f"the model is an object, its state at the start in it; write {model.__name__}()")
    if limit < 1:
        raise ValueError(f"limit={limit}: a search needs configurations to try; write limit={LIMIT}")
    return model.prepared(checked(history))


def _many(operations: list[Operation]) -> str:
    return f"all {len(operations)} operations" if len(operations) != 1 else "the one operation"


def _no_order(bad: list[Operation], of_key: str, keeping: str = "real time") -> str:
    if len(bad) == 1:
        return f"nothing in the history explains this operation{of_key}: {bad[0]}"
    return f"no order of these {len(bad)} operations{of_key} keeps {keeping} and gives these results"


def _gave_up(limit: int) -> str:
    return (
        f"unknown: no answer after {limit:,} configurations; a larger limit= takes longer, a history with "
        "fewer clients at a time or fewer unanswered operations, or one with keys, is easier"
    )


class _PerKey(Model):
    """Many objects as one: its state is that of each key that was used."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.initial: Hashable = frozenset()

    def step(self, state: Any, operation: Operation) -> list[Hashable]:
        objects = dict(state)
        before = objects.get(operation.key, self.model.initial)
        return [
            frozenset({**objects, operation.key: after}.items())
            for after in self.model.step(before, operation)
        ]

    def observes(self, operation: Operation) -> bool:
        return self.model.observes(operation)

    def values(self, operation: Operation) -> Iterable[Hashable] | None:
        values = self.model.values(operation)
        return None if values is None else [(operation.key, value) for value in values]
