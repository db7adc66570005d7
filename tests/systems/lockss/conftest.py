"""Shared by the tests of LOCKSS: a small archive, and how a run is judged."""

from __future__ import annotations

from typing import Any

from labkit import Cluster
from labkit.systems.lockss import Lockss

#: Eight documents, so that a simulated and a modelled archive have as many blocks.
DOCUMENTS = {"press": {f"page-{k}": f"the text of page {k} " * (k + 1) for k in range(8)}}
#: A library invites 6 of 9 that it knows; 3 votes decide, one may differ.
SMALL = {"libraries": 14, "inner": 6, "quorum": 3, "minority": 1, "outer": 3, "reference": 9, "friends": 3}


def small(cluster: Cluster, **options: Any) -> Lockss:
    """A small archive on a cluster."""
    return Lockss(cluster, DOCUMENTS, **{**SMALL, **options})


def right(archive: Lockss) -> None:
    """No rule was broken."""
    report = archive.check()
    story = f"seed={archive.cluster.seed}\n{archive.cluster.schedule}"
    assert report.ok, f"{report}\n{story}"


def repairs(archive: Lockss) -> list[tuple[Any, int, int]]:
    """(poll, block, source's number) of all repairs, in order of the polls."""
    events = archive.cluster.trace.filter("repaired")
    found = [
        (tuple(event.data["poll"]), event.data["block"], int(event.data["source"].rsplit("-", 1)[1]))
        for event in events
    ]
    return sorted(found)
