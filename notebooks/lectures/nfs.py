# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # NFS: what happens if multiple clients update a file?
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are NFS's answers, from
# *Sandberg, Goldberg, Kleiman, Walsh and Lyon, Design and Implementation of the Sun Network Filesystem, USENIX 1985*.
#
# | | |
# |---|---|
# | work | one *server* keeps the files on its disk and carries out 17 small procedures; the *clients* walk paths, know which files are open, and cache |
# | communication | remote procedure calls that say everything: which file, where in it, how much, for whom; the server is *stateless* |
# | failure | a change is answered when it is on the disk, so a crashed server just starts again; a client repeats a call until it is answered |
#
# Everything below runs in the simulator. With `Cluster(machines=3)` server and clients are real processes, and the disk is a real one.

# %% [markdown]
# ## 1. The programming model
# Files, as if they were here: the calls of Python's `os`, and `open`. Two clients have mounted the same server.

# %%
from labkit import Cluster
from labkit.systems.nfs import NFS

cluster = Cluster(machines=3, engine="sim", seed=1, name="nfs")
nfs = NFS(cluster, clients=2)
one, other = nfs.clients
one.mkdir("/course")
one.write_text("/course/plan.txt", "P1: Chord\nP2: NFS\n")
print(other.read_text("/course/plan.txt"), end="")
print(other.listdir("/course"), oct(other.stat("/course/plan.txt").st_mode), other.stat("/course").st_nlink)

# %% [markdown]
# Errors are UNIX's too, and begin with their names. Libraries that know fsspec read and write here as anywhere:

# %%
import pandas

try:
    other.mkdir("/course")
except OSError as error:
    print(error)
table = pandas.DataFrame({"week": [1, 2], "topic": ["Chord", "NFS"]})
table.to_csv("labkit-nfs://course/plan.csv", index=False)  # by the first client
print(pandas.read_csv("labkit-nfs://course/plan.csv", storage_options={"client": other}).topic.tolist())

# %% [markdown]
# ## 2. What the server knows of its clients: nothing
# `open`, `close` and `seek` are no procedures. The client asks for the **handle** of a file once, one name of the path after the other, and names the file by it from then on. It cannot read it; the server finds three numbers in it.
#
# **Predict.** Which calls does this cost: opening `/course/plan.txt`, reading it, closing it, for a client that has just mounted?

# %%
def calls(client, act):
    before = client.calls
    act()
    return {name: n - before.get(name, 0) for name, n in client.calls.items() if n > before.get(name, 0)}

other.drop_caches()
print("first time: ", calls(other, lambda: other.read_text("/course/plan.txt")))
print("second time:", calls(other, lambda: other.read_text("/course/plan.txt")))
print("third time: ", calls(other, lambda: other.read_text("/course/plan.txt")))

# %% [markdown]
# The second time the client finds that the root directory has changed since it was mounted, and forgets the names in it. The third time it asks for the last name only: an open is to see what others have closed before (section 3).

# %%
from labkit.systems.nfs.protocol import handle, opened

fh = handle(fsid=0, inode=4, generation=1)
print(fh.hex(), "=", opened(fh))

# %% [markdown]
# **Question.** Why three numbers and not two? Remove a file and make another: the new one gets the inode of the old one, and the next **generation**.

# %%
one.write_text("/old", "x")
before = one.attributes("/old")
one.unlink("/old")
one.write_text("/new", "y")
after = one.attributes("/new")
print("inode and generation:", (before.fileid, before.generation), "then", (after.fileid, after.generation))

# %% [markdown]
# ## 3. Two clients and one file
# A client keeps blocks in its memory, or each read would cross the network. So what does it see, when another client writes? It depends on when the client asks the server whether the file has changed:
#
# | `consistency` | reads ask the server | writes reach it |
# |---|---|---|
# | `"none"` | never again | some time |
# | `"timeouts"` | when what is known is older than 3 s (a directory: 30 s) | at `close` |
# | `"close-to-open"` | besides, at each `open` | at `close` |
# | `"no cache"` | always | at once |
#
# **Predict** the four words that the other client reads:

# %%
def update_and_read(text):
    other.read_text("/course/word")
    one.write_text("/course/word", text)
    nfs.settle()  # whatever waits to be written is written
    return other.read_text("/course/word")

nfs.consistency = "close-to-open"
one.write_text("/course/word", "zero")
for mode in ("none", "timeouts", "close-to-open", "no cache"):
    nfs.consistency = mode
    print(f"{mode:14}", update_and_read(mode[:4]))

# %% [markdown]
# Nobody in the system knows that a read was stale: neither the client, who trusts its memory, nor the server, who was not asked. It takes the whole trace to see it.

# %%
for read in nfs.view().stale_reads:
    print(f"{read.time:.2f} s: {read.client} read {read.stale} old block, mode {read.mode}")
print(nfs.check())

# %% [markdown]
# A stale read is no violation where the consistency allows it: `check()` judges each mode by its own promise. In the panel ✕ is a stale block, ◉ one that waits to be written. *Write at the first*, *Read at the last*, and change the consistency in between.

# %%
nfs.consistency = "none"
with one.open("/course/word", "r+b", buffering=0) as file:
    file.write(b"HALF")
nfs.settle()
one.write_text("/course/draft", "not yet on the server")
nfs.panel()

# %% [markdown]
# **Question.** Two clients open the same file, both change the first line, both close. Whose line is in it? And if one changes line 1 and the other line 1,000?

# %% [markdown]
# ## 4. Kill the server in the middle of a write
# One client writes 200 kB. The server dies half way, for two seconds. Predict: what does the writing program notice? What is lost?

# %%
import os
import random

nfs.consistency = "close-to-open"
data = random.Random(1).randbytes(200_000)

async def write(client):
    user = (1000, (1000,))
    file, _ = await client.call(one.name, "sys_open", user, "/big", os.O_RDWR | os.O_CREAT, 0o644)
    for at in range(0, len(data), 20_000):
        await client.call(one.name, "sys_pwrite", user, file, data[at : at + 20_000], at, timeout=60)
    await client.call(one.name, "sys_close", user, file, timeout=60)

writing = cluster.submit(write)
cluster.run(0.06)
cluster.kill("m1")
await cluster.arun(2.0)  # at the speed of a clock: look at the panel above
cluster.restart("m1")
writing.result()
print("all there:", other.read_bytes("/big") == data, " calls sent again:", nfs.view().resent)

# %% [markdown]
# The client cannot tell a dead server from a slow one: it sends the same call again, after 0.7 s, 1.4 s, …, for ever (a *hard* mount; a *soft* one gives up with ETIMEDOUT). The server needs no recovery: there is nothing to recover. It paid for that before: each change was on the disk
# **before** it was answered.
#
# **Question.** What would a server lose that answers first and writes later? `labkit.systems.nfs.mistakes` has one; `check()` finds it:

# %%
from labkit.systems.nfs.mistakes import mistaken

with Cluster(machines=3, engine="sim", seed=1) as hasty:
    bad = mistaken("answers before it is on the disk")(hasty)
    bad.clients[0].write_text("/f", "precious")
    hasty.kill("m1")
    hasty.restart("m1")
    print(sorted({violation.what for violation in bad.check().violations}), bad.clients[1].listdir("/"))

# %% [markdown]
# ## 5. A lost reply
# *Repeat until answered* is harmless for a read or for a write of the same bytes to the same place: they are **idempotent**. Is `mkdir`? The server makes the directory, and the reply is lost:

# %%
nfs.lose_reply("mkdir")
try:
    one.mkdir("/project")
except OSError as error:
    print(error)
print("project" in one.listdir("/"), nfs.view().twice)

# %% [markdown]
# It was made, and the user told that it existed. Real servers therefore remember their last replies, although they are stateless: the **duplicate request cache** (it is not in the paper of 1985). The key is client, number of the call, and procedure.

# %%
before = len(nfs.view().twice)
nfs.duplicates = True
nfs.lose_reply("mkdir")
one.mkdir("/project2")
print("carried out twice since:", len(nfs.view().twice) - before, " answered again:", nfs.view().answered_again)

# %% [markdown]
# **Question.** The cache is in memory. Reply lost, then the server crashes: what does the user see? (The exercise [Duplicate requests](../exercises/nfs-duplicate-requests.ipynb) is about this cache: you write it.)

# %% [markdown]
# ## 6. An open file that is removed
# In UNIX an open file stays until it is closed. The server does not know who has opened what. So the *client* renames it, and removes it at the last close; this does not help if another client removes it.

# %%
held = one.open("/big", "rb", buffering=0)
one.unlink("/big")
print([name for name in one.listdir("/") if name.startswith(".nfs")], held.read(4) == data[:4])
held.close()
print([name for name in one.listdir("/") if name.startswith(".nfs")])

one.write_text("/small", "z")
held = one.open("/small", "rb", buffering=0)
other.unlink("/small")
one.drop_caches()
try:
    held.read()
except OSError as error:
    print(error)

# %% [markdown]
# ## 7. Locks: state after all
# Locks need a service that remembers who has them. It is beside the server, and after its restart there is a **grace period**, in which it gives no lock to anybody but those who had one.

# %%
one.write_bytes("/counter", b"0")
mine, yours = one.open("/counter", "r+b", buffering=0), other.open("/counter", "r+b", buffering=0)
mine.lock()
cluster.kill("m1")
cluster.restart("m1")
cluster.run(1.0)
for seconds in (0, 6):
    cluster.run(seconds)
    try:
        yours.lock()
    except OSError as error:
        print(f"after {1 + seconds} s:", error)
mine.unlock()
yours.lock()
print([event.data["granted"] for event in cluster.trace.filter("lock_reclaimed")], nfs.check().ok)
mine.close()
yours.close()

# %% [markdown]
# ## 8. Is it consistent? Ask the users
# The trace knows versions. Users know only what they were told: a **history** of calls with their beginnings and ends. It is *linearizable* if some order of the calls keeps real time and gives the same results. Two clients write and read one file, each opening it every time:

# %%
from labkit.explore.histories import Operation, Register, linearizable

def history(consistency):
    told = []
    with Cluster(machines=3, engine="sim", seed=5) as cluster:
        nfs = NFS(cluster, consistency=consistency)
        draw = random.Random(2)
        for number in range(12):
            client, began = draw.choice(nfs.clients), cluster.now
            value = None
            if draw.random() < 0.4 or number == 0:
                client.write_text("/f", f"v{number}")
                told.append(Operation(client.name, "write", f"v{number}", None, began, cluster.now))
            else:
                value = client.read_text("/f") if client.exists("/f") else None
                told.append(Operation(client.name, "read", None, value or None, began, cluster.now))
    return told

for consistency in ("no cache", "close-to-open", "none"):
    verdict = linearizable(history(consistency), Register())
    print(f"{consistency:14} {verdict.ok}")
print(linearizable(history("none"), Register()))

# %% [markdown]
# **Question.** Close-to-open passes here. Find two programs of two calls each for which it does not. (What if a program keeps the file open?)

# %% [markdown]
# ## 9. The paper's numbers
# Appendix 2 counts the calls on one of Sun's own servers: 1,499,688 in a day, half of them lookups. So a cache for names pays. And a file is written four times slower than it is read, 60 against 250 kB/s, since each write waits for the disk. Predict the three columns, then the three rows.

# %%
from labkit.systems.nfs import experiments

print(experiments.calls_per_open().to_string())

# %%
print(experiments.reads_and_writes().round(1).to_string())

# %% [markdown]
# A forced write takes 5 ms here, and a message 1 ms: we chose the first so that the factor is about the paper's. What we did not choose is what **write-behind** gains: the client's block I/O daemons write while the program goes on. It waits at `close`, and there it learns that the disk is full.
#
# ## 10. Your turn
# * Write to a file from both clients with `open(path, "a")` at the same time. Is each line there? And under a lock?
# * Which of the modes would you choose for: your home directory; a mailbox that two programs deliver to; the programs in `/usr/bin`?
# * Make `one` a soft mount (`nfs.set(hard=False)`), kill the server, and write. Who is told what, and when?
# * `NFS(cluster, exports={"/": {}, "/public": {"read_only": True}})`: mount the second one elsewhere, and find the three errors that only mounts give.
# * Compare with the [file system of MapReduce](mapreduce.ipynb): no cache, no change of written bytes, append only. Which of today's problems does it not have?

# %%
cluster.close()
