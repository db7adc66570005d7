"""Names of files, and shell patterns."""

from __future__ import annotations

import pathlib

import pytest

from labkit.parts.store.paths import ancestors, matcher, normal


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("a", "a"),
        ("/a/b", "a/b"),
        ("a//b", "a/b"),
        ("./a/./b", "a/b"),
        ("a/x/../b", "a/b"),
        ("ein Name/größer.txt", "ein Name/größer.txt"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        ("a\nb", "a\nb"),
    ],
)
def test_one_name_for_each_file(given: str, meant: str) -> None:
    assert normal(given) == meant


@pytest.mark.parametrize("path", ["", "/", ".", "a/.."])
def test_no_name(path: str) -> None:
    with pytest.raises(ValueError, match="names no file"):
        normal(path)
    assert normal(path, folder=True) == ""


def test_above_the_root() -> None:
    with pytest.raises(ValueError, match="leads above the root"):
        normal("a/../../b")


def test_a_folder_is_no_file() -> None:
    with pytest.raises(IsADirectoryError, match="a file is 'a/b'"):
        normal("a/b/")
    assert normal("a/b/", folder=True) == "a/b"


def test_not_text() -> None:
    with pytest.raises(TypeError, match="a path is text, not 3"):
        normal(3)  # type: ignore[arg-type]


def test_folders_of_a_file() -> None:
    assert ancestors("a/b/c") == ["a/b", "a"]
    assert ancestors("a") == []


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("a/*.py", ["a/x.py", "a/.py"], ["a/b/x.py", "b/x.py", "a/xxpy"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["a/y"]),
        ("a/**", ["a/b", "a/b/c"], ["b"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("part-[0-3]", ["part-0", "part-3"], ["part-4"]),
        ("part-[!0-3]", ["part-4"], ["part-0"]),
        ("a[b", ["a[b"], ["ab"]),
        ("a.b+(c)", ["a.b+(c)"], ["axb+(c)"]),
    ],
)
def test_patterns(pattern: str, fits: list[str], does_not: list[str]) -> None:
    fullmatch = matcher(pattern).fullmatch
    assert [name for name in fits if not fullmatch(name)] == []
    assert [name for name in does_not if fullmatch(name)] == []
