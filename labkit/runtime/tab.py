"""What a browser's tab has not, told in a sentence where a program asks for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["Missing", "tell_what_is_missing"]

ELSEWHERE = "where the page may load Pyodide's own packages, on your computer (`make lab`), or on Binder"
#: Modules that a page may lack, and what is not possible without them.
WITHOUT = {
    "numpy": "systems that compute with arrays (parameter server, Pregel, GraphLab, PowerGraph, GraphX)",
    "pandas": "tables, as trace.frame() (trace.filter(...) and trace.story(...) need none)",
    "fsspec": "Spark's names of files",
    "matplotlib": "figures",
    "networkx": "graphs of NetworkX",
    "pyarrow": "Parquet files",
    "scipy": "sparse matrices",
    "sklearn": "the data sets of scikit-learn",
}


class Missing:
    """The last of the import system's finders: who is asked has not been found."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        """Raises ``ModuleNotFoundError`` for the modules that are known to be missing here."""
        if name in WITHOUT:
            raise ModuleNotFoundError(
                f"{name} is not on this page, which has no {WITHOUT[name]}: they work {ELSEWHERE}", name=name
            )


def tell_what_is_missing() -> None:
    """In this process, from now on."""
    if Missing not in sys.meta_path:
        sys.meta_path.append(Missing)
