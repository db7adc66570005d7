"""Shared by the tests of file sharing: a small system, and a word that somebody shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.filesharing import FileSharing, Found, Search

#: Architectures that have an overlay of descriptors.
OVERLAYS = ("gnutella", "ultrapeers", "fasttrack")
ALL = ("napster", *OVERLAYS, "chord")


def lab(
    cluster: Cluster, architecture: str = "gnutella", settled: float = 2.0, **options: Any
) -> FileSharing:
    """A system whose peers have come."""
    sharing = FileSharing(cluster, architecture=architecture, **{"peers": 16, "files": 30, **options})
    cluster.run(settled)
    return sharing


def a_word(sharing: FileSharing, besides: int = 0) -> str:
    """Words of a file that another peer than this shares."""
    libraries = sharing._plan.libraries
    return next(
        " ".join(file.name.split()[:2])
        for peer, library in enumerate(libraries)
        if peer != besides
        for file in library
    )


def found_by(sharing: FileSharing, origin: int = 0, text: str = "") -> tuple[Search, Found]:
    """A search that finds something, and the first file."""
    search = sharing.search(text or a_word(sharing, origin), at=origin)
    assert len(search), f"{search}\nseed={sharing.cluster.seed}\n{sharing.cluster.schedule}"
    return search, search[0]


def judged(sharing: FileSharing) -> None:
    """No rule was broken."""
    report = sharing.check()
    assert report.ok, f"{report}\nseed={sharing.cluster.seed}\n{sharing.cluster.schedule}"


@pytest.fixture
def make_sim() -> Iterator[Any]:
    """Simulated clusters, closed after the test."""
    made: list[Cluster] = []

    def make(machines: int = 4, seed: int = 1, **options: Any) -> Cluster:
        made.append(Cluster(machines=machines, engine="sim", seed=seed, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
