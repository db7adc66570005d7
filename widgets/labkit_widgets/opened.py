"""Which panels are open: so that a panel closes the one it replaces.

ipywidgets keeps every widget until it is closed, so a cell that is run twenty times would leave twenty panels
behind. A new panel closes an older one of its kind if it shows the same cluster, if that cluster is closed
and has the same name, or if it was made by the same cell in an earlier run.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, NamedTuple

import ipywidgets

_LOCK = threading.Lock()
_OPEN: list[_Entry] = []


class _Entry(NamedTuple):
    panel: weakref.ref[Any]
    cell: tuple[str, str] | None  # (cell, run of it)


def open_panels() -> list[Any]:
    """The panels that are open."""
    with _LOCK:
        return [panel for entry in _OPEN if (panel := entry.panel()) is not None]


def register(panel: Any) -> list[Any]:
    """Note a new panel; returns those it replaces."""
    cell = current_cell()
    with _LOCK:
        replaced = [
            older
            for entry in _OPEN
            if (older := entry.panel()) is not None
            and type(older) is type(panel)
            and _replaces(panel, older, cell, entry.cell)
        ]
        _OPEN.append(_Entry(weakref.ref(panel), cell))
    return replaced


def forget(panel: Any) -> None:
    """A panel was closed."""
    with _LOCK:
        _OPEN[:] = [entry for entry in _OPEN if entry.panel() not in (panel, None)]


def _replaces(panel: Any, older: Any, cell: tuple[str, str] | None, before: tuple[str, str] | None) -> bool:
    if older.cluster is panel.cluster:
        return True
    if getattr(older.cluster, "closed", False) and older.cluster.name == panel.cluster.name:
        return True
    return run_again(cell, before)


def run_again(cell: tuple[str, str] | None, before: tuple[str, str] | None) -> bool:
    """Whether this is another run of the cell that ran before."""
    return cell is not None and before is not None and cell[0] == before[0] and cell[1] != before[1]


def current_cell() -> tuple[str, str] | None:
    """The notebook cell that runs and this run of it, if the front end says so (JupyterLab does)."""
    try:
        from IPython import get_ipython

        parent = get_ipython().get_parent()
        return str(parent["metadata"]["cellId"]), str(parent["header"]["msg_id"])
    except (ImportError, AttributeError, KeyError, TypeError):
        return None


def place() -> str:
    """The notebook cell that runs, as its reader finds it."""
    try:
        from IPython import get_ipython

        # Its own count may be that of the next cell already.
        return f"cell [{len(get_ipython().history_manager.input_hist_parsed) - 1}]"
    except (ImportError, AttributeError):
        return "another cell"


def tree(*widgets: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """Widgets and everything they own: children, layouts, styles, and what figures are made of."""
    found: dict[int, ipywidgets.Widget] = {}
    waiting = list(widgets)
    while waiting:
        one = waiting.pop()
        if id(one) in found:
            continue
        found[id(one)] = one
        for name in one.keys:
            waiting += _widgets_in(getattr(one, name, None))
    return list(found.values())


def _widgets_in(value: Any) -> list[ipywidgets.Widget]:
    if isinstance(value, ipywidgets.Widget):
        return [value]
    if isinstance(value, dict):
        return [widget for item in value.values() for widget in _widgets_in(item)]
    if isinstance(value, (list, tuple)):
        return [widget for item in value for widget in _widgets_in(item)]
    return []
