# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # PowerGraph
# Four simulated machines colour a graph greedily, slowly enough to watch. On the synchronous engine it never ends: red edges join vertices of one colour. Choose *serializable* and watch who waits for whose fork; choose another cut, or kill a machine. *Reset* begins anew.

# %%
from labkit import Cluster
from labkit.parts.graphs.generate import barabasi_albert
from labkit.systems.powergraph import Colouring, PowerGraph

cluster = Cluster(machines=4, engine="sim", seed=1)
pg = PowerGraph(cluster, barabasi_albert(60, 2, seed=1), Colouring(), engine="synchronous", cut="random", seconds_per_call=5e-3)
pg.start()
cluster.pace = 1.0  # from now on, time passes by itself
pg.panel()
