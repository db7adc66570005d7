"""Events in words: templates, tables by class, and that every system's table says what its nodes emit."""

from __future__ import annotations

import ast
import importlib
import string
from pathlib import Path
from typing import Any

import pytest

import labkit.systems
from labkit import Cluster, Node
from labkit.trace.event import Event
from labkit.trace.machines import Machines
from labkit.trace.words import Events, Tables, explain, many, plain, quiet, size, summary, trouble

SYSTEMS = Path(labkit.systems.__path__[0])
WITH_EVENTS = sorted(path.parent.name for path in SYSTEMS.glob("*/events.py"))


def event(kind: str = "told", node: str | None = "a", **data: Any) -> Event:
    return Event(1.0, 1, "m1", node, kind, None, None, data)


@pytest.mark.parametrize(
    ("text", "data", "said"),
    [
        ("{node} on {machine}", {}, "a on m1"),
        ("{machine} of the datum", {"machine": "m7"}, "m7 of the datum"),
        ("{count:key} to {to}", {"count": 1, "to": ["b", "c"]}, "1 key to b, c"),
        ("{count:copy}", {"count": 2000}, "2,000 copies"),
        ("{maps:output}", {"maps": [1, 2]}, "2 outputs"),
        ("{share:%}, {bytes:bytes}", {"share": 0.25, "bytes": 1500}, "25%, 1.5 kB"),
        ("{seconds:.2f} s", {"seconds": 2}, "2.00 s"),
        ("{gone} and {count:key}", {}, "? and ? keys"),
    ],
)  # fmt: skip
def test_a_template_is_filled_from_the_event(text: str, data: dict[str, Any], said: str) -> None:
    assert explain(event(**data), plain(text)) == said


def test_numbers_for_people() -> None:
    assert [many(1, "match"), many(3, "match"), many(1000, "day")] == ["1 match", "3 matches", "1,000 days"]
    assert [size(n) for n in (0, 999, 1500, 25_000_000, 3e12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "25 MB",
        "3.0 TB",
    ]


def test_several_events_about_one_thing_are_one_line() -> None:
    words = trouble("{node} misses {to}", "silent {to}", "{to} does not answer: {total:call}")
    assert summary(event(to="b"), words, 3) == "b does not answer: 3 calls"
    assert summary(event(to="b"), words, 0) == "b does not answer: 1 call"


def test_what_is_no_words_is_refused() -> None:
    with pytest.raises(TypeError, match=r"told='\{node\} tells'.*write told=plain"):
        Events("wrong", told="{node} tells")  # type: ignore[arg-type]


class Reader(Node):
    """Has an event that a parameter server has too, and words of its own."""

    events = Events("readers", read=plain("{node} reads {book}"))

    def start(self) -> None:
        self.emit("read", book="Moby-Dick")


class Silent(Node):
    """Has the same event, and no words."""

    def start(self) -> None:
        self.emit("read", book="Ulysses")


def lines(cluster: Cluster) -> list[str]:
    lab = Machines()
    for each in cluster.trace:
        lab.apply(each)
    return [line.text for line in lab.lines]


def test_a_students_node_is_read_by_its_own_table_or_by_none() -> None:
    importlib.import_module("labkit.systems.paramserver.events")
    with Cluster(machines=1, engine="sim") as cluster:
        cluster.spawn(Reader, name="ada")
        cluster.spawn(Silent, name="bob")
        cluster.run(0.1)
        assert "ada reads Moby-Dick" in lines(cluster)
        assert "bob: read (book=Ulysses)" in lines(cluster)


def test_a_clients_event_is_read_by_the_first_system_that_knows_it() -> None:
    Events("first", told=quiet("one"))
    Events("second", told=plain("two"), asked=plain("three"))
    tables = Tables({"a": "first", "b": "second", "c": ""}, {"first": None, "second": None})
    assert [tables.words(event("told", node)) for node in "abc"] == [quiet("one"), plain("two"), None]
    assert tables.words(event("asked", "client")) == plain("three")
    assert tables.words(event("told", None)) == quiet("one")
    assert tables.words(event("unheard", "client")) is None
    assert tables.words(event("killed", "a")).tone == "fault"  # type: ignore[union-attr]


# -- the systems' tables ----------------------------------------------------------------------------------


def emitted(system: str) -> dict[str, set[str] | None]:
    """Kinds of events that the system's code emits, with their data; None where a call passes them on."""
    found: dict[str, set[str] | None] = {}
    for path in sorted((SYSTEMS / system).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "emit" and call.args):
                continue
            for kind in constants(call.args[0]):
                known = {each.arg for each in call.keywords if each.arg}
                passed = any(each.arg is None for each in call.keywords)
                before = found.get(kind, set())
                found[kind] = None if passed or before is None else before | known
    return found


def constants(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    return [*constants(node.body), *constants(node.orelse)] if isinstance(node, ast.IfExp) else []


@pytest.mark.parametrize("system", WITH_EVENTS)
def test_every_event_that_a_system_emits_has_words_and_the_words_its_data(system: str) -> None:
    table = importlib.import_module(f"labkit.systems.{system}.events").EVENTS
    told = emitted(system)
    assert not set(told) - set(table), "emitted without words"
    for kind, data in told.items():
        if data is None:
            continue
        for text in (table[kind].text, table[kind].about, table[kind].together):
            if isinstance(text, str):
                fields = {name for _, name, _, _ in string.Formatter().parse(text) if name}
                assert fields <= data | {"node", "machine", "total"}, f"{kind}: {text}"
