"""lock.txt names a version of every package, for every Python, that pyproject.toml allows."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "lock.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.11.2", "3.12.3", "3.13.0", "3.14.0")


def lock_module() -> ModuleType:
    """The program that writes the file."""
    spec = importlib.util.spec_from_file_location("lock", ROOT / ".ci" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked(python: str) -> dict[str, str]:
    """Package to version, on Linux with this Python."""
    environment = {
        **default_environment(),
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
    }
    lines = [Requirement(line) for line in LOCK.splitlines() if line and not line.startswith("#")]
    here = [each for each in lines if each.marker is None or each.marker.evaluate(environment)]
    assert len({each.name for each in here}) == len(here), "two versions of one package"
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in here}


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_a_version_that_is_allowed(python: str) -> None:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    versions = locked(python)
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras, "hatchling"]):
        if requirement.name != "labkit":
            version = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement}: {version}; make update"


def test_it_names_no_registry() -> None:
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    assert [line for line in lines if re.search(r"://|^-|@", line)] == []
    assert "://" not in LOCK


def test_whoever_installs_uses_it() -> None:
    shared = (ROOT / ".ci" / "install.sh").read_text()
    for tool in ("PIP", "UV"):
        assert f"{tool}_CONSTRAINT=lock.txt {tool}_BUILD_CONSTRAINT=lock.txt" in shared
    for file in ("Makefile", "binder/postBuild"):
        for line in (ROOT / file).read_text().splitlines():
            if "--editable" in line:
                assert re.search(r"\.ci/install\.sh|\$\(INSTALL\)|lowest-direct", line), line


def test_an_update_says_what_changed() -> None:
    lock = lock_module()
    before = (
        "# lock\na==1\nb==1.0 ; python_full_version < '3.12'\nb==2.0 ; python_full_version >= '3.12'\nc==3\n"
    )
    after = (
        "# lock\na==1\nb==1.0 ; python_full_version < '3.12'\nb==2.1 ; python_full_version >= '3.12'\nd==4\n"
    )
    assert lock.changes(lock.versions(before), lock.versions(after)) == [
        "b  1.0, 2.0 -> 1.0, 2.1",
        "c  3 -> not needed",
        "d  new -> 4",
    ]
    assert lock.changes(lock.versions(before), lock.versions(before)) == []
