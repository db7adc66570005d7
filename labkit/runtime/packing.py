"""What goes through Ray: a pickle, and its large buffers apart."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

import cloudpickle

from labkit.runtime import by_value
from labkit.runtime.copying import OUT_OF_BAND_BYTES, is_frozen, loads_keeping_classes, out_of_band

__all__ = ["dumps", "pack", "pickled", "unpack"]

#: The module of a notebook's or a program's own classes; on a machine, it is another.
MAIN = b"__main__"


def pack(value: Any) -> tuple[bytes, list[Any]]:
    """A pickle, and its large buffers apart. Classes from a notebook's cells are in it by value.

    A buffer that the receiver must copy, for its array is to be writable, is in a tuple of its own.
    """
    data, buffers = pickled(value, OUT_OF_BAND_BYTES)
    return data, [each if is_frozen(each) else (each,) for each in buffers]


def pickled(value: Any, at_least: int) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """The pickle, and apart from it the buffers of at least so many bytes."""
    buffers: list[pickle.PickleBuffer] = []
    # Plain pickle takes a third of cloudpickle's time. It names a class, which is of no use for one of the
    # notebook.
    try:
        data = pickle.dumps(value, protocol=5, buffer_callback=out_of_band(buffers, at_least))
        if MAIN not in data and not cloudpickle.list_registry_pickle_by_value():
            return data, buffers
    except Exception:  # a lambda, or a class of the notebook that came here by value
        pass
    buffers.clear()
    data = by_value.dumps(value, out_of_band(buffers, at_least))
    return data, buffers


def dumps(value: Any) -> bytes:
    """The pickle for any process, read by ``copying.loads_keeping_classes``: for what a system keeps in
    bytes, and sends on: a user's program, records. Classes from a notebook's cells are in it by value.
    """
    return pickled(value, sys.maxsize)[0]  # no buffer is that large


def unpack(packed: tuple[bytes, list[Any]], loads: Callable[..., Any] = loads_keeping_classes) -> Any:
    """The value. Its arrays are its own; those that were read-only still are, and stay where Ray has them."""
    data, buffers = packed
    return loads(data, buffers=[bytearray(each[0]) if type(each) is tuple else each for each in buffers])
