"""What a user names means on every machine what it means where the user is: on both engines the same."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from labkit import Node, rpc
from labkit.runtime.surroundings import Surroundings
from tests.engines import MakeCluster


class Looks(Node):
    """Looks around."""

    @rpc
    def read(self, name: str) -> str:
        return Path(name).read_text()

    @rpc
    def computed(self, name: str) -> Any:
        return self.compute(_read, name)

    @rpc
    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    @rpc
    def module(self, name: str) -> str:
        return str(importlib.import_module(name).WHAT)


def _read(name: str) -> str:
    return Path(name).read_text()


def test_folder_modules_and_variables(
    make_cluster: MakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "modules").mkdir(parents=True)
        (tmp_path / name / "data.txt").write_text(name)
        (tmp_path / name / "modules" / f"labkit_test_{name}.py").write_text(
            f"from labkit import Node, rpc\nWHAT = {name!r}\n"
            "class Here(Node):\n    @rpc\n    def say(self):\n        return WHAT\n"
        )
    monkeypatch.chdir(tmp_path / "first")
    monkeypatch.setenv("LABKIT_TEST_EARLY", "set before")
    monkeypatch.setenv("LABKIT_TEST_GONE", "set before")
    cluster = make_cluster(machines=2)
    node = cluster.spawn(Looks, machine="m2")
    assert cluster.call(node, "read", "data.txt") == "first"
    assert cluster.call(node, "variable", "LABKIT_TEST_EARLY") == "set before"

    monkeypatch.chdir(tmp_path / "second")
    monkeypatch.syspath_prepend("modules")
    monkeypatch.setenv("LABKIT_TEST_LATE", "set later")
    monkeypatch.delenv("LABKIT_TEST_GONE")
    assert cluster.call(node, "read", "data.txt") == "second"
    assert cluster.call(node, "computed", "data.txt") == "second"
    assert cluster.call(node, "variable", "LABKIT_TEST_LATE") == "set later"
    assert cluster.call(node, "variable", "LABKIT_TEST_GONE") is None
    assert cluster.call(node, "module", "labkit_test_second") == "second"
    here = cluster.spawn(importlib.import_module("labkit_test_second").Here, machine="m1")
    assert cluster.call(here, "say") == "second"

    cluster.kill("m2")
    monkeypatch.chdir(tmp_path / "first")
    cluster.restart("m2")
    assert cluster.call(node, "read", "data.txt") == "first"


def test_what_a_process_adopts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["own", "both"])
    monkeypatch.setenv("LABKIT_TEST_A", "a")
    monkeypatch.setenv("RAY_TEST", "of this process")
    here = Surroundings.here()
    assert b"RAY_TEST" not in here.variables
    theirs = here._replace(
        folder=str(tmp_path / "gone"), path=("theirs", "both"), variables={b"LABKIT_TEST_A": b"b"}
    )
    theirs.adopt(None)
    assert Path.cwd() == tmp_path  # where the folder is not, one stays
    assert sys.path == ["theirs", "both", "own"]
    assert os.environ["LABKIT_TEST_A"] == "b"
    assert os.environ["RAY_TEST"] == "of this process"
    theirs._replace(path=("both",), variables={}).adopt(theirs)
    assert sys.path == ["both", "own"]
    assert "LABKIT_TEST_A" not in os.environ
    theirs._replace(host="another", variables={b"LABKIT_TEST_A": b"c"}).adopt(None)
    assert "LABKIT_TEST_A" not in os.environ  # a host's environment describes that host


def test_a_folder_that_was_deleted_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Surroundings.here().folder is None
