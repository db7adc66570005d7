# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # MapReduce: two functions, and a master that survives its workers
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are MapReduce's answers, from
# *Dean and Ghemawat, MapReduce: Simplified Data Processing on Large Clusters, OSDI 2004*.
#
# | | |
# |---|---|
# | work | the input is cut into M pieces, a *map task* each; the intermediate keys are divided among R *reduce tasks* |
# | communication | map tasks leave R regions each on their own disk; reduce tasks fetch, sort and merge them. Input and output are files |
# | failure | what a silent worker had in progress is done again, **and so are its completed map tasks**; completed reduce tasks stay |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed. With `Cluster(machines=4)` the workers are real processes.

# %% [markdown]
# ## 1. The programming model
# A **programming model** is a contract with the user. This one has two functions:
#
# > map (k1, v1) → list(k2, v2) · reduce (k2, list(v2)) → list(v2)
#
# The paper's example counts words. The key of a line is where it begins in its file; nobody needs it here.

# %%
from labkit.systems.mapreduce import MapReduce

class WordCount(MapReduce):
    def map(self, key, value):
        for word in value.split():
            self.emit_intermediate(word, 1)

    def reduce(self, key, values):
        self.emit(sum(values))

# %% [markdown]
# Tiny example, sequentially in this notebook (Section 4.7: *local execution*, for tests and for a debugger):

# %%
print(WordCount().run_locally({"tiny.txt": "to be or not\nto be\n"}).output())

# %% [markdown]
# Now on a cluster. Input and output are files of a distributed file system, in blocks with copies on several machines' disks. We put the sources of Python's
# standard library into it.

# %% tags=["nbval-ignore-output"]
from labkit import Cluster
from labkit.data import standard_library
from labkit.parts.store import FileSystem

def lab(machines=4, seed=7):
    cluster = Cluster(machines=machines, engine="sim", seed=seed)
    fs = FileSystem(cluster, replicas=3)
    fs.put("corpus/", standard_library())
    return cluster, fs

cluster, fs = lab()
job = WordCount(cluster, fs).run("corpus/*", "out/", M=12, R=3)
counts = job.output().set_index("key").value
print(counts.nlargest(5).to_string())
print(fs.ls("out/"))

# %% [markdown]
# The sequential run is the oracle. Do they agree, to the last byte of each file?

# %%
alone = WordCount(cluster, fs).run_locally("corpus/*", R=3)
print(all(fs.cat(f"out/{name}") == data for name, data in alone.files.items()), job.counters == alone.counters)

# %% [markdown]
# ## 2. The architecture
# One **master** gives tasks to **workers**. Its data structures are small: for each task a state (*idle*, *in progress*, *completed*) and a worker; for each completed map task where its R regions are.

# %% tags=["nbval-ignore-output"]
print(job.status())

# %% [markdown]
# **Question.** Which reduce task gets the word `the`? The default is hash(key) mod R. What must `partition` promise, and what goes wrong if two workers compute it differently?
#
# Inside a file keys are in increasing order: each reduce task sorts what it has fetched, outside of memory if it must.

# %% tags=["nbval-ignore-output"]
first = fs.cat("out/part-00000").decode().splitlines()
print([line.split("\t")[0] for line in first[:3]], "…", sorted(first) == first)

# %% [markdown]
# ### Fewer bytes: the combiner
# The word `self` is emitted tens of thousands of times. A **combiner** is a reduce on the mapper's machine, before anything travels. Predict: how much smaller is the shuffle?

# %% tags=["nbval-ignore-output"]
class Combining(WordCount):
    combine = WordCount.reduce

def shuffled(job):
    return sum(size for _, what, size, _ in job.view().moved if what == "shuffle")

combined = Combining(cluster, fs).run("corpus/*", "combined/", M=12, R=3)
print(f"{shuffled(job) / shuffled(combined):.1f} times fewer bytes, the same words:", combined.output().equals(job.output()))
cluster.close()

# %% [markdown]
# **Question.** For which functions is `combine = reduce` right? Try the *mean* length of a word's lines.
#
# ## 3. Failure
# A worker dies in the middle. The master pings every worker; one that does not answer for two seconds is marked as failed. What it was at is done again, of course. But its *completed* map tasks, too: their output was on its disk.

# %% tags=["nbval-ignore-output"]
cluster, fs = lab()
job = Combining(cluster, fs).start("corpus/*", "out/", M=12, R=4, seconds_per_task=1.0)
cluster.run_until(lambda: job.view().done("map") >= 9)
print(job)
cluster.kill("m3")
job.result()
print(job)

# %% tags=["nbval-ignore-output"]
again = [each for each in job.view().executions.values() if each.why != "first"]
for each in again:
    print(f"{each.kind} {each.task} on {each.machine}, because: {each.why}")
print(job.check())
assert job.check().ok

# %% [markdown]
# `lost` are map tasks that had been completed. No reduce task is among those that were completed before: a completed reduce's output is a file of the file system, with copies.
#
# **Question.** Each reduce task writes a temporary file and *renames* it at the end. Two executions of the same reduce task may both get there. Who wins, and why does nobody see half a file?

# %% tags=["nbval-ignore-output"]
print([event.data["path"] for event in cluster.trace.filter(kind="reduce_committed")])
cluster.close()

# %% [markdown]
# ### Stragglers: backup tasks
# A machine need not die to be a nuisance: m4 is twenty times slower than the others. When the job is close to its end, the master gives the last tasks to a second worker, and takes whoever is first (Section 3.6).

# %% tags=["nbval-ignore-output"]
for backup in (False, True):
    cluster, fs = lab(machines=6)
    cluster.slow("m4", 20)
    job = Combining(cluster, fs).run("corpus/*", "out/", M=24, R=6, seconds_per_task=0.5, backup=backup)
    view = job.view()
    second = sum(each.why == "backup" for each in view.executions.values())
    print(f"backup={backup}: {view.end - view.began:5.1f} s, {second} of {len(view.executions)} executions were backups")
    cluster.close()

# %% [markdown]
# ### Bad records
# A line that the user's code cannot bear makes its task fail, wherever it is tried. With `skip_bad_records=True` the dying task sends a *last gasp* with the number of the record; after two of them the master has it left out (Section 4.6).

# %% tags=["nbval-ignore-output"]
class Fragile(Combining):
    def map(self, key, value):
        if "Easter egg" in value:
            raise ValueError("what is this?")
        super().map(key, value)

cluster, fs = lab()
fs.put("corpus/zen.py", b"import this  # Easter egg\n")
job = Fragile(cluster, fs).run("corpus/*", "out/", M=12, R=3, skip_bad_records=True)
for kind, task, record in job.view().skipped:
    print(f"record {record} of {kind} {task} was left out")
print(job.counters["map_input_pairs"], "lines were mapped")
cluster.close()

# %% [markdown]
# ## 4. The paper's figure
# Fig. 3 sorts 10¹⁰ records with 15,000 map tasks and 4,000 reduce tasks on about 1,700 machines; the paper has three runs: 891 s as usual, 1,283 s without backup tasks, 933 s with 200 workers killed several minutes in. Here a twentieth of it runs in
# the simulator: nobody sorts, a task takes as long as its bytes take to move. The rates are chosen by us so that the undisturbed run is about as long as the paper's, and one machine in a hundred is five times slower (the paper gives no number).
# Master, workers, pings, deaths and backups are the same as above. Predict the two ratios.

# %% tags=["nbval-ignore-output"]
from labkit.systems.mapreduce import experiments

figure = experiments.figure_3(scale=0.05)
print(figure.round(2).to_string())

# %% [markdown]
# Without backup tasks the slow machines decide when the job ends. The run with killed workers costs nothing here, and 5 % in the paper: our last wave of reduce tasks leaves workers idle, and they do what is done again.

# %% tags=["nbval-ignore-output"]
job = experiments.sort_job(scale=0.05, killed=200)
axes = (job.timeline() / 1e9).plot(subplots=True, figsize=(7, 5), legend=True)
for each in axes:
    each.set(ylabel="GB/s")
job.cluster.close()

# %% [markdown]
# **Question.** Why does the input rate fall below zero in the run with killed workers? Which of the two waves of the shuffle is the first 1,700 reduce tasks?
#
# ## 5. Your turn
# * Inverted index, reverse links, grep, distributed sort: the paper gives each a few lines in Section 2.3. Write two.
# * `M` and `R`: the paper has M ≫ workers, R a small multiple of them. Measure both against makespan, with and without a killed worker.
# * `Backup(close=…, slower=…)` is the master's rule. Subclass it: which rule wastes least, which is fastest?
# * `checkpoint_every=1.0`, and kill the master's machine. What is done again?
