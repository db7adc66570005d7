"""Rules for what a user may choose: bad input is refused with the value, the rule and what to write instead.

A rule is made once, and called with a name and the value that was given for it::

    RULES = {"nodes": whole(1, says="a ring needs at least one node", write=24), "sampling": switch}

    chosen = checked("Chord", {"nodes": 0}, RULES)
    ValueError: nodes=0: a ring needs at least one node; write nodes=24
"""

from __future__ import annotations

import json
import math
import numbers
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Rule", "anything", "checked", "instance", "number", "one_of", "outlasts", "probability",
           "seconds", "settle", "switch",
           "text", "whole"]  # fmt: skip

#: A cell is no place for a longer one.
SHOWN = 80


class Rule(NamedTuple):
    """What a value must be."""

    #: Gives the value as it is used; raises ``TypeError`` or ``ValueError`` for one that does not fit.
    take: Callable[[Any], Any]
    #: The rule in words; empty if ``write`` says all.
    says: str
    #: Values that fit, to be written instead.
    write: tuple[Any, ...]
    error: type[Exception] = ValueError
    #: Whether None is as good.
    optional: bool = False

    def __call__(self, name: str, value: Any, of: str = "") -> Any:
        """The value as it is used. ``of``: to what it was given, for the error: ``SGD``, ``vector('w', ``."""
        if self.optional and value is None:
            return None
        try:
            return self.take(value)
        except (TypeError, ValueError):
            pass
        call, end = (of if "(" in of else f"{of}(", ")") if of else ("", "")
        right = " or ".join(f"{call}{name}={_code(each)}{end}" for each in self.write)
        rule = f"{self.says}; write {right}" if self.says else f"write {right}"
        raise self.error(f"{call}{name}={value!r:.{SHOWN}}{end}: {rule}")

    def or_none(self) -> Rule:
        """The same, and None is allowed."""
        return self._replace(optional=True)


def checked(of: str, given: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """All that was given as it is used; ``TypeError`` for what is no option of ``of``."""
    for name in given:
        if name not in rules:
            raise TypeError(f"{of} has no option {name!r}; its options are {', '.join(rules)}")
    return {name: rules[name](name, value) for name, value in given.items()}


def settle(options: Any, rules: Mapping[str, Rule]) -> None:
    """In ``__post_init__`` of a frozen dataclass: each field that has a rule, as it is used."""
    for name, rule in rules.items():
        object.__setattr__(options, name, rule(name, getattr(options, name)))


def outlasts(timeout: float, every: str, seconds: float, would: str) -> None:
    """A timeout lasts for more than two of the signs of life that it waits for; ``ValueError`` if not.

    every: the name of the option that says how often they come, and its seconds; would: what a shorter
    timeout does.
    """
    if timeout <= 2 * seconds:
        raise ValueError(f"timeout={timeout} would {would}: give more than twice {every}={seconds}")


def whole(least: int | None = None, most: int | None = None, *, says: str = "", write: Any = None) -> Rule:
    """A whole number, NumPy's too, from ``least`` to ``most``; no bool."""
    says = says or f"a whole number{_limits(least, most)}"
    return Rule(
        lambda value: _within(operator.index(value), value, least, most),
        says,
        (max(least or 0, 1) if write is None else write,),
    )


def number(
    least: float | None = None, most: float | None = None, *, above: float | None = None, says: str = "",
    write: Any = 1.0,
) -> Rule:  # fmt: skip
    """A finite real number from ``least`` to ``most``, or one larger than ``above``."""

    def take(value: Any) -> Any:
        if (
            not isinstance(value, numbers.Real)
            or not math.isfinite(value)
            or not (above is None or value > above)
        ):
            return _refuse()
        return _within(value if type(value) is int else float(value), value, least, most)

    says = says or f"a number{f' > {above:g}' if above is not None else ''}{_limits(least, most)}"
    return Rule(take, says, (write,))


def seconds(least: float | None = None, *, write: float = 1.0, says: str = "") -> Rule:
    """Seconds, ``least`` or more; without it more than none."""
    if least is None:
        return number(above=0, says=says or "seconds must be positive", write=write)
    return number(least, says=says or f"seconds, {least:g} or more", write=write)


def probability(*, says: str = "a probability from 0 to 1", write: float = 0.5) -> Rule:
    """A number from 0 to 1."""
    return number(0, 1, says=says, write=write)


def one_of(choices: tuple[Any, ...], *, says: str = "", write: tuple[Any, ...] = ()) -> Rule:
    """One of these values. ``write``: those to be named; all unless given."""

    return Rule(lambda value: value if value in choices else _refuse(), says, write or choices)


def instance(kind: type, *, says: str, write: Any) -> Rule:
    """An object of this class; ``TypeError`` for others."""
    return Rule(lambda value: value if isinstance(value, kind) else _refuse(), says, (write,), TypeError)


def text(*, says: str, write: str, empty: bool = False) -> Rule:
    """Printable text."""

    def take(value: Any) -> str:
        fits = isinstance(value, str) and value.isprintable() and (empty or value)
        return value if fits else _refuse()

    return Rule(take, says, (write,))


#: True or False, and nothing that only behaves like one of them.
switch = Rule(lambda value: value if isinstance(value, bool) else _refuse(), "", (True, False))
#: For options that a rule of their own looks at later.
anything = Rule(lambda value: value, "", ())


def _refuse() -> Any:
    raise ValueError


def _within(number: Any, given: Any, least: Any, most: Any) -> Any:
    fits = (least is None or number >= least) and (most is None or number <= most)
    return number if fits and not isinstance(given, bool) else _refuse()


def _limits(least: Any, most: Any) -> str:
    low, high = "" if least is None else f" >= {least:.10g}", "" if most is None else f" <= {most:.10g}"
    return f" from {least:.10g} to {most:.10g}" if low and high else low or high


def _code(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)
