# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # PowerGraph: cut the vertices, not the edges
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are PowerGraph's answers, from
# *Gonzalez, Low, Gu, Bickson and Guestrin, PowerGraph: Distributed Graph-Parallel Computation on Natural Graphs, OSDI 2012*.
#
# | | |
# |---|---|
# | work | edges are divided among the machines; a vertex has a *replica* wherever it has an edge, one of them its *master*; a vertex program is *gather*, *apply*, *scatter* |
# | communication | mirrors send partial sums to the master, the master sends the new value to the mirrors; in supersteps, asynchronously, or serializably with forks |
# | failure | a snapshot from time to time; after a death the graph is loaded anew on those that live, and all go on from the last snapshot |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed. With `Cluster(machines=4)` the machines are real processes.

# %% [markdown]
# ## 1. The programming model: gather, apply, scatter
# Natural graphs have a few vertices with very many edges. If one machine has to run a whole vertex program, it waits for these. So the program is taken apart (Figure 2): `gather` and `scatter` see **one edge**, and can run wherever that edge is; only `apply` is done once. Figure 3's PageRank:

# %%
from inspect import getsource

from labkit.systems.powergraph import PageRank

for part in (PageRank.gather, PageRank.sum, PageRank.apply, PageRank.scatter):
    print(getsource(part))

# %% [markdown]
# `scatter` returns two things: what the edge's data are from now on, and Δa, of which section 3 tells. A program of your own, on a graph of four:

# %%
from labkit import Cluster
from labkit.parts.graphs import Graph
from labkit.systems.powergraph import ALL, PowerGraph, VertexProgram

class Largest(VertexProgram):
    gather_nbrs = scatter_nbrs = ALL
    def initial(self, vertex): return vertex.id
    def gather(self, D_u, D_uv, D_v): return D_v
    def sum(self, a, b): return max(a, b)
    def apply(self, D_u, acc): return max(D_u, acc if acc is not None else D_u)
    def scatter(self, D_u, D_uv, D_v):
        if D_v < D_u:
            self.activate()
        return D_uv, None

# %%
graph = Graph.of([("a", "b"), ("b", "c"), ("d", "c")])
with Cluster(machines=2, engine="sim") as cluster:
    print(PowerGraph(cluster, graph, Largest()).run().values())

# %% [markdown]
# **Question.** Why must `sum` be commutative and associative? Who adds what, and in which order?

# %% [markdown]
# ## 2. The vertex cut
# Cutting edges, as Pregel does, leaves a fraction 1 - 1/p of the edges between machines (Theorem 5.1). Cutting vertices, each machine sends **one** partial sum for a vertex, however many edges it has there. What is paid for are replicas. **Predict**: a power law, α = 1.8, 16 machines, edges placed at random. How many replicas has a vertex in the mean?

# %%
from labkit.parts.graphs.cuts import expected_power_law, expected_random
from labkit.parts.graphs.generate import power_law

graph = power_law(2000, 1.8, seed=0)
print(graph)
print(f"Theorem 5.2, from the degrees of this graph: {expected_random(graph.out_degrees + graph.in_degrees, 16):.2f}")
print(f"equation 5.6, if in and out together follow the law: {expected_power_law(1.8, 2000, 16):.2f}")

# %% [markdown]
# The greedy cut puts an edge where it makes the fewest new replicas. *Coordinated*: the loaders share a table of who has what. *Oblivious*: each knows only its own. The machines really load so here: each reads a part of the edges, places them, and sends them off. The same graph on the same 16 machines; *balance* is the most edges of a machine, as a multiple of the mean:

# %%
from labkit.systems.powergraph.experiments import figure_7

print(figure_7(machines=16, n=2000).round(2).to_string())

# %% [markdown]
# Bytes follow replicas. The paper's Figure 7 has Twitter on 32 machines: our graph is another one, and the order of the cuts is the same.
#
# **Question.** Which machine does `1d` overload, and why not `2d`? What does the coordinated cut cost while loading?

# %% [markdown]
# ## 3. Delta caching
# A vertex often runs because one neighbour of many has changed. So the master keeps the accumulator; a neighbour's `scatter` returns Δa, which is added, or None, which empties it (Algorithm 1).

# %%
from labkit.systems.powergraph.experiments import delta_caching

print(delta_caching(n=300).round(2).to_string())

# %% [markdown]
# **Question.** SSSP returns `D_u + D_uv` as Δa. What if a distance could grow again?

# %% [markdown]
# ## 4. Greedy colouring on three engines
# A vertex takes the smallest colour that no neighbour has. All begin with colour 0. In supersteps, two neighbours with one colour both see it, both take the next one, and have one colour again. **Predict**: how many supersteps will it take?

# %%
from labkit.parts.graphs.generate import barabasi_albert
from labkit.systems.powergraph import Colouring

cluster = Cluster(machines=4, engine="sim", seed=1, name="colouring")
pg = PowerGraph(cluster, barabasi_albert(40, 2, seed=1), Colouring(), engine="synchronous", cut="random", seconds_per_call=1e-3)
pg.start()
cluster.run(2.0)
view = pg.view()
print("superstep", view.superstep, "active then:", view.steps[view.superstep - 1].active)
pg.panel()

# %%
await cluster.arun(1.0)  # at the speed of a clock: watch the panel above
print("superstep", pg.view().superstep)

# %% [markdown]
# Red edges join vertices of one colour. It will never end. But the engine can be changed as it runs: try it in the panel, or here.

# %%
pg.set_engine("serializable")
pg.result()
report = pg.check()
print(len(set(pg.values().values())), "colours;", report)

# %% [markdown]
# **Async+S** makes every two adjacent vertices share a fork (Chandy and Misra's philosophers): who runs holds all its forks. `check()` has judged the logged versions: the conflict graph has no circle. Both asynchronous engines from the beginning:

# %%
from labkit.systems.powergraph.experiments import colouring

cluster.close()
print(colouring(n=150).round(2).T.to_string())

# %% [markdown]
# *time of the last 1 %* is the part of the whole time in which only the last hundredth of the conflicts was left. The paper says of Async: more than twice the operations, and a third of its time for that. A circle of conflicts in an asynchronous run, in words:

# %%
with Cluster(machines=4, engine="sim", seed=1) as cluster:
    pg = PowerGraph(cluster, barabasi_albert(40, 2, seed=1), Colouring(), engine="asynchronous").run()
    for conflict in pg.check().cycle[:3]:
        print(conflict)

# %% [markdown]
# **Question.** Which of PageRank, SSSP and colouring need Async+S, and which only gain by it?

# %% [markdown]
# ## 5. A machine dies
# A snapshot is written between two supersteps, or when all is suspended: then nothing is on its way. How does an asynchronous engine know that nothing is? A token goes round the machines; only an idle one passes it on (`termination.py`).

# %%
cluster = Cluster(machines=4, engine="sim", seed=1, name="a death")
pg = PowerGraph(cluster, power_law(150, 1.9, seed=3), PageRank(iterations=20), cut="coordinated", seconds_per_call=2e-3)
pg.start()
cluster.run_until(lambda: pg.view().superstep == 8, what="superstep 8")
print("snapshot", pg.snapshot(), "in superstep", pg.view().superstep)
cluster.run_until(lambda: pg.view().superstep == 12, what="superstep 12")
cluster.kill("m3")
pg.panel()

# %%
pg.result()
for event in cluster.trace.filter("epoch_began"):
    print(f"{event.time:5.2f} s  epoch {event.data['epoch']}: {len(event.data['members'])} machines {event.data['why']}")
view = pg.view()
print("supersteps after the rollback:", view.superstep, "|", pg.check())

# %% [markdown]
# Everybody goes back, also those that lost nothing: what they had computed since depends on what died. Pregel's *confined recovery* avoids that, and Spark's lineage.
#
# **Question.** With asynchronous engines, why is it not enough that every machine writes its part whenever it likes?

# %%
cluster.close()

# %% [markdown]
# ## What to take along
# * **Gather, apply, scatter**: the more a program says of its structure, the more ways there are to run it.
# * **Cut vertices**: what is sent grows with replicas, not with edges; a good cut halves it, and pays off if the graph is used more than once.
# * **Engines** differ in what they promise; a program that needs serializability does not say so, it just never ends.
# * **Snapshots** need a quiet moment, and a proof that it is one.
#
# Now write the greedy cut yourself: [a vertex cut](../exercises/powergraph-cut.ipynb).
