# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: how much consistency?
#
# A **consistency model** is a promise about how old the values may be that one reads. In *stale synchronous parallel* training the promise has a dial, the bound s: 0 means that nobody runs ahead.
# Waiting costs time; stale parameters cost iterations. In this exercise you measure both, for **your** straggler, and choose.

# %%
from labkit.coursework import Exercise

exercise = Exercise("paramserver-consistency")
bounds = (0, 1, 2, 4, 8, 16)

# %% answer="student"
student = ""  # who are you? Your straggler depends on it
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Two workers. A's iterations take 1, 1 and 4 seconds, B's take 4, 1 and 1. If they wait for each other after each iteration, three rounds take 4 + 1 + 4 seconds. If they may run two ahead, each just adds
# up its own.

# %%
a, b = (1, 1, 4), (4, 1, 1)
print(sum(max(both) for both in zip(a, b)), "s with s = 0,", max(sum(a), sum(b)), "s with s = 2")

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_percent = None  # replace None by your number
### BEGIN SOLUTION
predicted_percent = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_percent)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## Task 1: measure (2 + 2 points)
# `exercise.run(student=student, bound=s)` trains a small model with four workers on a simulated parameter server. It gives the seconds until the loss is small, and the fraction of the workers' time that was
# waiting. Measure at least four of the bounds, and keep both numbers: `seconds = {bound: ...}`, `waited = {bound: ...}`.

# %% answer="measured"
seconds, waited = {}, {}
### BEGIN SOLUTION
for s in bounds:
    seconds[s], waited[s] = exercise.run(student=student, bound=s)
### END SOLUTION

# %% check="measured" points=2
exercise.check("measured")

# %% check="waiting" points=2
exercise.check("waiting")

# %% [markdown]
# ## Task 2: choose (3 points)
# Which bound would you use? Your measurements must justify it: it may take at most a tenth longer than the best one.

# %% answer="chosen"
bound = None
### BEGIN SOLUTION
bound = min(seconds, key=seconds.get)
### END SOLUTION

# %% check="chosen" points=3
exercise.check("chosen")

# %% [markdown]
# ## A free experiment
# Does waiting always fall with the bound? Do the seconds? Try the names of your friends: is there one bound that is good for everybody?

# %% tags=["experiment"]
for line in exercise.watch(student="somebody else"):
    print(line)
