"""A PySpark program as it is: masters, settings, and a context with a cluster of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit import Cluster, defaults
from labkit.systems.spark import SparkConf, SparkContext
from labkit.systems.spark.conf import Master, parse_master
from labkit.systems.spark.context import _running_contexts
from labkit.systems.spark.executor import Executor
from tests.systems.spark.conftest import MakeContext

#: What a book on PySpark would print; only the import is ours.
PROGRAM = """
from labkit.systems.spark import SparkConf, SparkContext

conf = SparkConf().setMaster("local[2]").setAppName("word count")
sc = SparkContext(conf=conf)
sc.setLogLevel("ERROR")
words = sc.textFile("poem.txt").flatMap(lambda line: line.split())
counts = words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
print(sc.appName, sc.master, sc.defaultParallelism)
for word, count in sorted(counts.collect()):
    print(word, count)
sc.stop()
"""


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clusters are simulated unless something else is asked for."""
    monkeypatch.setattr(defaults, "engine", "sim")
    yield
    for context in _running_contexts():
        context.stop()


@pytest.mark.parametrize(
    ("url", "master"),
    [
        ("local", Master(1, 1)),
        ("local[3]", Master(3, 1)),
        ("local[3,2]", Master(3, 1, 2)),
        ("local-cluster[2,4,1024]", Master(2, 4)),
    ],
)
def test_masters(url: str, master: Master) -> None:
    assert parse_master(url) == master
    assert parse_master("local[*]").machines >= 1


@pytest.mark.parametrize(
    "url", ["", "yarn", "spark://host:7077", "local[0]", "local[x]", "local-cluster[0,1,1]"]
)
def test_other_masters_are_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match=r"not '.*'; or give a cluster of your own: SparkContext\(Cluster"):
        parse_master(url)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("local[2]", "app"), {}),
        ((), {"master": "local[2]", "appName": "app"}),
        ((), {"conf": SparkConf().setMaster("local[2]").setAppName("app")}),
        (("local[2]",), {"conf": SparkConf().setMaster("local[7]").setAppName("app")}),
    ],
)
def test_a_context_of_its_own(simulated: None, arguments: Any, options: Any) -> None:
    with SparkContext(*arguments, **options) as sc:
        assert (sc.master, sc.appName, sc.defaultParallelism, len(sc.executors)) == ("local[2]", "app", 2, 2)
        assert sc.parallelize(range(10)).sum() == 45
        assert SparkContext.getOrCreate() is sc
        with pytest.raises(ValueError, match="Cannot run multiple SparkContexts at once"):
            SparkContext("local", "another")
        assert sc.parallelize(range(4)).count() == 4  # it is as it was
    assert sc.cluster.closed


def test_settings(simulated: None) -> None:
    conf = SparkConf().setAll([("spark.executor.cores", 2), ("spark.speculation", "true"), ("my.own", 1)])
    conf.setIfMissing("my.own", 2).setIfMissing("spark.task.maxFailures", 7)
    assert conf.get("my.own") == "1"
    assert conf.get("nothing", "x") == "x"
    assert conf.contains("my.own")
    assert dict(conf.getAll())["spark.task.maxFailures"] == "7"
    assert "my.own=1" in conf.toDebugString().splitlines()
    with SparkContext(conf=conf.setMaster("local[2]")) as sc:
        assert (sc.options.cores, sc.options.speculation, sc.options.max_failures) == (2, True, 7)
        assert sc.defaultParallelism == 4
    with SparkContext("local[1,3]", speculation=True) as sc:
        assert (sc.options.max_failures, sc.options.speculation) == (3, True)
    with pytest.raises(ValueError, match=r"spark\.executor\.cores is a number, not 'many'"):
        SparkContext("local", conf=SparkConf().set("spark.executor.cores", "many"))


def test_bad_input_leaves_no_cluster(simulated: None) -> None:
    with pytest.raises(TypeError, match="has no option 'kores'"):
        SparkContext("local", kores=2)
    with Cluster(1, engine="sim") as cluster, pytest.raises(TypeError, match="either a cluster or a master"):
        SparkContext(cluster, master="local")
    with pytest.raises(TypeError, match=r"takes a cluster or a master, .* not 4"):
        SparkContext(4)  # type: ignore[arg-type]
    SparkContext("local").stop()  # nothing is in its way
    SparkContext("local").cluster.close()  # nor after this
    SparkContext("local").stop()


def test_an_executor_that_an_earlier_context_has_left_is_not_taken(sim_context: MakeContext) -> None:
    """On a machine that was paused when the context stopped it goes on later, and calls the new driver."""
    sc = sim_context(machines=2)
    sc.cluster.spawn(Executor, "driver", sc.options, name="executor-of-another", machine="m2")
    sc.cluster.run(5)
    assert sorted(sc._driver.executors) == sorted(sc.executors)
    assert sc.parallelize(range(10), 4).sum() == 45
    sc.cluster.remove("executor-of-another")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sim", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_program_with_only_its_import_changed(engine: str, tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("a rose is\na rose is a rose\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "LABKIT_ENGINE": engine, "TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["word count local[2] 2", "a 3", "is 2", "rose 3"]
