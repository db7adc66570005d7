"""What pyproject.toml promises: dependencies are declared, and a wheel holds everything."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"labkit", "labkit_widgets", "tests"}


def declared(*extras: str) -> set[str]:
    """The distributions that pyproject.toml names."""
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every top-level package that the files of a folder import, and where."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0], path


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("labkit", ("bench", "nbgrader")),
        ("widgets/labkit_widgets", ()),
        ("tests", ("test", "bench", "dev")),
        ("notebooks", ("test",)),
    ],
)
def test_every_import_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        (name, str(path.relative_to(ROOT)))
        for name, path in imported(ROOT / folder)
        if name not in sys.stdlib_module_names | OURS
        # A test may make a module of its own, and import it: nobody distributes that.
        and (folder != "tests" or name in distributions)
        and not declared(*extras) & {canonicalize_name(each) for each in distributions.get(name, [name])}
    }
    assert undeclared == set()


def test_every_dependency_has_a_lower_bound() -> None:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in [*PROJECT["dependencies"], *extras]:
        requirement = Requirement(line)
        operators = {each.operator for each in requirement.specifier}
        assert operators & {">=", "=="} or requirement.name == "labkit", line


@pytest.mark.slow
def test_a_wheel_holds_both_packages_and_jupyterlabs_settings(tmp_path: Path) -> None:
    # Without a network: the build backend, if it is here, builds from this very checkout.
    pytest.importorskip("hatchling", reason="the build backend is not installed beside the tests")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    version = PROJECT["version"]
    assert folders == {"labkit", "labkit_widgets", f"labkit-{version}.data", f"labkit-{version}.dist-info"}
    assert f"labkit-{version}.data/data/share/jupyter/lab/settings/overrides.json" in names
    assets = {
        path.name for path in (ROOT / "widgets/labkit_widgets").rglob("*") if path.suffix in {".js", ".css"}
    }
    assert assets
    assert assets <= {Path(name).name for name in names}
