"""The house's arrows point one way, nothing imports in a circle, and no file is too long.

What stands against it today is listed here by name. The lists only shrink: a new exception fails, and one
that is no longer needed fails until its line is deleted.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.house import ROOT, Arrow, arrows, circles, modules

LIMIT = 500
#: Files with more lines than that, and how many they may have.
TOO_LONG: dict[str, int] = {}

#: Arrows against the direction.
AGAINST: set[tuple[str, str]] = set()

#: Modules that import each other in a circle.
CIRCLES: list[set[str]] = [
    # A transformation of an RDD returns an RDD of some kind, and each kind is an RDD.
    {"labkit.systems.spark.kinds", "labkit.systems.spark.rdd"},
]

#: What each room may import besides itself; the rooms that are not named here may import all of labkit.
BELOW = {
    "runtime": {"trace"},
    "trace": {"runtime"},
    "tools": set(),
    "explore": {"runtime", "trace"},
    "parts": {"runtime", "trace", "tools"},
    "cost": {"parts", "runtime", "trace", "tools"},
    "systems": {"parts", "explore", "runtime", "trace", "tools"},
    "kit": {"runtime", "trace", "tools"},
    "panels": {"systems", "cost", "kit", "parts", "runtime", "trace", "tools"},
}
#: Modules beside the rooms that know nothing of the house: data sets, progress bars.
TOOLS = {"labkit.data", "labkit.progress"}


def room(module: str) -> str:
    """The room that a module is in; "top" for all that stands above the systems."""
    parts = module.split(".")
    if parts[0] == "labkit_widgets":
        return "panels" if len(parts) == 1 or parts[1] == "panels" else "kit"
    if module in TOOLS:
        return "tools"
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else "top"


#: What may show its own picture.
DOORS = {
    "labkit.parts.system",
    "labkit.runtime.cluster",
    "labkit.cost.meter",
    "labkit.explore.histories.verdict",
}


def is_door(arrow: Arrow) -> bool:
    """A system or a cluster that shows its picture, or the controls before its start, when a person asks."""
    return (
        arrow.importer in DOORS and arrow.function in {"panel", "setup"} and room(arrow.imported) == "panels"
    )


def against(found: set[Arrow]) -> set[tuple[str, str]]:
    """The arrows that point up."""
    return {
        (arrow.importer, arrow.imported)
        for arrow in found
        if not is_door(arrow)
        and (here := room(arrow.importer)) != (there := room(arrow.imported))
        and here in BELOW
        and there not in BELOW[here]
    }


@pytest.fixture(scope="module")
def found() -> set[Arrow]:
    return arrows(modules())


def test_arrows_point_one_way(found: set[Arrow]) -> None:
    there = against(found)
    assert there - AGAINST == set(), "these point up: turn them round"
    assert AGAINST - there == set(), "mended: delete these lines"


def test_the_core_of_coursework_knows_no_system(found: set[Arrow]) -> None:
    """What an exercise needs it brings with it; `Tasks` says how."""
    exercises = "labkit.coursework.exercises."
    core = {
        (each.importer, each.imported)
        for each in found
        if each.importer.startswith("labkit.coursework") and not each.importer.startswith(exercises)
    }
    assert core, "the measure has lost its object"
    assert {each for each in core if each[1].startswith(("labkit.systems", exercises))} == set()


def test_nothing_imports_in_a_circle(found: set[Arrow]) -> None:
    there = circles((each.importer, each.imported) for each in found if not is_door(each))
    assert [set(each) for each in there if set(each) not in CIRCLES] == [], "new or smaller circles"
    assert [each for each in CIRCLES if frozenset(each) not in there] == [], "mended: delete or shorten these"


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in ("labkit", "widgets", "tests", "notebooks", ".ci")
        for path in (ROOT / folder).rglob("*.py")
    }
    long = {name: lines for name, lines in lengths.items() if lines > LIMIT}
    assert {name: lines for name, lines in long.items() if lines > TOO_LONG.get(name, LIMIT)} == {}
    assert TOO_LONG.keys() - long.keys() == set(), "mended: delete these lines"


# ── the measure itself ──────────────────────────────────────────────────────────────────────────────────


def test_every_kind_of_import_is_seen(tmp_path: Path) -> None:
    known = {}
    for name, text in {
        "a": "from . import b\nfrom .c import thing\ndef panel():\n    import a.d\n",
        "a.b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.c import thing\n",
        "a.c": "class C:\n    async def f(self):\n        from .b import x\n",
        "a.d": "import os\n",
    }.items():
        known[name] = tmp_path / ("__init__.py" if name == "a" else f"{name}.py")
        known[name].write_text(text)
    seen = arrows(known)
    assert seen == {
        Arrow("a", "a.b", ""),
        Arrow("a", "a.c", ""),
        Arrow("a", "a.d", "panel"),
        Arrow("a.b", "a.c", ""),
        Arrow("a.c", "a.b", "f"),
    }
    assert circles((each.importer, each.imported) for each in seen) == [{"a.b", "a.c"}]


@pytest.mark.parametrize(
    ("importer", "imported", "function", "up"),
    [
        ("labkit.runtime.sim", "labkit.parts.members", "", True),
        ("labkit.parts.members", "labkit.systems.chord.model", "run", True),
        ("labkit.parts.system", "labkit_widgets", "panel", False),
        ("labkit.parts.system", "labkit_widgets", "", True),
        ("labkit.systems.chord.model", "labkit_widgets", "panel", True),
        ("labkit.systems.chord.model", "labkit.coursework.grade", "", True),
        ("labkit.coursework.grade", "labkit.systems.chord.model", "", False),
    ],
)
def test_which_arrows_point_up(importer: str, imported: str, function: str, up: bool) -> None:
    assert bool(against({Arrow(importer, imported, function)})) is up
