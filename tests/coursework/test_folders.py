"""What is handed in, and by whom: folders and files as platforms, archives and browsers leave them."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest

from labkit.coursework.folders import file_name, find_submissions, readable, write_whole
from labkit.coursework.grade import Mark, Marks
from labkit.coursework.report import write_csv

NAMES = ("chord-routing", "01-chord-routing")
BOTH = ("ada/chord-routing", "bob/chord-routing")

#: Files (without their ending), and which of them are the submissions of ada and bob.
TREES: dict[str, tuple[tuple[str, ...], tuple[str, str]]] = {
    "files": (("ada", "bob"), ("ada", "bob")),
    "files in groups": (("g1/ada", "g2/bob"), ("g1/ada", "g2/bob")),
    "folders": (BOTH, BOTH),
    "folders in groups": (tuple(f"g1/{each}" for each in BOTH), tuple(f"g1/{each}" for each in BOTH)),
    "a former name": (("ada/01-chord-routing", "bob/chord-routing"), ("ada/01-chord-routing", BOTH[1])),
    "downloaded twice": (("ada/chord-routing (1)", BOTH[1]), ("ada/chord-routing (1)", BOTH[1])),
    "copies beside": ((*BOTH, *(f"{each}-Copy1" for each in BOTH), f"{BOTH[0]} (1)"), BOTH),
    "drafts": ((*BOTH, "ada/Untitled", "bob/Untitled"), BOTH),
    "nothing but drafts": (("ada/Untitled", "bob/Untitled"), ("ada/Untitled", "bob/Untitled")),
    "an old folder": ((*BOTH, "ada/old/chord-routing"), BOTH),
    "a friend's name": ((*BOTH, "bob/ada"), BOTH),
    "a Mac's shadows": ((*BOTH, "__MACOSX/ada/._chord-routing", "ada/._chord-routing"), BOTH),
    "checkpoints": ((*BOTH, "ada/.ipynb_checkpoints/chord-routing-checkpoint"), BOTH),
    "nbgrader's": (
        ("ada/chord-routing/chord-routing", "bob/chord-routing/chord-routing"),
        ("ada/chord-routing/chord-routing", "bob/chord-routing/chord-routing"),
    ),
    "nbgrader's, another assignment": (
        ("ada/ps1/chord-routing", "bob/ps1/chord-routing", "ada/old/chord-routing"),
        ("ada/ps1/chord-routing", "bob/ps1/chord-routing"),
    ),
}


def handed_in(root: Path, *names: str) -> Path:
    for name in names:
        path = root / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return root


@pytest.mark.parametrize("tree", TREES)
def test_one_notebook_of_each_student_is_found(tmp_path: Path, tree: str) -> None:
    files, chosen = TREES[tree]
    found = find_submissions([handed_in(tmp_path / "in", *files)], *NAMES)
    if tree == "nbgrader's, another assignment":
        assert "two submissions of 'ada'" in found["ada"].trouble  # ps1 or old: who is to know?
        del found["ada"]
    wanted = dict(zip(("ada", "bob"), chosen, strict=True))
    assert {who: each.path for who, each in found.items()} == {
        who: tmp_path / "in" / f"{wanted[who]}.ipynb" for who in found
    }
    assert {"bob"} <= set(found) <= {"ada", "bob"}
    if tree == "an old folder":
        assert found["ada"].remarks == ["chord-routing.ipynb was graded, and not old/chord-routing.ipynb"]


def test_two_of_one_student_concern_this_student(tmp_path: Path) -> None:
    handed_in(tmp_path / "a", "ada", "bob"), handed_in(tmp_path / "b", "ada")
    found = find_submissions([tmp_path / "a", tmp_path / "b", tmp_path / "a/bob.ipynb"], *NAMES)
    assert "two submissions of 'ada'" in found["ada"].trouble
    assert (found["bob"].trouble, found["bob"].remarks) == ("", [])
    with pytest.raises(LookupError, match="there is no notebook at"):
        find_submissions([tmp_path / "nobody"], *NAMES)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    root = handed_in(tmp_path / "in", "ada/chord-routing")
    (root / "eve").mkdir()
    (root / "eve/chord-routing.ipynb").symlink_to("../ada/chord-routing.ipynb")
    (root / "mallory").symlink_to("ada")
    (root / "zero").mkdir()
    (root / "zero/chord-routing.ipynb").symlink_to("/dev/zero")
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe/chord-routing.ipynb")
    found = find_submissions([root], *NAMES)
    assert {who for who, each in found.items() if each.refused} == {"eve", "mallory", "zero", "pipe"}
    assert found["ada"].refused == ""


def test_deep_folders_are_searched(tmp_path: Path) -> None:
    here, before = handed_in(tmp_path, "ada/chord-routing") / "bob", os.getcwd()
    here.mkdir()
    try:
        os.chdir(here)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        handed_in(Path("."), "chord-routing")
    finally:
        os.chdir(before)
    assert set(find_submissions([tmp_path], *NAMES)) == {"ada", "bob"}
    subprocess.run(["rm", "-r", str(tmp_path / "bob")], check=True)  # which Python's rmtree cannot


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Jürgen Müller (42)".encode(), "Jürgen Müller (42)"),
        ("Jürgen".encode("latin-1"), "Jürgen"),
        (b"eve\x1b[2J\nada", "eve�[2J�ada"),
        (("Ж" * 120).encode(), "Ж" * 120),
        (b"x" * 246, "x" * 246),
    ],
)
def test_names_as_archives_leave_them(tmp_path: Path, raw: bytes, name: str) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + raw + b".ipynb"))
    path.parent.mkdir()
    path.write_text("{}")
    (student,) = find_submissions([path.parent], *NAMES)
    assert student == name
    assert len(file_name(student, ".json").encode()) < 230
    write_whole(tmp_path / file_name(student, ".json"), "{}")
    write_csv(tmp_path / "marks.csv", [Marks(student, "x", {"a": Mark(1, 1)})])
    (row,) = csv.DictReader((tmp_path / "marks.csv").read_text("utf8").splitlines())
    assert row["student"] == name


def test_names_that_differ_only_far_behind_have_files_of_their_own() -> None:
    assert file_name("x" * 230 + "a", ".json") != file_name("x" * 230 + "b", ".json")
    assert readable("\ud800") == "?"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "marks.csv", "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "marks.csv", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("marks.csv", "old")]
