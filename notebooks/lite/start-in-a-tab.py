# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Start here: a ring that survives you, in this tab
#
# In five minutes you will store every module of Python's standard library in a **distributed hash table**, kill a machine
# while it is being read, and lose nothing. There is no server behind this page: Python itself runs in the tab, and in it a **simulator** runs the machines,
# the network and every message between them. What you see is drawn from the trace of that run, and the same seed gives the same run on any computer.
#
# Run each cell with <kbd>Shift</kbd>+<kbd>Enter</kbd>. What you write stays in this browser: *File → Download* saves it.

# %% [markdown]
# ## 1. Four machines, twenty-four nodes

# %% tags=["nbval-ignore-output"]
from labkit import Cluster
from labkit.systems.chord import Chord

cluster = Cluster(machines=4, engine="sim", seed=7)
ring = Chord(cluster, nodes=24, replicas=3)
panel = ring.panel()
panel

# %% [markdown]
# The system is **Chord**. Each node has a place on a circle; the SHA-1 hash of its name says where. A key has a place too, and belongs
# to the first node at or after it: its *successor*. Colours and shapes say which machine a node runs on.
#
# ## 2. A dictionary whose entries live on the ring
# To its user, the ring is a dictionary. We store the source text of every module under the module's name.

# %%
from labkit.data import standard_library

modules = standard_library()
ring.update(modules)
print("all stored:", len(ring) == len(modules))
print("json belongs to", ring.owner("json").name)

# %% [markdown]
# Type `json` (or any name) into the panel's **Key** field and press **Lookup**. The request hops from node to node along *fingers*:
# shortcuts to nodes a half, a quarter, an eighth … of the circle away. With 24 nodes, how many hops do you expect?
# The panel says what theory predicts.

# %% [markdown]
# ## 3. Kill a machine while it works
# The next cell reads modules for fifteen seconds. **While it runs, press *Kill* on a machine in the panel.**
# Six nodes die with it. Watch three things: lookups that time out and take another route; neighbours that close the gap from their successor
# lists; and copies that are made anew until each key has three holders again.
#
# (`await` lets the page go on while the cell waits: a tab has one thread. On your computer, clicks act during any cell.)

# %% tags=["nbval-ignore-output"]
panel.compact = True
panel

# %%
names, lost = sorted(modules), set()
for turn in range(60):
    some = names[turn % 6 :: 6]
    lost |= {name for name in some if ring.get(name) != modules[name]}
    await cluster.arun(0.25)
print("modules lost:", sorted(lost))

# %% [markdown]
# You were too late, or too kind? Then the next cell does it, with a machine that holds a copy of `json`.

# %%
if all(machine.alive for machine in cluster.machines):
    cluster.kill(ring.owner("json").machine)
print("still there:", ring["json"] == modules["json"])

# %% [markdown]
# ## 4. What happened?
# Everything is in the trace. `settle` waits until the ring is whole again, and `health` checks the invariants of Chord on it.

# %%
ring.settle()
print(ring.health())

# %% [markdown]
# Why did that call fail? `why` walks from an event back through the messages that led to it.

# %% tags=["nbval-ignore-output"]
late = cluster.trace.filter(kind="timed_out")[-1]
print(cluster.trace.why(late))

# %% [markdown]
# Here is the ring again. **Drag the time slider to the left** to see it all once more, step by step; *Back to live*
# brings you back. The machine can come back too: press *Restart*.

# %% tags=["nbval-ignore-output"]
panel.compact = False
panel

# %% [markdown]
# ## 5. Now break it
# The ring above repairs itself by Zave's *correct* protocol. The one published at SIGCOMM 2001 looks almost the same. Is it as good?
# **A run is a program, a seed and a schedule of faults**: let the computer look for a schedule that breaks the ring.

# %%
from functools import partial

from labkit.explore import search
from labkit.systems.chord.scenarios import broken, failures, small_ring

for maintenance in ("correct", "sigcomm2001"):
    run = partial(small_ring, maintenance=maintenance)
    failure = search(run, failures(), broken, limit=40)
    print(f"{maintenance}: {failure or 'no schedule of forty breaks it'}\n")

# %% [markdown]
# ## 6. Tidy up

# %%
cluster.close()
print(cluster)

# %% [markdown]
# **Where next?** Do the exercise [Routing](exercises/chord-routing.ipynb): its checks run here, too. [The course page](index.ipynb) shows all lectures.
# Those that start **real processes** (`Cluster(machines=4)` without `engine="sim"`) cannot in a tab, and say so: open them on your computer (`make lab`) or on Binder.
# What computes with arrays needs NumPy, which the page loads where it may.
