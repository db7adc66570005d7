# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: stale synchronous parallel
#
# Workers train a model together. Each repeats: pull the parameters, compute, push an update, `clock()`. The iteration that a worker is in is its **clock**, and a **straggler** is a
# worker whose clock falls behind. Should the others wait? *Stale synchronous parallel*, as reported of *Ho et al., NIPS 2013*, lets them run ahead, but not further than a **bound** s. You
# write the condition, and the parameter server's scheduler asks it.

# %%
from labkit import Schedule, Slow
from labkit.coursework import Exercise

exercise = Exercise("paramserver-ssp")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Iterations are counted from 0. Worker A has finished iterations 0, 1 and 2 and wants to begin iteration 3. The slowest worker has finished **one**, iteration 0. To begin iteration 3 is to be 2
# ahead: allowed with s = 2, not with s = 1.

# %%
wants_to_begin, slowest_has_finished = 3, 1
print(wants_to_begin - slowest_has_finished, "ahead")

# %% [markdown]
# ## Task 1: the wait condition (2 points, and 3 for training under stragglers)
# May a worker begin iteration `clock` if every worker has finished at least `slowest` iterations? With a bound of 0, nobody may begin an iteration before all have finished the one before: that
# is bulk-synchronous training.

# %% answer="condition"
def may_start(clock, slowest, bound):
    ### BEGIN SOLUTION
    return clock - slowest <= bound
    ### END SOLUTION

# %% check="condition" points=2
exercise.check("condition")
### BEGIN HIDDEN TESTS
exercise.check_hidden("condition")
### END HIDDEN TESTS

# %% [markdown]
# Now your condition decides in real training runs, in which machines become slow. An error of one shows: one too many, and somebody is too far ahead; one too few, and people wait for nothing, or
# for ever.

# %% check="training" points=3
exercise.check("training")
### BEGIN HIDDEN TESTS
exercise.check_hidden("training")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: what is a read sure to see? (3 points)
# A worker in iteration `clock` reads a parameter. Some updates of others may be missing. Up to which iteration are **all** workers' updates sure to be in? Return that iteration's number; below 0 means none.

# %% answer="guarantee"
def surely_seen(clock, bound):
    ### BEGIN SOLUTION
    return clock - bound - 1
    ### END SOLUTION

# %% check="guarantee" points=3
exercise.check("guarantee")
### BEGIN HIDDEN TESTS
exercise.check_hidden("guarantee")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_waiting = None  # replace None by your number
### BEGIN SOLUTION
predicted_waiting = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_waiting)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# One machine is five times slower than the others. How long do the others wait with s = 0, 2, 8? `engine="ray"` does it in real processes.

# %% tags=["experiment", "nbval-ignore-output"]
for line in exercise.watch(engine="sim", bound=2):
    print(line)
