# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Spark: lineage instead of copies
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are Spark's answers, from
# *Zaharia et al., Resilient Distributed Datasets, NSDI 2012*.
#
# | | |
# |---|---|
# | work | a data set is cut into *partitions*; a task computes one of them |
# | communication | only between *stages*, where data are shuffled |
# | failure | the *lineage* says how a lost partition was made: it is made again, and nothing else |
#
# You will count the words of Python's standard library, train a classifier and rank Python's modules; kill machines while they work; and find out what a failure costs.
# The machines are real processes, and the API is PySpark's: what you write here runs on a cluster of a thousand.

# %% tags=["nbval-ignore-output"]
from labkit import Cluster
from labkit.systems.spark import SparkContext

cluster = Cluster(machines=4, engine="ray")
sc = SparkContext(cluster)
panel = sc.panel()
panel

# %% [markdown]
# ## 1. The programming model
# A **programming model** is a contract with the user. Spark's is the *resilient distributed dataset* (RDD): an immutable collection, made from files or from other RDDs by *transformations* such as `map`
# and `filter`. The lecture's smallest example counts even numbers, first with a Scala collection:
#
# ```
# scala> val local_seq = Seq(1,2,3,4,5,6,7,8,9,10)
# scala> val filter_seq = local_seq.filter( _ % 2 == 0)
# scala> filter_seq.size
# res0: Int = 5
# ```

# %%
local_seq = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
filter_seq = [x for x in local_seq if x % 2 == 0]
len(filter_seq)

# %% [markdown]
# Then the same on a cluster:
#
# ```
# scala> val RDD_seq = sc.parallelize(local_seq)
# scala> val filter_rdd = RDD_seq.filter ( _ % 2 == 0)
# scala> filter_rdd.count()
# res0: Long = 5
# ```

# %%
RDD_seq = sc.parallelize(local_seq)
filter_rdd = RDD_seq.filter(lambda x: x % 2 == 0)
filter_rdd.count()

# %% [markdown]
# *Writing a program for a cluster became as easy as writing for a single machine*, says the lecture. What is different? `filter` did **nothing** but note what is to be done. Only an *action*, here `count`, starts
# a job. The panel above shows it: two RDDs, their partitions on the machines, and the tasks over time.
#
# What an RDD notes is its **lineage**: from whom it is made, and how.

# %% tags=["nbval-ignore-output"]
print(filter_rdd.toDebugString().decode())

# %% [markdown]
# ## 2. Counting words
# The text is the source of Python's standard library, one record per module, in 16 partitions.

# %%
from labkit.data import standard_library

modules = list(standard_library().values())
texts = sc.parallelize(modules, 16)
counts = texts.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
result = counts.collectAsMap()

# %% [markdown]
# The oracle of a distributed program is one that is not:

# %%
from collections import Counter

truth = Counter(word for text in modules for word in text.split())
print("as counted here:", result == truth)

# %% [markdown]
# **Two kinds of dependencies.** `flatMap` and `map` are *narrow*: partition 3 of the result needs partition 3 of the input only, so one task does both in one go. `reduceByKey` is *wide*: a word may come from
# anywhere, so each partition needs *all* of them. There the data are **shuffled**, and a new *stage* begins. Which is which?

# %%
for rdd in (texts, counts):
    print(rdd.id(), [type(dependency).__name__ for dependency in rdd.dependencies()])

# %% tags=["nbval-ignore-output"]
print(counts.toDebugString().decode())

# %% [markdown]
# **Question.** A map task writes its output to its machine's disk, in one file. How many pieces has the file, and who fetches them? Click a partition of `reduceByKey` in the panel: what it was made from is
# outlined. Then click one of `flatMap`.

# %% [markdown]
# ## 3. Kill a machine while `collect()` runs
# The next cell counts again, more slowly, so that you can watch: each module takes a fifth of a second. **While it runs, press *Kill* on a machine.** What you see:
#
# 1. its column turns red: tasks that ran there, and shuffle outputs on its disk, are lost (✕);
# 2. for three seconds nothing happens: the driver waits for a sign of life, the machine may just be slow;
# 3. then the lost map tasks, and **only they**, run again on other machines (violet): the *recomputed cone*.

# %%
import time

def words(text):
    time.sleep(0.2)  # as if it were a large file
    return text.split()

slow = texts.flatMap(words).map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
print("the same answer:", dict(slow.collect()) == truth)

# %% [markdown]
# You were too late, or too kind? Then the next cell does it. The map outputs on m2 die with it, and the second `collect` needs them. How many tasks should run again?

# %%
alive = [machine.name for machine in cluster.machines if machine.alive]
if len(alive) == 4:
    cluster.kill("m2")
print("the same answer:", dict(slow.collect()) == truth)

# %% [markdown]
# Compare the numbers of the panel: *tasks run again* and what *lineage predicts*. Its table shows what the failure cost.

# %% tags=["nbval-ignore-output"]
panel

# %% [markdown]
# The driver's own words, from the trace. (The driver itself must not die: the paper does not survive that, and neither do we.)

# %% tags=["nbval-ignore-output"]
for event in cluster.trace:
    if event.kind in ("killed", "executor_lost", "outputs_lost") or event.data.get("why") == "lost":
        print(f"{event.time:6.2f} s  {event.kind:14} {event.data.get('machine') or event.machine}")

# %% [markdown]
# The machines come back. Their executors start empty, and join.

# %%
for machine in cluster.machines:
    if not machine.alive:
        cluster.restart(machine)
print(all(machine.alive for machine in cluster.machines))

# %% [markdown]
# ## 4. Logistic regression: data kept in memory
# The lecture's second example, as on the slide:
#
# ```scala
# val points = spark.textFile(...)
#                     .map(parsePoint).persist()
# var w = // random initial vector
# for (i <- 1 to ITERATIONS) {
#   val gradient = points.map{ p =>
#     p.x * (1/(1+exp(-p.y*(w dot p.x)))-1)*p.y
#   }.reduce((a,b) => a+b)
#   w -= gradient
# }
# ```
#
# Our points are scikit-learn's 1,797 handwritten digits; the question is whether one is a **zero** (y = 1) or not (y = −1). First a text file, one point per line:

# %%
import tempfile
from pathlib import Path

import numpy as np
from labkit.data import digits

images, labels = digits()
answers = np.where(labels == 0, 1, -1)
path = Path(tempfile.mkdtemp()) / "digits.csv"
np.savetxt(path, np.column_stack([answers, images]), fmt="%g", delimiter=",")

# %% [markdown]
# `val points = spark.textFile(...).map(parsePoint).persist()`

# %%
from typing import NamedTuple

class Point(NamedTuple):
    x: np.ndarray
    y: float

def parsePoint(line):
    y, *x = map(float, line.split(","))
    return Point(np.array(x), y)

points = sc.textFile(str(path), 8).map(parsePoint).persist()

# %% [markdown]
# `var w = // random initial vector`, and the loop, line by line:

# %%
from numpy import exp

def train(iterations=20, before=lambda i: None):
    w = np.random.default_rng(0).normal(size=64)  # random initial vector
    for i in range(iterations):
        before(i)
        gradient = points.map(
            lambda p: p.x * (1 / (1 + exp(-p.y * w.dot(p.x))) - 1) * p.y
        ).reduce(lambda a, b: a + b)
        w -= gradient
    return w

w = train()
print(f"right: {np.mean(np.sign(images @ w) == answers):.1%}")

# %% [markdown]
# Two things to notice. `w` changes, but each `map` took **the value it had then** along: a closure captures values at creation. And `persist` did nothing by itself: the first job computed the points, and those
# after it found them in memory. What is that worth? Look at *seconds per job* in the panel, or count what the tasks computed:

# %%
jobs = {}
for event in cluster.trace.filter(kind="task_finished"):
    parsed = [pair for pair in event.data["computed"] if pair[0] == points.id()]
    jobs.setdefault(event.span, []).extend(parsed)
print("partitions parsed in each of the 20 jobs:", [len(some) for some in list(jobs.values())[-20:]])

# %% [markdown]
# ### A machine dies in the eleventh iteration
# Its partitions of `points` die with it. The paper does the same with k-means (Fig. 11). Which iterations will be slow, and why not all that follow?

# %% tags=["nbval-ignore-output"]
panel

# %%
again = train(before=lambda i: cluster.kill("m3") if i == 10 else None)
print("the same weights, to the last bit:", np.array_equal(w, again))

# %% [markdown]
# To the last bit: partial sums are added in the order of the partitions, wherever they were computed.

# %%
cluster.restart("m3")
_ = points.unpersist()

# %% [markdown]
# ## 5. PageRank: data kept where they are needed
# A module is important if important modules import it. The paper's rule (Section 3.2.2) for N pages: rank = a/N + (1 − a) · Σ contributions, here with a = 0.15. A page's contribution to each page that it links to is its rank, divided by the
# number of its links.

# %%
from labkit.data import import_graph

graph = import_graph()
N, a, ITERATIONS = len(graph), 0.15, 10
links = sc.parallelize(list(graph.items()), 8).partitionBy(8).persist()
ranks = links.mapValues(lambda targets: 1 / N)
for _ in range(ITERATIONS):
    contributions = links.join(ranks).flatMap(
        lambda pair: [(target, pair[1][1] / len(pair[1][0])) for target in pair[1][0]]
    )
    ranks = contributions.reduceByKey(lambda x, y: x + y, 8).mapValues(lambda x: a / N + (1 - a) * x)
ranked = ranks.collectAsMap()

# %% [markdown]
# Does a plain loop agree?

# %%
plain = dict.fromkeys(graph, 1 / N)
for _ in range(ITERATIONS):
    sums = {}
    for module, rank in plain.items():
        for target in graph[module]:
            sums[target] = sums.get(target, 0) + rank / len(graph[module])
    plain = {module: a / N + (1 - a) * x for module, x in sums.items()}
print("as computed here:", plain.keys() == ranked.keys() and np.allclose([ranked[m] for m in plain], list(plain.values())))

# %% tags=["nbval-ignore-output"]
for module in sorted(ranked, key=ranked.get, reverse=True)[:8]:
    print(f"{module:12} {100 * ranked[module]:.2f} %")

# %% [markdown]
# `partitionBy` put each module's links where its rank will be. So the `join` needs no shuffle: the big table stays, only contributions travel. The trace knows how often `links` itself was shuffled:

# %%
shuffles = {e.data["shuffle"] for e in cluster.trace.filter(kind="outputs_stored")}
mapped = {e.data["shuffle"]: e.data["rdd"] for e in cluster.trace.filter(kind="stage_started") if e.data["kind"] == "map"}
first = links.dependencies()[0].rdd.id()
print("links was shuffled", sum(mapped[s] == first for s in shuffles), "time, in", ITERATIONS, "iterations")

# %% tags=["nbval-ignore-output"]
panel

# %% [markdown]
# ## 6. What does a failure cost, and what can you do about it?
# Now to the simulator, where the same program with the same seed runs the same way every time. `second_count` counts how often each last digit comes, kills m2, counts once more, and says what this second
# count had to do: tasks, kilobytes fetched in shuffles, milliseconds.

# %%
from labkit.systems.spark import StorageLevel

def second_count(prepare, kill):
    with Cluster(4, engine="sim", seed=1) as lab, SparkContext(lab) as spark:
        spark.setCheckpointDir(tempfile.mkdtemp())
        pairs = spark.range(100_000, numSlices=8).map(lambda n: (n % 1000, n))
        rdd = prepare(pairs.groupByKey())
        total = rdd.count()
        if kill:
            lab.kill("m2")
        lab.run(5)  # the driver notices
        events, began = lab.trace.count, lab.now
        assert rdd.count() == total
        return priced(lab.trace.since(events), lab.now - began)

# %%
def priced(events, seconds):
    tasks = [e.data for e in events if e.kind == "task_finished" and e.data["result"] == "ok"]
    fetched = sum(task["fetched_local"] + task["fetched_remote"] for task in tasks)
    return {"tasks": len(tasks), "KB": fetched // 1000, "ms": round(1000 * seconds)}

def checkpoint(rdd):
    rdd.checkpoint()
    return rdd

# %% [markdown]
# What may one do with the grouped data before they are counted? Predict each line before you run the cell: what does the second count cost without a failure, and what does the failure add?

# %%
import pandas as pd

choices = {
    "nothing": lambda rdd: rdd,
    "persist": lambda rdd: rdd.persist(),
    "persist, 2 copies": lambda rdd: rdd.persist(StorageLevel.MEMORY_ONLY_2),
    "checkpoint": checkpoint,
    "repartition(32)": lambda rdd: rdd.repartition(32).persist(),
}
calm = pd.DataFrame({name: second_count(how, kill=False) for name, how in choices.items()}).T
killed = pd.DataFrame({name: second_count(how, kill=True) for name, how in choices.items()}).T
print(pd.concat({"no failure": calm, "m2 dies": killed, "added": killed - calm}, axis=1).to_string())

# %% [markdown]
# * *Nothing* kept: the shuffle outputs on m2 are made again by their map tasks. The rest of the shuffle is still there, on the other machines' disks.
# * *persist* makes the **normal** case cheap. What was in m2's memory has to go back through the shuffle, so its map outputs are missed as well.
# * *Two copies*, or a *checkpoint* on a file system that survives, cost nothing when a machine dies. When do they cost?
# * After *repartition* there are two shuffles behind each partition, and m2 held a part of both.
#
# **Question.** In the panel: select an RDD of a job of yours, press *Persist*, run the action twice, kill a machine, and run it again. Then *Unpersist*, and the same once more. Which tasks are violet?

# %% [markdown]
# ## 7. The paper's figures
# The simulator is told what reading a partition and computing with it cost in the paper, and nothing else. Do the figures come out?
#
# ### Fig. 7: what is `persist` worth?

# %%
from labkit.systems.spark import experiments

print(experiments.caching().round(2).to_string())

# %% [markdown]
# ### Fig. 10: what is `partitionBy` worth?
# PageRank, with `links` where they happen to be, and by hash:

# %%
print(experiments.partitioning().round(2).to_string())

# %% [markdown]
# ### Fig. 11: a machine dies at the start of the sixth iteration
# k-means. How many partitions did the machine hold?

# %%
failed = experiments.failure()
print(failed.round(1).to_string())

# %% tags=["nbval-ignore-output"]
axes = failed[["seconds", "paper seconds"]].plot.bar(figsize=(7, 3), color=["#7a4fd0", "#c9d1d9"], rot=0)
axes.set(ylabel="seconds", title="Fig. 11: one iteration pays, the next does not");
# %% [markdown]
# ### Fig. 12: what if there is memory for a part of the data only?

# %%
memory = experiments.memory_fraction()
print(memory.round(1).to_string())

# %% tags=["nbval-ignore-output"]
axes = memory.plot(style=["o-", "x"], figsize=(7, 3), markersize=8)
axes.set(xlabel="fraction of the data in memory", ylabel="seconds per iteration", ylim=(0, None), title="Fig. 12");
# %% [markdown]
# **Question.** Fig. 12 is almost a straight line. What would it look like if Spark evicted the partition that was used least recently, whatever RDD it belongs to, while a job scans all of them in order?

# %% [markdown]
# ## 8. Your turn
# * `links.join(ranks)` without `partitionBy`: how many bytes are fetched then? Predict; then measure with `task_finished`.
# * A lineage of a hundred shuffles, and a machine dies at the end: how many tasks run again? Where would you put a `checkpoint`?
# * Pause a machine instead of killing it. What does the driver think? What happens when it resumes?

# %%
sc.stop()
cluster.close()
print(cluster)
