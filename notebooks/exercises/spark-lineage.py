# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: lineage
#
# The **lineage** of an RDD is how it was made: from which RDDs, by which functions. Spark (*Zaharia et al., NSDI 2012*) keeps no second copy of what a machine has in memory: when it dies, the lost partitions are
# computed again, from their lineage. Which ones exactly? You write functions that predict it, and the trace of real runs tells whether they are right.

# %%
from labkit.coursework import Exercise

exercise = Exercise("spark-lineage")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# `numbers → squares`, two partitions each, and `squares` is persisted. A count has run, so `squares` is in memory: partition 0 on m1, partition 1 on m2. m2 dies. The next count reads
# partition 0, and computes partition 1 anew: first of `numbers`, then of `squares`.

# %%
print(sorted({("numbers", 1), ("squares", 1)}))

# %% [markdown]
# ## Task 1: narrow dependencies (4 points)
# `chain` has the names of RDDs, each made from the one before, partition by partition. `cached` is the name of the one that is persisted, or None. Each has `partitions` partitions, numbered from 0, and `lost`
# lists those of the persisted RDD that died with a machine. Return the set of pairs (name, partition) that an action on the **last** RDD of the chain computes now.

# %% answer="narrow"
def recomputed(chain, cached, partitions, lost):
    ### BEGIN SOLUTION
    found = set()
    for partition in range(partitions):
        kept = cached is not None and partition not in lost
        begin = chain.index(cached) + 1 if kept else 0
        found |= {(name, partition) for name in chain[begin:]}
    return found
    ### END SOLUTION

# %% check="narrow" points=4
exercise.check("narrow")
### BEGIN HIDDEN TESTS
exercise.check_hidden("narrow")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: a shuffle (3 points)
# After `reduceByKey`, each reduce task needs something of **every** map task's output. Outputs stay on the machine where the map task ran: `machine_of_map` is a dictionary from map task to machine. Then the
# machine `dead` dies, and the same action runs again. Return the list of the map tasks that must run again.

# %% answer="wide"
def maps_again(machine_of_map, dead):
    ### BEGIN SOLUTION
    return sorted(task for task, machine in machine_of_map.items() if machine == dead)
    ### END SOLUTION

# %% check="wide" points=3
exercise.check("wide")
### BEGIN HIDDEN TESTS
exercise.check_hidden("wide")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_count = None  # replace None by your number
### BEGIN SOLUTION
predicted_count = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_count)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Other seeds, other chains. When is nothing at all computed again? And is it worth while to persist the *first* RDD of a chain?

# %% tags=["experiment"]
for line in exercise.watch(seed=3):
    print(line)
