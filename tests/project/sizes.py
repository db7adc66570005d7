"""How large the house is: physical lines of Python, JavaScript and CSS, by room and by system.

python -m tests.project.sizes
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from labkit.coursework.exercises import NAMES
from tests.project.house import ROOT, arrows, modules, reached

SOURCES = {".py", ".js", ".css"}
COLUMNS = ("code", "panel", "tests", "notebooks", "exercises")


def lines(path: Path) -> int:
    """Physical lines of a file."""
    return len(path.read_text().splitlines())


def sources(folder: Path) -> list[Path]:
    """What is written by hand in a folder and below; no notebooks, which are made of it."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix in SOURCES and path.is_file()]


def by_room() -> Counter[str]:
    """Lines of each folder of labkit (of files beside them: "labkit"), of widgets, tests and notebooks."""
    found: Counter[str] = Counter()
    for path in sources(ROOT / "labkit"):
        parts = path.relative_to(ROOT).parts
        found["/".join(parts[:2]) if len(parts) > 2 else "labkit"] += lines(path)
    for folder in ("widgets", "tests", "notebooks"):
        found[folder] = sum(map(lines, sources(ROOT / folder)))
    return found


def systems() -> list[str]:
    """The names of the folders in labkit/systems."""
    return sorted(path.parent.name for path in (ROOT / "labkit/systems").glob("*/__init__.py"))


def system_of_widgets() -> dict[str, str]:
    """Module to system, for each module of the widgets that draws one system and no other."""
    targets: dict[str, set[str]] = {}
    for arrow in arrows(modules()):
        if arrow.importer.startswith("labkit_widgets."):
            targets.setdefault(arrow.importer, set()).add(arrow.imported)
    found = {}
    for module in targets:
        drawn = {system for each in reached(targets, module) for system in names(each)}
        drawn -= {base for system in drawn for base in built_on(system)}
        if len(drawn) == 1:
            found[module] = drawn.pop()
    return found


def names(text: str) -> set[str]:
    """The systems that a source names in its imports, without those that another of them is built on."""
    named = {system for system in systems() if f"labkit.systems.{system}" in text}
    return named - {base for system in named for base in built_on(system)}


@cache
def built_on(system: str) -> set[str]:
    """The other systems that the modules of one import."""
    text = "".join(path.read_text() for path in sources(ROOT / "labkit/systems" / system))
    return {other for other in systems() if other != system and f"labkit.systems.{other}" in text}


def judge(path: Path) -> str:
    """The text of the judge of an exercise's source, which imports the system where the source need not."""
    module = ROOT / "labkit/coursework/exercises" / f"{path.stem.replace('-', '_')}.py"
    return module.read_text() if path.stem in NAMES else ""


def by_system() -> dict[str, Counter[str]]:
    """Lines of each system's code, panel, tests, notebooks, and exercises with their judges."""
    table = {system: Counter(dict.fromkeys(COLUMNS, 0)) for system in systems()}
    known = modules()
    for system, row in table.items():
        row["code"] = sum(map(lines, sources(ROOT / "labkit/systems" / system)))
        row["tests"] = sum(map(lines, sources(ROOT / "tests/systems" / system)))
    for module, system in system_of_widgets().items():
        table[system]["panel"] += lines(known[module])
    for column, folders in {
        "notebooks": ("notebooks/lectures", "notebooks/pages"),
        "exercises": ("notebooks/exercises", "labkit/coursework/exercises"),
    }.items():
        for path in (path for folder in folders for path in sources(ROOT / folder)):
            named = names(path.read_text() + judge(path))
            if len(named) == 1:
                table[named.pop()][column] += lines(path)
    return table


def main() -> None:
    """Print both tables."""
    rooms = by_room()
    for room, count in sorted(rooms.items()):
        print(f"{room:<22}{count:>8,}")
    print(f"{'all':<22}{rooms.total():>8,}\n")
    print(f"{'system':<14}" + "".join(f"{column:>11}" for column in (*COLUMNS, "all")))
    for system, row in by_system().items():
        print(f"{system:<14}" + "".join(f"{count:>11,}" for count in (*row.values(), row.total())))


if __name__ == "__main__":
    main()
