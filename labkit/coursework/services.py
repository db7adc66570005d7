"""What a notebook may ask of its exercise beside a check: its question, a run to look at.

At home ``Exercise`` carries it out in the notebook's own process. While it is graded the judge does, outside,
and plain data go back: neither a judge nor a system is in the student's process.
"""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from typing import Any

from .answers import Answers
from .tasks import Tasks
from .values import NotPlain, encode

__all__ = ["carry_out", "searches", "told"]

#: Things of a list that are told, and how deep.
MOST_TOLD, DEEPEST = 1000, 4


def carry_out(tasks: Tasks, do: str, task: str, answers: Answers, student: Any, options: Any) -> Any:
    """``question``, ``find``, ``run`` or ``watch`` of an exercise's module: what it gives; None if nothing
    is to be found."""
    module = _module(tasks)
    match do:
        case "question":
            return list(module.question(student))
        case "find":
            return module.find(student) if searches(tasks, task) else None
        case "run":
            return module.run(answers, **options)
        case "watch":
            return module.watch(answers, **options)
    raise ValueError(f"an exercise cannot {do!r}")


def told(value: Any, depth: int = 0) -> Any:
    """A value as plain data: of an object its text and its fields."""
    try:
        encode(value)
        return value
    except NotPlain:
        pass
    if depth > DEEPEST:
        return str(value)
    if type(value) in (list, tuple):
        return [told(each, depth + 1) for each in value[:MOST_TOLD]]
    parts = {each.name: getattr(value, each.name) for each in fields(value)} if is_dataclass(value) else {}
    return {"text": str(value), "parts": {name: told(part, depth + 1) for name, part in parts.items()}}


def searches(tasks: Tasks, task: str) -> bool:
    """Whether the solution of a task is found by a search of the exercise's, which no student is given."""
    return task != "predict" and hasattr(_module(tasks), "find")


def _module(tasks: Tasks) -> Any:
    return sys.modules[next(iter(tasks.values())).judge.__module__]
