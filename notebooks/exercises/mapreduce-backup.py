# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: backup tasks
#
# A map task runs on each of ten workers, and one of the machines becomes twenty times slower: a **straggler**. All other tasks are completed, and the job waits. *Dean and Ghemawat, MapReduce, OSDI 2004*, §3.6: "When a MapReduce operation is
# close to completion, the master schedules **backup executions** of the remaining in-progress tasks. The task is marked as completed whenever either the primary or the backup execution completes." In the paper a sort takes 44 % longer without them.
#
# A backup that is not first was work for nothing. "We have tuned this mechanism so that it typically increases the computational resources used by the operation by no more than a few percent." How, the paper does not say. You write the rule, and
# labkit's master asks it.

# %%
from labkit.coursework import Exercise

exercise = Exercise("mapreduce-backup")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Three tasks took 9, 10 and 14 seconds. Their **median** is 10: half of them took no longer. A fourth has run for 12 seconds. Is it slow, or just larger than the others? If we call *late* what has run for at least 1.3 times the median, it is
# not late yet; in one more second it is.

# %%
from statistics import median

print(1.3 * median([9, 10, 14]))

# %% [markdown]
# Why the median and not the mean? Look at what one straggler among the completed tasks does to each:

# %%
print(median([9, 10, 14, 200]), sum([9, 10, 14, 200]) / 4)

# %% [markdown]
# ## Task 1: late (2 points)
# Is a task late that has run for `seconds`? `done`: how many seconds each completed task took; there is at least one.

# %% answer="late"
def is_late(seconds, done):
    ### BEGIN SOLUTION
    return seconds >= 1.3 * median(done)
    ### END SOLUTION

# %% check="late" points=2
exercise.check("late")
### BEGIN HIDDEN TESTS
exercise.check_hidden("late")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the master's rule (3 points for the time, 3 for the waste)
# When no task is idle any more and a worker is free, the master asks: which of the tasks in progress shall be executed once more? Return their numbers, the most urgent first.
#
# * `remaining`: the tasks in progress that have one execution so far; each has `task` (its number), `seconds` (since it began) and `worker` (where it runs);
# * `seconds`: what each completed task took; `total`: how many tasks there are;
# * `free`: how many workers have nothing to do. The master begins the first `free` of your tasks, and asks again when something has changed, at least every two seconds.
#
# Each task has one or none; another worker executes it from its beginning, for as long as it takes there. There are 60 tasks of about ten seconds.

# %% answer="choose"
def choose(remaining, seconds, total, free):
    ### BEGIN SOLUTION
    late = [each for each in remaining if is_late(each.seconds, seconds)]
    return [each.task for each in sorted(late, key=lambda each: -each.seconds)]
    ### END SOLUTION

# %% [markdown]
# **The time.** One or two machines become slow. The last map must be completed within 1.25 times the seconds that labkit's own rule needs.

# %% check="makespan" points=3
exercise.check("makespan")
### BEGIN HIDDEN TESTS
exercise.check_hidden("makespan")
### END HIDDEN TESTS

# %% [markdown]
# **The waste.** Backups that were not first may have spent 1.5 % of all seconds of work, on average of a run without slow machines and one with.

# %% check="waste" points=3
exercise.check("waste")
### BEGIN HIDDEN TESTS
exercise.check_hidden("waste")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_backups = None  # replace None by your number
### BEGIN SOLUTION
predicted_backups = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_backups)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# m4 becomes slow after 20 seconds. Add "yours" to the rules. Move the moment, add a machine. When is your rule of no use? And how late may a backup come, before it is as slow as none?

# %% tags=["experiment", "nbval-ignore-output"]
for rule in ("none", "labkit's"):
    print(f"{rule:10}", exercise.run(seed=1, slow=[(20.0, "m4")], rule=rule))
