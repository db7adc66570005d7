# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: duplicate requests
#
# A client of a file server repeats a call until it is answered. If only the **reply** was lost, the server gets a call that it has carried out already. For a read that does not matter. For `mkdir` it does: the second time the directory exists, and the user is told that her command failed, though it did not.
#
# The server of *Sandberg et al., Design and Implementation of the Sun Network Filesystem, USENIX 1985* remembers nothing of its clients. Real servers soon got a **duplicate request cache**. You write the rules of one, after that of 4.4BSD, and labkit's server asks them.

# %%
from labkit.coursework import Exercise

exercise = Exercise("nfs-duplicate-requests")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Two clients make, rename and remove directories; some messages are lost, others come twice. Without a cache:

# %% tags=["experiment"]
print(exercise.run(seed=1, rule="none"))

# %% [markdown]
# ENOENT: the second time, there was nothing left to be renamed or removed. `mkdir` would say EEXIST.
#
# ## Task 1: what may be repeated (2 points)
# A procedure is **idempotent** if carrying it out twice in a row, with the same arguments, returns the second time what it returned the first time, and leaves the same files. Is one of these?
#
# > null lookup create remove getattr read rename link symlink readlink mkdir rmdir readdir statfs

# %% answer="idempotent"
def is_idempotent(procedure):
    ### BEGIN SOLUTION
    return procedure in ("null", "lookup", "getattr", "read", "readlink", "readdir", "statfs")
    ### END SOLUTION

# %% check="idempotent" points=2
exercise.check("idempotent")
### BEGIN HIDDEN TESTS
exercise.check_hidden("idempotent")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: a call has come (3 points for the rule, 3 for the run)
# The server asks you for each call that is not idempotent. `call` has `client`, `xid` (a number that the client gives each of its calls; a repeated call has the same) and `procedure`. `kept` is a list of the calls that the server remembers; each has these three and `busy`: whether it is still being carried out. Return
#
# * `"execute"`: carry it out; the server will remember it, and its reply;
# * `"resend"`: send the saved reply once more;
# * `"drop"`: do nothing; its reply will come.
#
# What makes two calls the same? Two clients may well use the same number.

# %% answer="decide"
def decide(call, kept):
    ### BEGIN SOLUTION
    for each in kept:
        if (each.client, each.xid, each.procedure) == (call.client, call.xid, call.procedure):
            return "drop" if each.busy else "resend"
    return "execute"
    ### END SOLUTION

# %% check="decide" points=3
exercise.check("decide")
### BEGIN HIDDEN TESTS
exercise.check_hidden("decide")
### END HIDDEN TESTS

# %% [markdown]
# **The run.** One message in seven is lost, three in ten come twice, and the disk is slower than the clients are patient. Each change must be carried out once, and each program be told the truth.

# %% check="once" points=3
exercise.check("once")
### BEGIN HIDDEN TESTS
exercise.check_hidden("once")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: a cache is not a diary (3 points)
# There is room for `room` calls. `kept` has the oldest first. Which are to be forgotten? Return their places in `kept`, counted from 0: the oldest, as many as are too many; but never one that is `busy` (why not?), even if then more than `room` are left.

# %% answer="forget"
def forget(kept, room):
    ### BEGIN SOLUTION
    done = [number for number, each in enumerate(kept) if not each.busy]
    return done[: max(0, len(kept) - room)]
    ### END SOLUTION

# %% check="forget" points=3
exercise.check("forget")
### BEGIN HIDDEN TESTS
exercise.check_hidden("forget")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_drops = None  # replace None by your number
### BEGIN SOLUTION
predicted_drops = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_drops)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Add "yours" to the rules. Lose every third message; have the disk answer at once. When does no cache do as well? And what can no cache in memory help against?

# %% tags=["experiment", "nbval-ignore-output"]
for rule in ("none", "labkit's"):
    print(f"{rule:10}", exercise.run(seed=2, lost=0.2, disk=0.1, rule=rule))
