# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # GraphLab
# Four simulated machines colour a mesh, slowly enough to watch, and without the consistency that it needs: somewhere two neighbours always change at the same time, to the same colour, and it never ends. Move the slider to *edge*. Then *Reset*, take a snapshot, and kill a machine.

# %%
from labkit import Cluster
from labkit.parts.graphs import generate
from labkit.parts.store import FileSystem
from labkit.systems.graphlab import Colouring, GraphLab

cluster = Cluster(machines=4, engine="sim", seed=2, trace_limit=500_000)
lab = GraphLab(cluster, FileSystem(cluster, replicas=3))
options = {"consistency": "vertex", "enforce": False, "seconds_per_update": 0.2, "workers": 4, "batch": 4}
run = lab.start(Colouring(), generate.grid(6, 6), **options)
cluster.pace = 1.0  # from now on, time passes by itself
run.panel()
