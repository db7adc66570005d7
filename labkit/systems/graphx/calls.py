"""What a user gives to an operation is looked at when it is given, not when the first task fails with it."""

from __future__ import annotations

import builtins
import inspect
from typing import Any

from labkit.runtime.raised import short
from labkit.systems.spark import RDD

from .triplets import Arrays, TripletFields

__all__ = ["check_fields", "check_function", "check_merge", "check_rdd"]


def check_function(operation: str, f: Any, names: str, of_arrays: str = "") -> None:
    """Raises ``TypeError`` for what cannot be called with arguments of these names (``"id, attr"``).

    of_arrays: those of a function of ``arrays``, if they are others."""
    operation += "" if operation.endswith(")") else "()"
    marked = isinstance(f, Arrays)
    names = of_arrays if marked and of_arrays else names
    inner = f.function if marked else f
    if not callable(inner):
        raise TypeError(f"{operation} needs a function of ({names}), not {short(f)}: lambda {names}: …")
    try:
        signature = inspect.signature(inner)
    except (TypeError, ValueError):  # many in C do not tell
        return
    try:
        signature.bind(*names.split(", "))
    except TypeError:
        raise TypeError(
            f"{operation} calls its function with ({names}), and this one takes {signature}: "
            f"write lambda {names}: …"
        ) from None


def check_merge(operation: str, f: Any) -> None:
    """The same for a function that makes one of two."""
    if f is builtins.sum:
        raise TypeError(
            f"{operation}: messages and edges are merged two at a time, and sum() adds up a list: write "
            "lambda a, b: a + b"
        )
    check_function(operation, f, "a, b")


def check_rdd(operation: str, given: Any, of: str = "pairs (id, value)") -> None:
    """Raises ``TypeError`` for what is no RDD."""
    if not isinstance(given, RDD):
        raise TypeError(f"{operation}() needs an RDD of {of}, not {short(given)}: sc.parallelize([…])")


def check_fields(given: Any) -> None:
    """Raises ``TypeError`` for what says nothing of a triplet's fields."""
    if given is not None and not isinstance(given, TripletFields):
        raise TypeError(
            f"tripletFields={short(given)}: write TripletFields.Src, Dst, EdgeOnly or All, or leave it out"
        )
