# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # NFS
# A server (m1) and two clients (m2, m3), who read one file in turn and write to it now and then, slowly enough to watch. Choose another *consistency* and see what becomes of the other's cache: ✕ is stale. Kill m1 and restart it: nothing acknowledged is lost. *Lose the next reply*, then *Make a directory*: why does it exist already?

# %%
from labkit import Cluster
from labkit.systems.nfs import NFS
from labkit.systems.nfs.workload import sharing

cluster = Cluster(machines=3, engine="sim", seed=1)
nfs = NFS(cluster, block=1024)
nfs.clients[0].mkdir("/course")
nfs.clients[0].write_text("/course/plan.txt", "P1: Chord\nP2: NFS\n" * 200)
nfs.clients[1].read_text("/course/plan.txt")
nfs.clients[0].write_text("/notes", "the first line\n" * 100)
turns = cluster.submit(sharing, nfs, "/notes", 1.5)
cluster.pace = 1.0  # from now on, time passes by itself
nfs.panel()
