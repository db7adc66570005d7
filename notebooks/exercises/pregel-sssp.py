# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: shortest paths, vertex by vertex
#
# In Pregel (*Malewicz and others, SIGMOD 2010*) a program is what one vertex does in one superstep: it reads the messages that were sent to it in the superstep before, changes its value, and sends messages that will be read in the next one. You write that for the shortest paths from one vertex to all others, and the combiner that spares messages. labkit's partitions, three of them, run it.

# %%
from labkit.coursework import Exercise

exercise = Exercise("pregel-sssp")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# A chain of short edges, one long edge that skips it, and some more. Two vertices cannot be reached.

# %%
print(exercise.run(seed=1, graph="edges"))

# %% [markdown]
# This is what the program of the paper's Figure 5 makes of it, with a combiner and without. *Travelled* are messages that leave a partition: after the combiner.

# %%
print(exercise.run(seed=1, program="paper"))

# %% [markdown]
# ## Task 1: the vertex program (3 points for the distances, 2 for the messages)
# `compute(vertex, messages)` returns `(value, messages, halt)`: the vertex's new value, a list of `(target, message)`, and whether it votes to halt. `messages` is a list of numbers, in any order, and may be empty.
#
# | | |
# |---|---|
# | `vertex.vertex_id`, `vertex.superstep` | its number; 0, 1, 2, … |
# | `vertex.value` | what you returned the last time; `inf` at first |
# | `vertex.edges` | its out edges: `(target, length)` each |
# | `vertex.is_source` | whether the distances are those from this vertex |
#
# In superstep 0 all vertices compute, and nobody has sent anything. A vertex that has voted to halt computes again when a message has come for it. The end: all have halted, and no message is under way. A vertex that cannot be reached keeps `inf`.

# %% answer="compute"
import math

def compute(vertex, messages):
    ### BEGIN SOLUTION
    best = 0.0 if vertex.is_source else math.inf
    best = min([best, *messages])
    if best < vertex.value:
        return best, [(target, best + length) for target, length in vertex.edges], True
    return vertex.value, [], True
    ### END SOLUTION

# %% [markdown]
# **The distances** must be the shortest ones.

# %% check="distances" points=3
exercise.check("distances")
### BEGIN HIDDEN TESTS
exercise.check_hidden("distances")
### END HIDDEN TESTS

# %% [markdown]
# **The messages.** Not more of them, and not more supersteps, than the paper's program needs. Who has nothing new to tell?

# %% check="messages" points=2
exercise.check("messages")
### BEGIN HIDDEN TESTS
exercise.check_hidden("messages")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the combiner (2 points)
# Two messages for the same vertex meet in a partition before they travel. `combine(one, other)` is the one message that is sent instead. Nobody says which messages meet, in which order, or whether they meet at all.

# %% answer="combine"
def combine(one, other):
    ### BEGIN SOLUTION
    return min(one, other)
    ### END SOLUTION

# %% check="combiner" points=2
exercise.check("combiner")
### BEGIN HIDDEN TESTS
exercise.check_hidden("combiner")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_messages = None  # replace None by your number
### BEGIN SOLUTION
predicted_messages = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_messages)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Figure 5 with its combiner and without: how many messages less travel? Then your program with yours: `exercise.run(seed=1, combine="yours")`. Other seeds are other graphs. Which edges would make the combiner worth more?

# %% tags=["experiment", "nbval-ignore-output"]
for combine_with in ("min", "none"):
    print(combine_with, exercise.run(seed=1, program="paper", combine=combine_with))
