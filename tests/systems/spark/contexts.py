"""Contexts for tests of the programming model: on one thread, and on a simulated cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from labkit import Cluster
from labkit.systems.spark import BaseContext, SingleContext, SparkContext


@contextmanager
def context(kind: str) -> Iterator[BaseContext]:
    """A context of a kind, "single" or "sim", with four partitions by default."""
    if kind == "single":
        yield SingleContext(4)
        return
    with (
        Cluster(machines=2, engine="sim", trace_limit=10_000) as cluster,
        SparkContext(cluster, cores=2) as sc,
    ):
        yield sc
