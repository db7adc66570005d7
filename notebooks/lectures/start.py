# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Start here: a ring that survives you
#
# In five minutes you will store every module of Python's standard library in a **distributed hash table**, kill a machine
# while it is being read, and lose nothing. Nothing on this page is an animation: the machines are processes on your computer,
# *Kill* kills one, and every picture is drawn from the trace of what happened.
#
# Run each cell with <kbd>Shift</kbd>+<kbd>Enter</kbd>. The first one starts four processes, which takes about fifteen seconds: its result appears when they are there.
#
# This is the first page of [the course](../index.ipynb).

# %% [markdown]
# ## 1. Four machines, twenty-four nodes

# %% tags=["nbval-ignore-output"]
from labkit import Cluster
from labkit.systems.chord import Chord

cluster = Cluster(machines=4)
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
# The next cell reads every module again and again for fifteen seconds. **While it runs, press *Kill* on a machine in the panel.**
# Six nodes die with it. Watch three things: lookups that time out and take another route; neighbours that close the gap from their successor
# lists; and copies that are made anew until each key has three holders again.
#
# Here is the panel once more, small enough for panel and cell to be seen together (*Compact*, at its top, does the same).

# %% tags=["nbval-ignore-output"]
panel.compact = True
panel

# %%
import time

end = time.monotonic() + 15
while time.monotonic() < end:
    lost = {name for name in modules if ring.get(name) != modules[name]}
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
# Here is the ring again, so that you need not scroll. **Drag the time slider to the left** to see it all once more, step by step; *Back to live*
# brings you back. The machine can come back too: press *Restart*. Its nodes are newcomers then, and the ring hands them their keys.

# %% tags=["nbval-ignore-output"]
panel.compact = False
panel

# %% [markdown]
# ## 5. Now break it
# The ring above repairs itself by Zave's *correct* protocol. The one published at SIGCOMM 2001 looks almost the same. Is it as good? Real
# processes fail too rarely to find out, so we take the same program to the simulator, where **a run is a program, a seed and a schedule of
# faults**, and let the computer look for a schedule that breaks the ring. (Your own ring can change its protocol as well, while it runs: `ring.switch("sigcomm2001")`, or
# *Maintenance* in the panel.)

# %%
from functools import partial

from labkit.explore import search
from labkit.systems.chord.scenarios import broken, failures, small_ring

for maintenance in ("correct", "sigcomm2001"):
    run = partial(small_ring, maintenance=maintenance)
    failure = search(run, failures(), broken, limit=100)
    print(f"{maintenance}: {failure or 'no schedule of a hundred breaks it'}\n")

# %% [markdown]
# One failure at the wrong moment is enough for the published protocol: a node that has just joined knows a single successor, and nobody asked
# whether that one is alive. Change the number in the schedule and see when it matters.

# %% [markdown]
# ## 6. Tidy up
# `close` ends the four processes. The trace stays, and so do the pictures.

# %%
cluster.close()
print(cluster)

# %% [markdown]
# **Where next?** [chord](chord.ipynb) takes Chord apart: the programming model, the architecture, lookup, failure, both protocols, and the
# figures of the paper, reproduced on your laptop. [The course page](../index.ipynb) shows all lectures and exercises.
