# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # File sharing
# Thirty simulated peers share files over Gnutella. Type a word, for example *moon*, and search; select a peer first to search there. Lower the TTL, stop the best-connected, or kill a machine, and search again.

# %%
from labkit import Cluster
from labkit.systems.filesharing import FileSharing

cluster = Cluster(machines=4, engine="sim", seed=1)
sharing = FileSharing(cluster, architecture="gnutella", peers=30)
cluster.run(2.0)
sharing.search("moon", at=3)
cluster.pace = 0.2  # from now on, time passes by itself
sharing.panel()
