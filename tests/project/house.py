"""The house as its files are: who imports whom, also inside functions and under TYPE_CHECKING."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = {"labkit": ROOT, "labkit_widgets": ROOT / "widgets"}


class Arrow(NamedTuple):
    """One module imports another; ``function``: the innermost one that the import stands in, or ''."""

    importer: str
    imported: str
    function: str


def modules() -> dict[str, Path]:
    """Every module of labkit and of the widgets, by its full name."""
    return {
        ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): path
        for package, base in PACKAGES.items()
        for path in sorted((base / package).rglob("*.py"))
    }


def imports(tree: ast.AST, function: str = "") -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Each import below this node, and the function it stands in."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, function
        named = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from imports(child, child.name if named else function)  # type: ignore[attr-defined]


def names(statement: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    """What an import in a module of this package may name: modules, or things in them."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    above = package.split(".")[: len(package.split(".")) - statement.level + 1] if statement.level else []
    base = ".".join([*above, *([statement.module] if statement.module else [])])
    yield from (f"{base}.{alias.name}" for alias in statement.names)


def arrows(known: dict[str, Path]) -> set[Arrow]:
    """Every import of one of these modules by another."""
    found = set()
    for importer, path in known.items():
        package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
        for statement, function in imports(ast.parse(path.read_text())):
            for name in names(statement, package):
                imported = name
                while imported and imported not in known:
                    imported = imported.rpartition(".")[0]
                if imported and imported != importer:
                    found.add(Arrow(importer, imported, function))
    return found


def circles(pairs: Iterable[tuple[str, str]]) -> list[frozenset[str]]:
    """The largest sets of modules in which each reaches each other."""
    targets: dict[str, set[str]] = {}
    for importer, imported in pairs:
        targets.setdefault(importer, set()).add(imported)
    reach = {start: reached(targets, start) for start in targets}
    return sorted(
        {
            frozenset(each for each in far if start in reach.get(each, ()))
            for start, far in reach.items()
            if start in far
        },
        key=sorted,
    )


def reached(targets: dict[str, set[str]], start: str) -> set[str]:
    """All that can be reached from a module in one step or more."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = targets.get(todo.pop(), set()) - found
        found |= new
        todo.extend(new)
    return found
