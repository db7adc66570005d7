# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Napster, Gnutella, FastTrack: who has it?
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are the answers of three systems in which peers share files. They differ in one thing: where the **index** is, that says who has what.
#
# | | Napster | Gnutella | FastTrack |
# |---|---|---|---|
# | work | index servers know all files, peers have them | each peer knows its own files only | a *supernode* knows the files of its ordinary nodes |
# | communication | one question to the server, files from peer to peer | a query is *flooded* over an overlay; hits go back its way | to the supernode, flooded among supernodes |
# | failure | without the server nothing is found | neighbours of the dead find others | nodes of a dead supernode give their index to another |
#
# Sources: *napster.txt* of OpenNap (2000), the Gnutella protocol 0.4 and the draft of 0.6, and measurements by *Saroiu, Gummadi and Gribble (2002)*, by *Adar and Huberman (2000)* and by *Liang, Kumar and Ross*; of the measurements we have read abstracts, slides and what others report. FastTrack's protocol was encrypted and never published; its messages here are this lab's.
#
# Everything below runs in the simulator. With `Cluster(machines=4)` the peers live in real processes.

# %% [markdown]
# ## 1. The programming model
# A **programming model** is a contract with the user. This one has two operations: `search` and `download`. 24 peers share a collection of invented songs; we search at peer 3.

# %%
from labkit import Cluster
from labkit.systems.filesharing import FileSharing

cluster = Cluster(machines=4, engine="sim", seed=1)
sharing = FileSharing(cluster, architecture="gnutella", peers=24)
cluster.run(2.0)
found = sharing.search("iron", at=3)
print(found)

# %%
print(sharing.download(found[0], at=3).sources, sharing.recall(found))

# %% [markdown]
# A downloaded file is the one that was found: each of its pieces has a hash. That what somebody shares is *found* nobody promises; **recall** is the part of it that was.
#
# **Question.** The files are a thousand times larger than the queries. Why does the index decide whether such a system works, and not the files?

# %% [markdown]
# ## 2. Flooding, by hand
# A query of Gnutella has a header of 23 bytes. Here is one, from peer 0, with a **TTL** (time to live) of 7:

# %%
from labkit.systems.filesharing.descriptor import QUERY, header, onward, payload, query

guid = bytes(range(16))
asked = header(guid, QUERY, ttl=7, hops=0, load=query("iron"))
print(len(asked), asked.hex(" "))
print("handed on:", payload(onward(asked))[2:4], "(TTL, hops)")

# %% [markdown]
# The rules (0.4): hand a query on to all neighbours but the sender; lower the TTL, raise the hops; handle no GUID twice. An **answer** goes to the neighbour that the query came from first, which does the same with it, and so on back to the origin. On the way nobody knows who asked.
#
# A tiny overlay: a triangle 0, 1, 2 and a tail 2 – 3. Peer 0 asks. 0 → 1 and 0 → 2. 1 hands on to 2, and 2 to 1: two **duplicates**. 2 hands on to 3. Five messages for three peers.
#
# **How many messages in general?** The origin sends one on each of its links. Everybody else sends on all links but one. So it is twice the number of links |E|, less one for each peer but the origin: 2|E| − (|V| − 1). For the triangle with its tail: 2·4 − 3 = 5. It does not matter which copy comes first:

# %%
from labkit.systems.filesharing.experiments import floods

floods(range(3))

# %% [markdown]
# All but |V| − 1 of them tell nobody anything new.
#
# **Question.** The overlay has 50,000 peers with four links each. How many messages does each query cost, and how many if everybody searches once a minute?

# %% [markdown]
# ## 3. Watch it
# Type a word and search. Dark: peers that the query reached; ticks: those that answered; thick: the way of the hits; red: copies that were dropped. Lower the TTL and search again.

# %% tags=["nbval-ignore-output"]
sharing.panel()

# %% [markdown]
# ## 4. How far is 7?
# In a tree in which all have n links, hop i reaches n(n − 1)^(i−1) peers more. Measured on the real protocol, with n = 4:

# %%
from labkit.systems.filesharing.experiments import reach

reach(4, range(1, 5))

# %% [markdown]
# With TTL 7 it would be 4,372. Real overlays are no trees: they are smaller, and many links lead to where the query was already.
#
# **A trap.** Is everybody within 4 hops reached by a query with TTL 4? Not if some links are slow. A copy that comes first over a *longer* way has a smaller TTL left, and the better copy, which comes later, is dropped as a duplicate. Of 20 overlays:

# %%
from labkit.systems.filesharing.experiments import tight_ttl

tight_ttl(runs=20)

# %% [markdown]
# The last row is what gtk-gnutella does: a duplicate with a *higher* TTL is handed on, though not handled again.
#
# **Question.** Why can a query never reach somebody who is further away than its TTL?

# %% [markdown]
# ## 5. Five ways to keep an index
# The same collection and the same ten queries, with the index at a server (Napster), nowhere (Gnutella 0.4), as bits at ultrapeers (Gnutella 0.6), at supernodes (FastTrack), and on a ring of 60 nodes (Chord, from its own lecture). Then we stop the most important node, and ask the same at once:

# %%
from labkit.systems.filesharing.experiments import columns

columns(peers=60).round(2)

# %% [markdown]
# Napster asks one; its server's death is the end of all searches. Gnutella asks everybody and misses nobody. Chord asks about ½ log₂ N, and finds words as they are written only; ask it for all names with an *o* in them. FastTrack loses the part of the index that died, until the nodes have found another supernode.
#
# **Question.** Which row has no single point of failure, and whose count of messages does not grow with the number of peers?

# %% [markdown]
# ## 6. Kill the index, and watch
# Downloads need no server. And the server keeps nothing on its disk: its users tell it all again.

# %%
from labkit.systems.filesharing import SharingFailed

lab = Cluster(machines=4, engine="sim", seed=2)
napster = FileSharing(lab, architecture="napster", peers=24)
lab.run(1.0)
song = napster.search("iron", at=3)[0]
lab.kill("m1")  # the server's machine
lab.run(5.0)
try:
    napster.search("iron", at=3)
except SharingFailed as error:
    print(error)
print(napster.download(song, at=3).result)
lab.restart("m1")
lab.run(5.0)
print(len(napster.search("iron", at=3)), "files found")

# %% [markdown]
# ## 7. Who is worth attacking?
# The part of the remaining peers that is still in *one piece*, when some are gone. **Crawled**: links as in crawls of 2001, where the number of links has a power law (an exponent of 2.3, as remembered); **power law**: Barabási and Albert's model with three links on average; **ultrapeers**: all have about 30.

# %%
from labkit.systems.filesharing.experiments import attacks

attacks().round(2)

# %% [markdown]
# A few peers hold the crawled overlay together: 30 % at random leave more than half of it in one piece, the best-connected 4 % shatter it. (This is a result of Saroiu et al. for 1,771 peers as we remember it.) The later overlay of ultrapeers withstands both; so say *Stutzbach et al., IMC 2005*, who also hold that a power law is what a slow crawler sees.
#
# **Question.** Barabási and Albert's overlay needs 10 % to be shattered. What has the crawled one, that makes 4 % enough?

# %% [markdown]
# ## 8. Cheaper than a flood
# An **expanding ring** asks with TTL 1, then 3, 5 … until somebody answers. A **random walk** hands a query to one neighbour each time. Both are good for what many have, and bad for what one has:

# %%
from labkit.systems.filesharing.experiments import strategies

strategies()

# %% [markdown]
# ## 9. Two tiers
# In Gnutella 0.6 a leaf tells its ultrapeers which *words* its files have, as a table of bits. A query goes to a leaf only if all its words are there; a bit may be there by chance, but none is missing:

# %%
from labkit.systems.filesharing.qrp import hashed, may_have, table_of

table = table_of(["hollow iron - rain dawn 17.mp3"])
print(len(table) * 8, "bits;", hashed("iron"), hashed("Iron"), may_have(table, "iron rain"), may_have(table, "iron snow"))

# %% [markdown]
# Who becomes a supernode? Whoever has a fast link, has been there for long, and is behind no firewall: that is this lab's rule. Free riders (they share nothing): about 26 % in our collection, as Saroiu et al. are reported to have counted; almost 70 % in Adar and Huberman's abstract.

# %%
fast = Cluster(machines=4, engine="sim", seed=3)
kazaa = FileSharing(fast, architecture="fasttrack", peers=40)
fast.run(2.0)
kazaa.search("iron", at=5)
kazaa.panel()

# %% [markdown]
# The next cell searches for three seconds, at the speed of a clock. **Kill a machine in the panel meanwhile**: what is found then, and when is all of it found again?

# %%
for _ in range(6):
    await fast.arun(0.5)
    try:
        print(len(kazaa.search("iron")), end=" ")
    except SharingFailed as error:
        print(error)

# %% [markdown]
# ## 10. Check yourself
# `check()` replays the trace: nobody handled a GUID twice or sent a query back, TTL + hops never changed, hits went only where their query had come from, and who answered shared the file then.

# %%
print(sharing.check())
print(kazaa.check())

# %% [markdown]
# **Exercise.** [Flooding](../exercises/gnutella-flooding.ipynb): write a servent's routing yourself.
#
# **Bring an answer.** A peer asks twice in a second, and gets other answers the second time. Name three reasons, none of which is a bug.

# %%
for each in (cluster, lab, fast):
    each.close()
