"""Loops as a user runs them, on both engines, and the mechanisms of the paper one by one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.runtime.errors import LabError
from labkit.systems.haloop import HaLoop, file_of
from labkit.systems.mapreduce import JobCancelled, JobFailed

from .conftest import ALL, family, ranks, rows, same_as_oracle


def sim(machines: int = 4, seed: int = 0) -> Cluster:
    return Cluster(machines=machines, engine="sim", seed=seed)


def test_pagerank_with_a_lost_cache(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """The ranks are those of one thread, though a machine dies with its caches."""
    cluster, gate = make_cluster(machines=3), tmp_path / "gate"
    loop = ranks(cluster, iterations=5)

    def map_rank(task: Any, page: Any, value: Any) -> None:
        """On real processes it waits for the kill, however long that takes."""
        while task.iteration == 3 and not gate.exists():
            time.sleep(0.01)
        task.emit_intermediate(page, value)

    if cluster.engine == "ray":
        loop.add_map(map_rank, 1)
    job = loop.start("out", M=3, R=3, seconds_per_task=0.2)
    cluster.run_until(
        lambda: len(job.view().iterations) >= 3, timeout=300.0, what="the third iteration has begun"
    )
    caches = job.view().caches.items()
    victim = max(each.machine for (name, *_), each in caches if name == "reducer input")  # most often m3
    cluster.kill(victim)
    gate.touch()
    job.result()
    # At once, whatever the machines have reported so far.
    assert rows(job.output()) == rows(job.output(5))
    assert len(job.distances) == 5
    same_as_oracle(job)
    reloaded = {event.data["cache"] for event in cluster.trace.filter("cache_reloaded")}
    assert "reducer input" in reloaded
    assert all(each.machine != victim for each in job.view().caches.values())


@pytest.mark.parametrize("caches", [set_ for n in range(4) for set_ in itertools.combinations(ALL, n)])
def test_every_set_of_caches_gives_the_same_ranks(caches: tuple[str, ...]) -> None:
    with sim() as cluster:
        job = ranks(cluster, caches).run("out", M=3, R=4)
        same_as_oracle(job)
        kinds = {event.data["cache"].replace(" ", "_") for event in cluster.trace.filter("cache_read")}
        assert kinds <= set(caches)
        assert kinds >= set(caches) - {"mapper_input"}


def test_invariant_tables_are_read_and_shuffled_once() -> None:
    shuffled = {}
    for caches in (ALL, ()):
        with sim() as cluster:
            job = ranks(cluster, caches).run("out", M=3, R=4)
            table = job.iterations()
            shuffled[caches] = list(table["shuffled, step 1"])
            read = [
                (event.data["attempt"], event.data["task"]) for event in cluster.trace.filter("input_read")
            ]
            assert len(read) == len(set(read))
    assert shuffled[ALL][0] == shuffled[()][0]
    assert all(a < 0.25 * b for a, b in zip(shuffled[ALL][1:], shuffled[()][1:], strict=True))


def test_descendants_end_at_the_fix_point() -> None:
    with sim(3) as cluster:
        job = family(cluster).run("out", M=3, R=3)
        same_as_oracle(job)
        assert job.view().why == "fix point"
        assert job.distances[-1] == 0
        assert rows(job.output()) == []


def test_a_threshold_ends_the_loop() -> None:
    with sim() as cluster:
        loop = ranks(cluster, iterations=50)
        loop.set_fixed_point_threshold(0.02)
        job = loop.run("out", M=2, R=2)
        same_as_oracle(job)
        assert job.view().why == "threshold"
        *before, last = job.distances[1:]
        assert last <= 0.02 < min(before)


def test_partitions_stay_where_they_are() -> None:
    """Figure 6: with more partitions than slots, too."""
    with sim() as cluster:
        job = ranks(cluster).run("out", M=4, R=9)
        same_as_oracle(job)
        places = [each.places for each in job.view().iterations]
        assert all(each == places[0] for each in places)


def test_the_mappers_input_is_kept_where_it_is_not_local() -> None:
    with sim() as cluster:
        loop = ranks(cluster, ("mapper_input",), replicas=1)
        job = loop.run("out", M=8, R=2, locality_wait=0.0)
        same_as_oracle(job)
        kept = {(e.node, e.data["key"]) for e in cluster.trace.filter("cache_written")}
        assert kept
        assert {(e.node, e.data["key"]) for e in cluster.trace.filter("cache_read")} <= kept
        table = job.iterations()
        assert table["map input"][2] < table["map input"][1]


def test_functions_know_their_iteration_and_their_table() -> None:
    def map_both(task: Any, key: Any, value: Any) -> None:
        task.emit_intermediate(key, (task.iteration, task.table, value))

    def reduce_both(task: Any, key: Any, values: Any, invariant: Any) -> None:
        task.emit([task.iteration, sorted(v[1] for v in values), sorted(v[1] for v in invariant)])

    with sim(2) as cluster:
        loop = ranks(cluster, ())
        loop.add_map(map_both, 1)
        loop.add_reduce(reduce_both, 1)
        loop._maps.pop(2), loop._reduces.pop(2)
        loop.set_max_num_of_iterations(2)
        loop._threshold = None
        job = loop.run("out", M=2, R=2)
        assert {value[0] for value in job.output()["value"]} == {2}
        assert {tuple(value[1]) for value in job.output()["value"]} == {("",)}
        assert {name for value in job.output()["value"] for name in value[2]} == {"links/*"}


def test_what_is_wrong_is_said() -> None:
    loop = HaLoop()
    with pytest.raises(ValueError, match=r"no step: no map: add_map\(function, step=1\)"):
        loop.body()
    loop.add_map(None, 1)
    with pytest.raises(ValueError, match=r"step 1 has no reduce: add_reduce\(function, step=1\)"):
        loop.body()
    loop.add_reduce(None, 1)
    with pytest.raises(ValueError, match="the loop has no input"):
        loop.body()
    loop.set_input("r/*")
    loop.add_invariant_table("l/*", step=2)
    with pytest.raises(ValueError, match=r"add_invariant_table\(step=2\): there are 1 steps"):
        loop.body()
    loop._tables.clear()
    with pytest.raises(LabError, match=r"HaLoop\(\) has no cluster"):
        loop.start("out")
    with pytest.raises(TypeError, match="give a function"):
        loop.add_map(3)  # type: ignore[arg-type]
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="most="):
            loop.set_max_num_of_iterations(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold="):
        loop.set_fixed_point_threshold(float("nan"))


def test_what_the_users_functions_raise_ends_the_loop() -> None:
    def broken(task: Any, key: Any, value: Any) -> None:
        if task.iteration == 2:
            raise KeyError("in the second iteration")
        task.emit_intermediate(key, value)

    with sim(2) as cluster:
        loop = ranks(cluster)
        loop.add_map(broken, 1)
        with pytest.raises(JobFailed, match="in the second iteration"):
            loop.run("out", M=2, R=2)
        loop = loop.on(cluster, loop.fs)
        loop.add_map(lambda task, key, value: task.emit_intermediate(key, value), 1)
        loop.set_iteration_input(lambda iteration: {1: "ranks/*"}[iteration])
        with pytest.raises(JobFailed, match="the input of iteration 2, step 1: KeyError"):
            loop.run("other", M=2, R=2)


def test_a_loop_can_be_cancelled_and_begun_again_elsewhere() -> None:
    with sim() as cluster:
        loop = ranks(cluster, iterations=100)
        job = loop.start("out", M=2, R=2, seconds_per_task=0.5)
        cluster.run_until(lambda: len(job.view().iterations) >= 2, what="the second iteration")
        job.cancel()
        with pytest.raises(JobCancelled):
            job.result()
        with pytest.raises(FileExistsError, match="must be a folder that is not there"):
            loop.start("out")
        loop.set_max_num_of_iterations(2)
        same_as_oracle(loop.run("again", M=2, R=2))


def test_an_empty_table_and_an_empty_input() -> None:
    with sim(2) as cluster:
        loop = ranks(cluster)
        assert loop.fs is not None
        loop.fs.put("none", {"n": ""})
        loop.add_invariant_table("none/*")
        same_as_oracle(loop.run("out", M=2, R=2))
        loop.set_input("none/*")
        job = loop.run("empty", M=2, R=2)
        assert rows(job.output()) == []
        assert file_of([]) == ""


def test_the_run_as_code_begins_the_same_loop() -> None:
    with sim(3) as cluster:
        job = ranks(cluster).run("out", M=2, R=2)
        names: dict[str, Any] = {"job": job}
        exec(job.code().replace("job_again.panel()", ""), names)
        again: Any = names["job_again"]
        again.result()
        assert rows(again.output()) == rows(job.output())
        names["again"].close()


@pytest.mark.parametrize("folder", ["a/b c/ö", "x[1]", "star*"])
def test_an_output_folder_may_have_any_name(folder: str) -> None:
    with sim(3) as cluster:
        same_as_oracle(ranks(cluster, iterations=2).run(folder, M=2, R=2))


@pytest.mark.parametrize("measured", [float("nan"), None, -1.0])
def test_a_distance_is_a_number(measured: Any) -> None:
    with sim(2) as cluster:
        loop = ranks(cluster)
        loop.set_distance_measure(lambda key, before, now: measured)
        with pytest.raises(
            JobFailed, match=rf"the distance of 'p\d+' from .* is {measured}: it must be a finite"
        ):
            loop.run("out", M=2, R=2)


def test_what_a_function_does_to_its_arguments_nobody_sees() -> None:
    def reduce_all(task: Any, key: Any, values: Any, invariant: Any) -> None:
        found = [len(value) for value in values] + [len(value) for value in invariant]
        for each in invariant:
            each.append(99)
        invariant.append("more")
        task.emit(found)

    with sim(3) as cluster:
        fs = FileSystem(cluster)
        fs.put("d", {"a": file_of([("a", [1]), ("b", [2, 2]), ("a", [3])])})
        fs.put("i", {"a": file_of([("a", [7]), ("b", [8]), ("a", [7])])})
        loop = HaLoop(cluster, fs)
        loop.add_map(None)
        loop.add_reduce(reduce_all)
        loop.set_input("d/*")
        loop.set_iteration_input(lambda iteration: "d/*")
        loop.add_invariant_table("i/*")
        loop.set_max_num_of_iterations(3)
        loop.set_reducer_input_cache()
        job = loop.run("out", M=1, R=2)
        same_as_oracle(job)
        assert rows(job.output()) == [("a", [1, 1, 1, 1]), ("b", [2, 1])]


def test_a_partition_function_that_looks_at_the_iteration_is_refused_with_caches() -> None:
    def moving(task: Any, key: Any, number: int) -> int:
        return (len(key) + task.iteration) % number

    with sim(3) as cluster:
        loop = ranks(cluster, ())
        loop.set_partition(moving)
        same_as_oracle(loop.run("out", M=2, R=2))
        loop.set_reducer_input_cache()
        with pytest.raises(JobFailed, match=r"was \d in the first iteration and is \d in iteration 2"):
            loop.run("wrong", M=2, R=2)
        loop.set_partition(lambda task, key, number: len(key) % number)
        same_as_oracle(loop.run("right", M=2, R=2))
