# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: a ring that repairs itself
#
# To **stabilize** is to ask, again and again, whether one's pointers are still right. You will write the maintenance of a Chord ring: in *Stoica et al., SIGCOMM 2001*, it is
# Fig. 7. The published version is not correct: *Pamela Zave* found histories that break it. So write hers. Two rules make the difference:
#
# 1. each member keeps a whole **successor list**, its next few members, and copies it from its successor;
# 2. no pointer is adopted before its node has **answered**.

# %%
from labkit import Kill, Schedule, Timeout, when
from labkit.coursework import Exercise
from labkit.systems.chord.ids import between

exercise = Exercise("chord-repair")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Lists of two, in the settled ring of 10, 20, 30 and 40. Node 20 fails, and 10 finds out when it asks. Its list becomes `[30]`: still a live successor. Node 30
# answers with *its* list, `[40, 10]`, and 10 has two again.

# %%
successors = [20, 30]
successors = successors[1:]  # 20 does not answer
first, its_list = 30, [40, 10]
print([first, *its_list][:2])

# %% [markdown]
# ## Task 1: copy a list (2 points)
# `first` is a peer, `rest` the successor list that it has told you. Return node n's new list: `first`, then what follows, at most `n.length` entries. If `n.peer`
# itself comes up, the list ends before it: the circle is closed.

# %% answer="list"
def make_list(n, first, rest):
    ### BEGIN SOLUTION
    found = [first, *rest]
    if n.peer in found:
        found = found[: found.index(n.peer)]
    return found[: n.length]
    ### END SOLUTION

# %% check="list" points=2
exercise.check("list")
### BEGIN HIDDEN TESTS
exercise.check_hidden("list")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: rectify (2 points)
# A node that has found its successor *notifies* it: "I think I am your predecessor". Then this function runs there. Take the notifier as `n.predecessor` if there is none, if the notifier
# is closer, or if the old one is dead: `await n.ping(peer)` says whether a node lives.

# %% answer="rectify"
async def rectify(n, notifier):
    ### BEGIN SOLUTION
    old = n.predecessor
    if old is None or between(old.id, notifier.id, n.id) or not await n.ping(old):
        n.predecessor = notifier
    ### END SOLUTION

# %% check="rectify" points=2
exercise.check("rectify")
### BEGIN HIDDEN TESTS
exercise.check_hidden("rectify")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: stabilize (3 points, and 2 for surviving)
# `predecessor, successors = await n.ask(peer)` gives a node's pointers, or raises `Timeout`. In each round:
#
# 1. Ask the first entry of `n.successors`. If it is dead, drop it (`n.successors = ...`); the next round asks the next. Else copy its list.
# 2. If its predecessor lies between you and it, that is a newcomer. Adopt it, **if it answers too**, with its list.
# 3. `n.send(peer, "notify", n.peer)` to whoever is your successor now.

# %% answer="stabilize"
async def stabilize(n):
    ### BEGIN SOLUTION
    first = n.successors[0]
    try:
        newcomer, successors = await n.ask(first)
        n.successors = make_list(n, first, successors)
        if newcomer is not None and between(n.id, newcomer.id, first.id):
            first = newcomer
            _, successors = await n.ask(newcomer)
            n.successors = make_list(n, newcomer, successors)
    except Timeout:
        if n.successors[0] == first:
            n.successors = n.successors[1:]
    if n.successors:
        n.send(n.successors[0], "notify", n.peer)
    ### END SOLUTION

# %% check="stabilize" points=3
exercise.check("stabilize")
### BEGIN HIDDEN TESTS
exercise.check_hidden("stabilize")
### END HIDDEN TESTS

# %% [markdown]
# Now the same with failures at bad moments. Each of them leaves every member a live successor, so nothing need ever break. If it does, you get a cell that shows how.

# %% check="survive" points=2
exercise.check("survive")
### BEGIN HIDDEN TESTS
exercise.check_hidden("survive")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_list = None  # replace None by a list of three numbers
### BEGIN SOLUTION
predicted_list = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_list)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## A free experiment
# Your ring, with a newcomer, and then a failure. `engine="ray"` runs it in real processes. What does your ring do if step 3 is left out? And if the newcomer is adopted unseen?

# %% tags=["experiment", "nbval-ignore-output"]
for line in exercise.watch(engine="sim", seed=1):
    print(line)
