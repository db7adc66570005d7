"""Shared by the tests of NFS: a server whose run is judged after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.nfs import NFS


def name_of(call: Callable[..., Any], *args: Any) -> str:
    """The name of the error that a call raises; "" if it succeeds."""
    try:
        call(*args)
    except OSError as error:
        return str(error.strerror).split(":")[0]
    return ""


def make(seed: int = 1, clients: int = 2, **options: Any) -> NFS:
    """A server in a simulator of its own."""
    return NFS(Cluster(machines=clients + 1, engine="sim", seed=seed), clients, **options)


def judged(nfs: NFS) -> None:
    """No invariant was violated."""
    report = nfs.check()
    assert report.ok, f"{report}\nseed={nfs.cluster.seed}\n{nfs.cluster.schedule}"


@pytest.fixture
def serve(make_cluster: Any) -> Iterator[Callable[..., NFS]]:
    """``serve(clients=2, …)``: a server on either engine."""
    made: list[NFS] = []

    def make(clients: int = 2, seed: int = 3, trace: str = "domain", **options: Any) -> NFS:
        cluster = make_cluster(machines=clients + 1, seed=seed, trace=trace)
        made.append(NFS(cluster, clients, **options))
        made[-1].give_up_after = 300.0
        return made[-1]

    yield make
    for nfs in made:
        judged(nfs)
