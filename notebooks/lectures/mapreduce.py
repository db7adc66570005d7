# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # MapReduce: two functions, and a master that survives its workers
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are MapReduce's answers, from
# *Dean and Ghemawat, MapReduce: Simplified Data Processing on Large Clusters, OSDI 2004*. Numbers such as §3.3 are sections of that paper.
#
# | | |
# |---|---|
# | work | the input is cut into M pieces, a *map task* each; the keys in between are divided among R *reduce tasks*; a *master* gives idle *workers* one task at a time |
# | communication | a map task leaves R regions on its worker's own disk; reduce workers fetch, sort and merge them; input and output are files of a distributed file system |
# | failure | what a silent worker had in progress is done again, and so are its **completed map** tasks; its completed reduce tasks stay |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed. With `Cluster(machines=4)` the workers are real processes.

# %% [markdown]
# ## 1. The programming model
# A **programming model** is a contract with the user. This one has two functions (§2):
#
# > map (k1, v1) → list(k2, v2) · reduce (k2, list(v2)) → list(v2)
#
# The paper's first example counts words. The key of a line is where it begins in its file; nobody needs it here. `run_locally` executes a program in this notebook, sequentially (§4.7): easy to debug, and the **oracle** of all that follows.

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
# Nothing in the class says on how many machines it runs, or what happens if one dies.
#
# **Question.** Which of these fit the two functions, and what are the keys: sort a file; find lines with a word; who links to each page; the median of a million numbers?

# %% [markdown]
# ## 2. What is between map and reduce?
# **Splits.** The input is cut into M pieces of equal size (§3.1). The two files have 19 and 15 bytes; what are three pieces?

# %%
from labkit.systems.mapreduce.readers import split

for number, pieces in enumerate(split([("a.txt", 19), ("b.txt", 15)], M=3)):
    print(f"map task {number}:", [tuple(piece) for piece in pieces])

# %% [markdown]
# A piece may end in the middle of a line. The line belongs to the piece in which it *begins*: the first task reads a little further, the second skips what it finds first.
#
# **Partition.** hash(key) mod R says which reduce task gets a key (§4.1), so a map task can sort its pairs into R regions without asking anybody. What goes wrong if two workers compute it differently? With R = 2:

# %%
from labkit.systems.mapreduce.partition import hash_partition

pairs = [(word, 1) for word in tiny["a.txt"].split()]
regions = [[pair for pair in pairs if hash_partition(pair[0], 2) == r] for r in range(2)]
print(*regions, sep="\n")

# %% [markdown]
# **Sort.** A reduce task fetches its region of *every* map output and merges them in the order of the keys (§4.2), so that equal keys stand together. In region 0 some pairs have the same key already: a **combiner** adds them up on the map's
# side, before they travel (§4.3). For word count it is the same function as reduce.
#
# **Question.** M map tasks and R reduce tasks: how many regions are fetched in all? The paper's typical job has M = 200,000 and R = 5,000. And may a *mean* be computed with `combine = reduce`?

# %% [markdown]
# ## 3. On a cluster
# Four machines, with a file system on their disks that keeps three copies of each block. The text is source of Python's standard library; each task takes a virtual second, so that there is something to see.

# %%
from labkit import Cluster
from labkit.data import standard_library
from labkit.parts.store import FileSystem

class Combining(WordCount):
    combine = WordCount.reduce

text = dict(list(standard_library().items())[:20])
oracle = Combining().run_locally(text, R=10)

def begin(name, program=Combining, **options):
    cluster = Cluster(machines=4, engine="sim", seed=1, name=name)
    fs = FileSystem(cluster, replicas=3)
    fs.put("corpus/", text)
    return program(cluster, fs).start("corpus/*", "out/", **{"M": 16, "R": 10, "seconds_per_task": 1.0, **options})

# %%
job = begin("word count")
job.cluster.run(2.5)
job.panel()

# %% [markdown]
# This is 2.5 seconds after the start. The master has given each worker a map task, near a copy of its input if it could (§3.4), and a reduce task, which **waits**: it fetches map outputs as they come, but `reduce` cannot begin before the last map
# task is completed. Why not? Then let it go on: three seconds at the speed of a clock, so that you can watch the panel above, and the rest at once.

# %%
def same(job):
    files = {path.split("/")[-1]: job.fs.cat(path) for path in job.files}
    return files == oracle.files and job.counters == oracle.counters

await job.cluster.arun(3.0)
job.result()
print("the oracle's files, to the last byte, and its counters:", same(job))

# %% tags=["nbval-ignore-output"]
job.status()

# %% tags=["nbval-ignore-output"]
print(job.output().nlargest(3, "value").to_string(index=False))
job.cluster.close()

# %% [markdown]
# ### Fewer bytes: the combiner
# The same job with and without. Predict: how many of the pairs are left? How often does a word repeat within one piece of the input?

# %% tags=["nbval-ignore-output"]
for program in (WordCount, Combining):
    job = begin("combiner", program, seconds_per_task=0.001).result()
    view = job.view()
    pairs = sum(e.pairs for e in view.executions.values() if e.kind == "map")
    size = sum(size for _, what, size, _ in view.moved if what == "shuffle")
    print(f"{program.__name__}: {pairs:,} pairs, {size / 1000:.0f} kB fetched")
    job.cluster.close()

# %% [markdown]
# The bytes shrink less than the pairs: of equal keys that come one after the other labkit writes only the first.
#
# **Question.** With M = 4 instead of 16, does the combiner save more, or less?

# %% [markdown]
# ## 4. Kill a worker
# The maps are completed and some of the ten reduces are. Now m3 dies. **Predict** before you run the second cell: which of m3's tasks are done again: the maps it completed, the reduce in progress, the reduce it completed?

# %%
job = begin("a death")
view = job.view
job.cluster.run_until(lambda: view().done("reduce") >= 2, what="the first reduces are completed")
job.panel()

# %%
mine = {e.task for e in view().executions.values() if e.machine == "m3" and e.kind == "map" and e.result == "ok"}
kept = {task for kind, task in view().completed if kind == "reduce"}
job.cluster.kill("m3")
job.result()
runs = view().executions.values()
again, reduces = {e.task for e in runs if e.why == "lost"}, [e.task for e in runs if e.kind == "reduce"]
print("run again: exactly the map tasks that m3 had completed:", again == mine)
print("completed reduce tasks that were run again:", sum(reduces.count(task) - 1 for task in kept))
print("the oracle's files and counters:", same(job))

# %% [markdown]
# The panel above tells it:
# * m3's **completed maps** run again (↻): their output was on m3's own disk, and reduce tasks that had not fetched it still want it. The input's rate falls below zero: work that was done is not done any more.
# * m3's **completed reduces** stay: their output is in the file system, with copies on other disks.
# * For two seconds nobody does anything about it: the master hears nothing from m3, which might just be slow.
#
# Click a crossed square for the story of its task. *Reset* begins the job anew; kill another machine, at another moment.
#
# **Question.** Each reduce task writes a *temporary* file and *renames* it at the end (§3.3). Two executions of the same task may both get there. Who wins, and why does nobody see half a file? `job.check()` judges such rules on the trace:

# %%
print(job.check().ok, sorted(event.data["path"] for event in job.cluster.trace.filter(kind="reduce_committed"))[:3])

# %%
job.cluster.close()

# %% [markdown]
# ## 5. A straggler, and backup tasks
# A machine need not die to be a nuisance: *one of the common causes that lengthens the total time is a straggler* (§3.6). m4 is ten times slower. When the operation is close to completion, the master executes what remains **once more**,
# elsewhere, and takes whoever is first. Predict: how long with backup tasks, how long without?

# %% tags=["nbval-ignore-output"]
for backup in (False, True):
    job = begin("a straggler", backup=backup)
    job.cluster.slow("m4", 10)
    job.result()
    view = job.view()
    worked = sum(e.end - e.began for e in view.executions.values())
    print(f"backup={backup}: {view.end - view.began:.1f} s, {len(view.executions)} executions, {worked:.0f} s of work")
    if not backup:
        job.cluster.close()
job.panel()

# %% [markdown]
# ‖: the backups. White: what they have made superfluous; a cancelled task of m4 may have worked for long, for nothing.
#
# **Question.** Why does the master wait until the end, and not give every task a backup at once? (The exercise [Backup tasks](../exercises/mapreduce-backup.ipynb) is about this: you write the rule.)

# %%
job.cluster.close()

# %% [markdown]
# ## 6. Records that cannot be read
# A bug in a library that you cannot change, and one record in a million on which it fails (§4.6). Here it is any line with the word *hippopotamus*. Without help, the job fails after four attempts, and says why:

# %%
from labkit.systems.mapreduce import JobFailed

class Fragile(WordCount):
    def map(self, key, value):
        if "hippopotamus" in value:
            raise ValueError("cannot bear this word")
        super().map(key, value)

zoo = {"zoo.txt": "lion zebra\n" * 50 + "hippopotamus lion\n" + "zebra\n" * 50}

# %%
cluster = Cluster(machines=3, engine="sim", seed=2)
fs = FileSystem(cluster)
fs.put("zoo/", zoo)
try:
    Fragile(cluster, fs).run("zoo/*", "out/", M=4, R=1)
except JobFailed as error:
    print(str(error).splitlines()[0])

# %% [markdown]
# With `skip_bad_records=True`, a failing worker sends the record's number in a *last gasp*. When the master has seen the same record twice, the next execution leaves it out.

# %%
job = Fragile(cluster, fs).run("zoo/*", "skipped/", M=4, R=1, skip_bad_records=True)
print(job.output().to_string(index=False))
for kind, task, record in job.view().skipped:
    print(f"record {record} of {kind} {task} was left out")
cluster.close()

# %% [markdown]
# **Question.** *lion* should be 51. When is it right to skip, and when not? And why after two failures, not one?

# %% [markdown]
# ## 7. The paper's figure
# Figure 3 sorts 10¹⁰ records with 15,000 map tasks and 4,000 reduce tasks on about 1,700 machines; the paper has three runs: 891 s as usual, 1,283 s without backup tasks, 933 s with 200 workers killed several minutes in. Here a fiftieth of it runs in
# virtual time: nobody sorts, a task takes as long as its bytes take to move. We chose the rates so that the undisturbed run has about the paper's length, and one machine in a hundred is five times slower (the paper gives no number). Master, workers, pings,
# deaths and backups are the same as above. Predict the two ratios.

# %% tags=["nbval-ignore-output"]
from labkit.systems.mapreduce import experiments

table = experiments.figure_3(scale=0.02)
print(table[["seconds", "ratio", "paper's ratio", "backups", "run again"]].round(2).to_string())

# %% tags=["nbval-ignore-output"]
job = experiments.sort_job(scale=0.02, killed=200)
axes = (job.timeline(every=10.0) / 1e6).plot(subplots=True, figsize=(7, 5), color=["#2f8fcb", "#d98200", "#1f9e78"])
axes[0].set_title("As Figure 3 (c): MB per second")
axes[-1].set_xlabel("seconds")
job.cluster.close()

# %% [markdown]
# * The input is read first and fast, the shuffle begins with the first completed map, the output comes last.
# * Without backup tasks there is a long tail, in which hardly anything is written: the slow machines decide when the job ends.
# * Killed workers cost 5 % in the paper and next to nothing here: our last wave of reduce tasks leaves workers idle, and they do what is done again.
#
# **Question.** The shuffle comes in two waves. Which of the two is the first 1,700 reduce tasks of the paper?
#
# ## 8. Your turn
# * *Inverted index* (§2.3): for each word, the sorted names of the modules that have it. `self.input_file` is the name. Test it with `run_locally` first.
# * Override `partition` so that the output, read from file 0 to file R-1, is in the order of the keys. Are the files of equal size?
# * The paper has M ≫ workers, and R a small multiple of them. Measure both against the job's seconds, with and without a killed worker.
# * Kill the master's machine (m1). Then once more with `checkpoint_every=1.0`, and restart m1. What is lost?
# * Compare with [Spark](spark.ipynb): what does Spark do with the output of *its* map tasks when a machine dies?
