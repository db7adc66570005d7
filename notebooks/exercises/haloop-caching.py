# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: what may a loop keep?
#
# PageRank joins the ranks, which change, with the links, which do not. As a chain of MapReduce jobs it reads, sorts and sends the links in every iteration. *Bu, Howe, Balazinska and Ernst, HaLoop, VLDB 2010*, keep them in caches on the workers' own disks:
# the **reducer input cache** has a partition of the tables that never change, the **reducer output cache** has what the partition's reduce task wrote in the iteration before, for the distance between the two.
#
# A cache in the wrong place gives wrong results, and nothing says so. You decide where there may be one; labkit's HaLoop runs the loop with your decision on a simulated cluster.

# %%
from labkit.coursework import Exercise

exercise = Exercise("haloop-caching")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# A loop has two steps, each a map and a reduce, and three iterations. `loop.tables` are the tables that its steps join with what changes; each has a `name`, the `step` that joins it, and `files`: what it reads in iterations 1, 2 and 3.

# %%
loop = exercise.run(seed=1, moving=2, tables=None)
for table in loop.tables:
    print(table.name, table.step, table.files)

# %% [markdown]
# `loop.partition[step]` says what the step's **partition function** looks at when it chooses the reduce task of a pair. In one of the steps that is the key and the number of the iteration.

# %%
print(loop.partition)

# %% [markdown]
# The reduce task of partition 0 keeps its part of a table in the first iteration. In the second iteration the function sends key 4 to partition 0, which was in partition 1 before. What does the cache of partition 0 have for key 4?

# %% [markdown]
# ## Task 1: the reducer input cache (3 points for right results, 3 for the bytes)
# Return the set of the names of those tables that shall be in the reducer input cache. They are read, sorted and sent in the first iteration, and never again; all other tables are sent in every iteration.
#
# `loop.tables` and `loop.partition` are as above. The steps differ: what is right for one may be wrong for the other.

# %% answer="tables"
def cached_tables(loop):
    ### BEGIN SOLUTION
    names = set()
    for table in loop.tables:
        never_changes = len(set(table.files)) == 1
        if never_changes and "iteration" not in loop.partition[table.step]:
            names.add(table.name)
    return names
    ### END SOLUTION

# %% [markdown]
# **Right results.** All iterations must have the same output as on one thread without a cache.

# %% check="right" points=3
exercise.check("right")
### BEGIN HIDDEN TESTS
exercise.check_hidden("right")
### END HIDDEN TESTS

# %% [markdown]
# **The bytes.** Reduce tasks must not fetch again what they could have kept.

# %% check="bytes" points=3
exercise.check("bytes")
### BEGIN HIDDEN TESTS
exercise.check_hidden("bytes")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the reducer output cache (2 points)
# The loop's output is that of step 2. With the cache each of its reduce tasks compares its output with the one in its cache, and the distance of two iterations is the sum; without it a job of its own reads both outputs. May the loop have this cache? Return True or False.

# %% answer="output"
def caches_output(loop):
    ### BEGIN SOLUTION
    return "iteration" not in loop.partition[2]
    ### END SOLUTION

# %% check="distance" points=2
exercise.check("distance")
### BEGIN HIDDEN TESTS
exercise.check_hidden("distance")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_megabytes = None  # replace None by your number
### BEGIN SOLUTION
predicted_megabytes = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_megabytes)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# No table in the cache, then each one alone. Which one saves bytes and is wrong? Take `moving=1`: the other step's function looks at the iteration now. Which tables change sides?

# %% tags=["experiment", "nbval-ignore-output"]
print("none", exercise.run(seed=1, moving=2, tables=[]))
for table in exercise.run(seed=1, moving=2, tables=None).tables:
    print(table.name, exercise.run(seed=1, moving=2, tables=[table.name]))
