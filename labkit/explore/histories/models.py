"""What an object does when one client uses it at a time: the specification that a history is held against.

A model's ``apply(state, operation)`` answers for one operation in one state: what it returns there, and the
state afterwards. States are values that can be hashed and are never changed. ``values`` lets a checker leave
out a part of a history: when all operations that concern some values are removed from a run that the model
allows, it allows the rest too. What concerns all of them (None) can only go first.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from .operations import Operation, frozen

__all__ = ["ANY", "DONE", "File", "KeyValue", "Lock", "Model", "Queue", "Register", "Set", "UnorderedQueue"]

State = Hashable


class _Answer:
    """What may be recorded as an operation's result where the model does not say a value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: The result says nothing: a write's.
ANY = _Answer("ANY")
#: It succeeded: recorded as True, or as None where only failures are told.
DONE = _Answer("DONE")


class Model:
    """An object's sequential specification. Subclasses say ``calls``, ``reads`` and ``apply``."""

    #: What can be called, by the model's name for it; and other names for the same.
    calls: tuple[str, ...] = ()
    also: ClassVar[Mapping[str, str]] = {}
    #: Whether it matters to it which client calls.
    personal = False
    #: Calls whose argument is a pair, and what of.
    pairs: ClassVar[Mapping[str, str]] = {}
    #: Calls that change no state.
    reads: frozenset[str] = frozenset()

    def __init__(self, initial: Any = None) -> None:
        self.initial: State = frozen(initial)

    def apply(self, state: Any, operation: Operation) -> tuple[Any, State]:
        """The result, ``ANY`` or ``DONE``; and the state afterwards."""
        raise NotImplementedError

    def step(self, state: State, operation: Operation) -> list[State]:
        """The states after it, if it can return there what it did; none if it cannot."""
        result, after = self.apply(state, operation)
        if operation.returned is None or result is ANY or operation.result == result:
            return [after]
        return [after] if result is DONE and operation.result in (True, None) else []

    def observes(self, operation: Operation) -> bool:
        """Whether it leaves every state as it is."""
        return operation.call in self.reads

    def values(self, operation: Operation) -> Iterable[Hashable] | None:
        """The values it concerns; None: all that there are."""
        return None

    def narrowed(self, operation: Operation, gone: Container[Hashable]) -> Operation:
        """What it would have returned without the values that are gone; it concerns none of them."""
        return operation

    def finds(self, operation: Operation) -> State:
        """The only state in which it can have returned what it did, where there is one; else ``ANY``."""
        return ANY

    def leaves(self, operation: Operation) -> State:
        """The state that it leaves, whichever it found; else ``ANY``."""
        return ANY

    def states(self, operations: Iterable[Operation]) -> set[State] | None:
        """What may be its state after some of these, in any order; None: too many to say."""
        return None

    def prepared(self, operations: list[Operation]) -> list[Operation]:
        """The operations with the model's names for the calls, before a check."""
        found = [replace(each, call=self.named(each)) for each in operations]
        for each in found:
            if each.call in self.pairs and not (isinstance(each.argument, tuple) and len(each.argument) == 2):
                raise ValueError(
                    f"{each}: the argument of {each.call} is a pair, {self.pairs[each.call]}, "
                    f"not {each.argument!r:.80}"
                )
        return found

    def named(self, operation: Operation) -> str:
        """The model's name for the call. Raises ``ValueError`` if it has none."""
        call = self.also.get(operation.call, operation.call)
        if call not in self.calls:
            raise ValueError(
                f"{operation}: a {type(self).__name__} knows {', '.join(self.calls)}, "
                f"not {operation.call!r}; rename the calls, or take or write another model"
            )
        return call


class Register(Model):
    """One value: ``read`` → value, ``write(value)``, ``cas((old, new))`` → whether it was old."""

    calls = ("read", "write", "cas")
    also: ClassVar[Mapping[str, str]] = {"get": "read", "put": "write", "set": "write"}
    pairs: ClassVar[Mapping[str, str]] = {"cas": "(old, new)"}
    reads = frozenset({"read"})

    def apply(self, state: Any, operation: Operation) -> tuple[Any, State]:
        """As the class says."""
        if operation.call == "read":
            return state, state
        if operation.call == "write":
            return ANY, operation.argument
        old, new = operation.argument
        return (DONE, new) if state == old else (False, state)

    def observes(self, operation: Operation) -> bool:
        """A read, and a ``cas`` that failed."""
        return super().observes(operation) or (operation.answered and operation.result is False)

    def values(self, operation: Operation) -> Iterable[Hashable] | None:
        """Value read or written; a ``cas`` that failed met whichever was there."""
        if operation.call == "read":
            return (operation.result,)
        if operation.call == "write":
            return (operation.argument,)
        return None if operation.result is False and operation.answered else tuple(operation.argument)

    def finds(self, operation: Operation) -> State:
        """What was read, or compared."""
        return _found(operation)

    def leaves(self, operation: Operation) -> State:
        """What was written."""
        return _written(operation)

    def states(self, operations: Iterable[Operation]) -> set[State] | None:
        """What was written, or was there."""
        return {self.initial, *(_written(each) for each in operations if each.call in ("write", "cas"))}


def _found(operation: Operation) -> State:
    found: State = ANY
    if operation.call in ("read", "get"):
        found = operation.result
    elif operation.call == "cas" and operation.result is not False:
        found = operation.argument[0]
    return found


def _written(operation: Operation) -> State:
    found: State = ANY
    if operation.call in ("write", "put"):
        found = operation.argument
    elif operation.call == "cas":
        found = operation.argument[1]
    return found


class KeyValue(Model):
    """Keys with values: ``get`` → value or None, ``put(value)``, ``cas((old, new))``, ``delete`` → whether it
    was there; each with the operation's ``key``.
    """

    calls = ("get", "put", "cas", "delete")
    also: ClassVar[Mapping[str, str]] = {"read": "get", "write": "put", "set": "put", "remove": "delete"}
    pairs: ClassVar[Mapping[str, str]] = {"cas": "(old, new)"}
    reads = frozenset({"get"})

    def apply(self, state: Any, operation: Operation) -> tuple[Any, State]:
        """As the class says. The state is the value of the operation's key."""
        if operation.call == "get":
            return state, state
        if operation.call == "put":
            return ANY, operation.argument
        if operation.call == "delete":
            return (DONE, None) if state is not None else (False, None)
        old, new = operation.argument
        return (DONE, new) if state == old else (False, state)

    def observes(self, operation: Operation) -> bool:
        """A read, and a ``cas`` or ``delete`` that failed."""
        return super().observes(operation) or (operation.answered and operation.result is False)

    def values(self, operation: Operation) -> Iterable[Hashable] | None:
        """As for a register; a ``delete`` met whichever was there."""
        if operation.call == "get":
            return (operation.result,)
        if operation.call == "put":
            return (operation.argument,)
        if operation.call == "cas" and not (operation.answered and operation.result is False):
            return tuple(operation.argument)
        return None

    def finds(self, operation: Operation) -> State:
        """What was read, or compared; nothing, by a ``delete`` that failed."""
        failed = operation.call == "delete" and operation.result is False
        return None if failed else _found(operation)

    def leaves(self, operation: Operation) -> State:
        """What was written, or nothing."""
        return None if operation.call == "delete" else _written(operation)

    def states(self, operations: Iterable[Operation]) -> set[State] | None:
        """What was written, or was there, or nothing."""
        written = (_written(each) for each in operations if each.call in ("put", "cas"))
        return {self.initial, None, *written}


class Set(Model):
    """``add(x)``, ``remove(x)``, ``contains(x)`` → bool, ``read`` → all elements (a list is in any order).

    What ``add`` and ``remove`` return counts if it is a bool: whether they changed anything.
    """

    calls = ("add", "remove", "contains", "read")
    reads = frozenset({"contains", "read"})

    def __init__(self, initial: Iterable[Any] = ()) -> None:
        self.initial = frozenset(frozen(item) for item in initial)

    def apply(self, state: Any, operation: Operation) -> tuple[Any, State]:
        """As the class says."""
        if operation.call == "read":
            return state, state
        there = operation.argument in state
        if operation.call == "contains":
            return there, state
        told = isinstance(operation.result, bool)
        if operation.call == "add":
            return not there if told else ANY, state | {operation.argument}
        return there if told else ANY, state - {operation.argument}

    def step(self, state: Any, operation: Operation) -> list[State]:
        """A ``read`` may be recorded as a list; one with an element twice shows no set."""
        if operation.call == "read" and operation.answered and isinstance(operation.result, tuple):
            same = len(operation.result) == len(state) and set(operation.result) == state
            return [state] if same else []
        return super().step(state, operation)

    def values(self, operation: Operation) -> Iterable[Hashable] | None:
        """The element; a ``read`` can do without any."""
        return () if operation.call == "read" else (operation.argument,)

    def narrowed(self, operation: Operation, gone: Container[Hashable]) -> Operation:
        """A ``read`` without the elements that are gone."""
        if operation.call != "read" or not operation.answered or operation.result is None:
            return operation
        return replace(operation, result=tuple(item for item in operation.result if item not in gone))


class Queue(Model):
    """First in, first out: ``enqueue(x)``, ``dequeue`` → x, or None if it is empty."""

    calls = ("enqueue", "dequeue")
    also: ClassVar[Mapping[str, str]] = {"put": "enqueue", "get": "dequeue"}

    def __init__(self, initial: Iterable[Any] = ()) -> None:
        self.initial = tuple(frozen(item) for item in initial)

    def apply(self, state: Any, operation: Operation) -> tuple[Any, State]:
        """As the class says."""
        if operation.call == "enqueue":
            return ANY, (*state, operation.argument)
        return (state[0], state[1:]) if state else (None, state)

    def observes(self, operation: Operation) -> bool:
        """A ``dequeue`` that found nothing."""
        return operation.call == "dequeue" and operation.answered and operation.result is None

    def values(self, operation: Operation) -> Iterable[Hashable] | None:
        """The element; none if there was none. Nobody knows what an unanswered ``dequeue`` took."""
        if operation.call == "enqueue":
            return (operation.argument,)
        if not operation.answered:
            return None
        return () if operation.result is None else (operation.result,)


class UnorderedQueue(Queue):
    """A queue that may give out any of its elements (Jepsen's ``unordered-queue``)."""

    def __init__(self, initial: Iterable[Any] = ()) -> None:
        self.initial = _counted(frozen(item) for item in initial)

    def step(self, state: Any, operation: Operation) -> list[State]:
        """A state is sorted by text, so that equal contents are one state."""
        if operation.call == "enqueue":
            return [_counted((*state, operation.argument))]
        if operation.answered and operation.result is None:
            return [] if state else [state]
        taken = [operation.result] if operation.answered else list(dict.fromkeys(state))
        return [_without(state, item) for item in taken if item in state]


def _counted(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=repr))


def _without(items: tuple[Any, ...], item: Any) -> tuple[Any, ...]:
    at = items.index(item)
    return items[:at] + items[at + 1 :]


class File(Model):
    """Bytes: ``read`` → all, ``read((offset, size))`` → those, ``write((offset, data))``, ``append(data)``,
    ``truncate(size)``, ``size`` → their number. Gaps are zero bytes; a read ends at the file's end.
    """

    calls = ("read", "write", "append", "truncate", "size")
    pairs: ClassVar[Mapping[str, str]] = {"write": "(offset, data)"}
    reads = frozenset({"read", "size"})

    def __init__(self, initial: bytes = b"") -> None:
        self.initial = bytes(initial)

    def apply(self, state: Any, operation: Operation) -> tuple[Any, State]:
        """As the class says."""
        argument = operation.argument
        if operation.call == "read":
            offset, size = argument if argument is not None else (0, len(state))
            return state[offset : offset + size], state
        if operation.call == "size":
            return len(state), state
        if operation.call == "truncate":
            return ANY, state[:argument].ljust(argument, b"\0")
        offset, data = (len(state), argument) if operation.call == "append" else argument
        if not data:
            return ANY, state  # POSIX: writing nothing beyond the end makes no file longer
        return ANY, state[:offset].ljust(offset, b"\0") + data + state[offset + len(data) :]


class Lock(Model):
    """``acquire`` → True (or None), or False where it was only tried; ``release``, by its holder."""

    calls = ("acquire", "release")
    also: ClassVar[Mapping[str, str]] = {"lock": "acquire", "unlock": "release"}
    personal = True

    def apply(self, state: Any, operation: Operation) -> tuple[Any, State]:
        """The state is who holds it, None: nobody. A release by another fails."""
        if operation.call == "acquire":
            return (DONE, (operation.client,)) if state is None else (False, state)
        return (DONE, None) if state == (operation.client,) else (False, state)

    def observes(self, operation: Operation) -> bool:
        """What failed."""
        return operation.answered and operation.result is False

    def prepared(self, operations: list[Operation]) -> list[Operation]:
        """Each operation's argument is its client, and which hold of the lock it is part of."""
        operations = super().prepared(operations)
        holds: dict[Hashable, int] = {}
        until: dict[Hashable, float] = {}
        at_once = set()  # clients that called again before they were answered: which is whose, nobody knows
        found = []
        for each in operations:
            who = each.key, each.client
            if not self.observes(each):
                holds[who] = holds.get(who, 0) + (each.call == "acquire")
                if each.invoked < until.get(who, each.invoked):
                    at_once.add(who)
                until[who] = max(until.get(who, each.invoked), each.end if each.answered else each.invoked)
            found.append(replace(each, argument=(each.client, holds.get(who, 0))))
        return [
            replace(each, argument=(each.client, 0)) if (each.key, each.client) in at_once else each
            for each in found
        ]

    def values(self, operation: Operation) -> Iterable[Hashable] | None:
        """Its hold: without one of them, a lock's use is a lock's use, but for what failed."""
        return None if self.observes(operation) else (operation.argument,)

    def states(self, operations: Iterable[Operation]) -> set[State] | None:
        """Free, or a client's that acquired it."""
        return {None, self.initial, *((each.client,) for each in operations if each.call == "acquire")}
