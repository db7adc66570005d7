"""What clients did and were told: operations with a beginning and an end, as a client sees them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from numbers import Real
from typing import Any

__all__ = ["Operation", "checked", "frozen", "of_clients"]


@dataclass(frozen=True)
class Operation:
    """One call of one client.

    ``invoked`` and ``returned`` are seconds (or any numbers) on one clock. ``returned=None``: it was never
    answered, so it may have happened at any time after ``invoked``, or not at all, and ``result`` says
    nothing. What certainly did not happen belongs in no history. ``key`` names the object among several that
    are independent of each other: a register, a file.
    """

    client: Hashable
    call: str
    argument: Any = None
    result: Any = None
    invoked: float = 0.0
    returned: float | None = None
    key: Hashable = None
    #: As it was given, where a check has changed something: lists made tuples, another name of the call.
    original: Operation | None = field(default=None, repr=False, compare=False)

    @property
    def end(self) -> float:
        """When it returned; infinity: it never did."""
        return inf if self.returned is None else self.returned

    @property
    def answered(self) -> bool:
        """Whether its client knows that it happened."""
        return self.returned is not None

    def __str__(self) -> str:
        what = self.call + ("" if self.key is None else f" {_short(self.key)}")
        argument = "" if self.argument is None else f"({_short(self.argument)})"
        end = "never answered" if self.returned is None else f"{self.returned:g} s → {_short(self.result)}"
        return f"{self.client}: {what}{argument}  {self.invoked:g}–{end}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def checked(history: Iterable[Operation]) -> list[Operation]:
    """The operations in the order of their beginnings, with values that can be compared and hashed.

    Raises ``ValueError`` for one that ends before it begins, ``TypeError`` for what is no operation.
    """
    found = []
    for each in history:
        if not isinstance(each, Operation):
            raise TypeError(
                f"a history is a list of Operation, not of {each!r:.80}; for a trace: "
                "from_trace(cluster.trace), for Jepsen's files: from_edn(path), from_jsonl(path)"
            )
        if not all(isinstance(at, Real) for at in (each.invoked, each.end)):
            raise TypeError(
                f"{each.client}: {each.call} has the times {each.invoked!r} and {each.returned!r}; "
                "they are numbers, such as seconds since the run began"
            )
        if each.invoked != each.invoked or each.returned != each.returned:
            raise ValueError(f"{each}: a time is not a number; never answered is written returned=None")
        if each.returned is not None and each.returned < each.invoked:
            raise ValueError(f"{each}: it returned before it was invoked; both times must be of one clock")
        found.append(
            replace(
                each,
                client=frozen(each.client),
                key=frozen(each.key),
                argument=frozen(each.argument),
                result=frozen(each.result),
                original=each,
            )
        )
    return sorted(found, key=lambda each: each.invoked)  # stable: one client's order is kept


def frozen(value: Any) -> Any:
    """The value as one that can be hashed: lists as tuples, mappings and sets as frozen sets, NaN as text."""
    if value is None or isinstance(value, (str, bytes, bool, int)):
        return value
    if isinstance(value, float):
        return value if value == value else "NaN"
    if isinstance(value, (list, tuple)):
        return tuple(frozen(item) for item in value)
    if isinstance(value, Mapping):
        return frozenset((frozen(key), frozen(item)) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return frozenset(frozen(item) for item in value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if hasattr(value, "tolist"):
        return frozen(value.tolist())
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def of_clients(history: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
    """Each client's operations, in the order in which it invoked them."""
    found: dict[Hashable, list[Operation]] = {}
    for each in sorted(history, key=lambda each: each.invoked):
        found.setdefault(each.client, []).append(each)
    return found
