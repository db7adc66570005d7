# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: routing in Chord
#
# A **finger** is a shortcut: the k-th finger of node *n* is the first member at or after n + 2^(k−1). A lookup hops along fingers to the **predecessor** of a key;
# the key's owner is the member after it. You will write the two functions of *Fig. 4 of Stoica et al., SIGCOMM 2001*, and then a third, for a ring in which
# machines have died. What you write runs in every node of a simulated ring.
#
# `exercise.check(...)` runs the visible tests. Your marks come from the same tests in other rings.

# %%
from labkit import Timeout
from labkit.coursework import Exercise
from labkit.systems.chord import IdealRing, Peer
from labkit.systems.chord.ids import between, distance, in_half_open

exercise = Exercise("chord-routing")

# %% [markdown]
# Who are you? Some questions are different for each of you.

# %% answer="student"
student = ""
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# Three members, 0, 1 and 3, on a circle of 8. Here are the fingers of node 1, which start at 2, 3 and 5. Everything on a circle is about arcs, and an arc may go across 0:
# `between(a, x, b)` says whether x lies strictly between a and b, clockwise.

# %%
tiny = IdealRing([(0, "zero"), (1, "one"), (3, "three")], bits=3)
print([finger.id for finger in tiny.fingers(1)])
print(between(6, 7, 1), between(6, 0, 1), between(6, 3, 1))

# %% [markdown]
# ## Task 1: the finger closest before the key (3 points)
# `n.fingers` is the list of node n's fingers, `n.id` its identifier, `n.peer` how others know it: a `Peer` with `id` and `name`, as each finger is one.
# Return the finger that lies strictly between n and the key and is closest to the key, and `n.peer` if there is none. (*Fig. 4: `closest_preceding_finger`.*)

# %% answer="closest"
def closest_preceding_finger(n, key):
    ### BEGIN SOLUTION
    for finger in reversed(n.fingers):
        if between(n.id, finger.id, key):
            return finger
    return n.peer
    ### END SOLUTION

# %% check="closest" points=3
exercise.check("closest")
### BEGIN HIDDEN TESTS
exercise.check_hidden("closest")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: find the successor, over messages (4 points)
# A node knows its fingers and nothing else. If the key lies between it and `n.successor`, that is the owner: return it (a `Peer`). Otherwise **ask** the node that comes
# closest before the key, `await n.call(peer, "find_successor", key)`: there, the same function runs. `in_half_open(a, x, b)` is `between`, with b itself included.

# %% answer="lookup"
async def find_successor(n, key):
    ### BEGIN SOLUTION
    if in_half_open(n.id, key, n.successor.id):
        return n.successor
    closest = closest_preceding_finger(n, key)
    return await n.call(closest, "find_successor", key)
    ### END SOLUTION

# %% check="lookup" points=4
exercise.check("lookup")
### BEGIN HIDDEN TESTS
exercise.check_hidden("lookup")
### END HIDDEN TESTS

# %% [markdown]
# ## Predict, then reveal (1 point)
# How many **hops** does a lookup take? Count the steps to the predecessor of the key, not the last one to the owner. Use pencil and paper.

# %% tags=["experiment"]
exercise.ask("predict")

# %% answer="predict"
predicted_hops = None  # replace None by your number
### BEGIN SOLUTION
predicted_hops = exercise.solution("predict")
### END SOLUTION

# %% tags=["experiment"]
exercise.reveal("predict", predicted_hops)

# %% check="predict" points=1
exercise.check("predict")

# %% [markdown]
# ## Task 3: machines die (2 points)
# A third of all members is dead, and nobody has repaired anything. `await n.ping(peer)` says whether a node answers. `n.successors` lists the next four members. Find the first
# **living** member at or after the key: if it is one of n's next members, you have it; else hand the question on, `await n.call(peer, "find_live_successor", key)`,
# to the closest node before the key *that lives*. Whoever walks along the successors instead needs too many hops. `distance(a, b, n.bits)` counts the steps from a clockwise to b.

# %% answer="detour"
async def find_live_successor(n, key):
    ### BEGIN SOLUTION
    for peer in n.successors:
        if in_half_open(n.id, key, peer.id) and await n.ping(peer):
            return peer
    known = {peer for peer in (*n.fingers, *n.successors) if between(n.id, peer.id, key)}
    for peer in sorted(known, key=lambda peer: distance(peer.id, key, n.bits)):
        if await n.ping(peer):
            return await n.call(peer, "find_live_successor", key)
    ### END SOLUTION

# %% check="detour" points=2
exercise.check("detour")
### BEGIN HIDDEN TESTS
exercise.check_hidden("detour")
### END HIDDEN TESTS

# %% [markdown]
# ## A free experiment
# Your lookup, in a ring of 24 members, on the engine of your choice: `exercise.watch(engine="ray")` runs it in real processes. Which node is asked most often? And if you
# always handed the question to `n.successor` instead of a finger?

# %% tags=["experiment", "nbval-ignore-output"]
for line in exercise.watch(engine="sim", members=24, seed=1):
    print(line)
