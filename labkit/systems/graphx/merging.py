"""Messages to the same vertex are combined, where they are sent and again where they arrive.

Sums, minima and maxima of numbers are recognised and done by NumPy for all vertices at once; any other
function is called for two messages at a time. Both give the same.
"""

from __future__ import annotations

import builtins
import operator
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from labkit.systems.spark.closures import Closure

from .columns import Column, column, frozen, joined, values_of

__all__ = ["Merge", "ufunc_of"]

UFUNCS = {
    operator.add: np.add, builtins.min: np.minimum, builtins.max: np.maximum,
    np.add: np.add, np.minimum: np.minimum, np.maximum: np.maximum,
}  # fmt: skip
#: How a person writes the same.
WRITTEN = (
    (lambda a, b: a + b, np.add),
    (lambda a, b: min(a, b), np.minimum),
    (lambda a, b: max(a, b), np.maximum),
)


def ufunc_of(merge: Any) -> np.ufunc | None:
    """NumPy's function that does the same with numbers, if it is known."""
    try:
        if merge in UFUNCS:
            return UFUNCS[merge]
    except TypeError:  # not hashable
        return None
    if not isinstance(merge, types.FunctionType) or merge.__closure__ or merge.__defaults__:
        return None
    if any(name in merge.__globals__ for name in ("min", "max")):
        return None  # not Python's own, perhaps
    code = merge.__code__
    for written, ufunc in WRITTEN:
        known = written.__code__
        same = (code.co_code, code.co_names, code.co_argcount) == (known.co_code, known.co_names, 2)
        if same and code.co_consts in ((None,), (), known.co_consts):
            return ufunc
    return None


class Merge:
    """``mergeMsg``, which is associative and commutative."""

    def __init__(self, merge: Callable[[Any, Any], Any]) -> None:
        self.f = Closure(merge)
        self._name = name.__name__ if (name := ufunc_of(merge)) is not None else ""

    def combine(self, count: int, parts: Sequence[tuple[np.ndarray, Column]]) -> tuple[np.ndarray, Column]:
        """Who of ``count`` has a message, in order (int64), and their combined messages. parts: (to,
        messages) each."""
        parts = [part for part in parts if len(part[0])]
        if not parts:
            return np.empty(0, np.int64), column([])
        to = np.concatenate([each for each, _ in parts])
        messages = joined([each for _, each in parts])
        if self._name and _exact(self._name, messages):
            return _by_numpy(self._name, count, to, messages)
        return _one_by_one(self.f.function, to, messages)


def _exact(name: str, messages: Column) -> bool:
    """Whether NumPy's result is the same as Python's: it has neither long integers nor sums of bools, and
    another opinion of nan."""
    if messages.ndim > 1 or messages.dtype == object:
        return False
    if name != "add":
        return messages.dtype != np.float64 or not np.isnan(messages).any()
    if messages.dtype == np.int64:
        most = max(-int(messages.min()), int(messages.max()))
        return most * len(messages) < 1 << 63
    return messages.dtype == np.float64


def _by_numpy(name: str, count: int, to: np.ndarray, messages: Column) -> tuple[np.ndarray, Column]:
    has = np.zeros(count, bool)
    has[to] = True
    who = np.flatnonzero(has)
    if name == "add" and messages.dtype == np.float64:
        return who, frozen(np.bincount(to, messages, count)[who])
    result = np.zeros(count, messages.dtype.type)
    if name != "add":
        result[to] = messages  # any of its own is a beginning for a minimum
    getattr(np, name).at(result, to, messages)
    return who, frozen(result[who])


def _one_by_one(
    merge: Callable[[Any, Any], Any], to: np.ndarray, messages: Column
) -> tuple[np.ndarray, Column]:
    merged: dict[int, Any] = {}
    for vertex, message in zip(to.tolist(), values_of(messages), strict=True):
        merged[vertex] = merge(merged[vertex], message) if vertex in merged else message
    who = np.array(sorted(merged), np.int64)
    return who, column([merged[vertex] for vertex in who.tolist()])
