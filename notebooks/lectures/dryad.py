# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Dryad: a graph of sequential programs, drawn by its user and redrawn as it runs
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are Dryad's answers, from
# *Isard, Budiu, Yu, Birrell and Fetterly, Dryad: Distributed Data-Parallel Programs from Sequential Building Blocks, EuroSys 2007*.
#
# | | |
# |---|---|
# | work | the user composes an acyclic graph of sequential programs, its *vertices*; a *job manager* starts each vertex on a free computer, near its data |
# | communication | *channels* of items: a file on the producer's disk, a pipe between two running vertices, a FIFO in one process's memory |
# | failure | a vertex is executed again, as a new *version*; if its input is gone, so is the vertex that wrote it; what pipes join fails together |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed. With `Cluster(machines=4)` the computers are real processes.

# %% [markdown]
# ## 1. The programming model: compose a graph
# A vertex is a program with `readers` and `writers` (the paper's `Main`). Where it may have to wait for an item it says `async for` or `await`.

# %%
from labkit.systems.dryad import encapsulate, run_locally, vertex
from labkit.systems.dryad.vertices import distribute, flat_map, merge, reduce, sort

@vertex
async def numbers(readers, writers):
    for n in range(6):
        for writer in writers:
            await writer.write(n)

@vertex
async def double(readers, writers):
    async for n in readers[0]:
        await writers[0].write(2 * n)

print(numbers)

# %% [markdown]
# Four operators make larger graphs of smaller ones (Figure 3). `G ** k` clones. `A >= B` joins pointwise: each output of A to one input of B, dealt round. `A >> B` joins each with each. `A | B` merges two graphs that share vertices.

# %%
pointwise = numbers**3 >= double**3
all_to_all = pointwise >> merge()
print(all_to_all)
print(run_locally(all_to_all))

# %% [markdown]
# **Predict**: how many edges have `a**4 >= b**2`, `a**2 >= b**4` and `a**4 >> b**2`?

# %%
a, b = numbers, double
print([len(graph.edges) for graph in (a**4 >= b**2, a**2 >= b**4, a**4 >> b**2)])

# %% [markdown]
# Python reads `x >= y >= z` as `(x >= y) and (y >= z)`. That would silently forget a half, so it is an error that says what to write:

# %%
try:
    graph = numbers >= double >= merge()
except TypeError as error:
    print(error)

# %% [markdown]
# The graph of a word count, as a picture, before it runs:

# %%
from operator import add

from labkit import Cluster
from labkit.data import standard_library
from labkit.parts.store import FileSystem
from labkit.systems.dryad import Dryad

text = dict(list(standard_library().items())[:8])

def lab(name, machines=6, racks=3, **options):
    cluster = Cluster(machines=machines, engine="sim", seed=1, name=name)
    fs = FileSystem(cluster, replicas=min(3, machines))
    fs.put("corpus/", text)
    return Dryad(cluster, fs, racks=racks)

def word_count(dryad, n=4):
    files = dryad.input("corpus/*")
    split = flat_map(lambda line: [(word, 1) for word in line.split()], "split")
    count = encapsulate((split >= reduce(add)) >= distribute(lambda pair: pair[0]), "count")
    return (files >= count ** len(files)) >> reduce(add, "sum") ** n

dryad = lab("word count")
graph = word_count(dryad)
graph

# %% [markdown]
# `encapsulate` makes one vertex of a graph: splitting, counting and distributing a file happen in one process, over FIFOs.
#
# **Question.** MapReduce's map, combine, partition and reduce are four of these vertices. What can this graph say that a MapReduce program cannot?

# %% [markdown]
# ## 2. On a cluster: a job manager, a name server, daemons
# The name server knows which computers there are and in which rack; a daemon on each starts vertices and keeps what they write; the job manager says what runs where. **Data never flows through the job manager.**

# %%
job = dryad.submit(graph, seconds_per_vertex=1.0)
job.cluster.run(2.5)
job.panel()

# %%
await job.cluster.arun(2.0)  # at the speed of a clock: watch the panel above
job.result()
print(job.output() == dryad.run_locally(graph), "|", job.check())
job.graph()

# %% [markdown]
# Output and graph are those of one thread. `job.check()` has judged the trace: every output from one version, no vertex before its input, the graph still acyclic.

# %%
dryad.cluster.close()

# %% [markdown]
# ## 3. A computer dies: versions, and upstream
# A channel that is a file is on the disk of the computer that wrote it. Now that disk goes, when some of its files are still to be read. **Predict**: what does the job manager do at once, and what only later?

# %%
dryad = lab("a death")
job = dryad.submit(word_count(dryad, n=8), seconds_per_vertex=1.0)
view = job.view
job.cluster.run_until(lambda: view().completed_count >= 8, what="the counts are done")
job.cluster.kill("m5")
job.panel()

# %%
job.result()
for record in view().records.values():
    if record.version > 1 or record.result != "ok":
        names = ", ".join(f"{view().stage_of[v]} {v}" for v in record.vertices)
        print(f"{record.began:5.2f} s  {names:9} version {record.version}: {record.result:11} ({record.why})")
print("the same output:", job.output() == dryad.run_locally(job.drawn))

# %% [markdown]
# Nobody re-executes `count` when m5 dies: its output might never be needed again. The `sum` that cannot read it says so; then that version of `count` has failed, and the next one runs: *upstream re-execution*. In MapReduce the master does it at once.
#
# **Question.** What does being lazy save, and what does it cost?

# %%
dryad.cluster.close()

# %% [markdown]
# ## 4. Pipes, and their deadlock
# The SkyServer query Q18 (§2.3) looks for neighbouring objects of similar colour: X joins, D distributes by range, M merges in *any* order, S sorts, Y joins again, H makes distinct. The data is generated so that each join keeps what it kept in the paper.

# %%
from labkit.systems.dryad.queries import IN_MEMORY, TWO_PASS, sky_query, sky_tables

def sky(machines, channels, n=3):
    dryad = lab("sky", machines=machines, racks=1)
    graph = sky_query(*sky_tables(dryad, 600, n), 600, close=0.2)
    return dryad.submit(graph, channels=channels, stuck_after=2.0)

job = sky(6, IN_MEMORY)
print("channels:", IN_MEMORY)
print(len(job.result().output()[0]), "pairs;", job.view().bytes_piped, "bytes through pipes;", job.check().ok)
job.cluster.close()

# %% [markdown]
# M is not deterministic. If it were executed again alone, half of its readers might see one order and half another. A FIFO to the sort behind it keeps them one process: they fail together, and what comes out of S is always the same.
#
# What a pipe joins must run at the same time: 2 · 3 processes here. **Predict** what happens on five computers, by pipes and by files.

# %%
from labkit.systems.dryad import JobDeadlocked

for channels in (IN_MEMORY, TWO_PASS):
    job = sky(5, channels)
    try:
        print("done:", len(job.result().output()[0]), "pairs")
    except JobDeadlocked as error:
        print("deadlock:", str(error).split(": ", 2)[2])
    job.cluster.close()

# %% [markdown]
# ### Table 2
# Seconds of the query on one to nine computers. Ours are virtual, of a small table, with costs set so that a disk takes about as long as the work; compare ratios. The paper's three findings: by files it is nearly linear; in memory it is about twice as fast; below six computers it cannot run in memory at all.

# %%
from labkit.systems.dryad.experiments import table_2

table = table_2(range(1, 10, 2), objects=1000)
print(table[["two-pass", "in memory", "speed-up", "paper two-pass", "paper in memory", "paper speed-up"]].round(1).to_string())

# %% [markdown]
# ## 5. The graph changes while it runs
# A histogram of the queries in a log: Q counts a partition, R sums. All of Q's output goes to one R, most of it from other racks. *Which* computer runs which Q is known only as the job runs, so the user cannot draw a better graph in advance; a **stage manager** can (Figure 6). It hears when a Q is completed, groups the outputs by computer, then by rack, and inserts a vertex T that sums a group.

# %%
from labkit.systems.dryad import AggregationTree
from labkit.systems.dryad.queries import histogram, queries

def count_queries(**managers):
    dryad = lab(f"histogram {len(managers)}", machines=6, racks=3)
    job = dryad.submit(histogram(queries(dryad, 24, 60)), managers=managers, seconds_per_vertex=0.5)
    return job.result()

plain, refined = count_queries(), count_queries(Q=AggregationTree(reduce(add, "T")))
print("the same histogram:", plain.output() == refined.output())
for job in (plain, refined):
    print(job.view().total, "vertices,", job.view().bytes_between, "bytes between racks")

# %%
refined.panel()

# %% [markdown]
# Figure 7 is another refinement: replicate the vertex that reads, once for each group. Both, on a larger log:

# %%
from labkit.systems.dryad.experiments import figure_6

plain.cluster.close()
refined.cluster.close()
print(figure_6(parts=48, rows=150).drop(columns="seconds").to_string())

# %% [markdown]
# **Question.** For which aggregations is the result the same however inputs are grouped? Sum, maximum, mean, median?
#
# ## 6. The job manager dies
# It has no copy. The job is terminated; the daemons, which do not hear from it any more, kill its vertices.

# %%
from labkit.systems.dryad import JobTerminated

dryad = lab("the end")
job = dryad.submit(word_count(dryad), machine="m6", seconds_per_vertex=3.0)
job.cluster.run(1.5)
job.cluster.kill("m6")
try:
    job.result()
except JobTerminated as error:
    print(error)
job.cluster.run(6.0)
print(len(job.cluster.trace.filter("job_dropped")), "daemons ended its vertices")
dryad.cluster.close()

# %% [markdown]
# ## What to take along
# * A **graph** says more than map and reduce; its operators say it in a line.
# * **Versions** make re-execution safe: an output comes from one execution, whichever ran.
# * **Files** decouple in time, at the price of a disk; **pipes** save the disk, and demand computers.
# * What nobody knows when a job is written, sizes and places, a **stage manager** sees as it runs.
#
# Now write one: [an aggregation manager](../exercises/dryad-refinement.ipynb).
