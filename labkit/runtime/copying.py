"""Messages are copied when they are sent, so that no node ever sees another's memory; and hashes that are
the same everywhere."""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, ClassVar

import cloudpickle

from labkit.runtime import by_value
from labkit.runtime.errors import Unpicklable
from labkit.runtime.raised import Ending, named, short
from labkit.runtime.unawaited import forgotten

__all__ = ["copy_value", "seed_of_life", "stable_hash", "stream"]

#: Values of these types cannot change, and pass as they are.
ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})


#: cloudpickle's function that sets a class's attributes; a pickle without its name holds no class by value.
FILLS = b"_class_setstate"

#: Buffers of at least this many bytes stay out of a pickle. Ray spends about 25 µs on each.
OUT_OF_BAND_BYTES = 64 * 1024


def copy_value(value: Any) -> Any:
    """An equal value that shares no memory that could change; an array that is read-only is shared.

    Raises ``Unpicklable`` for what cannot leave its process, such as a lock or an open file.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is tuple:
        for item in value:
            if type(item) not in ATOMS:
                return tuple([copy_value(item) for item in value])
        return value
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = dumps(value, buffers, OUT_OF_BAND_BYTES)
        own = [buffer if is_frozen(buffer) else bytearray(buffer.raw()) for buffer in buffers]
        return loads_keeping_classes(data, own)
    except Ending:
        raise
    except BaseException as error:
        if missing := forgotten(value):
            raise Unpicklable(missing) from None
        raise Unpicklable(
            f"{short(value)} of type {kind.__module__}.{kind.__qualname__} cannot be sent: {named(error)}. "
            "Send plain data (numbers, strings, tuples, lists, dicts, arrays, dataclasses) instead."
        ) from error


def event_value(value: Any) -> Any:
    """As ``copy_value``, with sets as sorted lists: the trace never depends on the order of a set."""
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind in (set, frozenset):
        return sorted(map(event_value, value), key=repr)
    if kind in (list, tuple):
        return kind([event_value(item) for item in value])
    if kind is dict:
        return {event_value(key): event_value(item) for key, item in value.items()}
    return copy_value(value)


def dumps(value: Any, buffers: list[pickle.PickleBuffer] | None = None, at_least: int = 0) -> bytes:
    """The value's pickle; by value where it can only be so. Buffers of ``at_least`` so many bytes go into
    ``buffers``, if that is given."""
    keep_in_band = None if buffers is None else out_of_band(buffers, at_least)
    try:
        return pickle.dumps(value, protocol=5, buffer_callback=keep_in_band)
    except Exception:  # a lambda, or a class from a notebook cell: only cloudpickle takes it by value
        if buffers is not None:
            buffers.clear()  # it begins anew
        return by_value.dumps(value, keep_in_band)


def out_of_band(
    buffers: list[pickle.PickleBuffer], at_least: int = OUT_OF_BAND_BYTES
) -> Callable[[pickle.PickleBuffer], bool]:
    """For ``pickle``: put large buffers, such as those of arrays, into ``buffers`` rather than the pickle."""

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < at_least:
            return True
        buffers.append(buffer)
        return False

    return keep_in_band


def is_frozen(buffer: Any) -> bool:
    """Whether nobody writes to an array or a pickle's buffer.

    That is, it is read-only, and so is what it is a view of, to the last.
    Whoever makes an array read-only (``array.flags.writeable = False``) promises to leave it so; then
    messages share it rather than copy it, as they do bytes, and the receiver's array is read-only too.
    """
    view = memoryview(buffer)
    owner: Any = view.obj
    if not view.readonly:
        return False
    while (flags := getattr(owner, "flags", None)) is not None:
        if flags.writeable:
            return False
        owner = owner.base
    return owner is None or memoryview(owner).readonly


def loads_keeping_classes(data: bytes, buffers: Any = None) -> Any:
    """As ``pickle.loads``, but a class that this process knows stays as it is.

    cloudpickle sends a class from a notebook's cell with all its attributes, and the receiver sets them,
    even on the very class that the notebook defined: its methods would from then on see a copy of the
    notebook's variables.
    """
    if FILLS not in data:
        return pickle.loads(data, buffers=buffers)
    with _READING:
        return _KeepingUnpickler(io.BytesIO(data), buffers=buffers).load()


def loads_anew(data: bytes, buffers: Any = None) -> Any:
    """As ``pickle.loads``: a class by value is as it was sent, also where this process has it otherwise."""
    if FILLS not in data:
        return pickle.loads(data, buffers=buffers)
    with _READING:
        return pickle.loads(data, buffers=buffers)


#: A class is made first, and filled then: who reads it in between would find it known, and keep it empty.
_READING = threading.RLock()


class _KeepingUnpickler(pickle.Unpickler):
    """Stands between cloudpickle's function that makes or finds a class and the one that fills it."""

    #: The classes that this process has, by the name that cloudpickle gave them when it first sent them.
    KNOWN = getattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_ID", {})
    #: Those of them that were made and could not be filled.
    EMPTY: ClassVar[set[str]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: list[type] = []
        self._identities: dict[int, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle names."""
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle":
            if name.startswith("_make_skeleton_"):
                return partial(self._make, found)
            if name == FILLS.decode():
                return partial(self._fill, found)
        return found

    def _make(self, make: Any, *args: Any) -> Any:
        identity = args[-2]
        known = self.KNOWN.get(identity)  # held: one that nobody has any more could be collected just now
        if known is None:
            self.EMPTY.add(identity)
        made = make(*args)
        if known is not None and made is known and identity not in self.EMPTY:
            self._kept.append(made)
        self._identities[id(made)] = identity
        return made

    def _fill(self, fill: Any, cls: type, state: Any) -> Any:
        if cls in self._kept:
            return cls
        filled = fill(cls, state)
        self.EMPTY.discard(self._identities.get(id(cls), ""))
        return filled


def stable_hash(*parts: Any, bits: int = 64) -> int:
    """A number of ``bits`` bits from the parts' text: equal in every process, unlike ``hash()``."""
    text = "\x1f".join(f"{type(part).__name__}:{part!r}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=(bits + 7) // 8).digest()
    return int.from_bytes(digest, "big") >> (-bits % 8)


def stream(seed: int, *purpose: Any) -> Random:
    """The random stream of one purpose; a draw from it changes no other stream."""
    return Random(stable_hash(seed, *purpose))


def seed_of_life(seed: int, incarnation: int) -> int:
    """The seed of a machine's n-th life: after a restart other draws than in the first."""
    return seed if incarnation == 1 else stable_hash(seed, "incarnation", incarnation)
