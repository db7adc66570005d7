# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # COST: what one thread does as quickly
#
# A system that runs twice as fast on twice as many machines *scales*. Is it fast? *McSherry, Isard and Murray, Scalability! But at what COST?, HotOS 2015*, took the graphs on which large systems had been measured, and wrote the programs once more, for one thread of a laptop.
#
# | | |
# |---|---|
# | work | one thread goes through all edges |
# | communication | none |
# | failure | none is survived: who repeats a run that died, and how often would that have to happen to be worse than checkpoints? |
#
# Everything below is measured on *this* computer, so your numbers differ from those of the person beside you. Which of the conclusions do?

# %% [markdown]
# ## 1. The word
# The **COST** of a system for a problem is the *Configuration that Outperforms a Single Thread*: the smallest hardware configuration, here the number of cores, with which the system beats a competent implementation on one thread. If no configuration that was measured does, it is **unbounded**.
#
# A COST report is worth nothing without its baseline, its hardware and how often it was measured. Two graphs: a small one, to look at programs, and a larger one, to look at seconds. Both are R-MAT graphs: few vertices have very many edges.

# %%
from labkit.parts.graphs import generate

small = generate.rmat(scale=8, edges=2_000, seed=1)
graph = generate.rmat(scale=15, edges=300_000, seed=1)
print(small, "heaviest vertex:", small.out_degrees.max())
print(graph, "heaviest vertex:", graph.out_degrees.max())

# %% [markdown]
# ## 2. Three programs
# All three of the paper's programs need one thing of a graph: that a function is called for each edge. That is Figure 2 of the paper, twenty iterations of PageRank. Read it once aloud: there is nothing else.

# %%
def pagerank20(graph, alpha=0.85):
    edges = list(zip(graph.sources().tolist(), graph.targets.tolist(), strict=True))
    a, b, d = [0.0] * graph.n, [0.0] * graph.n, [0] * graph.n
    for x, _ in edges:
        d[x] += 1
    for _ in range(20):
        for i in range(graph.n):
            b[i] = alpha * a[i] / d[i] if d[i] else 0.0
            a[i] = 1 - alpha
        for x, y in edges:
            a[y] += b[x]
    return a

from labkit.cost import baseline

mine = pagerank20(small)
print(max(abs(x - y) for x, y in zip(mine, baseline("pagerank20", "numpy")(small), strict=True)) < 1e-12)

# %% [markdown]
# `baseline(program, kind)` has each of them in three kinds: `python` as above, `numpy` over arrays, and, where `labkit[cost]` is installed, `numba`: compiled, as the paper's are.

# %% tags=["nbval-ignore-output"]
import importlib.util
import time
from labkit.cost import KINDS, PROGRAMS

kinds = [kind for kind in KINDS if kind != "numba" or importlib.util.find_spec("numba")]

def seconds(run, *arguments):
    start = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - start

for program in PROGRAMS:
    for kind in kinds:
        run = baseline(program, kind)
        run.warm()
        print(f"{run!s:48} {seconds(run, graph):8.3f} s")

# %% [markdown]
# **Question.** Which two lines compute the same? What did the person gain who changed the *algorithm*, and what the one who changed the *language*?

# %% [markdown]
# ## 3. The same result by another algorithm
# Connected components: with **label propagation** (Figure 3), which scalable systems use, both ends of an edge take the smaller label, until nothing changes. With **union-find** (Figure 4) each edge is looked at once. The first needs as many rounds as a label has to walk; a chain is its worst case.

# %%
import numpy as np

def rounds(edges, n):
    label, changed, count = list(range(n)), True, 0
    while changed:
        changed, count = False, count + 1
        for x, y in edges:
            if label[x] != label[y]:
                label[x] = label[y] = min(label[x], label[y])
                changed = True
    return count

for n in (50, 100, 200):
    backwards = [(i, i + 1) for i in range(n - 2, -1, -1)]  # against the way of the smallest label
    print(f"chain of {n:3}: {rounds(backwards, n)} rounds")
print("R-MAT:       ", rounds(list(zip(small.sources().tolist(), small.targets.tolist(), strict=True)), small.n), "rounds")

# %%
labels = [baseline(name, "numpy")(graph) for name in ("label propagation", "union-find")]
print("the same components:", np.array_equal(*labels))

# %% [markdown]
# In the paper, one thread with union-find needs 15 s for the components of the Twitter graph, and 153 s with label propagation. Why do Pregel, GraphLab and GraphX propagate labels nevertheless? (Think of what a vertex may see in one superstep.)

# %% [markdown]
# ## 4. The same program in another order
# Figure 2 does not say in which order the edges come. By source, it reads `b` in order and jumps about in `a`. Along a **Hilbert curve** through the square of all (source, target) pairs, consecutive edges have near sources *and* near targets, so that more of both is still in the processor's cache.

# %% tags=["nbval-ignore-output"]
import matplotlib.pyplot as plt
from labkit.cost import hilbert

u, v = (each.ravel() for each in np.meshgrid(np.arange(16), np.arange(16)))
along = np.argsort(hilbert.distances(u, v, 4))
figure, axes = plt.subplots(figsize=(3.2, 3.2))
axes.plot(u[along], v[along], lw=1.2)
axes.set(xlabel="source", ylabel="target", xticks=[0, 15], yticks=[0, 15])
plt.show()

# %%
sources, targets = hilbert.ordered(graph)
by_source, curve = np.abs(np.diff(graph.targets)).mean(), np.abs(np.diff(targets)).mean()
print(f"a mean step between targets is {by_source / curve:.0f} times as short")
same = baseline("pagerank20", "numpy")
print("the same ranks:", np.allclose(same(graph), same(graph, (sources, targets)), rtol=1e-9))

# %% tags=["nbval-ignore-output"]
for kind in kinds:
    run = baseline("pagerank20", kind)
    print(f"{run!s:40} by source {seconds(run, graph):6.3f} s, along the curve {seconds(run, graph, (sources, targets)):6.3f} s")

# %% [markdown]
# The paper's gain is 300 s to 242 s from an SSD, and 275 s to 110 s in memory, on 1.5 billion edges (Table 4). Do you see one? The ranks of our graph fit into the cache of most processors *in any order*: try `scale=20, edges=8_000_000`, which takes some seconds to make.

# %% [markdown]
# ## 5. What the paper found
# Seconds for twenty iterations of PageRank (Tables 2 and 4), and for the components by label propagation (Table 3; the two 8,000 are lower bounds).

# %%
from labkit.cost import papers

papers.table("pagerank20")

# %%
papers.table("label propagation")

# %%
for problem in ("pagerank20", "label propagation"):
    print(f"{problem}: beat one thread in these tables: {papers.cost_in_paper(problem) or 'none'}")

# %% [markdown]
# **Question.** GraphLab on 128 cores takes 249 s, and the single thread from its SSD takes 300 s. Why does the line of `pagerank20` say *none* all the same? Which baseline would *you* take?

# %% [markdown]
# ## 6. And ours?
# labkit's own Pregel, with real processes: each machine is one. The program is Figure 2 for a whole partition at once, over arrays.

# %%
from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.pregel import Pregel, Sum, Vertex

class PageRank20(Vertex):
    combiner = Sum()
    initial = 0.0

    def compute_batch(self, values, messages, out_edges):
        if self.superstep >= 1:
            values[:] = 0.15 + messages.combined
        if self.superstep < 20:
            out_edges.send(0.85 * values / out_edges.degrees.clip(1))
        else:
            self.vote_to_halt()

def pregel(cores):
    """Start so many machines; what is measured is what this returns."""
    cluster = Cluster(machines=cores, engine="ray", name=f"cost-{cores}")
    engine = Pregel(cluster, FileSystem(cluster, replicas=1))

    def run():
        with cluster:
            return engine.run(PageRank20, graph, "ranks", partitions=cores).array()

    return run

# %% [markdown]
# `cost` runs the baseline and the system in turn, compares the results first (a system that is fast and wrong has no COST), and says what it found. Predict: two cores have two times the arithmetic of one. Which number will stand behind *COST*?

# %% tags=["nbval-ignore-output"]
from labkit.cost import cost

report = cost(pregel, cores=[1, 2], graph=graph, baseline=baseline("pagerank20"), system="Pregel", repeat=1)
print(report)

# %% [markdown]
# Twenty iterations over 300,000 edges are done in some hundredths of a second by one thread; a superstep needs two messages to each worker and back before it has added anything. `labkit bench graphs` has the same with a million vertices and eight million edges: look there before you say that Pregel is slow.
#
# ## 7. The meter beside any run
# `CostMeter` measures whatever runs inside `with meter.run(name)` on a cluster: seconds, the machines that live, and how many cores were busy in the mean. Here Spark counts the words of Python's standard library.

# %%
from collections import Counter
from labkit.cost import CostMeter
from labkit.data import standard_library
from labkit.systems.spark import SparkContext

texts = list(standard_library().values())[:60]

def one_thread():
    return Counter(word for text in texts for word in text.split())

cluster = Cluster(machines=2, engine="ray", name="words")
sc = SparkContext(cluster)
meter = CostMeter(sc, one_thread, repeat=1)
meter.panel()

# %%
for partitions in (2, 8):
    with meter.run(f"{partitions} partitions"):
        words = (sc.parallelize(texts, partitions).flatMap(str.split).map(lambda word: (word, 1))
                   .reduceByKey(lambda a, b: a + b).collectAsMap())
    print(words == one_thread())

# %% tags=["nbval-ignore-output"]
print(meter)

# %%
cluster.close()

# %% [markdown]
# In the simulator a run has seconds too: those of a model of machines. They say how a system *scales*; they are not compared with one thread, and the meter says so.
#
# **Question.** What does the cluster do that one thread does not? When would you pay for it although it is slower?
#
# ## 8. How large is a job?
# *Rowstron, Narayanan, Donnelly, O'Shea and Douglas, Nobody ever got fired for using Hadoop on a cluster, HotCDP 2012*, say in their abstract that many jobs process less than 14 GB. As reported by others, that was the median at Microsoft and Yahoo, and at Facebook 90 % of the jobs had less than 100 GB. Take these two quantiles for one distribution: how many jobs fit into the memory of one computer?

# %%
from labkit.cost.jobs import JobSizes, Offer, cheaper

sizes = JobSizes.through({0.5: 14, 0.9: 100})
for memory in (16, 64, 192, 512):
    print(f"{memory:4} GB: {sizes.fits(memory):5.0%} of the jobs; {sizes.fits(memory, overhead=4):5.0%} if they need four times the space in memory")

# %%
up = Offer("one large server", machines=1, memory=192, price=3.0, seconds=900)
out = Offer("sixteen small ones", machines=16, memory=16, price=0.4, seconds=450)
for gigabytes in (50, 220):
    print(f"{gigabytes} GB: {cheaper(up, out, gigabytes).name}")

# %% [markdown]
# `memory` are the gigabytes and `price` the money an hour of *one* machine, `seconds` those of the job on all. The prices are made up; put in those of today. At which number of seconds is the cluster the cheaper one for 50 GB?
#
# ## What you have seen
# * Scaling is no merit by itself: overheads that can be run in parallel scale perfectly.
# * The baseline decides. A better algorithm on one thread beat what other languages and more cores gained.
# * One thread survives nothing, and it ends where memory ends. Both can be priced.
#
# Now you: [predict, then measure](../exercises/cost-estimate.ipynb).
