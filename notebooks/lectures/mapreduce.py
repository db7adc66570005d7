# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # MapReduce: two functions, and what a cluster makes of them
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are MapReduce's answers, from
# *Dean and Ghemawat, MapReduce: Simplified Data Processing on Large Clusters, OSDI 2004*. Numbers such as §3.3 are sections of that paper.
#
# | | |
# |---|---|
# | work | the input is cut into M pieces, a *map task* each; the keys in between are divided among R *reduce tasks*; a *master* gives idle *workers* one task at a time |
# | communication | a map task leaves R regions on its worker's own disk; reduce workers fetch them; input and output are files of a distributed file system |
# | failure | what a dead worker had in progress is done again, and so are its **completed map** tasks; its completed reduce tasks stay |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed.

# %% [markdown]
# ## 1. The programming model
# The user writes two functions (§2):
#
# * `map(k1, v1) → list(k2, v2)`: here the key is a position in a file, the value a line;
# * `reduce(k2, list(v2)) → list(v2)`: it gets *all* values of a key.
#
# The paper's first example counts words. `run_locally` executes a program here, sequentially, without any cluster (§4.7): easy to debug, and the **oracle** of everything that follows.

# %%
from labkit.systems.mapreduce import MapReduce

class WordCount(MapReduce):
    def map(self, key, value):
        for word in value.split():
            self.emit_intermediate(word, 1)

    def reduce(self, key, values):
        self.emit(sum(values))

tiny = {"a.txt": "to be or not to be\n", "b.txt": "to do is to be\n"}
print(WordCount().run_locally(tiny).output().to_string(index=False))

# %% [markdown]
# Nothing in the class says on how many machines it runs, or what happens if one dies. *Programmers without any experience with parallel and distributed systems* can use it, says the paper's abstract.
#
# **Question.** Which of these fit the two functions, and what are the keys: sort a file; find lines with a word; who links to each page; the median of a million numbers?

# %% [markdown]
# ## 2. What is between map and reduce? A tiny example
# **Splits.** The input is cut into M pieces of equal size (§3.1). The two files have 19 and 15 bytes; what are three pieces?

# %%
from labkit.systems.mapreduce.readers import split

for number, pieces in enumerate(split([("a.txt", 19), ("b.txt", 15)], M=3)):
    print(f"map task {number}:", [tuple(piece) for piece in pieces])

# %% [markdown]
# A piece may end in the middle of a line. The line belongs to the piece in which it *begins*, so the first task reads a little further, and the second skips what it finds first (§4.4).
#
# **Partition.** `hash(key) mod R` says which reduce task gets a key (§4.1), so a map task can sort its pairs into R regions without asking anybody. With R = 2:

# %%
from labkit.systems.mapreduce.partition import hash_partition

pairs = [(word, 1) for word in tiny["a.txt"].split()]
regions = [[pair for pair in pairs if hash_partition(pair[0], 2) == r] for r in range(2)]
print(*regions, sep="\n")

# %% [markdown]
# **Sort.** A reduce task fetches its region of *every* map output, and merges them in the order of the keys (§4.2), so that equal keys stand together:

# %%
other = [(word, 1) for word in tiny["b.txt"].split() if hash_partition(word, 2) == 0]
print(sorted(regions[0] + other))

# %% [markdown]
# **Combine.** Look at region 0 again: some pairs have the same key. A *combiner* adds them up on the map's side, before they travel (§4.3). For word count it is the same function as reduce: `combine = reduce`.
#
# **Question.** M map tasks and R reduce tasks: how many regions are fetched in all? The paper's typical job has M = 200,000 and R = 5,000.

# %% [markdown]
# ## 3. On a cluster
# Four machines, with a file system on their disks that keeps three copies of each block; the text is source of Python's standard library. Virtual seconds pass for each task, so that there is something to
# see.

# %%
from labkit import Cluster
from labkit.data import standard_library
from labkit.parts.store import FileSystem

class Counting(WordCount):
    combine = WordCount.reduce

    def map(self, key, value):
        self.counter("capitalized").increment(sum(word.istitle() for word in value.split()))
        super().map(key, value)

text = dict(list(standard_library().items())[:20])
oracle = Counting().run_locally(text, R=10)

# %%
def begin(seed=1, program=Counting, machines=4, **options):
    cluster = Cluster(machines=machines, engine="sim", seed=seed)
    fs = FileSystem(cluster, replicas=3)
    fs.put("corpus", text)
    chosen = {"M": 16, "R": 10, "seconds_per_task": 1.0, **options}
    return program(cluster, fs).start("corpus/*", "out", **chosen)

job = begin()
job.cluster.run(2.5)
job.panel()

# %% [markdown]
# This is 2.5 seconds after the start. The master has given each worker a map task, near a copy of its input if it could (§3.4), and a reduce task, which **waits**: it fetches map outputs as they come, but
# `reduce` cannot begin before the last map task is completed. Why not?

# %%
def same(job):
    files = {path.split("/")[-1]: job.fs.cat(path) for path in job.files}
    return files == oracle.files and job.counters == oracle.counters

job.result()
print("the oracle's files and counters:", same(job))

# %% tags=["nbval-ignore-output"]
job.status()

# %% [markdown]
# **Counters** (§4.9) count what a program wants to know: here words that begin with a capital. The last four are kept by the library. A task counts for itself, and its numbers travel to the master with the
# answers to its pings. Which number says how much the combiner had to do?

# %%
job.cluster.close()

# %% [markdown]
# ## 4. Kill a worker
# Now m3 dies when all maps are completed and some of the ten reduces are. **Predict** before you run the cell: which of m3's tasks are done again: the maps it completed, the reduce in progress, the reduce it completed?

# %%
job = begin()
view = job.view
job.cluster.run_until(lambda: view().done("reduce") >= 2, what="the first reduces are completed")
mine = {e.task for e in view().executions.values() if e.machine == "m3" and e.kind == "map" and e.result == "ok"}
kept = {task for kind, task in view().completed if kind == "reduce"}
job.cluster.kill("m3")
job.result()
print("the oracle's files and counters:", same(job))

# %%
again = {e.task for e in view().executions.values() if e.why == "lost"}
twice = [e for e in view().executions.values() if e.kind == "reduce" and e.task in kept and e.result != "ok"]
print("run again: exactly the map tasks that m3 had completed:", again == mine)
print("completed reduce tasks that were run again:", len(twice))

# %% tags=["nbval-ignore-output"]
panel = job.panel()
panel

# %% [markdown]
# * m3's **completed maps** run again (violet): their output was on m3's own disk, and reduce tasks that had not fetched it still want it.
# * m3's **completed reduces** stay: their output is in the file system, with copies on other disks.
# * For two seconds nobody does anything about it: the master hears nothing from m3, which might just be slow.
#
# Click a crossed square: the story of that task. And why does each reduce task write a *temporary* file, and rename it at the end (§3.3)? `job.check()` judges such rules on the trace:

# %%
print(job.check().ok)
job.cluster.close()

# %% [markdown]
# **Question.** M = 16 here and m3 had completed about a quarter. What fraction of the work is lost with one of N workers, if it dies just before the end? Just after the start?

# %% [markdown]
# ## 5. A straggler, and backup tasks
# *One of the common causes that lengthens the total time is a straggler* (§3.6). m4 is ten times slower. When the operation is close to completion, the master executes what remains **once more**, elsewhere;
# whichever is first counts. Predict: how long with backup tasks, how long without?

# %%
import pandas as pd

def straggler(backup):
    job = begin(backup=backup)
    job.cluster.slow("m4", 10)
    job.result()
    view = job.view()
    seconds = [e.end - e.began for e in view.executions.values()]
    return job, {"seconds": view.end - view.began, "worker seconds": sum(seconds), "executions": len(seconds)}

rows = {}
for backup in (False, True):
    job, rows["backup tasks" if backup else "without"] = straggler(backup)
print(pd.DataFrame(rows).T.round(1).to_string())

# %% tags=["nbval-ignore-output"]
job.panel()

# %% [markdown]
# Dotted: the backups. White: what they have made superfluous; a cancelled task of m4 may have worked for long, for nothing.
#
# **Question.** Why does the master wait until the end, and not give every task a backup at once? What would a rule need to know that starts backups early, but only for stragglers? (The exercise
# *mapreduce-backup* is about this.)

# %%
job.cluster.close()

# %% [markdown]
# ## 6. What is the combiner worth?
# The same job with and without `combine`. The output is the same; what travels is not. Predict the ratio: how often does a word repeat within one piece of the input?

# %% tags=["nbval-ignore-output"]
moved = {}
for program in (WordCount, Counting):
    job = begin(program=program, seconds_per_task=0.001).result()
    view = job.view()
    pairs = sum(e.pairs for e in view.executions.values() if e.kind == "map" and e.result == "ok")
    size = sum(size for _, kind, size, _ in view.moved if kind == "shuffle")
    moved["with combiner" if program.combine else "without"] = {"pairs shuffled": pairs, "KB shuffled": size // 1000}
    job.cluster.close()
print(pd.DataFrame(moved).T.to_string())

# %% [markdown]
# The bytes shrink less than the pairs: labkit writes a key once in a region, and its values behind it.
#
# **Question.** With M = 4 instead of 16, does the combiner save more, or less? And may the mean of numbers be computed with `combine = reduce`?

# %% [markdown]
# ## 7. Records that cannot be read
# A bug in a library that you cannot change, and one record in a million on which it fails (§4.6). Here it is any line with the word *hippopotamus*. Without help, the job fails after four attempts, and says why:

# %%
class Fragile(WordCount):
    def map(self, key, value):
        if "hippopotamus" in value:
            raise ValueError("cannot bear this word")
        super().map(key, value)

def fragile(**options):
    cluster = Cluster(machines=3, engine="sim", seed=2)
    fs = FileSystem(cluster)
    fs.put("zoo", {"zoo.txt": "lion zebra\n" * 50 + "hippopotamus lion\n" + "zebra\n" * 50})
    return Fragile(cluster, fs).start("zoo/*", "out", M=4, R=1, **options)

# %%
from labkit.systems.mapreduce import JobFailed

try:
    fragile().result()
except JobFailed as error:
    print(str(error).splitlines()[0])

# %% [markdown]
# With `skip_bad_records=True`, a failing worker sends the record's number in a *last gasp*. When the master has seen the same record twice, the next execution leaves it out.

# %%
job = fragile(skip_bad_records=True).result()
print(job.output().to_string(index=False))
for event in job.cluster.trace:
    if event.kind in ("last_gasp", "record_skipped"):
        print(f"{event.time:5.2f} s  {event.kind}: record {event.data['record']} of map task {event.data['task']}")
job.cluster.close()

# %% [markdown]
# **Question.** *lion* should be 51. When is it right to skip, and when not? And why twice, not once?

# %% [markdown]
# ## 8. The paper's figure
# §5.3 sorts a terabyte: M = 15,000, R = 4,000, about 1,700 workers. Here is a hundredth of it in virtual time: tasks take as long as their bytes take to move, everything else is the master's and the workers'
# own. Two machines are killed in the third run, as 200 were in the paper's. What do you expect of the ratios?

# %%
from labkit.systems.mapreduce import experiments

table = experiments.figure_3(scale=0.01)
print(table[["seconds", "ratio", "paper's ratio", "backups", "run again"]].round(2).to_string())

# %% tags=["nbval-ignore-output"]
job = experiments.sort_job(scale=0.01, killed=200, kill_at=100.0)
axes = (job.timeline(every=10.0) / 1e6).plot(subplots=True, figsize=(7, 5), color=["#2f8fcb", "#d98200", "#1f9e78"])
axes[0].set_title("As Figure 3 (c): MB per second; below zero: completed map work is lost")
axes[-1].set_xlabel("seconds")
job.cluster.close()

# %% [markdown]
# * The input is read first and fast, the shuffle begins with the first completed map, the output comes last.
# * Without backup tasks there is a long tail, in which hardly anything is written.
# * The killed workers cost nothing here. There are 40 reduce tasks and 17 workers: in the third round of them most workers would be idle, and do what was lost. In the paper it was 5 %.
# * The input's rate is **negative** when workers die: map work that was completed is not any more.
#
# ## 9. Your turn
# * Write *inverted index* (§2.3): for each word, the sorted names of the modules that have it. `self.input_file` is the name. Test it with `run_locally` first.
# * `partition` can be overridden. Make one by which the output, read from file 0 to file R-1, is in the order of the keys. Are the files of equal size?
# * Kill the master's machine (m1). Then once more with `checkpoint_every=1.0`, and restart m1. What is lost?
# * Compare with Spark's lecture: what does Spark do with the output of *its* map tasks when a machine dies?
