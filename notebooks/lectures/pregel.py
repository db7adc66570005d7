# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Pregel: think like a vertex
#
# Graph algorithms are hard to distribute: little work per vertex, no locality, and how much can be done at once changes all the time. In MapReduce each step would send the whole graph again. The lecture's three questions, and the answers of *Malewicz and others, Pregel: A System for Large-Scale Graph Processing, SIGMOD 2010*. Numbers such as §4.2 are sections of that paper.
#
# | | |
# |---|---|
# | work | vertices are hashed to *partitions*, each *worker* has several; in a *superstep* each active vertex runs your `compute` |
# | communication | messages along edges, delivered in the next superstep; a *combiner* makes one of several; *aggregators* go up a tree and come back to all |
# | failure | at the start of some supersteps all is saved; after a failure all go back (*rollback*), or only the lost partitions (*confined recovery*) |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed. With `Cluster(machines=4)` the workers are real processes.

# %% [markdown]
# ## 1. The words
# * A **superstep** S: a vertex reads what was sent to it in S−1, changes its value, sends what will be read in S+1. No vertex begins S+1 before all have ended S: the **barrier**.
# * A vertex that **votes to halt** sleeps until a message wakes it. The end: all sleep, and no message is in transit.
# * No shared memory, no locks, no order among messages: what can a race be here?
#
# Each vertex is to know the largest number in its graph (the paper's Figure 2):

# %%
from labkit.systems.pregel import Max, Vertex, run_locally

class Largest(Vertex):
    combiner = Max()

    def compute(self, messages):
        largest = max([self.vertex_id, *messages])
        if self.value is None or largest > self.value:
            self.value = largest
            self.send_message_to_all_neighbors(largest)
        self.vote_to_halt()

run_locally(Largest, {3: [6], 6: [3, 2], 2: [6, 1], 1: [2]})

# %% [markdown]
# `run_locally` is one thread, without partitions or messages: the **oracle** of all that follows.
#
# **Question.** How many supersteps does a chain of 100 vertices need, if the largest number is at one end? Which vertices compute in superstep 50?

# %% [markdown]
# ## 2. PageRank on a cluster
# Figure 4, line by line. The vertices are the modules of Python's standard library, an edge is an import.

# %%
from labkit import Cluster
from labkit.data import import_graph
from labkit.systems.pregel import FileSystem, Pregel, Sum

class PageRank(Vertex):
    combiner = Sum()
    aggregators = {"total": Sum()}

    def compute(self, messages):
        if self.superstep >= 1:
            self.value = 0.15 / self.num_vertices + 0.85 * sum(messages)
        else:
            self.value = 1 / self.num_vertices
        self.aggregate("total", self.value)
        if self.superstep == 12:
            self.vote_to_halt()
        elif self.out_edges:
            self.send_message_to_all_neighbors(self.value / len(self.out_edges))

# %%
graph = import_graph()
oracle = run_locally(PageRank, graph)

def begin(name, program=PageRank, over=graph, **options):
    cluster = Cluster(machines=4, engine="sim", seed=1, name=name)
    fs = FileSystem(cluster, replicas=2)
    return Pregel(cluster, fs).start(program, over, "out", **{"partitions": 8, "seconds_per_vertex": 2e-3, **options})

def same(job):
    values = dict(job.output())
    return values.keys() == oracle.keys() and all(abs(values[v] - oracle[v]) < 1e-12 for v in oracle)

job = begin("ranks")
job.cluster.run_until(lambda: job.view().current == 4)
job.panel()

# %% [markdown]
# Superstep 4 begins. From top to bottom: which worker has which partition, the supersteps before, every computation over time. The gaps between the bars are the barrier: who is waited for? Then let it go on: one second at the speed of a clock, so that you can watch the panel above, and the rest at once.

# %%
await job.cluster.arun(1.0)
job.result()
print("the oracle's ranks:", same(job))
report = job.check()
print("check:", report.ok, "|", report.supersteps, "supersteps")

# %% tags=["nbval-ignore-output"]
print(job.output().nlargest(3).to_string())
job.statistics()

# %% [markdown]
# The sum of all ranks is an **aggregator**: what vertices give in S, all may read in S+1.
#
# **Question.** It begins at 1.0 (the page shows the last ten supersteps; `job.statistics().table` has all) and falls. Where does rank get lost, and what would LDBC's definition of PageRank do about it? (`labkit.systems.pregel.graphalytics` has that program, with one more aggregator.)
#
# ### What the combiner spares
# **Predict**: each import is one message in each superstep. With 8 partitions, how many are left at most after the combiner, when many modules import the same one?

# %% tags=["nbval-ignore-output"]
job.cluster.close()
sent = {}
for combine in (True, False):
    job = begin("combiner", combine=combine).result()
    sent[combine] = job.view().supersteps[1]
    print("combiner" if combine else "none", "| sent on:", sent[combine].combined, "of", sent[combine].sent, "| right:", same(job))
    job.cluster.close()

# %%
print("as many are sent, and less than two thirds travel:", sent[True].sent == sent[False].sent > 1.5 * sent[True].combined)

# %% [markdown]
# A combiner must be commutative and associative: nobody promises which messages are combined, or in which order. `job.check()` tries it. A mistake:

# %%
from labkit.systems.pregel import Combiner

class Difference(Combiner):
    def combine(self, one, other):
        return one - other

class Wrong(PageRank):
    combiner = Difference()

job = begin("wrong", Wrong).result()
print(sorted({violation.what for violation in job.check().violations}))
job.cluster.close()

# %% [markdown]
# ## 3. Kill a worker in superstep 7
# All partitions are saved at the start of superstep 4 (`checkpoint_every=4`), and m3 dies in superstep 7. **Predict**: how many partitions compute superstep 5 once more, with rollback? And with confined recovery?

# %%
def killed(recovery):
    job = begin(recovery, recovery=recovery, checkpoint_every=4)
    job.cluster.run_until(lambda: job.view().current == 7)
    job.cluster.kill("m3")
    return job

job = killed("rollback")
job.cluster.run_until(lambda: job.view().recovering is not None)
job.panel()

# %% tags=["nbval-ignore-output"]
import pandas as pd

rows = []
for recovery in ("rollback", "confined"):
    job.cluster.close()
    job = killed(recovery).result()
    view, work = job.view(), job.view().work()
    again = [each for each in view.computations if each.superstep == 5 and each.epoch > 1]
    rows.append({"recovery": recovery, "lost": len(view.recoveries[0].lost), "computed superstep 5 again": len(again),
                 "compute calls again": work["computed"] - work["needed"], "right": same(job), "check": job.check().ok})
pd.DataFrame(rows).set_index("recovery")

# %%
print("right, with both:", all(row["right"] and row["check"] for row in rows))
print("partitions that computed superstep 5 again:", [row["computed superstep 5 again"] for row in rows])

# %%
job.panel()

# %% [markdown]
# * **Rollback** (§4.2): the lost partitions get other workers, *all* load the checkpoint, and all compute supersteps 4 to 6 again.
# * **Confined recovery**: only the lost partitions do (↻). What the others had sent them is in the others' **logs**: each worker writes its outgoing messages to its own disk, too. The lost fraction of the work, for a log that is written even if nobody fails.
# * Both may be chosen while a job runs: *Recovery* in the panel, or `job.set_recovery("confined")`, which begins with a checkpoint.
#
# **Question.** Confined recovery needs a *deterministic* `compute`: why? (A vertex that draws random numbers takes them from `self.random`, which is seeded by superstep and partition.) What goes wrong if not? A planted mistake:

# %%
from labkit.systems.pregel.mistakes import MISTAKES

class Walk(Vertex):
    def compute(self, messages):
        walkers = [self.vertex_id] if self.superstep == 0 else messages
        self.value = (self.value or 0) + len(walkers)
        for walker in walkers:
            if self.out_edges and self.superstep < 10:
                self.send_message_to(self.random.choice(self.out_edges).target, walker)
        self.vote_to_halt()

for name, roles in {"as in the paper": {}, "draws anew": {"roles": MISTAKES["random numbers drawn anew"]}}.items():
    job.cluster.close()
    job = begin("walk", Walk, recovery="confined", checkpoint_every=4, **roles)
    job.cluster.run_until(lambda: job.view().current == 7)
    job.cluster.kill("m3")
    job.result()
    print(name, "| check:", sorted({violation.what for violation in job.check().violations}) or "ok")

# %% [markdown]
# ### How often to save?
# Young's formula: √(2 · seconds of a checkpoint · seconds between two failures). GraphLab's example: 64 machines that fail once a year each, a checkpoint takes 2 minutes.

# %%
from labkit.systems.pregel import young

year = 365 * 24 * 3600
print(f"{young(120, year / 64) / 3600:.1f} hours")

# %% [markdown]
# `checkpoint_every="young"` with `mtbf` measures the seconds of the last checkpoint and does the rest.

# %% [markdown]
# ## 4. Shortest paths, and when a combiner helps
# Figure 5. `compute` sends along edges with their lengths; a vertex that has not got nearer stays silent.

# %%
job.cluster.close()
from labkit import show
from labkit.systems.pregel.programs import ShortestPaths

show(ShortestPaths.compute)

# %% tags=["nbval-ignore-output"]
from labkit.parts.graphs import generate

for title, over in {"binary tree, depth 8": generate.binary_tree(8), "random (RMAT)": generate.rmat(9, 10_000, seed=1)}.items():
    job = begin("paths", ShortestPaths.having(source=0), over).result()
    table = job.statistics().table
    print(f"{title}: {len(table)} supersteps, {table.messages.sum():,} messages, {table.travelled.sum():,} after the combiner")
    job.cluster.close()

# %% [markdown]
# **Question.** The paper saw a factor of more than four. Why none on the tree? And why as many supersteps as the tree is deep, plus one?

# %% [markdown]
# ## 5. The graph changes
# `compute` may ask for vertices and edges to be added or removed; it happens in the next superstep, in an order that decides most conflicts: edges go, then vertices go, vertices come, edges come, then `compute`. What is left is for a handler of yours.
#
# The 3-core of a graph is what is left when vertices with fewer than three edges are removed, again and again:

# %%
class Core(Vertex):
    """Messages: neighbours that go."""

    def compute(self, messages):
        for gone in messages:
            self.remove_edge(gone)                       # its own edge: at once
        if len(self.out_edges) < 3:
            self.send_message_to_all_neighbors(self.vertex_id)
            self.request_remove_vertex(self.vertex_id)   # in the next superstep
        self.vote_to_halt()

modules = {module: set(imported) - {module} for module, imported in graph.items()}
neighbours = {v: sorted({w for w, some in modules.items() if v in some} | modules.get(v, set())) for v in graph}
job = begin("core", Core, neighbours).result()
core = set(job.output().index)
print("some modules are left, and not all:", 0 < len(core) < len(neighbours))
print("each has three neighbours among them:", all(len(core & set(neighbours[v])) >= 3 for v in core))
job.cluster.close()

# %% [markdown]
# **Question.** A message to a vertex that has gone is dropped here. When does that happen in this program, and what else could the handler `message_to_missing` do?

# %% [markdown]
# ## 6. Millions of edges: a partition at a time
# One Python call for each vertex is slow. `compute_batch` is the same program for all vertices of a partition at once, over NumPy arrays:

# %%
from labkit.systems.pregel import programs

show(programs.PageRank.compute_batch)

# %% tags=["nbval-ignore-output"]
import time

import numpy as np

rmat = generate.rmat(14, 100_000, seed=1)
found = {}
for arrays in (False, True):
    began = time.perf_counter()
    job = begin("arrays", programs.PageRank.having(iterations=10), rmat, arrays=arrays).result()
    print(f"{'compute_batch' if arrays else 'compute'}: {time.perf_counter() - began:.1f} s")
    found[arrays] = np.asarray(job.output())
    job.cluster.close()

# %%
print("the same:", np.allclose(found[True], found[False]))

# %% [markdown]
# A partition knows once and for all to whom its edges lead, so it makes a *plan*: from then on it sends an array of numbers without names. `labkit bench graphs-pregel` runs it on two real processes beside one thread of NumPy.

# %% [markdown]
# ## 7. Your turn
# * Kill *two* machines at once in superstep 7, and then one more while the recovery runs.
# * Cut m3 off (`cluster.partition(["m3"], ["m1", "m2", "m4"])`): a worker that gets no pings **ends itself**. Why must it? What if it went on computing?
# * `labkit.systems.pregel.programs.BipartiteMatching` is the handshake of four phases (§5.3). Which messages could its combiner combine?
# * The exercise [pregel-sssp](../exercises/pregel-sssp.ipynb): a vertex program and its combiner of your own.
# * Compare with [HaLoop](haloop.ipynb) and [Spark](spark.ipynb): what is it that each of them does *not* send again in every iteration?
