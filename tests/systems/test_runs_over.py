"""What is held of a run that is over says so: every call of it, its repr, and its panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.graphs.csr import Graph
from labkit.parts.store import FileSystem
from labkit.runtime.errors import RunOver
from labkit.systems.chord import Chord
from labkit.systems.dryad import Dryad, vertices
from labkit.systems.filesharing import FileSharing
from labkit.systems.graphlab import Components, GraphLab
from labkit.systems.graphx import Graph as PropertyGraph
from labkit.systems.graphx import GraphX
from labkit.systems.lockss import Lockss
from labkit.systems.mapreduce import MapReduce
from labkit.systems.nfs import NFS
from labkit.systems.paramserver import ParameterServer
from labkit.systems.powergraph import Colouring, PowerGraph
from labkit.systems.pregel import Pregel
from labkit.systems.pregel.programs import PageRank
from labkit.systems.spark import SparkContext


def chord(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    ring = Chord(cluster, nodes=4)
    ring["a"] = 1
    return ring, [
        lambda: ring["a"], lambda: ring.update(a=2), ring.health, lambda: ring.nodes, ring.check, ring.join,
        lambda: ring.switch("sigcomm2001"), lambda: list(ring),
    ]  # fmt: skip


def spark(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    sc = SparkContext(cluster)
    numbers = sc.parallelize([1, 2, 3]).cache()
    assert numbers.count() == 3
    return sc, [numbers.count, lambda: sc.parallelize([1]).collect(), sc.check, numbers.unpersist]


async def idle(worker: Any) -> None:
    """A worker's program."""


def paramserver(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    ps = ParameterServer(cluster, servers=2, workers=2)
    w = ps.vector("w", size=4)
    return ps, [
        lambda: w[:], lambda: w.push(None, [1, 1, 1, 1]), lambda: ps.vector("v", size=4), ps.check,
        ps.add_server, lambda: ps.run(idle), ps.settle,
    ]  # fmt: skip


def store(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    fs = FileSystem(cluster)
    fs.put("a", b"text")
    return fs, [lambda: fs.cat("a"), lambda: fs.put("b", b""), lambda: fs.ls()]


class Words(MapReduce):
    def map(self, key: Any, value: str) -> None:
        self.emit_intermediate(value, 1)

    def reduce(self, key: Any, values: Any) -> None:
        self.emit(sum(values))


def mapreduce(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    fs = FileSystem(cluster)
    fs.put("in/a", b"one\ntwo\n")
    job = Words(cluster, fs).run("in/*", "out/", M=2, R=1)
    return job, [job.output, job.check, job.status, job.timeline]


def dryad(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    system = Dryad(cluster, FileSystem(cluster))
    graph = system.put("numbers", [[2], [1]]) >> vertices.sort()
    job = system.submit(graph).result()
    return job, [job.output, job.check, lambda: system.submit(graph), lambda: system.input("numbers/*")]


def pregel(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    system = Pregel(cluster, FileSystem(cluster))
    job = system.run(PageRank, {1: [2], 2: []}, "ranks")
    return job, [job.output, job.check, job.statistics, lambda: system.start(PageRank, {}, "again")]


def graphlab(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    system = GraphLab(cluster, FileSystem(cluster))
    graph = Graph.of([(0, 1)])
    run = system.run(Components(), graph)
    return run, [run.values, run.check, run.snapshot, lambda: system.start(Components(), graph)]


def graphx(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    gx = GraphX(SparkContext(cluster))
    graph = PropertyGraph.fromEdges(gx.sc.parallelize([(1, 2)]), 0)
    assert graph.numEdges == 1
    return gx, [
        gx.check,
        gx.iterations,
        lambda: graph.connectedComponents(),
        lambda: gx.switch(index_scan=False),
    ]


def powergraph(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    pg = PowerGraph(cluster, Graph.of([(0, 1)]), Colouring(), engine="serializable").run()
    return pg, [pg.values, pg.check, pg.state, pg.snapshot, lambda: pg.set_engine("synchronous")]


def filesharing(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    sharing = FileSharing(cluster, peers=6)
    found = sharing.search("mp3", at=0)
    return sharing, [
        sharing.check,
        sharing.accounts,
        lambda: sharing.search("mp3"),
        lambda: sharing.download(found[0]),
        lambda: sharing.fail(0),
    ]


def nfs(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    nfs = NFS(cluster)
    (one, _), held = nfs.clients, nfs.clients[0].open("/f", "wb", 0)
    return nfs, [
        nfs.check,
        nfs.view,
        lambda: one.listdir("/"),
        lambda: held.write(b"x"),
        lambda: nfs.set(duplicates=True),
    ]


def lockss(cluster: Cluster) -> tuple[Any, list[Callable[[], Any]]]:
    archive = Lockss(cluster, libraries=12)
    return archive, [
        archive.check, lambda: archive.run(1), lambda: archive.read(0, "this"), archive.code,
        lambda: archive.damage(0, "this"), lambda: setattr(archive, "rot", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "system",
    [
        chord,
        spark,
        paramserver,
        store,
        mapreduce,
        dryad,
        pregel,
        graphlab,
        graphx,
        powergraph,
        filesharing,
        nfs,
        lockss,
    ],
)
def test_a_system_of_the_run_before_says_so(system: Any) -> None:
    with Cluster(machines=4, engine="sim", seed=1) as cluster:
        held, calls = system(cluster)
        assert not held.over
        cluster.reset()
        assert held.over
        for call in calls:
            with pytest.raises(RunOver, match=r"was reset, and this \w+ is of the run before; make it again"):
                call()
        assert "of a run of 'sim' that is over" in repr(held)
        system(cluster)  # the new run has room for another


def test_a_context_of_the_run_before_is_stopped_without_a_word() -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        sc = SparkContext(cluster)
        cluster.reset()
        sc.stop()
        assert SparkContext(cluster).parallelize([1, 2]).sum() == 3
