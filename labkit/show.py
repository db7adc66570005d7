"""Code that students read, shown where they read it: ``labkit.show(ChordNode.find_successor)``."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

__all__ = ["Source", "show"]


class Source:
    """Source text that a notebook shows with colours, and a terminal as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"


def show(thing: Any) -> Source:
    """The source of a class, method, function or module of the package, as it runs.

    Raises ``TypeError`` for what has no Python source, such as a number or a built-in.
    """
    try:
        return Source(textwrap.dedent(inspect.getsource(thing)).rstrip())
    except (TypeError, OSError) as error:
        raise TypeError(
            f"{thing!r} has no Python source to show; give a class, a method, a function or a module, "
            "such as ChordNode.find_successor"
        ) from error
