"""Thirty years of 1,000 libraries, in one loop by the rules of the nodes; and how quickly nodes live.

The parameters are those of ``SOSP``: 20 voters in an inner circle, 10 in the outer, four polls a year: about
120,000 polls with 3.6 million votes. There is no peer: the promise is a minute, and a gigabyte.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from labkit.bench import Row, bench, row
from labkit.runtime import Cluster
from labkit.systems.lockss import SOSP, Lockss, simulate

LIBRARIES, YEARS = 1000, 30.0
#: Seconds and bytes that it may need.
SECONDS, MEMORY = 60.0, 1e9
#: Years of the nodes.
SHORT = 2.0


@bench("lockss")
def lockss() -> Iterator[Row]:
    """Seconds and memory of 1,000 libraries for 30 years; votes a second of simulated nodes."""
    began = time.perf_counter()
    population = simulate(LIBRARIES, YEARS, seed=1, sample=1.0, **SOSP)
    spent = time.perf_counter() - began
    polls = sum(population.polls.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    case = f"{LIBRARIES:,} libraries, {YEARS:g} years, {polls:,} polls"
    yield row(case, "s", spent, SECONDS, "a minute", 1.0, less_is_better=True)
    yield row(
        f"memory of the process, {case}",
        "MB",
        memory / 1e6,
        MEMORY / 1e6,
        "a gigabyte",
        1.0,
        less_is_better=True,
    )
    with Cluster(4, engine="sim", seed=1, trace_limit=1_000_000) as cluster:
        archive = Lockss(cluster, rot=0.5)
        began = time.perf_counter()
        archive.run(SHORT)
        spent = time.perf_counter() - began
        votes = len(cluster.trace.filter("vote_received"))
    yield row("24 nodes with 8 documents, simulator", "votes/s", votes / spent)
