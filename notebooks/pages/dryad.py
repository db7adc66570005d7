# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Dryad
# Six simulated computers in three racks count the queries of a log, slowly enough to watch; a stage manager inserts an aggregation tree as it runs. Kill a computer when counts are done: who cannot read them says so, and they are executed again. *Reset* begins the job anew.

# %%
from operator import add

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.dryad import AggregationTree, Dryad
from labkit.systems.dryad.queries import histogram, queries
from labkit.systems.dryad.vertices import reduce

cluster = Cluster(machines=6, engine="sim", seed=1)
dryad = Dryad(cluster, FileSystem(cluster, replicas=3), racks=3)
graph = histogram(queries(dryad, 30, 60))
job = dryad.submit(graph, managers={"Q": AggregationTree(reduce(add, "T"))}, seconds_per_vertex=2.0)
cluster.pace = 1.0  # from now on, time passes by itself
job.panel()
