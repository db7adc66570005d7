"""How files are named, in all calls alike."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.systems.spark import BaseContext, SingleContext, TaskFailed
from labkit.systems.spark.paths import file_system, input_files, shown, whole
from tests.systems.spark.conftest import MakeContext
from tests.systems.spark.contexts import context


@pytest.fixture(params=["single", "sim"])
def sc(request: pytest.FixtureRequest) -> Iterator[BaseContext]:
    with context(request.param) as made:
        yield made


@pytest.fixture
def years(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of years with a file each, and one in them with a name of its own; the folder we are in."""
    for year in (2022, 2023, 2024):
        (tmp_path / str(year)).mkdir()
        (tmp_path / str(year) / "part.txt").write_text(f"{year}\n")
        (tmp_path / str(year) / "_SUCCESS").touch()
        (tmp_path / str(year) / ".hidden").write_text("hidden\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("2023/part.txt", "2023"),
        ("2023", "2023"),
        ("2023/", "2023"),
        ("{here}/2023/part.txt", "2023"),
        ("file:{here}/2023/part.txt", "2023"),
        ("file://{here}/2023/part.txt", "2023"),
        ("file:2023/part.txt", "2023"),
        ("2024,2023", "2024 2023"),
        ("file:{here}/2024,file://{here}/2023/part.txt", "2024 2023"),
        ("file:{here}/202[24]/part.txt,2023", "2022 2024 2023"),
        ("202?/part.txt", "2022 2023 2024"),
        ("*/*.txt", "2022 2023 2024"),
        ("20*", "2022 2023 2024"),
        ("20*/", "2022 2023 2024"),
        ("202[23]/part.txt", "2022 2023"),
        ("202[2-3]/part.txt", "2022 2023"),
        ("202[^4]/part.txt", "2022 2023"),
        ("202[!4]/part.txt", "2022 2023"),
        ("202[^2-3]/part.txt", "2024"),
        ("{{2024,2022}}/part.txt", "2022 2024"),
        ("{{2024/part,2022/p*t}}.txt", "2022 2024"),
        ("202{{2,{{3,4}}}}/part.txt", "2022 2023 2024"),
        ("{{2024,2022}}/part.txt,2023", "2022 2024 2023"),
        ("202\\?/part.txt", None),
        ("202\\2/part.txt", "2022"),
        ("*", "2022 2023 2024"),
        ("*.txt", None),
        ("202[5-9]/part.txt", None),
        ("2025", None),
        ("2023/part.txt,2025", None),
    ],
)
def test_names_and_patterns(years: Path, name: str, found: str | None) -> None:
    name = name.format(here=years)
    if found is None:
        with pytest.raises(FileNotFoundError, match=r"does not exist|matches 0 files"):
            input_files(name)
    else:
        assert input_files(name) == [f"{years}/{year}/part.txt" for year in found.split()]


def test_a_name_of_something_is_that_whatever_it_looks_like(tmp_path: Path) -> None:
    for name in ("a[1].txt", "a,b.txt", "{x}", "what?"):
        (tmp_path / name).write_text(name)
        assert input_files(tmp_path / name) == [f"{tmp_path}/{name}"]
        assert input_files(f"file:{tmp_path}/{name}") == [f"{tmp_path}/{name}"]
    assert input_files(f"{tmp_path}/what\\?") == [f"{tmp_path}/what?"]
    assert input_files(f"{tmp_path}/a[[]1].txt") == [f"{tmp_path}/a[1].txt"]


def test_names_that_are_none() -> None:
    for name in ("", "a.txt,", ",a.txt"):
        with pytest.raises((ValueError, FileNotFoundError), match=r"an empty name|does not exist"):
            input_files(name)
    with pytest.raises(ValueError, match="an empty string is the name of no file"):
        whole("")
    with pytest.raises(ValueError, match="Protocol not known: nowhere"):
        whole("nowhere://a.txt")


def test_every_call_takes_every_name(sc: BaseContext, years: Path) -> None:
    ((path, text),) = sc.wholeTextFiles("2023").collect()
    assert (path, text) == (f"file:{years}/2023/part.txt", "2023\n")
    assert sc.textFile(path).collect() == ["2023"]
    assert sc.wholeTextFiles(path).collect() == [(path, text)]
    assert sc.binaryFiles(path).collect() == [(path, b"2023\n")]
    sc.parallelize([1, 2], 2).saveAsTextFile(f"file:{years}/out")
    sc.parallelize([1, 2], 2).saveAsPickleFile(f"file://{years}/pickled")
    assert sorted(os.listdir("out")) == ["_SUCCESS", "part-00000", "part-00001"]
    assert sc.textFile("out").collect() == ["1", "2"]
    assert sc.pickleFile(f"file:{years}/pick*").collect() == [1, 2]
    for name in ("out", f"file:{years}/out", years / "out"):
        with pytest.raises(FileExistsError, match=f"Output directory file:{years}/out already exists"):
            sc.parallelize([1]).saveAsTextFile(name)
    with pytest.raises(FileNotFoundError, match=f"Input path does not exist: file:{years}/missing"):
        sc.textFile("missing")


def test_a_relative_name_is_of_the_folder_that_one_was_in(
    sc: BaseContext, years: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, pairs = sc.textFile("2023/part.txt"), sc.wholeTextFiles("2023")
    sc.setCheckpointDir("points")
    monkeypatch.chdir(years / "2024")
    assert lines.collect() == ["2023"]
    assert pairs.values().collect() == ["2023\n"]
    assert sc.textFile("part.txt").collect() == ["2024"]
    kept = sc.parallelize([1, 2], 2)
    kept.checkpoint()
    assert kept.count() == 2
    assert (kept.getCheckpointFile() or "").startswith(f"{years}/points/context-")
    assert kept.collect() == [1, 2]


def test_what_user_functions_name_is_in_the_folder_that_one_is_in(
    make_context: MakeContext, years: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sc = make_context(machines=2)
    monkeypatch.chdir(years / "2023")

    def read(_: int) -> str:
        with open("part.txt") as file:
            return file.read()

    assert sc.parallelize([1], 1).map(read).collect() == ["2023\n"]
    monkeypatch.chdir(years / "2024")
    assert sc.parallelize([1], 1).map(read).collect() == ["2024\n"]
    assert sc.textFile("part.txt").collect() == ["2024"]
    sc.parallelize([1], 1).saveAsTextFile("out")
    assert sc.textFile("out").collect() == ["1"]


def test_other_file_systems(sc: BaseContext) -> None:
    folder = f"memory://{uuid.uuid4().hex}"
    sc.parallelize(["a", "b"], 2).saveAsTextFile(f"{folder}/text", "org.apache.hadoop.io.compress.GzipCodec")
    sc.parallelize([1, 2], 2).saveAsPickleFile(f"{folder}/pickled")
    assert sc.textFile(f"{folder}/te*").collect() == ["a", "b"]
    assert sc.pickleFile(f"{folder}/pickled").collect() == [1, 2]
    (path, text), _ = sc.wholeTextFiles(f"{folder}/text").collect()
    assert path == shown(whole(f"{folder}/text/part-00000.gz"))
    assert text == "a\n"
    assert sc.textFile(path).collect() == ["a"]
    with pytest.raises(FileExistsError, match="already exists"):
        sc.parallelize([1]).saveAsTextFile(f"{folder}/text")
    sc.setCheckpointDir(f"{folder}/points")
    kept = sc.parallelize([1, 2], 2)
    kept.checkpoint()
    assert kept.count() == 2
    assert kept.collect() == [1, 2]


def test_real_machines_do_not_see_this_process_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sc = SingleContext()
    written, new = (f"memory://{uuid.uuid4().hex}" for _ in range(2))
    sc.parallelize([1], 1).saveAsTextFile(written)
    monkeypatch.setattr(sc, "one_process", False)
    for call, name in (
        (sc.setCheckpointDir, new),
        (sc.parallelize([1]).saveAsTextFile, new),
        (sc.textFile, written),
    ):
        with pytest.raises(ValueError, match="is in the memory of this process"):
            call(name)


def test_a_save_that_fails_leaves_nothing(sc: BaseContext, tmp_path: Path) -> None:
    """So it can be tried again: not as after half a save, whose directory exists."""
    names = sc.parallelize(["1", "2", "x"], 3)
    for save in ("saveAsTextFile", "saveAsPickleFile"):
        for place in (tmp_path / "out", "memory://out-of-a-save-that-fails"):
            with pytest.raises(TaskFailed, match="invalid literal"):
                getattr(names.map(int), save)(place)
            getattr(names, save)(place)
            read = sc.textFile if save == "saveAsTextFile" else sc.pickleFile
            assert sorted(read(place).collect()) == ["1", "2", "x"]
            fs, inside = file_system(str(place))
            fs.rm(inside, recursive=True)
