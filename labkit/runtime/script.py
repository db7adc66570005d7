"""The run so far as a code cell: what ``system.code()`` and a panel's *Copy the run as code* give.

It makes the same cluster and system again under names of their own, strikes with the same faults at the same
times, and says what it cannot repeat.
"""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.runtime.again import arguments, call, literal

#: Options of a cluster that the simulator has too, and that make a difference to what happens.
OPTIONS = ("network", "trace", "trace_limit")


@dataclass(frozen=True)
class Made:
    """A system as code: its import, its name, the class and the options, and what a script cannot repeat."""

    source: str = ""
    name: str = ""
    cls: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    lacks: str = "the nodes that you started and what you asked them"
    notes: tuple[str, ...] = ()  # what was changed while it ran
    then: tuple[str, ...] = ()  # what is to be done with it before the run; the last line makes what is shown


def script(cluster: Any, made: Made, until: float) -> str:
    """A cell that runs `cluster`'s faults once more, up to a moment."""
    given = {name: value for name, value in arguments(cluster).items() if name in OPTIONS}
    options, notes = _writable({"machines": _machines(cluster), **given})
    simulated = {"engine": "sim", "seed": cluster.seed}
    lines = ["from labkit import *", *([f"from {made.source} import *"] if made.source else []), ""]
    if cluster.engine != "sim":
        lines.append("# This was a run on real processes; the simulator will not do quite the same.")
    lines += [
        f"# The faults are in it. Not in it: {made.lacks}.",
        f"schedule = {cluster.schedule}",
    ]
    chosen, more = _writable(made.options)
    lines += [f"# {note}" for note in (*notes, *more, *made.notes)]
    lines.append(f"again = {call('Cluster', {**options, **simulated})[:-1]}, schedule=schedule)")
    if made.cls:
        lines.append(f"{made.name} = {call(made.cls, chosen, 'again')}")
    lines += [
        *made.then,
        f"again.run(max(0.0, {math.ceil(until * 1e6) / 1e6} - again.now))",
        f"{made.then[-1].split(' = ')[0] if made.then else made.name or 'again'}.panel()",
    ]
    return "\n".join(lines) + "\n"


def _machines(cluster: Any) -> int | list[str]:
    names = [machine.name for machine in cluster.machines]
    return len(names) if names == [f"m{k + 1}" for k in range(len(names))] else names


def _writable(options: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options that can be written as code, and words for the others."""
    found, lost = {}, []
    for name, value in options.items():
        try:
            ast.parse(literal(value), mode="eval")
        except SyntaxError:
            lost.append(f"{name} was {value!r}, which cannot be written as code.")
        else:
            found[name] = value
    return found, lost


def variable(thing: Any, usual: str) -> str:
    """The notebook's name for a thing; the usual one, if it has none."""
    names = vars(sys.modules["__main__"]).items()
    return next((name for name, value in names if value is thing and not name.startswith("_")), usual)


def options_of(system: Any) -> dict[str, Any]:
    """The options that a system was given, but for the cluster."""
    return {name: value for name, value in arguments(system).items() if name != "cluster"}


__all__ = ["Made", "options_of", "script", "variable"]
