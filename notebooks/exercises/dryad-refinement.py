# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: an aggregation manager
#
# Twenty-four vertices Q count the queries of a log, and one vertex R sums their counts. Eight computers stand in three racks; the links between racks are scarce. *Isard et al., Dryad, EuroSys 2007*, §3.6: a **stage manager** hears when a
# vertex is completed, and may insert vertices between the stage and its reader, so that counts are summed before they leave a rack (Figure 6). Which computer ran which Q is known only as the job runs: nobody could have drawn this graph in advance.
#
# You write the rule by which outputs are grouped. labkit's job manager asks it, and does the rest.

# %%
from labkit.coursework import Exercise

exercise = Exercise("dryad-refinement")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Three outputs are there. Each has `vertex` (its number), `machine`, `rack` and `bytes`:

# %%
from collections import namedtuple

Output = namedtuple("Output", "vertex machine rack bytes")
outputs = [Output(7, "m1", "rack-1", 300), Output(8, "m2", "rack-1", 300), Output(9, "m5", "rack-3", 300)]

# %% [markdown]
# If R runs in rack-2, all 900 bytes go from rack to rack. A vertex in rack-1 that sums 7 and 8 first makes 300 bytes of their 600, if the same queries occur in both: then 600 bytes go. The same is done by the group `[7, 8]`.

# %% [markdown]
# ## Task 1: by rack (2 points)
# A dictionary: each rack that has an output, and the list of the vertices whose outputs are there.

# %% answer="racks"
def by_rack(outputs):
    ### BEGIN SOLUTION
    found = {}
    for each in outputs:
        found.setdefault(each.rack, []).append(each.vertex)
    return found
    ### END SOLUTION

# %% check="racks" points=2
exercise.check("racks")
### BEGIN HIDDEN TESTS
exercise.check_hidden("racks")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the manager's rule (3 points for the bytes, 3 for the thrift)
# Whenever an output is there, the stage manager asks: which groups shall be summed, each by a vertex of its own, **now**? Return a list of groups, each a list of vertices; `[]` if it is better to wait.
#
# * `waiting`: the outputs that are there and in no group yet;
# * `left`: how many vertices are still to be completed, those that you have had inserted included.
#
# A group has at least two outputs. The vertex that sums it runs near them; when it is completed its output waits as the others do, and you are asked again. What is in no group in the end, R reads itself. R begins when nothing is left: after that
# nobody asks.

# %% answer="choose"
def choose(waiting, left):
    ### BEGIN SOLUTION
    if left:
        return []
    return [group for group in by_rack(waiting).values() if len(group) > 1]
    ### END SOLUTION

# %% [markdown]
# **The bytes.** Between racks at most 1.15 times the bytes of labkit's own tree may move; and the histogram must be the same.

# %% check="bytes" points=3
exercise.check("bytes")
### BEGIN HIDDEN TESTS
exercise.check_hidden("bytes")
### END HIDDEN TESTS

# %% [markdown]
# **The thrift.** A vertex costs something, too: eleven at most may be inserted, as many as there are machines and racks; and at least one.

# %% check="thrift" points=3
exercise.check("thrift")
### BEGIN HIDDEN TESTS
exercise.check_hidden("thrift")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_kilobytes = None  # replace None by your number
### BEGIN SOLUTION
predicted_kilobytes = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_kilobytes)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Add "yours" to the rules. Group by machine first, and by rack what comes of it: which bytes does that save that the bytes between racks do not show? And what if a group is summed as soon as it has two outputs?

# %% tags=["experiment", "nbval-ignore-output"]
for rule in ("none", "labkit's"):
    print(f"{rule:10}", exercise.run(seed=1, rule=rule))
