"""`HaLoopPanel` of a loop on the simulator: caches that are there, are lost and loaded again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.haloop import LoopJob, file_of, pagerank
from labkit.systems.haloop.view import LoopReducer
from labkit.systems.mapreduce import MapReduce
from labkit.trace.fold import fold
from labkit.trace.words import size
from labkit_widgets import HaLoopPanel

PAGES, LINKS = 60, 400


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(4, "sim", seed=1, name="haloop") as cluster:
        yield cluster


def begin(
    cluster: Cluster, caches: bool = True, iterations: int = 5, mapper: bool = False, **options: Any
) -> LoopJob:
    """PageRank of a random graph; a task takes half a second."""
    chance = random.Random(3)
    links = [tuple(f"p{chance.randrange(PAGES)}" for _ in range(2)) for _ in range(LINKS)]
    fs = FileSystem(cluster, replicas=2, block_size=2000)
    fs.put("links", {f"l{k}": file_of(links[k::4]) for k in range(4)})
    fs.put("ranks", {"r": file_of((f"p{k}", 1 / PAGES) for k in range(PAGES))})
    loop = pagerank(cluster, fs, "links/*", "ranks/*", PAGES)
    loop.set_reducer_input_cache(caches)
    loop.set_reducer_output_cache(caches)
    loop.set_mapper_input_cache(mapper)
    loop.set_max_num_of_iterations(iterations)
    loop.set_fixed_point_threshold(1e-9)
    return loop.start("out", **{"M": 8, "R": 8, "seconds_per_task": 0.5, **options})


def until(job: LoopJob, iteration: int, step: int) -> None:
    job.cluster.run_until(lambda: (job.view().iteration, job.view().step) == (iteration, step))


def number(panel: HaLoopPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def squares(panel: HaLoopPanel, kind: str, state: str, *words: str) -> list[str]:
    found = [m for m in panel.stage.scene["marks"] if m["id"].startswith(f"{kind}:") and m["state"] == state]
    return [mark["id"] for mark in found if set(words) <= set(mark["cls"].split())]


def texts(panel: HaLoopPanel) -> str:
    return " ".join(label["text"] for label in panel.stage.scene["labels"])


def test_a_machine_dies_with_its_caches_which_are_loaded_again(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    assert isinstance(panel, HaLoopPanel)
    until(job, 3, 1)
    panel.refresh()
    assert panel.error == ""
    assert len(squares(panel, "cache", "disk")) == 16, "of each cache a piece for each partition"
    assert len(squares(panel, "part", "passed")) == 16, "the first iteration had no cache"
    assert len(squares(panel, "part", "memory")) == 16, "the second had"
    assert number(panel, "Stayed")["tone"] == "good"
    mine = [key for key, each in job.view().caches.items() if each.machine == "m3"]
    cluster.kill("m3")
    panel.refresh()
    lost = [f"cache:{name}:{step}:{part}" for name, step, part in mine]
    assert sorted(squares(panel, "cache", "lost")) == sorted(lost) != []
    assert f"{len(lost)} pieces lost" in texts(panel)
    job.result()
    panel.refresh()
    assert squares(panel, "cache", "lost") == []
    assert len(squares(panel, "cache", "ghost")) == len(lost)
    assert len(squares(panel, "cache", "disk")) == 16
    again = squares(panel, "part", "memory", "again")
    assert {name.split(":", 2)[2] for name in again} == {f"{step}:{part}" for _, step, part in mine}
    assert number(panel, "Loaded again")["note"] == f"{len(lost)} pieces of caches lost"
    assert number(panel, "Loop") | {"theory": ""} == {
        "label": "Loop", "value": "done", "note": "5 iterations: the maximum", "tone": "good", "theory": "",
    }  # fmt: skip


def test_a_partition_tells_its_story(cluster: Cluster) -> None:
    job = begin(cluster)
    until(job, 3, 1)
    step, part = next(
        key[1:] for key, each in job.view().caches.items() if each.machine == "m3" and "input" in key[0]
    )
    cluster.kill("m3")
    job.result()
    panel = job.panel(live=False)
    panel.stage.selected = f"part:3:{step}:{part}"
    panel.refresh()
    told = panel.steps.steps
    assert told["title"] == f"Partition {part} of step 1"
    words = [item["text"] for item in told["items"]]
    other = job.view().iterations[2].places[step, part]
    assert words[0] == "iteration 1 on m3: wrote the reducer input cache"
    assert words[1] == "iteration 2 on m3: read the reducer input cache"
    assert words[2].endswith("its reducer input cache died with m3")
    again = "loaded the reducer input cache again, from map outputs of the first iteration"
    assert words[3] == f"iteration 3 on {other}: {again}"
    assert [item["sign"] for item in told["items"]] == ["·", "✓", "✕", "↻", "✓", "✓"]
    chosen = [mark["id"] for mark in panel.stage.scene["marks"] if "selected" in mark["cls"].split()]
    assert len(chosen) == 7, "in five iterations, in the cache, and in the one that is lost"
    panel.stage.selected = "map:0"
    panel.refresh()
    assert panel.steps.steps["title"].startswith("Map 0")


def test_bytes_and_distances_of_the_iterations(cluster: Cluster) -> None:
    job = begin(cluster, iterations=3)
    job.result()
    panel = job.panel(live=False)
    table = job.iterations()
    first, rest = panel.shuffled.bars.y
    assert list(first) == list(table["shuffled, step 1"])
    assert list(first + rest) == list(table["shuffled"])
    assert list(panel.distance.bars.x) == ["2", "3"]
    assert list(panel.distance.bars.y[0]) == job.distances[1:]
    assert number(panel, "Shuffled")["value"] == size(table["shuffled"][3])
    assert number(panel, "Shuffled")["note"].endswith(f"of the first: {size(table['shuffled'][1])}")


def test_without_caches_there_is_none_to_show(cluster: Cluster) -> None:
    job = begin(cluster, caches=False, iterations=2)
    job.result()
    panel = job.panel(live=False)
    assert squares(panel, "cache", "disk") == []
    assert len(squares(panel, "part", "passed")) == 32
    assert "Caches" not in texts(panel)


def test_a_file_of_the_mappers_cache_tells_its_story(cluster: Cluster) -> None:
    job = begin(cluster, caches=False, iterations=2, mapper=True).result()
    panel = job.panel(live=False)
    name = next(name for name in squares(panel, "cache", "disk") if "links/" in name)
    path = name.split(":")[-1]
    machine = job.view().caches["mapper input", 0, path].machine
    panel.stage.selected = name
    panel.refresh()
    told = panel.steps.steps
    assert told["title"] == path
    assert [item["text"] for item in told["items"]] == [
        f"iteration 1 on {machine}: wrote the mapper input cache",
        f"iteration 2 on {machine}: read the mapper input cache",
    ]


def test_the_past_equals_the_fold_from_scratch(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    until(job, 3, 1)
    cluster.kill("m3")
    job.result()
    for position in (None, 0.1, 5.0, cluster.now / 2, cluster.now, None):
        assert panel.frame(position).job == fold(LoopReducer(job.name), cluster.trace, position)
    panel.act("seek", position=5.0)
    panel.refresh()
    assert panel.error == ""
    assert number(panel, "Loop")["value"] == "iteration 1"
    assert number(panel, "Distance")["value"] == "none"


def test_many_partitions_and_iterations_are_counted(cluster: Cluster) -> None:
    job = begin(cluster, iterations=7, R=30, M=2, seconds_per_task=0.001)
    job.result()
    panel = job.panel(live=False)
    assert panel.error == ""
    assert squares(panel, "part", "memory") == []
    assert "Iterations 3 to 7: where" in texts(panel)


def test_a_loop_and_a_job_of_one_cluster(cluster: Cluster) -> None:
    loop = begin(cluster, iterations=2).result()
    job = MapReduce(cluster, loop.fs).run("links/*", "copied", M=2, R=1)
    for system in (loop, job):
        panel = system.panel(live=False)
        for moment, _ in panel.top.runs["items"]:
            panel.act("seek", position=moment)
            panel.refresh()
            assert panel.error == ""
