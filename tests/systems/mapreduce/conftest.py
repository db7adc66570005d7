"""Shared by the tests of MapReduce: programs, and a lab whose jobs are judged after each test."""

from __future__ import annotations

import os
import time
from typing import Any

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.mapreduce import Job, MapReduce

CORPUS = {f"f{n}": f"the quick brown fox {n}\nlazy dog\n\nthe end" * (20 + n) for n in range(4)}


class WordCount(MapReduce):
    """The paper's. On all machines but one the maps wait until there is the file ``gate``."""

    gate = ""
    but_in = 0  #: the process of that machine

    def map(self, key: Any, value: str) -> None:
        while self.gate and os.getpid() != self.but_in and not os.path.exists(self.gate):
            time.sleep(0.01)
        for word in value.split():
            self.counter("capitals").increment(word.istitle())
            self.emit_intermediate(word, 1)

    def reduce(self, key: str, values: Any) -> None:
        self.emit(sum(values))

    combine = reduce


def lab(cluster: Cluster, program: type[MapReduce] = WordCount, corpus: Any = CORPUS) -> Any:
    """A program on a file system with the corpus; the masters are on the first machine."""
    fs = FileSystem(cluster, replicas=min(3, len(cluster.machines)), block_size=1000)
    fs.put("corpus", corpus)
    return program(cluster, fs)


def same_as_oracle(job: Job) -> None:
    """Its files and counters are those of the sequential execution, and no rule was broken."""
    local = job.program.run_locally("corpus/*", R=job.spec.options.R)
    found = {name: job.fs.cat(f"{job.spec.output}/{name}") for name in local.files}
    story = f"seed={job.cluster.seed}\n{job.cluster.schedule}"
    assert found == local.files, story
    assert job.counters == local.counters, story
    report = job.check()
    assert report.ok, f"{report}\n{story}"
