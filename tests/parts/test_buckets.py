"""Map outputs: bytes in, bytes out, on both kinds of disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.parts.buckets import Buckets
from labkit.runtime.disk import Files, FolderFiles, MemoryFiles


@pytest.fixture(params=["memory", "folder"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """The simulator's, and Ray's."""
    return MemoryFiles() if request.param == "memory" else FolderFiles(tmp_path)


def test_a_bucket_is_read_without_the_others(files: Files) -> None:
    outputs = Buckets(files, "1-")
    assert outputs.write("map-0", [b"abc", b"", b"de"]) == [3, 0, 2]
    assert outputs.write("map-1", [b"", b"f", b"ghi"]) == [0, 1, 3]
    assert files.names() == ["1-map-0", "1-map-1"]
    assert [outputs.read("map-0", number) for number in range(3)] == [b"abc", b"", b"de"]
    assert outputs.read_many(["map-1", "map-0"], 2) == (b"ghi", b"de")


def test_an_output_gets_another_name(files: Files) -> None:
    outputs = Buckets(files)
    outputs.write("v.1", [b"a", b"bc"])
    outputs.rename("v.1", "v")
    assert ("v" in outputs, "v.1" in outputs) == (True, False)
    assert outputs.read("v", 1) == b"bc"
    with pytest.raises(KeyError):
        outputs.rename("v.1", "w")
    outputs.remove("v")
    assert files.names() == []


@pytest.mark.parametrize("bucket", [3, 7])
def test_a_bucket_that_never_was_is_an_error_and_not_empty(files: Files, bucket: int) -> None:
    outputs = Buckets(files)
    outputs.write("map-0", [b"abc", b"", b"de"])
    with pytest.raises(IndexError):
        outputs.read("map-0", bucket)


def test_what_is_not_there_is_missed(files: Files) -> None:
    outputs = Buckets(files)
    outputs.write("map-0", [b"a"])
    with pytest.raises(KeyError):
        outputs.read_many(["map-0", "map-1"], 0)
    outputs.remove("map-0")
    outputs.remove("map-0")
    assert outputs.names() == files.names() == []
    with pytest.raises(KeyError):
        outputs.read("map-0", 0)


def test_another_life_has_nothing_of_the_former_one(files: Files) -> None:
    Buckets(files, "1-").write("map-0", [b"a"])
    later = Buckets(files, "2-")
    with pytest.raises(KeyError):
        later.read("map-0", 0)
    later.remove("map-0")
    assert files.names() == ["1-map-0"]


def test_a_disk_that_was_lost_is_missed(files: Files) -> None:
    outputs = Buckets(files)
    outputs.write("map-0", [b"a"])
    files.remove("map-0")
    with pytest.raises(KeyError):
        outputs.read("map-0", 0)
