"""The user's functions on their way to other machines.

A closure is pickled when the transformation is called, so it captures the values that its variables have
*then* (NSDI 2012, section 2.1: Spark saves them as fields of the closure), and it is unpickled where it runs:
what a task does to a captured list is seen by nobody else. Functions and classes of the user's notebook or
program travel by value; those of installed packages by name.

An RDD, a context or a cluster cannot travel: they belong to the driver. A closure that captures one is
refused when the transformation is called, with the name of the variable.
"""

from __future__ import annotations

import io
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import cloudpickle

from labkit.runtime import by_value
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError, Unpicklable
from labkit.runtime.raised import Ending, named, short

from .above import BaseContext

__all__ = [
    "CannotCapture",
    "Captured",
    "Closure",
    "dumps",
    "function_of",
    "loads",
]


class CannotCapture(LabError, TypeError):
    """A function refers to what exists only in the driver."""


#: Where they are defined, and what to write instead.
DRIVER_ONLY = {
    (
        "labkit.systems.spark.rdd",
        "RDD",
    ): "an RDD cannot be used inside a task of another: collect() it first and "
    "broadcast the result, or join the two RDDs",
    (
        "labkit.systems.spark.model",
        "BaseContext",
    ): "the SparkContext exists only in the driver: compute what you need "
    "from it before, and keep it in a variable of its own",
    (
        "labkit.runtime.cluster",
        "Cluster",
    ): "the cluster exists only in the driver: compute what you need from it before",
    ("labkit.runtime.node", "Node"): "a node cannot leave its machine: use its name",
}


@lru_cache(maxsize=4096)
def _driver_only(kind: type) -> str | None:
    for ancestor in kind.__mro__:
        why = DRIVER_ONLY.get((ancestor.__module__, ancestor.__qualname__))
        if why is not None:
            return why
    return None


#: Where Python, installed packages and labkit are.
INSTALLED = tuple(
    {
        str(Path(path).resolve())
        for name, path in sysconfig.get_paths().items()
        if name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    | {str(Path(__file__).resolve().parents[2])}
)


@lru_cache(maxsize=4096)
def _installed(module: str) -> bool:
    """Whether every process of the cluster can import it: installed packages, Python's own, labkit."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is None or str(Path(file).resolve()).startswith(INSTALLED)


class _Pickler(by_value.Pickler):
    """As every function travels, with the user's own modules by value, and driver-only objects refused.

    It notes the broadcast variables that it meets, and whose shared variables they and accumulators are.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=5)
        self.broadcasts: dict[int, None] = {}
        self.owners: dict[weakref.ref[BaseContext], None] = {}

    def reducer_override(self, obj: Any) -> Any:
        """How one object that is no plain data is pickled."""
        kind = type(obj)
        if kind is Closure:
            self.broadcasts.update(dict.fromkeys(obj.broadcasts))
            self.owners.update(dict.fromkeys(obj.owners))
            return NotImplemented
        if kind is types.FunctionType:
            if obj.__module__ in sys.modules and not _installed(obj.__module__):
                return self._dynamic_function_reduce(obj)
        elif isinstance(obj, type):
            if obj.__module__ in sys.modules and not _installed(obj.__module__):
                return cloudpickle.cloudpickle._dynamic_class_reduce(obj)
        else:
            why = _driver_only(kind)
            if why is not None:
                raise CannotCapture(f"{kind.__name__}: {why}")
            be_noted = getattr(kind, "_be_noted", None)
            if be_noted is not None:
                be_noted(obj, self)
        return super().reducer_override(obj)


def dump_with_shared(value: Any) -> tuple[bytes, tuple[int, ...], tuple[weakref.ref[BaseContext], ...]]:
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(value)
    return file.getvalue(), tuple(pickler.broadcasts), tuple(pickler.owners)


def dumps(value: Any) -> bytes:
    """The pickle of records, results or anything else that travels."""
    try:
        return dump_with_shared(value)[0]
    except (LabError, Ending):
        raise
    except BaseException as error:
        if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
            raise Unpicklable(
                "records that are nested too deeply cannot be sent to another machine; if each round of a "
                "loop wraps the one before, as zip() does, flatten it: .map(lambda pair: ...)"
            ) from None
        raise Unpicklable(f"{short(value)} cannot be sent to another machine: {named(error)}") from error


def loads(data: bytes) -> Any:
    """What ``dumps`` pickled. A class that this process knows stays as it is."""
    return loads_keeping_classes(data)


class Closure:
    """A function, pickled now; called wherever it was sent. Raises ``CannotCapture`` and ``Unpicklable``."""

    __slots__ = ("_data", "_function", "broadcasts", "owners")

    def __init__(self, function: Callable[..., Any]) -> None:
        if isinstance(function, Closure):
            self._data, self.broadcasts, self.owners = function._data, function.broadcasts, function.owners
        else:
            if not callable(function):
                raise TypeError(
                    f"expected a function, not {short(function)} of type {type(function).__name__}"
                )
            self._data, self.broadcasts, self.owners = _dump_function(function)
        self._function: Callable[..., Any] | None = None

    @property
    def function(self) -> Callable[..., Any]:
        """The function, unpickled at the first use."""
        if self._function is None:
            self._function = loads(self._data)
        return self._function

    @property
    def size(self) -> int:
        """Bytes of its pickle."""
        return len(self._data)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __getstate__(self) -> tuple[bytes, tuple[int, ...]]:
        return self._data, self.broadcasts

    def __setstate__(self, state: tuple[bytes, tuple[int, ...]]) -> None:
        self._data, self.broadcasts = state
        self.owners = ()
        self._function = None


def function_of(callable_: Any) -> Any:
    """The bare function of a closure, which costs less to call; anything else as it is."""
    return callable_.function if type(callable_) is Closure else callable_


class Captured:
    """A value, pickled now: ``fresh()`` makes an equal one that nobody else has."""

    __slots__ = ("_data",)

    def __init__(self, value: Any) -> None:
        self._data = dumps(value)

    def fresh(self) -> Any:
        """A new copy."""
        return loads(self._data)


def _dump_function(
    function: Callable[..., Any],
) -> tuple[bytes, tuple[int, ...], tuple[weakref.ref[BaseContext], ...]]:
    try:
        return dump_with_shared(function)
    except CannotCapture as error:
        name = getattr(function, "__name__", type(function).__name__)
        variable = _variable(function)
        where = f"the variable {variable!r}, which is a" if variable else "a"
        raise CannotCapture(f"the function {name} uses {where} {error}") from None
    except (LabError, Ending):
        raise
    except BaseException as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise Unpicklable(
            f"the function {name} cannot be sent to other machines: {named(error)}. Make what it needs "
            "inside it, or once for each partition with mapPartitions"
        ) from error


def _variable(function: Any, depth: int = 4) -> str | None:
    """The name of the variable through which a function reaches a driver-only object."""
    for name, value in _variables(function):
        if _driver_only(type(value)) is not None:
            return name
        held = (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, (list, tuple, set))
            else ()
        )
        if any(_driver_only(type(each)) is not None for each in held):
            return name
        if (
            depth
            and (callable(value) or hasattr(value, "__dict__"))
            and not isinstance(value, (type, types.ModuleType))
        ):
            inner = _variable(value, depth - 1)
            if inner is not None:
                return inner if isinstance(value, types.FunctionType) else f"{name}.{inner}"
    return None


def _variables(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function closes over; of another object, its attributes."""
    if isinstance(function, types.MethodType):
        yield function.__func__.__code__.co_varnames[0], function.__self__
        function = function.__func__
    if not isinstance(function, types.FunctionType):
        yield from getattr(function, "__dict__", {}).items()
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # an empty cell
            continue
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    defaults = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)
