# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Chord: a dictionary on a ring
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are
# Chord's answers, from *Stoica et al., Chord: A Scalable Peer-to-peer Lookup Service for Internet Applications, SIGCOMM 2001*.
#
# | | |
# |---|---|
# | work | each node keeps the keys between its predecessor and itself |
# | communication | a lookup hops along *fingers*, about ½ log₂ N of them |
# | failure | each node knows its next few successors; a key has copies on them |
#
# Everything below runs in the simulator: virtual time, thousands of nodes, and the same outcome for the same seed. The very same nodes ran as
# real processes in [start](start.ipynb).

# %% [markdown]
# ## 1. The programming model
# A **programming model** is a contract with the user. Chord's is tiny: `lookup(key)` names the node that is responsible. Everything else is built on it,
# here a dictionary.

# %%
from labkit import Cluster
from labkit.systems.chord import Chord

cluster = Cluster(machines=4, engine="sim", seed=7)
ring = Chord(cluster, nodes=24, replicas=3)
ring["lecture"] = "P2"
print(ring["lecture"], len(ring), "lecture" in ring)
print(ring.put("exam", "July"))

# %% [markdown]
# A write says how many copies took it. A lookup says where it went:

# %%
print(ring.lookup("lecture"))

# %% [markdown]
# ## 2. The architecture: consistent hashing
# Nodes and keys get an *identifier* from the same hash function, SHA-1, cut to `bits` bits, and identifiers form a circle. A key belongs to its
# **successor**: the first node at or after it.
#
# Tiny example: three nodes with the identifiers 0, 1 and 3 on a circle of 2³ = 8 places.

# %%
from labkit.systems.chord import IdealRing

tiny = IdealRing([(0, "node 0"), (1, "node 1"), (3, "node 3")], bits=3)
for key in (1, 2, 6):
    print("key", key, "belongs to", tiny.successor(key).name)

# %% [markdown]
# `IdealRing` knows every node, so one bisection answers. It is the single-thread version of Chord: what the distributed nodes must agree with, and what
# their cost is compared with. Do they agree?

# %%
ideal = IdealRing([(node.id, node.name) for node in ring.nodes], ring.bits)
names = [f"key {number}" for number in range(100)]
assert all(ring.lookup(name).owner == ideal.successor(ring.lookup(name).key_id).name for name in names)

# %% [markdown]
# **Question.** A node joins. Which keys move, and between whom? Predict, then look.

# %%
ring.update({name: name for name in names})
before = {name: ring.owner(name).name for name in names}
newcomer = ring.join()
ring.settle()
moved = {name for name in names if ring.owner(name).name != before[name]}
print(f"{newcomer} joined; {len(moved)} of {len(names)} keys have a new owner")
print(
    "they came from",
    sorted({before[name] for name in moved}),
    "and went to",
    sorted({ring.owner(n).name for n in moved}),
)

# %% [markdown]
# ## 3. Lookup: fingers
# Asking successor after successor would take N/2 hops. So node *n* keeps **fingers**: the k-th is the successor of n + 2^(k−1). The node that is asked hands the
# question to its finger that comes *closest before* the key.

# %%
for k, finger in enumerate(tiny.fingers(1), start=1):
    print(f"finger[{k}] of node 1 starts at {(1 + 2 ** (k - 1)) % 8} and is {finger.name}")

# %% [markdown]
# The paper's Fig. 4 says it in four lines:
#
# ```
# n.closest_preceding_finger(id)
#     for i = m downto 1
#         if (finger[i].node ∈ (n, id))
#             return finger[i].node
#     return n
# ```
#
# This is the code that runs in the nodes. It takes the successor list as well, and leaves out nodes that did not answer. Where are the four lines in it?

# %% tags=["nbval-ignore-output"]
import labkit
from labkit.systems.chord import ChordNode

labkit.show(ChordNode.closest_preceding_finger)

# %% [markdown]
# ### Experiment: path length (Fig. 10)
# Each hop halves the distance that is left, and on average half of the bits are right already: ½ log₂ N. We count the hops of `find_predecessor`,
# without the last step to the successor; counted so, the paper's distribution comes out.

# %%
from labkit.systems.chord import experiments

lengths = experiments.path_length(exponents=(3, 5, 7, 9, 11, 12))
print(lengths.round(2).to_string(na_rep=""))

# %% tags=["nbval-ignore-output"]
import matplotlib.pyplot as plt

axes = lengths.plot(
    y=["mean", "½ log₂ N", "paper mean"], style=["o-", "--", "x"], figsize=(7, 3.5), markersize=8
)
axes.fill_between(lengths.index, lengths["p1"], lengths["p99"], alpha=0.15, label="1st to 99th percentile")
axes.set(xlabel="log₂ of the number of nodes", ylabel="hops", title="Fig. 10(a): path length")
axes.legend();
# %%
distribution = experiments.path_length_distribution()
print(distribution.round(3).to_string(na_rep=""))

# %% tags=["nbval-ignore-output"]
axes = distribution["probability"].plot.bar(figsize=(7, 3.5), color="#0072b2", label="ours", rot=0)
axes.plot(distribution["paper"].to_numpy(), "x", color="black", markersize=10, label="paper (peak)")
axes.set(xlabel="hops", ylabel="probability", title="Fig. 10(b): path lengths with 2¹² nodes")
axes.legend();
# %% [markdown]
# ### Experiment: load (Figs. 8 and 9)
# Is the circle a fair judge? With ten thousand nodes and half a million keys, the paper finds that the 99th percentile has 4.6 times the mean, and the fullest
# node 9.1 times.

# %%
load = experiments.load(nodes=10_000, keys=[100_000, 300_000, 500_000])
columns = ["mean", "p1", "p99", "max", "p99/mean", "max/mean", "paper p99/mean", "paper max/mean"]
print(load[columns].round(2).to_string(na_rep=""))

# %% tags=["nbval-ignore-output"]
fig8 = experiments.load(nodes=10_000, keys=range(100_000, 1_000_001, 150_000))
axes = fig8.plot(y=["mean", "p1", "p99"], style=["k-", "v-", "^-"], figsize=(7, 3.5))
axes.plot([500_000], [4.6 * 50], "x", color="black", markersize=10, label="paper's p99")
axes.set(xlabel="keys", ylabel="keys per node", title="Fig. 8(a): keys per node, 10,000 nodes")
axes.legend();
# %% [markdown]
# **Why so uneven?** The gaps between random points on a circle are exponentially distributed. If each node stands at several places (**virtual nodes**), it owns a
# sum of gaps, and sums are fairer.

# %%
virtual = experiments.virtual_nodes(nodes=2000)
print(virtual.round(2).to_string(na_rep=""))

# %% tags=["nbval-ignore-output"]
axes = virtual.plot(
    y=["p1/mean", "p99/mean", "paper p1/mean", "paper p99/mean"],
    style=["v-", "^-", "x", "x"],
    figsize=(7, 3.5),
)
axes.set(xlabel="virtual nodes per node", ylabel="times the mean", title="Fig. 9: virtual nodes");
# %% [markdown]
# ## 4. Failure
# A machine dies without a word. Its neighbours find out when a call **times out**; they do not know whether it is dead or slow. Then the next
# entry of the successor list takes its place, lookups take another finger, and copies are made anew.
#
# Here is the ring, with a place for each node, and m2's among them. A simulated ring stands still until a cell runs it, or you press ▶.

# %% tags=["nbval-ignore-output"]
ring.panel(compact=True)

# %%
cluster.kill("m2")
died = cluster.now
print("still all there:", all(ring[name] == name for name in names))
ring.settle()
print(ring.health())

# %% [markdown]
# The trace knows how that came about. Each event has a cause, and `why` walks back to it:

# %%
late = [event for event in cluster.trace.filter(kind="timed_out") if event.time > died][0]
print(cluster.trace.why(late))

# %% [markdown]
# The operation that this call belongs to, as a picture: a line for each node that took part, time from left to right. Click an event, and what led to it is marked.

# %% tags=["nbval-ignore-output"]
from labkit_widgets import SpaceTimePanel

SpaceTimePanel(cluster, span=late.span)

# %%
after = [event for event in cluster.trace if event.time > died]
for kind in ("timed_out", "dead_seen", "successors_changed", "replicated"):
    print(f"{kind:20}", sum(event.kind == kind for event in after))

# %% tags=["nbval-ignore-output"]
ring.panel()

# %% [markdown]
# **Question.** With three copies, how many *neighbouring* nodes may fail at the same time before a key is lost? And how many if the ring has time to repair itself in
# between? Use the panel, or `cluster.kill`, to check.
#
# ### Experiment: many failures at once (Fig. 11)
# A fraction *p* of all nodes fails. There are no copies in this experiment, so what is lost is what the dead nodes held: the paper finds that lookups fail for just a fraction *p* of the keys.

# %%
failures = experiments.simultaneous_failures()
print(failures.round(3).to_string())

# %% [markdown]
# And if *half* of all nodes fail, and nothing has been repaired yet? Theorems 7 and 8 of the paper say that with successor lists of Θ(log N) entries a lookup still finds
# the closest living successor, with high probability. The paper of 2001 has no figure of this; the last column is an independent simulation.

# %%
half = experiments.half_failures()
print(half.round(2).to_string())

# %% [markdown]
# ### Experiment: nodes come and go (Fig. 12)
# Nodes join and fail at random while lookups go on, one per second; a node looks after its pointers every 30 s on average. A lookup fails if it meets pointers that are not right *yet*.
# (A smaller ring than the paper's 500 nodes, with the rates scaled down, for a quarter of an hour instead of two.)

# %%
churn = experiments.churn()
print(churn.round(3).to_string())

# %% tags=["nbval-ignore-output"]
axes = churn.plot(y=["failed", "paper"], style=["o-", "x--"], figsize=(7, 3.5), markersize=8)
axes.set(ylabel="fraction of lookups that fail", title="Fig. 12: lookups under churn");
# %% [markdown]
# ## 5. The published protocol, and the correct one
# Each node keeps its pointers right by **stabilizing**: it asks its successor for *its* predecessor, and takes that one as its successor if it lies between. This is Fig. 7 of the paper:

# %% tags=["nbval-ignore-output"]
from labkit.systems.chord import CorrectChordNode, Sigcomm2001ChordNode

labkit.show(Sigcomm2001ChordNode.maintained_by.stabilize)

# %% [markdown]
# It looks right. Pamela Zave modelled it and claims that **no published version of Chord is correct**. Do we find that too? A *model
# checker* tries every interleaving of a tiny ring: every order in which nodes may join, fail and stabilize.

# %%
from labkit.systems.chord.model_check import Correct, Published, explore

print(explore(Published(), ids=5, members=3))

# %% [markdown]
# That is the *shortest* history that breaks the ring: read it step by step, with pencil and paper. And Zave's version, over everything that can happen in a ring of this size:

# %%
print(explore(Correct(), ids=5, members=3))

# %% [markdown]
# What does she do differently? A node that joins copies a *whole* successor list; nobody adopts a pointer without asking first whether its node is alive; and the
# ring never starts smaller than its successor lists.

# %% tags=["nbval-ignore-output"]
labkit.show(CorrectChordNode.maintained_by.stabilize)

# %% [markdown]
# The model has no messages and no time. The nodes do, and a search over schedules of faults finds the bug in them as well:

# %%
from functools import partial

from labkit.explore import search
from labkit.systems.chord.scenarios import broken, failures, small_ring

for maintenance in ("correct", "sigcomm2001"):
    failure = search(partial(small_ring, maintenance=maintenance), failures(), broken, limit=100)
    print(f"{maintenance}: {failure or 'no schedule of a hundred breaks it'}\n")

# %% [markdown]
# ### What do the clients see?
# Pointers are the ring's business. A client of the store wants to know something else: does a read return what was last written? Let four clients read and write two keys at the same time, write down what each
# asked and was told, and when: a **history**. It is **linearizable** if the operations can be put into one order in which each read returns the last write before it, and in which an operation that had ended comes before
# one that began later (Herlihy and Wing, 1990). The checker tries the orders, and the search tries schedules of failures again:

# %%
from labkit.systems.chord.consistency import halves, inconsistent, store_used

print(search(store_used, failures(), inconsistent, limit=10) or "no schedule of ten breaks it")

# %% [markdown]
# And if the machines all live, but the network falls in two for a while? Predict first: which of the three, consistency, availability, or answers in both halves, does the store give up?

# %%
verdict = store_used(0, halves())
print(verdict)

# %% [markdown]
# Each half takes the other for dead, closes its ring, and has an owner of the key of its own. The checker shows the smallest part of the history that no order explains; here as a picture:

# %% tags=["nbval-ignore-output"]
verdict.panel()

# %% [markdown]
# ## 6. Your turn
# * `Chord(..., routing="iterative")` lets the asking node do all the asking. Which of the two sends more messages, and which one notices a dead node sooner?
# * With `successors=1`, how many failures does it take to break the ring? Predict; then search.
# * Which is the least that would make the store linearizable when the network falls in two, and what would its clients lose?
# * `stabilize_every=10` is ten times cheaper. What does it cost? Measure with `experiments.churn(stabilize_every=...)`.
# * The panel below breaks the *network* instead of machines: it loses messages, delays them, parts the machines in two. Press ▶ and part them. What becomes of the ring? And when
#   the partition is healed?

# %% tags=["nbval-ignore-output"]
cluster.panel()

# %%
cluster.close()
