"""Everyone's first mistake: ``reply = self.call(...)`` without ``await``, and ``reply`` used as the answer.

What is to be awaited says so as soon as it is used as if it were there: in a condition, a comparison, a loop,
in arithmetic, as a text, in a message. It can still be kept, hashed, passed on and shown by ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import CoroutineType
from typing import Any, NoReturn

__all__ = ["Unawaited", "explain", "forgotten", "shown_call"]

#: What Python asks of a value, and of nothing that is still to come.
USES = (
    *("bool", "len", "iter", "next", "aiter", "contains", "getitem", "setitem", "delitem"),
    *("eq", "ne", "lt", "le", "gt", "ge"),
    *("str", "format", "bytes", "array", "int", "float", "complex", "index"),
    *("round", "neg", "pos", "abs", "invert"),
    *("enter", "exit", "reduce_ex"),
)

#: Operators, each also with its operands changed over, and in place.
OPERATORS = (
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow"),
    *("lshift", "rshift", "and", "or", "xor"),
)

#: Levels of lists and dictionaries that are searched for what was not awaited.
DEEPEST = 8


class Unawaited:
    """A result that is not there yet. Subclasses say what gave it."""

    __slots__ = ()

    #: So that ``array * self`` is asked of ``self``.
    __array_ufunc__ = None

    def as_written(self) -> str:
        """The call that gave it, as it stands in the program."""
        raise NotImplementedError


def _refuse(self: Unawaited, *_: Any) -> NoReturn:
    raise TypeError(forgotten(self))


for name in [*USES, *OPERATORS, *(f"r{name}" for name in OPERATORS), *(f"i{name}" for name in OPERATORS)]:
    if name != "idivmod":
        setattr(Unawaited, f"__{name}__", _refuse)


def forgotten(value: Any, depth: int = DEEPEST) -> str:
    """What to write, if the value or something in it was not awaited; else nothing."""
    if isinstance(value, Unawaited):
        return f"you forgot `await` before {value.as_written()}"
    if isinstance(value, CoroutineType):
        return f"you forgot `await` before {value.__name__}(...)"
    if depth and isinstance(value, Mapping):
        return next(filter(None, (forgotten(item, depth - 1) for item in value.values())), "")
    if depth and isinstance(value, (list, tuple)):
        return next(filter(None, (forgotten(item, depth - 1) for item in value)), "")
    return ""


def explain(error: BaseException) -> None:
    """Have an error say that ``await`` is missing, if it comes from that: an attribute was asked of what was
    not awaited, or a coroutine was used in a calculation."""
    if isinstance(error, AttributeError) and (missing := forgotten(error.obj, depth=0)):
        error.args = (missing,)
    elif isinstance(error, TypeError) and "'coroutine'" in str(error):
        error.args = (f"you forgot `await` before the call of an async function: {error}",)


def shown_call(function: str, *args: Any) -> str:
    """A call as it stands in a program, its arguments cut short."""
    return f"{function}({', '.join(f'{arg!r:.40}' for arg in args)})"
