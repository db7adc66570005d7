# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Exercise: flooding in Gnutella
#
# A peer of Gnutella that looks for a file asks all its neighbours, and they ask theirs. Each query has a **GUID** (a name of its own), a **TTL** (so many times it may still travel) and **hops** (so many times it was handed on). You write what a peer does with a query that comes, and with a hit on its way back. What you write runs in every peer of a simulated overlay, whose links differ in speed.
#
# `exercise.check(...)` runs the visible tests. Your marks come from the same tests in other overlays.

# %%
from labkit.coursework import Exercise

exercise = Exercise("gnutella-flooding")

# %% answer="student"
student = ""  # who are you?
### BEGIN SOLUTION
student = "ada"
### END SOLUTION

# %% [markdown]
# ## Tiny example
# A triangle 0, 1, 2 and a tail 2 – 3. Peer 0 asks with TTL 7: it sends (TTL 7, 0 hops) to 1 and to 2. Peer 1 hands it on to 2, not back to 0: (TTL 6, 1 hop). Peer 2 hands it on to 1 and to 3. Then 1 and 2 have a **duplicate** each, and drop it. How many messages were sent? Each link carries two, less one for every peer but the origin:

# %%
links, peers = 4, 4
print(2 * links - (peers - 1))

# %% [markdown]
# ## Task 1: a query comes (4 points)
# The query `guid` has come from the neighbour `source`, with this `ttl` and `hops`. Return the copies to be sent: a list of `(neighbour, ttl, hops)`; an empty one to drop it.
#
# * `n.neighbours` is a list of names; never send a query back to its sender;
# * lower the TTL by one and raise the hops by one: their sum never changes. A query that comes with TTL 1 is not handed on;
# * `n.seen` is a dictionary that is yours: note there from whom a GUID came *first*, `n.seen[guid] = source`. A GUID that was seen is dropped. (At the origin of a query its GUID is in `n.seen` already.)

# %% answer="flood"
def on_query(n, source, guid, ttl, hops):
    ### BEGIN SOLUTION
    if guid in n.seen:
        return []
    n.seen[guid] = source
    if ttl <= 1:
        return []
    return [(neighbour, ttl - 1, hops + 1) for neighbour in n.neighbours if neighbour != source]
    ### END SOLUTION

# %% check="flood" points=4
exercise.check("flood")
### BEGIN HIDDEN TESTS
exercise.check_hidden("flood")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the way back (2 points)
# A hit for the query `guid` has come. Which neighbour gets it? Return its name; or None if this peer never saw the query, or if the neighbour it came from is not in `n.neighbours` any more: then the hit is lost, and nobody is told.

# %% answer="back"
def on_hit(n, guid):
    ### BEGIN SOLUTION
    source = n.seen.get(guid)
    return source if source in n.neighbours else None
    ### END SOLUTION

# %% check="back" points=2
exercise.check("back")
### BEGIN HIDDEN TESTS
exercise.check_hidden("back")
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: a tight TTL (3 points)
# With a small TTL some peers never hear of a query although they are near enough. A copy came first over a long way, with little TTL left; the better copy came later, and was dropped as a duplicate. Write the routing once more: everybody within the TTL must hear of it, whatever the delays are. `n.best` is another dictionary of yours; at the origin it holds a number for the GUID already that no copy reaches. Sending *every* copy on costs too much.

# %% answer="tight"
def on_query_tight(n, source, guid, ttl, hops):
    ### BEGIN SOLUTION
    if ttl <= n.best.get(guid, 0):
        return []
    n.seen.setdefault(guid, source)
    n.best[guid] = ttl
    if ttl <= 1:
        return []
    return [(neighbour, ttl - 1, hops + 1) for neighbour in n.neighbours if neighbour != source]
    ### END SOLUTION

# %% check="tight" points=3
exercise.check("tight")
### BEGIN HIDDEN TESTS
exercise.check_hidden("tight")
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
# labkit's own servent, in an overlay of 200 peers: how many peers does each TTL reach, and at what price? Where would you set it?

# %% tags=["experiment"]
from labkit import Cluster
from labkit.systems.filesharing import FileSharing

with Cluster(machines=4, engine="sim", seed=1) as cluster:
    sharing = FileSharing(cluster, peers=200, topology="random", ping_every=None)
    cluster.run(0.1)
    for ttl in (1, 2, 3, 4, 5, 7, 9):
        search = sharing.search("moon", at=0, ttl=ttl)
        print(f"TTL {ttl}: {search.reached:3} peers reached, {search.messages:3} messages, {len(search)} files found")
