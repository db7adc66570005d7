"""Functions and classes by value: cloudpickle, and beside each function's code its place.

The place is the file, the line and the text, and an error names it wherever the function runs: there Python
looks the text up by the file's name, and a notebook's cell is no file, nor is a program's on another host.
cloudpickle itself promises no place: some of its releases give all code the file name "<dynamic-code>".

Whatever pickles a user's function does so here; plain ``pickle.loads`` reads it.
"""

from __future__ import annotations

import io
import linecache
import pickle
from collections import ChainMap
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar

import cloudpickle

__all__ = ["Pickler", "dumps"]

#: A file's name takes a multiple of so many bytes: that of a notebook's cell has the kernel's process id in
#: it, and the simulated time that a message takes on a link must not depend on how many digits that has.
NAME_BYTES = 64


def dumps(value: Any, keep_in_band: Callable[[pickle.PickleBuffer], bool] | None = None) -> bytes:
    """The pickle. ``keep_in_band``: called with each buffer, says whether it goes into the pickle."""
    file = io.BytesIO()
    Pickler(file, protocol=5, buffer_callback=keep_in_band).dump(value)
    return file.getvalue()


def _with_place(code: CodeType) -> tuple[Any, ...]:
    """How to pickle code: as cloudpickle does, and its place."""
    name = code.co_filename
    make, args = cloudpickle.Pickler.dispatch_table[CodeType](code.replace(co_filename=""))[:2]
    # The lines are the cache's own strings, so a nested function costs references to those of the outer one.
    lines = linecache.getlines(name)[code.co_firstlineno - 1 : _last_line(code)]
    return _placed, (make, args, name.ljust(-(-len(name) // NAME_BYTES) * NAME_BYTES), lines)


def _placed(make: Callable[..., CodeType], args: tuple[Any, ...], padded: str, lines: list[str]) -> CodeType:
    """The code, where its errors name the place that it had."""
    name = padded.rstrip(" ")
    code = make(*args).replace(co_filename=name)
    if lines:
        _remember(name, code.co_firstlineno - 1, lines)
    return code


def _last_line(code: CodeType) -> int:
    own = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
    return max([own, *(_last_line(each) for each in code.co_consts if isinstance(each, CodeType))])


def _remember(name: str, start: int, lines: list[str]) -> None:
    """Where tracebacks look for text, the file has these lines from here on."""
    known = linecache.getlines(name)
    end = start + len(lines)
    if known[start:end] != lines:
        known = known + ["\n"] * (start - len(known))
        known[start:end] = lines
        # Without a time of change: what was sent is true, whatever the file is like here.
        linecache.cache[name] = (sum(map(len, known)), None, known, name)


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, with the places."""

    dispatch_table: ClassVar[Any] = ChainMap({CodeType: _with_place}, cloudpickle.Pickler.dispatch_table)
