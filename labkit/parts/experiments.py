"""A paper's experiment as a table: our figures by what is varied, and others' figures beside them.

Columns named ``paper …`` hold what the paper states. Columns named ``independent …`` come from an independent
simulation that counts the same way, from few seeds, and are a band rather than a fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["beside", "sweep"]


def sweep(name: str, over: Iterable[Any], run: Callable[[Any], Mapping[str, Any]]) -> pd.DataFrame:
    """One row of figures for each value of what is varied, which is called ``name``."""
    import pandas as pd  # not in the machines' processes

    values = list(over)
    return pd.DataFrame([run(value) for value in values], index=pd.Index(values, name=name))


def beside(table: pd.DataFrame, column: str, figures: Mapping[Any, float]) -> None:
    """Add others' figures, for those values for which they have one."""
    table[column] = [figures.get(value, float("nan")) for value in table.index]
