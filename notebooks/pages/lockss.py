# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # LOCKSS
# Twenty-four simulated libraries on four machines preserve eight documents while bits rot; ten seconds are a year. A red ring: a replica that is damaged. Watch a poll's votes come in and the landslide repair it; raise the rot, flip a bit yourself, kill a machine. A fifth of the libraries belongs to an adversary that waits for its chance. *Reset* begins anew.

# %%
from labkit import Cluster
from labkit.systems.lockss import Lockss, Stealth

cluster = Cluster(machines=4, engine="sim", seed=1, trace_limit=1_000_000)
archive = Lockss(cluster, rot=1.0, adversary=Stealth(0.2))
cluster.pace = 1.0  # from now on, time passes by itself
archive.panel()
