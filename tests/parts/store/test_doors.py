"""pandas, pyarrow and fsspec itself, by `labkit://` paths."""

from __future__ import annotations

import fsspec
import pandas
import pyarrow.csv
import pyarrow.fs
import pytest

from labkit.runtime import LabError

from .conftest import MakeFs

TABLE = pandas.DataFrame({"name": ["ä", "b", "c"] * 300, "number": range(900)})


def test_pandas(make_fs: MakeFs) -> None:
    fs = make_fs(nobody_dies=True)
    fs.put("table.csv", TABLE.to_csv(index=False).encode())
    assert pandas.read_csv("labkit://table.csv").equals(TABLE)
    here = {"cluster": fs.cluster.name}
    TABLE.to_csv("labkit://out/table.csv", index=False, storage_options=here)
    assert fs.cat("out/table.csv") == fs.cat("table.csv")
    TABLE.to_parquet("labkit://out/table.parquet", storage_options=here)
    assert pandas.read_parquet("labkit://out/table.parquet", storage_options={"cluster": fs}).equals(TABLE)


def test_pyarrow(sim_fs: MakeFs) -> None:
    fs = sim_fs()
    fs.put("table.csv", TABLE.to_csv(index=False).encode())
    door = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec.filesystem("labkit", cluster=fs)))
    with door.open_input_stream("table.csv") as stream:
        assert pyarrow.csv.read_csv(stream).num_rows == 900
    assert door.get_file_info("table.csv").size == fs.du("table.csv")


def test_fsspec(sim_fs: MakeFs) -> None:
    fs = sim_fs()
    fs.put("a/b", {"c": b"c", "d": b"dd"})
    door = fsspec.filesystem("labkit")
    assert door.ls("a/b", detail=False) == ["a/b/c", "a/b/d"]
    assert door.find("labkit://a") == ["a/b/c", "a/b/d"]
    assert door.glob("a/*/d") == ["a/b/d"]
    assert door.isdir("a/b")
    assert door.cat("a/b/d") == b"dd"
    door.makedirs("x/y")
    door.pipe("x/y/z", b"z")
    door.cp("x/y/z", "x/copy")
    door.mv("x/copy", "x/moved")
    door.rm("x/y", recursive=True)
    assert door.find("x") == ["x/moved"]


def test_no_such_cluster(sim_fs: MakeFs) -> None:
    with pytest.raises(LabError, match="no cluster 'elsewhere' with a file system is open"):
        fsspec.filesystem("labkit", cluster="elsewhere")
