# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # HaLoop
# Four simulated machines rank the modules of Python's standard library by their imports, slowly enough to watch. From the second iteration on the first step shuffles little: the imports are in the reducers' caches. Kill a machine: its caches are loaded again elsewhere. *Reset* begins the loop anew.

# %%
from labkit import Cluster
from labkit.data import import_graph
from labkit.parts.store import FileSystem
from labkit.systems.haloop import file_of, pagerank

graph = import_graph()
cluster = Cluster(machines=4, engine="sim", seed=1)
fs = FileSystem(cluster, replicas=2, block_size=4000)
fs.put("links/", {"imports": file_of((module, name) for module, some in graph.items() for name in some)})
fs.put("ranks/", {"first": file_of((module, 1 / len(graph)) for module in graph)})
loop = pagerank(cluster, fs, "links/*", "ranks/*", len(graph))
loop.set_reducer_input_cache(True)
loop.set_reducer_output_cache(True)
loop.set_fixed_point_threshold(0.001)
loop.set_max_num_of_iterations(12)
job = loop.start("out", M=8, R=8, seconds_per_task=1.0)
cluster.pace = 1.0  # from now on, time passes by itself
job.panel()
