"""The paper's results in shape, and the workload."""

from __future__ import annotations

from labkit import Cluster
from labkit.systems.nfs import NFS
from labkit.systems.nfs.experiments import call_mix, calls_per_open, reads_and_writes
from labkit.systems.nfs.workload import sharing

from .conftest import judged


def test_an_open_costs_its_depth_without_a_name_cache() -> None:
    table = calls_per_open((1, 3, 6))
    assert table["no name cache"].tolist() == [1, 3, 6]
    assert table["close-to-open"].tolist() == [1, 1, 1]
    assert table["timeouts"].tolist() == [0, 0, 0]


def test_writes_that_wait_for_the_disk_are_several_times_slower() -> None:
    slower = reads_and_writes()["times slower"]
    assert 2.0 < slower["write, waiting"] < 6.0  # the paper: 250 / 60 = 4.2
    assert slower["write behind"] < slower["write, waiting"] / 1.5


def test_the_mix_is_that_of_the_paper() -> None:
    table = call_mix(1_000)
    assert (table["sent %"] - table["paper %"]).abs().max() < 5
    assert table.attrs["calls a second"] > 17


def test_sharing_goes_on_through_a_crash() -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        nfs = NFS(cluster)
        running = cluster.submit(sharing, nfs, "/notes", 0.2, 30)
        cluster.run(2.0)
        cluster.kill("m1")
        cluster.run(1.0)
        cluster.restart("m1")
        assert running.result() > 10
        judged(nfs)
