"""What pyproject.toml promises: dependencies are declared, and a wheel holds everything."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labkit.coursework.exercises import NAMES
from tests.project.house import ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"labkit", "labkit_widgets", "tests"}
#: What Python in a browser's tab comes with.
TAB = {"js", "pyodide"}


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
        for node, _ in imports(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], path) for alias in node.names)
            elif node.level == 0 and node.module:
                yield node.module.partition(".")[0], path


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("labkit", ("bench", "nbgrader", "cost")),
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
        if name not in sys.stdlib_module_names | OURS | TAB
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """labkit's wheel, of this very checkout."""
    # Without a network: the build backend, if it is here, builds.
    pytest.importorskip("hatchling", reason="the build backend is not installed beside the tests")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (made,) = folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_a_wheel_holds_both_packages_and_jupyterlabs_settings(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    version = PROJECT["version"]
    assert folders == {"labkit", "labkit_widgets", f"labkit-{version}.data", f"labkit-{version}.dist-info"}
    assert f"labkit-{version}.data/data/share/jupyter/lab/settings/overrides.json" in names
    assets = {
        path.name
        for path in (ROOT / "widgets/labkit_widgets").rglob("*")
        if path.suffix in {".js", ".css", ".toml"}
    }
    assert assets
    assert assets <= {Path(name).name for name in names}


@pytest.mark.slow
def test_a_wheel_holds_every_handout_and_no_solution(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    notebooks = {name for name in archive.namelist() if name.endswith(".ipynb")}
    assert notebooks == {f"labkit/coursework/handouts/{name}.ipynb" for name in NAMES}
    assert notebooks == {
        f"labkit/coursework/handouts/{path.name}" for path in (ROOT / "notebooks/exercises").glob("*.ipynb")
    }
    assert not [name for name in notebooks if b"BEGIN SOLUTION" in archive.read(name)]


@pytest.mark.slow
def test_an_installed_wheel_validates_and_grades_in_any_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    desk = tmp_path / "desk"
    desk.mkdir()
    shutil.copy(ROOT / "notebooks/exercises/solved/spark-lineage.ipynb", desk / "ada.ipynb")
    env = {**os.environ, "PYTHONPATH": str(site)}  # before the checkout, if that is installed

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=desk, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("-c", "import labkit; print(labkit.__file__)").startswith(str(site))
    assert "✗" not in run("-m", "labkit", "validate", "ada.ipynb")
    assert "1 graded, 0 not" in run("-m", "labkit", "grade", "ada.ipynb", "--exercise", "spark-lineage")
    assert "ada" in (desk / "graded/marks.csv").read_text()
