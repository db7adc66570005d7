# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # GraphX
# The imports of Python's standard library as a graph on Spark: vertices and edges are two RDDs on four simulated machines, slow enough to watch. Its components have just been found: less was shipped in each iteration. Find them again, slowly. Rank the modules, and kill a machine meanwhile: lineage makes again what it had. Switch off what spares bytes, and look again.

# %%
from labkit import Cluster
from labkit.parts.graphs.generate import imports
from labkit.systems.graphx import GraphLoader, GraphX
from labkit.systems.spark import SparkContext
from labkit_widgets.run_button import run_button

modules = imports()
cluster = Cluster(machines=4, engine="sim", seed=7)
gx = GraphX(SparkContext(cluster, seconds_per_task=0.3))
graph = GraphLoader.fromGraph(gx.sc, modules, 8).partitionBy("EdgePartition2D").cache()
graph.measure()
graph.connectedComponents().vertices.count()
cluster.pace = 1.0  # from now on, time passes by itself

def components():
    return f"{len(set(graph.connectedComponents().vertices.values().collect())):,} components"

def ranks():
    best = max(graph.staticPageRank(8).vertices.collect(), key=lambda pair: pair[1])
    return f"the most important module is {modules.name(best[0])}"

display(run_button("Find the components", components))
display(run_button("Rank the modules", ranks))
gx.panel()
