# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Spark
# Four simulated machines count the words of Python's standard library, slowly enough to watch. Run the job, kill a machine, run it again: only what was lost is computed again.

# %%
from labkit import Cluster
from labkit.data import standard_library
from labkit.systems.spark import SparkContext
from labkit_widgets.run_button import run_button

cluster = Cluster(machines=4, engine="sim", seed=7)
sc = SparkContext(cluster, seconds_per_task=1.0)
texts = sc.parallelize(list(standard_library().values()), 16).persist()
counts = texts.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
counts.count()
cluster.pace = 1.0  # from now on, time passes by itself
display(run_button("Count the words", lambda: f"{counts.count():,} different words"))
sc.panel()
