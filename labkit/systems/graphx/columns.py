"""Attributes as columns: NumPy arrays of numbers where they are numbers, of objects where they are not.

============================  =====================================================
attributes                    column
============================  =====================================================
all ``float``                 float64
all ``int``, each in 64 bits  int64
all ``bool``                  bool
tuples of as many floats      float64, a row for each tuple
anything else                 object
============================  =====================================================

What comes out of a column is what was put in: the same values of the same types. Columns are read-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from labkit.runtime.copying import copy_value
from labkit.systems.spark.kept import unchanging as all_unchanging

__all__ = [
    "Column",
    "changed",
    "column",
    "constant",
    "frozen",
    "joined",
    "same_kind",
    "spread",
    "unchanging",
    "values_of",
]

Column = np.ndarray

#: The type of all attributes to that of their column.
KINDS = {int: np.int64, float: np.float64, bool: np.bool_, np.int64: np.int64, np.float64: np.float64,
         np.bool_: np.bool_}  # fmt: skip


def column(values: Iterable[Any]) -> Column:
    """These attributes as a column; an array is one already, if its numbers are of a kind in the table."""
    if isinstance(values, np.ndarray):
        return frozen(values if _is_column(values) else _of_list(values.tolist()))
    return frozen(_of_list(list(values)))


def _is_column(array: Column) -> bool:
    if array.ndim == 2:
        return array.dtype == np.float64
    return array.ndim == 1 and (array.dtype == object or array.dtype.type in KINDS)


def _of_list(values: list[Any]) -> Column:
    kinds = set(map(type, values))
    if len(kinds) == 1:
        (kind,) = kinds
        if kind in KINDS:
            try:
                return np.array(values, KINDS[kind])
            except OverflowError:  # a whole number of more than 64 bits
                return _objects(values)
        if kind is tuple and _rows_of_floats(values):
            return np.array(values, np.float64)
    return _objects(values)


def constant(value: Any, count: int) -> Column:
    """The same attribute so many times."""
    return frozen(np.repeat(column([value]), count, axis=0))


def _rows_of_floats(values: list[Any]) -> bool:
    as_long = len(set(map(len, values))) == 1 and values[0]
    return bool(as_long) and {type(each) for value in values for each in value} == {float}


def _objects(values: Sequence[Any]) -> Column:
    return np.fromiter(values, object, len(values))


def frozen(array: Column) -> Column:
    """The array, read-only. One from a pickle has a dtype object of its own, with which NumPy's ``ufunc.at``
    is thirty times slower."""
    own = array.view() if array.dtype == object else array.view(array.dtype.type)
    own.setflags(write=False)
    return own


def same_kind(columns: Sequence[Column]) -> bool:
    """Whether these columns can stand one after the other without a change of any value's type."""
    return len({(each.dtype.type, each.shape[1:]) for each in columns}) <= 1


def joined(columns: Sequence[Column]) -> Column:
    """One column after the other."""
    filled = [each for each in columns if len(each)]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        return columns[0] if columns else column([])
    if same_kind(filled):
        return frozen(np.concatenate(filled))
    return column([value for each in filled for value in values_of(each)])


def unchanging(values: Column) -> bool:
    """Whether no attribute can be changed in place."""
    return values.dtype != object or all_unchanging(list(values))


def values_of(values: Column) -> list[Any]:
    """The attributes, each the caller's own, who may change it."""
    if values.ndim == 2:
        return list(map(tuple, values.tolist()))
    if values.dtype != object:
        return list(values.tolist())
    found = list(values)
    return found if all_unchanging(found) else [copy_value(value) for value in found]


def changed(old: Column, new: Column) -> np.ndarray:
    """Which attributes are others now; what cannot be compared counts as changed."""
    if not same_kind([old, new]):
        return np.ones(len(new), bool)
    if new.dtype != object:
        different: np.ndarray = old != new
        return different.any(axis=1) if different.ndim == 2 else different
    return np.fromiter(map(_differs, old, new), bool, len(new))


def _differs(old: Any, new: Any) -> bool:
    if old is new:
        return False
    try:
        return type(old) is not type(new) or bool(old != new)
    except Exception:  # an array, or a class of the user's that is never equal
        return True


def spread(values: Column, mask: np.ndarray) -> Column:
    """A column with these attributes where the mask is true; anything elsewhere."""
    if len(values) == len(mask):
        return values
    wide = np.zeros((len(mask), *values.shape[1:]), values.dtype.type if values.dtype != object else object)
    wide[mask] = values
    return frozen(wide)
