"""Histories recorded by Jepsen (https://jepsen.io), as EDN or as JSON lines; and operations as JSON lines.

Jepsen writes two events for an operation: its process invokes it, and later it is ``ok`` (it happened),
``fail`` (it did not) or ``info`` (nobody knows). What its nemesis does is no operation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from .edn import KeyAndValue, parse
from .operations import Operation

__all__ = ["from_edn", "from_jsonl"]

TYPES = ("invoke", "ok", "fail", "info")
#: What returns a value, rather than repeat the one it was called with.
READS = ("read", "get", "dequeue")


def from_edn(source: str | Path, keyed: bool = False) -> list[Operation]:
    """The operations of a ``history.edn``: a path, or the text itself.

    ``keyed``: each value is a pair of a key and the key's value, as Jepsen's independent tests print them.
    Times are seconds if the file's are all different, else places in it. Raises ``ValueError`` with the event
    that does not fit.
    """
    found = parse(_text(source))
    if len(found) == 1 and isinstance(found[0], tuple):  # one vector or list of all events
        found = list(found[0])
    return _operations(found, keyed)


def from_jsonl(source: str | Path, keyed: bool = False) -> list[Operation]:
    """The operations of a file with a JSON object on each line: Jepsen's events, with ``process``, ``type``,
    ``f``, ``value`` and perhaps ``time``; or whole operations, with the fields of ``Operation``. Else as
    ``from_edn``.
    """
    found = []
    for number, line in enumerate(_text(source).splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} is no JSON ({error}): {line:.60}; one object a line") from None
    if found and all(isinstance(each, dict) and "call" in each for each in found):
        return [_whole(each) for each in found]
    return _operations(found, keyed)


def _text(source: str | Path) -> str:
    if isinstance(source, str) and (not source.strip() or source.lstrip()[0] in "{[(#;"):
        return source
    return Path(source).read_text(encoding="utf8")


def _whole(each: Mapping[str, Any]) -> Operation:
    known = {field.name for field in fields(Operation)} - {"original"}
    if not set(each) <= known or "client" not in each:
        raise ValueError(f"{each} is no operation: its fields are {', '.join(sorted(known))}")
    return Operation(**each)


def _operations(events: Iterable[Any], keyed: bool) -> list[Operation]:
    events = [_event(each) for each in events]
    times = [each.get("time") for each in events]
    numbers = [time for time in times if isinstance(time, (int, float))]
    timed = len(numbers) == len(times) and all(a < b for a, b in pairwise(numbers))
    found: list[Operation | None] = []
    running: dict[Any, int] = {}
    for place, each in enumerate(events):
        process, kind = each["process"], each["type"]
        if process == "nemesis":
            continue
        now = numbers[place] / 1e9 if timed else float(place)
        key, value = _keyed(each.get("value"), keyed, each)
        if kind == "invoke":
            if process in running:
                raise ValueError(f"{each}: its process has an operation under way: {found[running[process]]}")
            running[process] = len(found)
            found.append(Operation(process, each["f"], value, None, now, None, key))
            continue
        if process not in running:
            if kind == "info":
                continue  # a note of the test's, about no operation
            raise ValueError(f"{each}: its process has invoked nothing")
        at = running.pop(process)
        begun = found[at]
        assert begun is not None
        if begun.call != each["f"]:
            raise ValueError(f"{each}: its process has invoked something else: {begun}")
        if kind == "fail":
            found[at] = None
        elif kind == "ok":
            key = begun.key if key is None else key
            found[at] = replace(begun, key=key, result=_result(begun, value), returned=now)
    return [single for each in found if each is not None for single in _drained(each)]


def _event(each: Any) -> dict[str, Any]:
    if not isinstance(each, dict) or not {"process", "type", "f"} <= set(each):
        raise ValueError(
            f"{each!r:.100} is no event of Jepsen's, which has process, type, f, perhaps value and time"
        )
    kind = str(each["type"]).removeprefix(":")
    if kind not in TYPES:
        raise ValueError(f"{each!r:.100}: the type of an event is one of {', '.join(TYPES)}")
    process = each["process"]
    if isinstance(process, str):
        process = process.removeprefix(":")
    return {**each, "type": kind, "f": str(each["f"]).removeprefix(":"), "process": process}


def _keyed(value: Any, keyed: bool, each: Mapping[str, Any]) -> tuple[Any, Any]:
    if not keyed and not isinstance(value, KeyAndValue):
        return None, value
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{each}: with keyed=True each value is a pair, [key value], not {value!r}")
    return value[0], value[1]


def _result(begun: Operation, value: Any) -> Any:
    """What was returned: Jepsen repeats what was written, and a ``cas`` that is ok has succeeded."""
    if begun.call == "cas":
        return True
    # Some files complete a read's invocation with what it returned.
    return None if begun.call not in READS and value == begun.argument else value


def _drained(each: Operation) -> list[Operation]:
    """A ``drain`` is as many dequeues as it found elements, all under way at once."""
    if each.call != "drain":
        return [each]
    if not each.answered:
        raise ValueError(f"{each}: a drain that was not answered may have taken any number of elements")
    return [replace(each, call="dequeue", argument=None, result=item) for item in each.result or ()]
