# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # MapReduce
# Four simulated machines count the words of Python's standard library, slowly enough to watch. Kill one while reduce tasks are completed: its completed maps run again, its completed reduces stay. Slow one: backup tasks. *Reset* begins the job anew.

# %%
from labkit import Cluster
from labkit.data import standard_library
from labkit.parts.store import FileSystem
from labkit.systems.mapreduce import MapReduce

class WordCount(MapReduce):
    def map(self, key, value):
        for word in value.split():
            self.emit_intermediate(word, 1)

    def reduce(self, key, values):
        self.emit(sum(values))

    combine = reduce

cluster = Cluster(machines=4, engine="sim", seed=1)
fs = FileSystem(cluster, replicas=3)
fs.put("corpus/", dict(list(standard_library().items())[:20]))
job = WordCount(cluster, fs).start("corpus/*", "out/", M=24, R=12, seconds_per_task=2.0)
cluster.pace = 1.0  # from now on, time passes by itself
job.panel()
