"""What the documentation says is true: its examples run, its links lead somewhere, its commands exist."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import labkit
import labkit_widgets

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_readmes_examples_run(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    code = blocks("python")[number]
    assert 'engine="sim"' in code, "an example must say its engine, so that it runs the same everywhere"
    exec(compile(code, f"README.md, example {number}", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out


def test_the_readme_has_examples() -> None:
    assert len(blocks("python")) >= 2


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_the_readmes_links_lead_to_files(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("folder", sorted(set(re.findall(r"`([\w/.]+/(?:\w+\.py)?)`", README))))
def test_the_readmes_folders_exist(folder: str) -> None:
    assert (ROOT / folder).exists()


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"^make ([a-z-]+)", "\n".join(blocks("sh")), re.MULTILINE)))
)
def test_the_readmes_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"[`/]labkit (\w+)", README))))
def test_the_readmes_labkit_commands_exist(command: str) -> None:
    from labkit.cli import app

    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_bare_make_lists_every_target() -> None:
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    makefile = (ROOT / "Makefile").read_text()
    described = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    assert {"lab", "test", "lint", "bench", "notebooks", "update", "test-oldest", "clean"} <= set(described)
    assert re.findall(r"make ([a-z-]+)", listed) == described


def test_the_changelog_has_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == labkit.__version__
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


# ── examples in docstrings ───────────────────────────────────────────────────────────────────────────────


def modules(package: ModuleType) -> list[str]:
    """The names of a package's modules. The benches are left out: their peers need not be installed."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [each.name for each in found if not each.name.startswith(("labkit.bench.", "labkit.__main__"))]


@pytest.mark.parametrize("name", ["labkit", *modules(labkit), *modules(labkit_widgets)])
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert outcome.failed == 0


@pytest.mark.parametrize("name", ["labkit", *modules(labkit), *modules(labkit_widgets)])
def test_every_public_name_exists(name: str) -> None:
    module = importlib.import_module(name)
    public = list(getattr(module, "__all__", ()))
    assert [each for each in public if not hasattr(module, each)] == []
    assert len(set(public)) == len(public)


def test_a_name_builds_the_lecture_and_the_page_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "notebooks"))
    build = importlib.import_module("build")
    built: list[str] = []
    monkeypatch.setattr(
        build, "build", lambda source: built.append(source.relative_to(build.HERE).as_posix())
    )
    monkeypatch.setattr("sys.argv", ["build.py", "chord"])
    assert build.main() == 0
    assert built == ["lectures/chord.py", "pages/chord.py"]
