# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Pregel
# Four simulated machines rank the modules of Python's standard library by their imports, slowly enough to watch. No partition begins a superstep before all have ended the one before. Kill a machine: its partitions are computed again elsewhere, all of them or only the lost ones, as you choose under *Recovery*. *Reset* begins the job anew.

# %%
from labkit import Cluster
from labkit.data import import_graph
from labkit.systems.pregel import FileSystem, Pregel
from labkit.systems.pregel.programs import PageRank

cluster = Cluster(machines=4, engine="sim", seed=1)
fs = FileSystem(cluster, replicas=2)
job = Pregel(cluster, fs).start(
    PageRank, import_graph(), "ranks", partitions=8, seconds_per_vertex=0.01, checkpoint_every=5, recovery="confined"
)
cluster.pace = 1.0  # from now on, time passes by itself
job.panel()
