# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Distributed systems, by running them
#
# Each lecture starts a real system, uses it, watches it work, and breaks it while it works. Each exercise asks for a part of one, and
# tells at once whether your part survives.
#
# | week | read and run | then write | bring an answer |
# |---|---|---|---|
# | 1 | [Start here](lectures/start.ipynb) | | Six nodes died and no key was lost. What had to be true before they died? |
# | 2 | [Chord](lectures/chord.ipynb) | [Routing](exercises/chord-routing.ipynb) | Twice as many nodes: how many hops more? |
# | 3 | [Chord](lectures/chord.ipynb), again | [Repair](exercises/chord-repair.ipynb) and [Break Chord](exercises/chord-break.ipynb) | The protocol of the paper can break. Which test of yours would have told? |
# | 4 | [Spark](lectures/spark.ipynb) | [MapReduce on RDDs](exercises/spark-mapreduce.ipynb) | Which of your transformations moved data, and how many bytes? |
# | 5 | [Spark](lectures/spark.ipynb), again | [Lineage](exercises/spark-lineage.ipynb) | When is a checkpoint cheaper than computing again? |
# | 6 | [Parameter server](lectures/parameter-server.ipynb) | [SSP](exercises/paramserver-ssp.ipynb) | Who waits for whom, and why is that enough? |
# | 7 | [Parameter server](lectures/parameter-server.ipynb), again | [Consistency](exercises/paramserver-consistency.ipynb) | One worker is slow. How stale would you let the others be? |
# | 8 | [MapReduce](lectures/mapreduce.ipynb) | [Backup tasks](exercises/mapreduce-backup.ipynb) | A worker dies. Which of its completed tasks are done again, and why not the others? |
# | 9 | [HaLoop](lectures/haloop.ipynb) | [Caching](exercises/haloop-caching.ipynb) | A machine dies in the third iteration. What has to be read again, and from where? |
# | 10 | [Dryad](lectures/dryad.ipynb) | [Refinement](exercises/dryad-refinement.ipynb) | What did your manager know that the user could not know when the graph was drawn? |
# | 11 | [Pregel](lectures/pregel.ipynb) | [Shortest paths](exercises/pregel-sssp.ipynb) | A worker dies in superstep 7. Which partitions compute again, and from which messages? |
# | 12 | [GraphLab](lectures/graphlab.ipynb) | – | Your updates may overlap a little more. What does your program lose, and how would you notice? |
# | 13 | [PowerGraph](lectures/powergraph.ipynb) | [A vertex cut](exercises/powergraph-cut.ipynb) | One vertex has half of all edges. How many machines compute it, and what do they tell each other? |
# | 14 | [GraphX](lectures/graphx.ipynb) | | Which attributes did an iteration not send, and how did it know that nobody would miss them? |
# | 15 | [NFS](lectures/nfs.ipynb) | [Duplicate requests](exercises/nfs-duplicate-requests.ipynb) | What happens if several clients update a file? Which of your answers does the server know of? |
# | 16 | [File sharing](lectures/filesharing.ipynb) | [Flooding](exercises/gnutella-flooding.ipynb) | Where is the index, and who finds what when its keeper dies? |
# | 17 | [LOCKSS](lectures/lockss.ipynb) | [A tally](exercises/lockss-tally.ipynb) | A third of the libraries lies. Why does nothing happen for years, and what happens then? |
# | 18 | [COST](lectures/cost.ipynb) | [Estimate](exercises/cost-estimate.ipynb) | At how many cores does your system beat one thread, if at any, and whose thread was it? |
#
# An exercise is checked with its own cells, or all at once: `labkit validate exercises/chord-routing.ipynb`.

# %% [markdown]
# ## The lecture's three questions
# Ask them of every system: how is work divided, how do the parts communicate, what happens on failure?

# %%
from labkit.systems import questions

questions()

# %% [markdown]
# ## A lab by hand
# Every notebook has the same tools. A cluster has machines; nodes run on them; everything that happens is an event of the trace.

# %%
from labkit import Cluster
from labkit.systems.chord import Chord

# %load_ext labkit
cluster = Cluster(machines=3, engine="sim", seed=7)
ring = Chord(cluster, nodes=9, replicas=3)
ring["lecture"] = "P2"

# %% [markdown]
# `%kill`, `%restart`, `%partition`, `%slow` … are faults; `%step` and `%run_for` let time pass; `%trace` shows what happened and `%why` what led to it.
# `%lab?` explains. With `engine="ray"`, or without `engine=`, the machines are processes of their own.

# %%
# %kill m2
# %run_for 5
print(ring["lecture"])
# %why

# %% [markdown]
# Whose timeout was the last, and which fault does `%why` end at?

# %%
cluster.close()
