# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: predict, then measure
#
# *McSherry, Isard and Murray, Scalability! But at what COST?, HotOS 2015*: a system's **COST** is the smallest number of cores with which it beats one thread. To find it one buys more and more cores, and measures. You have two measurements, with two cores and with four. What do you expect of eight and sixteen, and is there any number that beats one thread?
#
# What you predict is then measured: PageRank by labkit's Pregel, on simulated machines of one core each.

# %%
from labkit.coursework import Exercise

exercise = Exercise("cost-estimate")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Seconds of one superstep, by cores. Two graphs that differ in size, and systems that differ in what they do once in every superstep, however many cores there are.

# %%
for seed in (1, 2):
    print({cores: round(seconds, 4) for cores, seconds in exercise.run(seed=seed, cores=[2, 4], predict=False).items()})

# %% [markdown]
# If *all* of it were shared by the cores, four would need half of the time of two. Some of it is: the messages of all vertices. Some is not: in each superstep the master gives an order, and waits for the slowest.

# %% [markdown]
# ## Task 1: seconds (4 points)
# `measured` is a dictionary such as `{2: 0.05, 4: 0.03}`: seconds with two cores and with four. Return the seconds that you expect with `cores` cores. You may be wrong by a quarter.

# %% answer="seconds"
def seconds(measured, cores):
    ### BEGIN SOLUTION
    shared = 4 * (measured[2] - measured[4])
    fixed = measured[2] - shared / 2
    return fixed + shared / cores
    ### END SOLUTION

# %% check="seconds" points=4
exercise.check("seconds")
### BEGIN HIDDEN TESTS
exercise.check_hidden("seconds")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the COST (4 points)
# `claim.measured` is as above, `claim.one_thread` are the seconds of one thread that does the same, and `claim.most` is the number of cores that one may have at most. Cores come in powers of two: 2, 4, 8, … Return the COST, or `None` if it is unbounded: if no number up to `claim.most` beats one thread.

# %% answer="cost"
def cost(claim):
    ### BEGIN SOLUTION
    cores = 2
    while cores <= claim.most:
        if seconds(claim.measured, cores) < claim.one_thread:
            return cores
        cores *= 2
    return None
    ### END SOLUTION

# %% check="cost" points=4
exercise.check("cost")
### BEGIN HIDDEN TESTS
exercise.check_hidden("cost")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_cores = None  # replace None by your number
### BEGIN SOLUTION
predicted_cores = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_cores)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# What was measured, beside what you predicted. Where are you wrong, always in the same direction? A hint: with more cores each has fewer vertices, and the heavy ones are not shared out as evenly.

# %% tags=["experiment", "nbval-ignore-output"]
for seed in (1, 2, 3):
    print(exercise.run(seed=seed), end="\n\n")
