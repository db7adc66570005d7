"""What was made once can be made again: begun anew in its place, or written as code.

A person who has broken everything wants the same cluster and the same system once more, with the options and
the seed they had. And a run explored by hand is to become a script in which no option is missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Self

__all__ = ["Repeatable", "arguments", "call", "changed", "literal"]


class Repeatable:
    """Remembers the arguments with which it was made."""

    _made: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make one, and note how."""
        self = super().__new__(cls)
        self._made = (args, kwargs)
        return self


def arguments(thing: Repeatable) -> dict[str, Any]:
    """The arguments that were given, by name, in the order of the constructor."""
    signature = inspect.signature(type(thing).__init__)
    given = dict(signature.bind(thing, *thing._made[0], **thing._made[1]).arguments)
    named: dict[str, Any] = {}
    for name, value in list(given.items())[1:]:
        rest = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        named.update(value if rest else {name: value})
    return named


def call(name: str, options: Mapping[str, Any], *first: str) -> str:
    """A call as code: the first arguments as they are written, then the options."""
    words = [*first, *(f"{key}={literal(value)}" for key, value in options.items())]
    return f"{name}({', '.join(words)})"


def literal(value: Any) -> str:
    """A value as code. Of a dataclass, the fields that are not as they would be anyway."""
    if is_dataclass(value) and not isinstance(value, type):
        return call(type(value).__name__, changed(value))
    return repr(value)


def changed(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that have not their default."""
    found = {}
    for each in fields(value):
        usual = each.default_factory() if each.default_factory is not MISSING else each.default
        if each.init and (usual is MISSING or getattr(value, each.name) != usual):
            found[each.name] = getattr(value, each.name)
    return found
