"""What code of the user's may raise: anything.

A handler, a task's function, a key's ``__hash__`` or a record's ``__reduce__`` may raise what is no
``Exception`` (``SystemExit``, ``asyncio.CancelledError``, a class of the user's own), and what cannot even be
shown, since its ``__str__`` raises too. Wherever the runtime runs such code it catches ``BaseException``, but
for the ``Ending``: what the runtime itself raises there, to end what runs. And it speaks of what it caught by
the functions below, which never fail.
"""

from __future__ import annotations

from typing import Any

from labkit.runtime.errors import RemoteError

__all__ = ["Ending", "StopSignal", "as_exception", "named", "short", "text_of"]


class Ending(BaseException):
    """Raised by the runtime in code of the user's, which is to end: not that code's own doing."""


class StopSignal(Ending, KeyboardInterrupt):
    """The user's Ctrl-C, while that code ran. A plain ``KeyboardInterrupt`` was raised by the code itself."""


def text_of(error: BaseException) -> str:
    """``str(error)``, or why there is none."""
    try:
        return str(error)
    except Ending:
        raise
    except BaseException as why:
        return f"its text cannot be made: str() of it raises {type(why).__name__}"


def named(error: BaseException) -> str:
    """The exception's class and its text."""
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def short(value: Any, limit: int = 80) -> str:
    """``repr(value)``, at most ``limit`` characters of it."""
    try:
        text = repr(value)
    except Ending:
        raise
    except BaseException:
        text = f"a {type(value).__name__} without a repr"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def as_exception(error: BaseException) -> Exception:
    """The error itself, or, if it is no ``Exception``, one that stands for it: whoever awaits it handles
    errors, and is not to be ended by it."""
    if isinstance(error, Exception):
        return error
    stand_in = RemoteError(named(error))
    stand_in.__cause__ = error
    return stand_in
