# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Chord
# Twenty-four nodes on four simulated machines hold the modules of Python's standard library. Look one up, kill a machine, look again.

# %%
from labkit import Cluster
from labkit.systems.chord import Chord

from labkit.data import standard_library

cluster = Cluster(machines=4, engine="sim", seed=7)
ring = Chord(cluster, nodes=24, replicas=3)
ring.update(standard_library())
cluster.pace = 1.0  # from now on, time passes by itself
ring.panel()
