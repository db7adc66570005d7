# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # The parameter server: how stale may a number be?
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are the parameter server's
# answers, from *Li et al., Scaling Distributed Machine Learning with the Parameter Server, OSDI 2014*, and *Ho et al., More Effective Distributed ML via a
# Stale Synchronous Parallel Parameter Server, NIPS 2013*.
#
# | | |
# |---|---|
# | work | examples are divided among *workers*, parameters among *servers* |
# | communication | workers *pull* parameters and *push* what they learned; how fresh a pull must be is a choice |
# | failure | each range of keys has copies along a chain of servers; a dead worker's examples go to another |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed.

# %% [markdown]
# ## 1. The programming model
# The parameters are **vectors of (key, value)** with ordered keys. A key that was never pushed has the value 0.

# %%
from labkit import Cluster
from labkit.systems.paramserver import BSP, SGD, SSP, Async, ParameterServer

cluster = Cluster(machines=6, engine="sim", seed=7)
ps = ParameterServer(cluster, servers=2, workers=4, replicas=1, consistency=BSP())
v = ps.vector("v", size=10)
v.push([2, 5], [1.0, 10.0]).result()
v.push(slice(4, 7), [0.5, 0.5, 0.5]).result()
print(v[:])

# %% [markdown]
# A push does not overwrite: the **servers** combine it with what they have, by a *user-defined function*. Addition is the default; `SGD(rate)` steps against a
# gradient:

# %%
g = ps.vector("g", size=3, update=SGD(0.1))
g.push(None, [1.0, 0.0, -2.0]).result()
print(g[:])

# %% [markdown]
# **Workers** run a program on their part of the data. This is softmax regression: pull the weights, compute a gradient, push it, end the iteration.

# %% tags=["nbval-ignore-output"]
import labkit
from labkit.systems.paramserver.algorithms import accuracy, digits_split, shards, softmax

labkit.show(softmax)

# %% [markdown]
# It learns to read digits (1,438 images of 8 × 8 pixels to learn from, 359 others to test with). The single-thread version adds the same gradients up in the
# same order. Do they agree, to the last bit?

# %%
import numpy as np
from labkit.systems.paramserver import single

training, testing = digits_split()
parts = shards(training, 4)
w = ps.vector("w", size=650, update=SGD(2.0))
ps.run(softmax(w), iterations=50, data=parts)
print(f"{accuracy(w[:], *testing):.1%} of the test images are read correctly")
assert np.array_equal(w[:], single.softmax(parts, SGD(2.0), 50).w)

# %% [markdown]
# ## 2. Consistency: who waits for whom?
# That was **bulk-synchronous** (BSP): an iteration begins when all workers have ended the one before. **Stale synchronous parallel** SSP(s) lets the fastest be s iterations
# ahead of the slowest; **asynchronous** means that nobody waits.
#
# Tiny example: with SSP(3), and a slowest worker that has finished 4 iterations, which ones may start?

# %%
for t in (6, 7, 8):
    print(f"iteration {t}:", [name for name, model in
          (("BSP", BSP()), ("SSP(3)", SSP(3)), ("Async", Async())) if model.may_start(t, slowest=4)])

# %% [markdown]
# **Question.** SSP(0) is BSP. What does s = ∞ give? And what exactly is promised about a number that is pulled in iteration t?
#
# ### Experiment: waiting
# 32 workers, equally fast *on average*; the time of an iteration is log-normal (σ = 0.5). What share of their time do they spend waiting? (The second column is an independent
# simulation.)

# %%
from labkit.systems.paramserver import experiments

waiting = experiments.waiting()
print(waiting.round(2).to_string())

# %% [markdown]
# More staleness, less waiting: then why not s = ∞? Because what is learned from stale parameters is worth less. Eight workers, one of them 1.5 times as slow, each with *its own kinds*
# of digits, read the weights through a cache that may be s iterations old. **Predict** the three columns, then look.

# %%
staleness = experiments.staleness()
print(staleness.round(2).to_string())

# %% tags=["nbval-ignore-output"]
axes = staleness.plot(y="seconds", style="o-", figsize=(7, 3.5), logx=False, legend=False)
axes.plot(staleness.index, staleness["iterations"] * 0.1, "s--", color="#d98200", label="if nobody ever waited")
axes.set(xlabel="s", ylabel="seconds to a loss of 0.4", title="The best s lies in between")
axes.legend(["with waiting", "iterations × 0.1 s"]);
# %% [markdown]
# **Question.** If the digits are dealt out evenly (each worker has every kind), iterations to the target *fall* with s. Why? (What does a worker do with its cache between two
# refreshes?)
#
# ### Experiment: bounded delay (Fig. 13)
# The paper's own knob is τ: task t may start when all tasks up to t−τ−1 are finished. Delayed block proximal gradient (Alg. 3) learns a *sparse* model; its servers wait for the gradients of
# all workers before they take the step, but workers go on meanwhile. With 1,000 machines the authors found that workers idle half of the time at τ = 0, 1.7 % at τ = 16, and the best total
# at τ = 8.

# %%
delay = experiments.delay()
print(delay.round(3).to_string())

# %% [markdown]
# ## 3. See it
# One control moves from BSP to asynchronous *while it trains*. Here the simulator trains for a while; run it with `Cluster(machines=6)` and everything below happens in real
# processes: click **Kill** while the cell runs.

# %% tags=["nbval-ignore-output"]
ps.panel(compact=True)

# %%
def seconds(worker):
    return 0.03 * worker.random.lognormvariate(0, 0.5) * (2.5 if worker.rank == 0 else 1)

training_run = ps.start(softmax(ps.vector("watched", size=650, update=SGD(1.0)), cost=seconds), 400, parts)
for consistency in (BSP(), SSP(4), Async(), SSP(4)):
    ps.consistency = consistency
    cluster.run(2)
    clocks = {e.data["shard"]: e.data["clock"] for e in cluster.trace.filter(kind="clock")}
    print(consistency, "workers 0 to 3 are in iterations", [clocks[shard] for shard in range(4)])

# %% [markdown]
# The whole panel, with the clocks, what a pull could not see, and the loss. Move *Consistency* and press ▶: a simulated cluster stands still until somebody runs it.

# %% tags=["nbval-ignore-output"]
ps.panel()

# %% [markdown]
# ## 4. The architecture: ranges on a ring, chains of copies
# Servers stand on a ring, each at several places (**virtual servers**). A server is *master* of the ranges before its places, and its neighbours keep copies: a push goes to the master, along the
# **chain**, and is acknowledged by the tail. A pull asks the tail: what it sees is on every copy.

# %%
for part in ps.view.ranges[:3]:
    print(f"{part.lo / 2**64:4.0%} to {part.hi / 2**64:4.0%}:", " → ".join(part.chain))

# %% [markdown]
# ## 5. Failure
# A server dies in the middle of the run. Its ranges go to the next in the chain; workers send again what was not acknowledged. **No acknowledged push may be lost, none applied
# twice**: servers keep a *range vector clock* of what they have seen.

# %%
cluster.kill(ps.machine_of("server-0"))
cluster.run(6)
again = len(cluster.trace.filter(kind="push_resent"))
refused = len(cluster.trace.filter(kind="duplicate_rejected"))
print(f"servers: {ps.servers}; {again} parts of pushes sent again, {refused} refused as duplicates")
print(ps.check())

# %% [markdown]
# `ps.check()` replays the trace and judges every push, read and clock: applied once, no read that is too stale, nobody too far ahead.
#
# **Question.** When exactly would a push be applied twice if servers kept no clock? Tell the story in messages.
#
# A worker dies. Nobody waits for the dead: its examples go to another worker.

# %%
cluster.kill(ps.machine_of("worker-2"))
cluster.run(6)
for event in cluster.trace.filter(kind="shard_reassigned"):
    print("shard", event.data["shard"], "went from", event.data["from"], "to", event.data["to"])
training_run.cancel()
print(f"{accuracy(ps.vector('watched')[:], *testing):.0%} of the test images")

# %% [markdown]
# ## 6. Fewer bytes
# Real examples are sparse: a few of very many features. A worker needs only the features that occur in *its* examples, its **working set** (Fig. 3: 7.8 % of the parameters with 100 workers,
# 0.15 % with 10,000).

# %%
print(experiments.working_set().round(3).to_string())

# %% [markdown]
# **Filters** leave out what is not worth sending: lists of keys that the receiver knows (*key caching*), zeros, gradients of weights that will stay zero (*KKT*: by the optimality condition of the penalty), changes
# that are too small to matter. The first two are exact; the others change the result a little.

# %%
traffic = experiments.filter_traffic()
print(traffic[["pushed bytes", "pulled bytes", "times less", "objective"]].round(3).to_string())

# %% [markdown]
# ## 7. SSP tables
# The second paper gives each worker a *cache*: `get` answers from it if it is fresh enough, `inc` is written back at the next `clock`, and a worker always sees its own changes. Here two tables
# are the factors of a matrix of which 30 % is known.

# %%
from labkit.systems.paramserver.algorithms import deal_ratings, matrix_factorization, ratings

lab = Cluster(machines=4, engine="sim", seed=7)
tables = ParameterServer(lab, servers=1, workers=4, replicas=0, consistency=SSP(3))
left, right = tables.table("L", rows=60, width=3), tables.table("R", rows=40, width=3)
tables.run(matrix_factorization(rank=3, rate=0.03), 60, data=deal_ratings(ratings(), 4))
losses = [event.data["loss"] for event in lab.trace.filter(kind="loss")]
print(f"squared error of an entry: {np.mean(losses[:4]):.2f} at first, {np.mean(losses[-4:]):.3f} in the end")
lab.close()

# %% [markdown]
# ## 8. At what COST?
# McSherry, Isard and Murray ask of every scalable system: how many machines does it need to beat *one thread*? Our digits are a small problem. One process:

# %% tags=["nbval-ignore-output"]
import time

begun = time.perf_counter()
fit = single.softmax([training], SGD(2.0), 1000, until=lambda w: accuracy(w, *testing) >= 0.95)
print(f"{len(fit.losses)} iterations, {1000 * (time.perf_counter() - begun):.0f} ms")

# %% [markdown]
# `labkit bench ps` runs the same with four workers in real processes, and prints the ratio. It is not flattering: an iteration's computation takes a fraction of a millisecond, its messages take many. A parameter
# server pays off when the model does not fit into one machine, or when an iteration takes seconds.
#
# ## 9. Your turn
# * Write a program that counts words with `ps.vector("words", sparse=True)`: which update function, which consistency does it need?
# * `experiments.staleness(slow=1.0)`: where is the best s when no worker is slow?
# * Two servers with `replicas=1`: how many may die, and when, before something is lost? Use the panel.
# * `KKT()` compares each worker's part of the gradient with its part of the penalty. Show that nothing is wrong if *all* workers leave an entry out.

# %%
cluster.close()
