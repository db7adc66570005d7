# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # GraphX: a graph is two tables
#
# [Pregel](pregel.ipynb) and [PowerGraph](powergraph.ipynb) are systems made for graphs. Must they be? *Gonzalez, Xin, Dave, Crankshaw, Franklin and Stoica, GraphX: Graph Processing in a Distributed Dataflow Framework, OSDI 2014*, say no: a graph is a table of vertices and a table of edges, a step of
# a graph program is a join and a group-by, and what graph systems do better are optimisations of that join. Here they are, on the [Spark](spark.ipynb) that you know. Numbers such as §4.2 are sections of the paper.
#
# | | |
# |---|---|
# | work | two RDDs: vertices, placed by a hash of their ids, and edges, placed by a *vertex cut*. Work on edges is done where the edges are |
# | communication | two shuffles in an iteration: attributes of vertices go to the edges, by a *routing table*; messages come back, combined by their target |
# | failure | Spark's: what a machine had is computed again, from the lineage |

# %% [markdown]
# ## 1. The words
# * A **property graph** is a directed multigraph with an attribute for each vertex and each edge. It is immutable: every operation makes a new one.
# * A **triplet** is an edge with the attributes of its two vertices: a row of the join of edges and vertices.
# * **aggregateMessages** (`mrTriplets` in the paper): a function sees each triplet and sends messages to its two vertices; messages to the same vertex are merged.

# %%
from labkit import Cluster
from labkit.systems.graphx import Edge, Graph, GraphLoader, GraphX, arrays
from labkit.systems.spark import SparkContext

cluster = Cluster(machines=4, engine="sim", seed=1, name="graphx")
sc = SparkContext(cluster)
gx = GraphX(sc)                                # tells the trace what is shipped, and has the switches
users = sc.parallelize([(1, "ada"), (2, "bob"), (3, "eve")])
follows = sc.parallelize([Edge(1, 2, 7), Edge(3, 2, 4), Edge(2, 1, 1)])
graph = Graph(users, follows, "nobody")
for t in sorted(graph.triplets.collect(), key=lambda t: (t.srcId, t.dstId)):
    print(f"{t.srcAttr} follows {t.dstAttr} for {t.attr} years")

# %%
def years(t):
    t.sendToDst(t.attr)                        # a message along the edge

print("longest follower:", sorted(graph.aggregateMessages(years, max).collect()))
print("followers:", sorted(graph.inDegrees.collect()))

# %% [markdown]
# As SQL: `SELECT dst, max(attr) FROM triplets GROUP BY dst`, where `triplets` is a join. **Question.** Which of the two vertices' attributes does `years` read? What would you not send over the network, if you knew?

# %% [markdown]
# ## 2. PageRank is a loop of this
# The paper's Listing 1 in Python. Each iteration: edges carry their source's rank times the edge's share, vertices add up. The graph are the imports of Python's standard library.

# %%
from labkit.parts.graphs import oracles
from labkit.parts.graphs.generate import imports
from labkit.parts.graphs.pagerank import POWERGRAPH
from labkit.systems.graphx import TripletFields

modules = imports()
links = GraphLoader.fromGraph(sc, modules, 6).partitionBy("EdgePartition2D").cache()

def page_rank(graph, iterations):
    degrees = graph.outerJoinVertices(graph.outDegrees, lambda id, _, degree: degree or 0)
    ranks = degrees.mapTriplets(lambda t: 1 / t.srcAttr).mapVertices(lambda id, _: 1.0)
    for _ in range(iterations):
        messages = ranks.aggregateMessages(lambda t: t.sendToDst(t.srcAttr * t.attr), lambda a, b: a + b)
        ranks = ranks.outerJoinVertices(messages, lambda id, old, sum: 0.15 + 0.85 * (sum or 0.0))
    return ranks

ours = dict(page_rank(links, 3).vertices.collect())
one_thread = oracles.pagerank(modules, 3, POWERGRAPH)
print("as on one thread:", all(abs(ours[v] - one_thread[v]) < 1e-9 for v in range(modules.n)))

# %% [markdown]
# `graph.staticPageRank(3)` is the same over whole arrays: where attributes are numbers, a partition is a few NumPy arrays, and a function that is marked by `arrays` is called once for all of its triplets instead of once for each. Often it need not be changed for that:

# %%
degrees = links.aggregateMessages(arrays(lambda t: t.sendToDst(t.attr)), lambda a, b: a + b)  # t.attr: an array
print("as counted one by one:", dict(degrees.collect()) == dict(links.inDegrees.collect()))

# %%
fast = dict(links.staticPageRank(3).vertices.collect())
print("the same:", all(abs(fast[v] - ours[v]) < 1e-9 for v in ours))
best = max(fast, key=fast.get)
print("the first is one that everybody imports:", modules.name(best) in ("sys", "os", "re", "typing", "types", "functools", "collections"))

# %% [markdown]
# ## 3. Where everything is
# Edges are cut into partitions; a vertex has a *replica* in every partition with an edge of it. The cut decides how many. The *routing table*, with the vertices, says where.

# %% tags=["nbval-ignore-output"]
import pandas as pd
from labkit.systems.graphx import STRATEGIES

pd.DataFrame({name: pd.Series(links.partitionBy(name, 16).measure())[["replication", "most"]] for name in STRATEGIES}).T

# %% [markdown]
# **Question.** `EdgePartition2D` puts partitions into a square, a column for the source and a row for the target. In how many of 16 partitions can a vertex be at most? Which cut would you take for PageRank, if only *sources* are sent?

# %% tags=["nbval-ignore-output"]
links.connectedComponents()
gx.panel()

# %% [markdown]
# From top to bottom: which machine keeps which partition; what each iteration shipped, and how its edge partitions found their edges. Click a square of the edges for its story. `sc.panel()` shows the same run as Spark sees it: RDDs, stages, lineage.

# %% [markdown]
# ## 4. What need not be sent
# ### What has not changed (§4.5.1)
# The replicas are a *materialised view* of the vertices. When some vertices change, only these are sent: **incremental view maintenance**. Connected components: every vertex takes the smallest id that it hears of. **Predict** the bytes per iteration, with and without; then look at the paper's Figure 4.

# %% tags=["nbval-ignore-output"]
from labkit.systems.graphx import experiments

components, ranks = experiments.shipping("components"), experiments.shipping("PageRank", 0.05)
axes = components[["incremental", "all"]].plot.bar(figsize=(7, 3), rot=0)
axes.set_title("bytes to the edges per iteration: connected components")
components

# %%
print("components: the last iteration ships less than a fifth:", components["incremental"].iloc[-1] < 0.2 * components["incremental"].iloc[0])
print("PageRank: half-way it still ships more than a half:", ranks["incremental"].iloc[len(ranks) // 2] > 0.5 * ranks["incremental"].iloc[0])

# %% [markdown]
# **Question.** Why does PageRank gain so little? (The paper: 5.9 GB in the first iteration, 4.3 in the last.) And why is iteration 1 never cheaper?
#
# ### What is not read (§4.5.2)
# `t.srcAttr` is in the function's *byte code*, and `t.dstAttr` is not: so only sources are sent. **Join elimination** looks at the code before anything runs; where it cannot be sure, both sides are sent.

# %%
from labkit.systems.graphx.bytecode import fields_read

def reads_source(t):
    t.sendToDst(t.srcAttr)

def passes_on(t):
    reads_source(t)

for function in (reads_source, years, passes_on):
    source, target, _ = (getattr(fields_read(function), name) for name in ("useSrc", "useDst", "useEdge"))
    print(f"{function.__name__:13} needs sources: {source}, targets: {target}")

# %% [markdown]
# **Question.** `passes_on` reads the source only, and yet gets both. What would the analysis have to know?

# %% tags=["nbval-ignore-output"]
experiments.join_elimination()

# %% [markdown]
# ### Who is not active (§4.5.3)
# An edge of which nobody has changed has nothing to say. While most vertices are active, a partition scans all its edges; when less than 80 % are, an index finds the edges of those that are.

# %% tags=["nbval-ignore-output"]
experiments.scans()

# %% [markdown]
# Each of the three is a switch, `GraphX(sc, incremental_view=False, join_elimination=False, index_scan=False)`, also in the panel, also while a loop runs. They change bytes and records, never results.

# %%
labels = {}
for switched_off in ("nothing", "incremental_view", "join_elimination", "index_scan", "index_reuse"):
    if switched_off != "nothing":
        gx.switch(**{switched_off: False})
    labels[switched_off] = sorted(links.connectedComponents().vertices.collect())
print("the same components with each switched off, too:", all(each == labels["nothing"] for each in labels.values()))
gx.switch(incremental_view=True, join_elimination=True, index_scan=True, index_reuse=True)

# %% [markdown]
# ## 5. Pregel, in ten lines
# `Graph.pregel` is a loop of `mapReduceTriplets` and `joinVertices` (Listing 5). What differs from [Pregel](pregel.ipynb): messages go along edges only, and a function sees both ends of an edge. The paths from one module to all others:

# %%
import math

def nearer(id, distance, told):
    return min(distance, told)

def tell(t):
    return [(t.dstId, t.srcAttr + 1)] if t.srcAttr + 1 < t.dstAttr else []

start = modules.index("statistics")
distances = links.mapVertices(lambda id, _: 0.0 if id == start else math.inf).pregel(math.inf, nearer, tell, min)
found = dict(distances.vertices.collect())
hops = oracles.bfs(modules, start)
print("as on one thread:", all(found[v] == (hops[v] if hops[v] < oracles.FAR else math.inf) for v in found))
print("the last iteration had no messages:", gx.iterations()["active"].iloc[-1] == 0)

# %% [markdown]
# ## 6. Kill a machine in an iteration
# There is nothing for this in GraphX. **Predict**: m3 dies when the fourth of six iterations begins. It kept a quarter of the vertices and of the edges, and the files of all shuffles so far. What is computed again, and how far back?

# %%
from labkit import Kill
from labkit.runtime import when

cluster.play([(when(kind="iteration_started", iteration=4), Kill("m3"))])
ranks = dict(links.staticPageRank(6).vertices.collect())
right = oracles.pagerank(modules, 6, POWERGRAPH)
print("m3 is alive:", cluster.machine("m3").alive, "| as on one thread:", all(abs(ranks[v] - right[v]) < 1e-9 for v in ranks))

# %% tags=["nbval-ignore-output"]
run = gx.view().run
print("shipped once more:", {each.number: f"{each.again_bytes} bytes" for each in run.iterations if each.again_bytes})
gx.panel()

# %% [markdown]
# The partitions of the iteration before are not kept, so the lost ones go back to the first iteration; but only the *lost* ones, and what others still have on their disks is read and not computed. In the paper, a run of 557 s takes 760 s with such a death, and 948 if it begins anew (Fig. 10):

# %% tags=["nbval-ignore-output"]
experiments.recovery()

# %% [markdown]
# **Question.** Kill in iteration 100 of 101. What is cheaper now, and what would you do in iteration 50? (`sc.setCheckpointDir(…)`: GraphX then checkpoints its loops every 25 iterations.)

# %% [markdown]
# ## 7. Structure
# `subgraph` clears bits of the vertices and leaves edges out; the index and the routing table stay. `groupEdges` merges parallel edges *within* a partition, so it must know that they lie together:

# %%
small = links.subgraph(vpred=lambda id, _: not modules.name(id).startswith("_"))
print("fewer vertices:", small.numVertices < links.numVertices, "| edges with both ends:", {t.srcId for t in small.triplets.collect()} <= set(small.vertices.keys().collect()))
try:
    graph.groupEdges(max)
except ValueError as error:
    print(str(error)[:84])

# %% [markdown]
# ## 8. Is it right?
# `gx.check()` brings the graphs that still exist here and looks: every replica equal to its vertex, every routing table complete, every edge where the cut says, loops that end when they must. And it must find mistakes, so here is one: of the vertices that have changed, one is not shipped.

# %%
from labkit.systems.graphx.mistakes import planted

print("check:", gx.check().ok)
with planted("a changed vertex is not shipped"):
    wrong = links.connectedComponents(3)
    wrong.triplets.count()
print("with the mistake:", sorted({each.what for each in gx.check().violations}))
cluster.close()

# %% [markdown]
# **Question.** The components of the mistaken run may well be right. Why? Which algorithm would not forgive it?

# %% [markdown]
# ## 9. And compared with joins written by hand?
# PageRank as the RDD paper has it: links joined with ranks. *Naive*: Spark does not know where links are, and sends them in every iteration.

# %% tags=["nbval-ignore-output"]
experiments.rdds()

# %% [markdown]
# `labkit bench graphs-graphx` has the seconds. But compare with *one thread*, too: the [COST](https://www.usenix.org/conference/hotos15/workshop-program/presentation/mcsherry) of GraphX was unbounded on the paper's graphs: no number of its cores that was measured was as fast as one of a laptop.
#
# **Question.** What does one get for that price, which a program of one thread does not have?
