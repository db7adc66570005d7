"""Join elimination (§4.5.2): which sides of a triplet a function reads, from its byte code.

A function that is given a triplet as ``t`` reads ``t.srcAttr`` by loading ``t`` and then the attribute. If
every use of ``t`` is of this form, its attributes are all that it can read. If ``t`` goes anywhere else (to
another function, into a variable or a closure), nobody knows, and both sides are shipped.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Callable
from typing import Any

from .triplets import Arrays, TripletFields

__all__ = ["fields_read"]

#: What can be asked of a triplet without its vertices' attributes.
HARMLESS = frozenset(
    {"srcId", "dstId", "attr", "sendToSrc", "sendToDst", "otherVertexId", "srcAttr", "dstAttr"}
)

#: By these a function can read its variables without naming them.
INDIRECT = frozenset({"locals", "vars", "eval", "exec", "_getframe"})


def fields_read(*functions: Callable[..., Any] | None) -> TripletFields:
    """What these functions, which get a triplet as their first argument, can read of it at most."""
    names: set[str] = set()
    for function in functions:
        found = None if function is None else attributes_read(function)
        if function is not None and (found is None or not found <= HARMLESS):
            return TripletFields()
        names |= found or set()
    return TripletFields("srcAttr" in names, "dstAttr" in names, "attr" in names)


def attributes_read(function: Any) -> set[str] | None:
    """The attributes that a function reads of its first argument; None: it cannot be told."""
    if isinstance(function, Arrays):
        function = function.function
    skip = 0
    if not isinstance(function, (types.FunctionType, types.MethodType)):
        function = vars(type(function)).get("__call__")
        skip = 1
    if isinstance(function, types.MethodType):
        function, skip = function.__func__, 1
    if not isinstance(function, types.FunctionType) or hasattr(function, "__wrapped__"):
        return None
    code = function.__code__
    if code.co_argcount <= skip:
        return None
    name = code.co_varnames[skip]
    hidden = name in code.co_cellvars or not INDIRECT.isdisjoint(code.co_names)
    return None if hidden else _attributes(code, name)


def _attributes(code: types.CodeType, name: str) -> set[str] | None:
    found: set[str] = set()
    instructions = [each for each in dis.get_instructions(code) if each.opname not in ("CACHE", "NOP")]
    for each, after in zip(instructions, [*instructions[1:], None], strict=True):
        # Some versions of Python load two variables by one instruction; an attribute is of the second.
        *others, used = each.argval if isinstance(each.argval, tuple) else (each.argval,)
        if "FAST" not in each.opname or name not in (*others, used):
            continue
        loaded = each.opname.startswith("LOAD_FAST") and "CLEAR" not in each.opname and name not in others
        if not loaded or after is None or after.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
            return None
        found.add(str(after.argval))
    return found
