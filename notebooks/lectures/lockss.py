# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # LOCKSS: lots of copies keep stuff safe
#
# A library's paper journals last for centuries. Its electronic ones are bits on disks that rot, from a publisher that may be gone tomorrow. LOCKSS lets many libraries keep a replica each and audit them in **opinion polls**. The lecture's three questions:
#
# | | |
# |---|---|
# | work | every library keeps the whole; each looks after its own replica only, there is no master |
# | communication | a *poller* invites a sample of the peers that it knows; they hash their replicas with a fresh *nonce*, and it compares |
# | failure | it is silent, so it has to be looked for: who is outvoted by a **landslide** repairs; who finds no landslide rings an **alarm**. Peers may also lie |
#
# **Where this comes from.** *Maniatis, Roussopoulos, Giuli, Rosenthal, Baker, Muliadi: Preserving Peer Replicas By Rate-Limited Sampled Voting, SOSP 2003*. Of this paper and its successors we could read only the abstracts, and the source code of the
# daemon that libraries run (its *V3* protocol). So: what the abstract claims (peers detect and repair damage by voting; rate limits and intrusion detection, so that even a powerful adversary has a small chance to do irrecoverable damage before it is noticed),
# and V3's numbers (quorum 5, 75 % of the votes, an outer circle of 10), are told as facts. **Everything else here is this lab's model**: built as we remember the papers, with numbers that we chose. `labkit/systems/lockss/options.py` says of each which it is.

# %% [markdown]
# ## 1. A vote
# A vote must not be prepared, kept or copied. Why is the hash of the document alone no good vote?

# %%
from labkit.systems.lockss.replicas import vote_hash

document = b"In the beginning was the command line."
for poller_nonce, voter_nonce in [(1, 1), (1, 2), (2, 1)]:
    print(vote_hash(poller_nonce, voter_nonce, "page", document))

# %% [markdown]
# Both nonces are drawn for this poll and this voter. Who has thrown the document away and kept its hash cannot vote; who copies a neighbour's vote is found out. And all votes are *sealed* (their own hash is sent) before the first is shown.
#
# ## 2. A tally
# Ten voters; the poller's block is compared with theirs. **Predict**: which of 0 … 10 agreeing votes let the poller sleep, make it repair, or ring the alarm, if D = 2 votes may differ?

# %%
from labkit.systems.lockss.tally import Landslide, Margin

rule = Landslide(quorum=5, minority=2)
for agree in range(11):
    print(f"{agree:2} of 10 agree: {rule(agree, votes=10)}")

# %% [markdown]
# A **landslide** either way, or an alarm: in a population in which bits rot independently, a vote of 6 to 4 does not happen by chance. Somebody is lying, and no vote can mend that.
#
# The absolute D is our model of the SOSP paper's rule. The daemon's rule is another: the larger side must have 75 % of the votes.
# **Question.** With 20 voters, what do the two say of 17 agreeing votes?

# %%
print(rule(17, votes=20), Margin(quorum=5, margin=0.75)(17, votes=20))

# %% [markdown]
# ## 3. Twenty-four libraries
# Each keeps eight modules of Python's standard library; a year takes ten virtual seconds, a library calls a poll about once a quarter (as reported of the paper). The publisher is gone: whatever happens, nobody can ask it again. Nothing rots yet, but in library 3 we flip one bit ourselves.

# %%
from labkit import Cluster
from labkit.systems.lockss import Lockss, Nuisance, Stealth

cluster = Cluster(machines=4, engine="sim", seed=1, name="libraries", trace_limit=1_000_000)
archive = Lockss(cluster, rot=0.0)
archive.damage(3, "this")
print(archive.damaged())
cluster.run_until(lambda: archive.view().repairs == 1, what="it is repaired")
print(f"after {archive.years * 365:.0f} days:", archive.damaged())
archive.panel()

# %% [markdown]
# The lines are the votes in the last poll. Dashed red: against the poller's replica, all ten of them. Pale: the votes of the **outer circle**, peers that the voters have named. They do not count; who agrees in the outer circle may be asked next time, so that a library gets to know new peers.
#
# **Question.** Nobody noticed the damage before library 3's own poll, though others asked it in theirs, and saw that its vote differs. Why do they not tell it?
#
# ## 4. Bits rot
# Now half a block a year rots in each replica. How many replicas are damaged at a moment? A damage waits for its library's next poll, that is half an interval on average: **rot × interval / 2**. The first three tenths of a year pass at the speed of a clock, so that you see the polls in the panel above.

# %%
archive.rot = 0.5
await cluster.arun(3.0)
archive.run(years=4.7)
table = archive.timeline()
print(f"damaged on average: {table.damaged.loc[1:].mean():.3f}, theory: {0.5 * 0.25 / 2:.3f}")
view = archive.view()
repairs = view.repairs
print(f"{view.damages} damages, {repairs} repairs, {len(view.alarms)} alarms, lost: {archive.lost()}")

# %% [markdown]
# ### A machine dies, and a disk with it
# Six of the libraries were on m2. Their disk is replaced by an empty one.

# %%
archive.rot = 0.0
cluster.kill("m2")
cluster.disk_loss("m2")
archive.run(years=0.2)
cluster.restart("m2")
cluster.run_until(lambda: len(archive.damaged()) == 6, what="six libraries have found that they have nothing")
archive.run(years=0.5)
print(f"half a year later {len(archive.damaged())} are damaged, {archive.view().repairs - repairs} blocks were repaired")
print(archive.check().ok)

# %% [markdown]
# There is no recovery protocol. A library without a block is one that loses its next poll.
#
# **Question.** What if 12 of the 24 lost their disks in the same week? Count votes.

# %%
cluster.close()

# %% [markdown]
# ## 5. Some peers lie
# An **adversary** owns a share of the libraries from the start. Its minions know each other and act as one. Two of them:
# * *nuisance*: wherever its minions are enough to prevent a landslide, it does;
# * *stealth*: it would like to change history (a document, in all libraries) unnoticed. It behaves, and lies only when the minions in an inner circle are enough to win by a landslide.
#
# Predict for each, with a fifth of the libraries: alarms, and changed documents.

# %%
for adversary in (Nuisance(0.2), Stealth(0.2), Stealth(0.6)):
    with Cluster(machines=4, engine="sim", seed=1, trace_limit=1_000_000) as cluster:
        archive = Lockss(cluster, rot=0.0, adversary=adversary).run(years=2)
        changed = len(archive.damaged())
        print(f"{adversary}: {len(archive.alarms())} alarms, {changed} of {archive.view().loyal} loyal replicas changed")

# %% [markdown]
# **Question.** With three fifths of the libraries, *stealth* has won, and yet alarms rang. It wants none. In which polls could it not help it?
#
# How probable is it that a random inner circle is the adversary's? Draw N = 20 from a list of 60 of which so many are minions: the **hypergeometric** distribution says it. (The numbers 20, 60 and D = 3 are the paper's as we remember them.)

# %%
from labkit.systems.lockss import SOSP, Options
from labkit.systems.lockss.prediction import circles

options = Options(libraries=1000, **SOSP)
for share in (0.2, 0.33, 0.5, 0.6, 0.7, 0.8):
    chances = circles(share, options)
    print(f"{share:.0%} minions: landslide {chances['loss']:.6f}, alarm possible {chances['inconclusive']:.3f}")

# %% [markdown]
# With a third of the list a landslide is out of reach. So the adversary must first get **more places in reference lists** than it has libraries: a minion that is asked for peers names minions.

# %% [markdown]
# ## 6. A thousand libraries, thirty years
# Messages are too slow for that. `simulate` drives the *same rules* in one loop, with numbers in place of bytes; a test compares it with the nodes, poll by poll, and `labkit bench lockss` says how long 1,000 libraries take for 30 years.
#
# First the adversary only lurks. Part of the free places in a reference list goes to **friends**, peers that a library knows from outside. Predict: what does that do to the foothold?

# %%
from labkit.systems.lockss import experiments

print(experiments.foothold_by_bias(years=3).round(2).to_string())

# %% [markdown]
# Then it strikes. So much is subverted at the start; 200 libraries, ten years, one run each. *lost*: half of the loyal replicas are changed. Where is the edge?

# %%
table = experiments.loss_by_subversion((0.2, 0.3, 0.4, 0.5), seeds=[1])
print(table[["lost", "strikes a poll", "foothold", "landslide at the start", "landslide at the end"]].round(3).to_string())

# %% [markdown]
# * Of these 200 libraries up to about a third may lie, and nothing irrecoverable happens in ten years; with more, soon. (That there is such an edge, we remember of the paper; where it is here depends on numbers that we chose.)
# * The column *landslide at the start* alone would say that nobody ever wins: it is the foothold that does it. Which is why time is the defenders' friend: polls are rate-limited, so the adversary cannot hurry.
#
# One of those numbers is how much of all libraries a reference list of 60 is. Now 1,000 libraries, as we remember the paper's simulation, a third of them the adversary's. Predict: safer, or less safe?

# %%
from labkit.systems.lockss import simulate

many = simulate(1000, years=30, adversary=Stealth(0.33), seed=1, rot=0.0, until_lost=True, sample=1.0, **SOSP)
print(f"lost in year {many.lost_at / 365:.1f}, with a foothold of {many.foothold:.2f}")
print(f"first alarm in year {many.alarms[0][0] / 365:.1f}, {len(many.alarms)} alarms until it was lost")

# %% [markdown]
# Only names that are not in the list yet can be discovered. Of 66 minions most are in a list of 60 already, of 330 few: the foothold grows further. So at this size **our model does not reach the third** that we remember. But look at the alarms: somebody was called years before.
#
# **Question.** Would it be better to poll every week? For which of the two enemies, rot or the adversary?

# %%
print(experiments.intervals(years=3).round(3).to_string())

# %% [markdown]
# ## 7. Who pays?
# A vote costs its voter more than an invitation costs the inviter. So an **attrition** adversary invites and invites, by names that nobody knows. Two answers: an inviter must prove *effort*; and a library lets one unknown poller in, then none for a *refractory period*. (Both: our model. The abstract of the USENIX 2005 paper says that attrition at the application level can be made less effective than plain flooding of the network.)

# %%
from labkit.systems.lockss import Attrition

small = {"libraries": 14, "inner": 6, "quorum": 3, "minority": 1, "outer": 3, "reference": 9, "friends": 3, "drop": 0.5}
for refractory in (0.0, 1.0, 5.0):
    with Cluster(machines=2, engine="sim", seed=6, trace_limit=1_000_000) as cluster:
        archive = Lockss(cluster, adversary=Attrition(0.15, rate=2.0), refractory=refractory, **small).run(years=0.5)
        away = len(cluster.trace.filter("turned_away"))
        refused = sum(archive.view().refused.values())
        print(f"{refractory:g} days: {away} invitations turned away, {refused} of them loyal; {dict(archive.view().outcomes)}")

# %% [markdown]
# Each of the 12 loyal libraries was sent about 365 false invitations in this half year. How many has it let in?
#
# **Question.** With a refractory period of a month the attackers get almost nothing. Who else gets nothing?
#
# ## 8. Your turn
# * Try the other rule: repeat section 5 with `rule="v3"`.
# * Kill a machine for three years, then restart it. How long until its replicas are whole again, and who noticed?
# * `Stealth(0.4, lurk=5)` waits for five years. Is it more successful, or only later? Watch the foothold: `archive.timeline().foothold.plot()`.
# * Add an operator to `single.py`: an alarm makes him restore the poller's replica from paper. How much does that help?
# * The exercise [A tally](../exercises/lockss-tally.ipynb): you write the rule, and an adversary tries it.
