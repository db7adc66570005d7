# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # GraphLab: updates on overlapping scopes, and how much order they need
#
# The lecture asks three questions of every system: **how is the work divided, how do the parts communicate, and what happens on failure?** Here are GraphLab's answers, from
# *Low, Gonzalez, Kyrola, Bickson, Guestrin and Hellerstein: GraphLab, UAI 2010, and Distributed GraphLab, VLDB 2012*.
#
# | | |
# |---|---|
# | work | the data are a graph; an *update function* changes the *scope* of one vertex and says which vertices are to be updated next; a *scheduler* chooses |
# | communication | shared data: each update sees its neighbours' newest values. Machines hold *ghosts* of what others own; locks or colours keep overlapping updates apart |
# | failure | snapshots in a file system, taken while it runs on (Chandy and Lamport, as an update function); a death leads all back to the last one |
#
# Everything below runs in the simulator: virtual time, and the same outcome for the same seed. With `Cluster(machines=4)` the machines are real processes.

# %% [markdown]
# ## 1. The programming model: f(v, S_v) → (S_v, T)
# A **scope** is a vertex, its edges and its neighbours. The update function reads and writes it, and returns **tasks**: vertices to be updated, perhaps with a priority. Here is PageRank, Algorithm 1 of the VLDB paper:

# %%
from labkit.parts.graphs import generate
from labkit.systems.graphlab import DataGraph, Program, run_locally

class Rank(Program):
    def data(self, graph):
        return DataGraph(graph, vertices=1 / graph.n)

    def update(self, v, scope):
        rank = 0.15 / scope.n + 0.85 * sum(scope[u] / scope.out_degree(u) for u in scope.into)
        change, scope.value = abs(rank - scope.value), rank
        return [(u, change) for u in scope.out] if change > 1e-6 else ()

imports = generate.imports()
run = run_locally(Rank(), imports)
best = sorted(range(imports.n), key=lambda v: -run.values()[v])[:5]
print(imports, "|", run.updates, "updates |", [imports.name(v) for v in best])

# %% [markdown]
# There are no supersteps and no messages: who depends on a changed value is scheduled, and reads it. The *execution model* (Algorithm 2) is a loop: while T is not empty, take a vertex, update it, add what it returns to T. **A vertex is in T once**, however often it is added.
#
# **Predict**: will all vertices be updated about as often?

# %%
from labkit.systems.graphlab.experiments import figure_1b

print(figure_1b().round(2).to_string())

# %% [markdown]
# Half of them once: that is what an *asynchronous, dynamic* computation saves against sweeps over everything. (The share of the last row is the tolerance's.)
#
# **Question.** What would Pregel do with the vertices that are done, and what must it wait for that GraphLab need not?

# %% [markdown]
# ## 2. Consistency: what may overlap?
# Two updates run at the same time, and their scopes overlap. The user chooses among three models what an update may touch, and so what has to be locked:
#
# | model | vertex | edges | neighbours | locks |
# |---|---|---|---|---|
# | `full` | read, write | read, write | read, write | all of them, for writing |
# | `edge` | read, write | read, write | read | the vertex for writing, neighbours for reading |
# | `vertex` | read, write | – | – | the vertex |
#
# Whoever stays within the rights has a *serializable* run: its result is that of some order, one update after the other. Greedy colouring needs its neighbours' colours:

# %%
from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.graphlab import Colouring, GraphLab, RunFailed, monochrome

def lab(name, machines=4, seed=1):
    cluster = Cluster(machines=machines, engine="sim", seed=seed, name=name, trace_limit=500_000)
    return GraphLab(cluster, FileSystem(cluster, replicas=min(3, machines)))

mesh = generate.grid(5, 6)
here = lab("rights")
try:
    here.run(Colouring(), mesh, consistency="vertex")
except RunFailed as error:
    print(str(error).split("\n")[0])
here.cluster.close()

# %% [markdown]
# `enforce=False` lets it read all the same. **Predict**: neighbours start with the same colour. What happens when two of them look at the same time?

# %%
here = lab("colouring")
run = here.start(Colouring(), mesh, consistency="vertex", enforce=False, engine="chromatic", seconds_per_update=0.01)
here.cluster.run_until(lambda: run.view().updates > 200, what="it turns round")
print(run.check())

# %%
run.panel()

# %%
await here.cluster.arun(1.0)  # at the speed of a clock: watch the panel above

# %% [markdown]
# They turn round: each sees the other's old colour, both choose the same new one, and each has the other look again. The checker has the versions that each update has read and written; two updates that each read before the other wrote have no order. Choose `edge`, here in code, **while it runs**. (What the last updates read and wrote is printed as *versions*: how often a vertex has been written, not its colour.)

# %%
run.consistency = "edge"
run.result()
print(run.ended, "|", monochrome(mesh, run.values()), "edges of one colour |", max(run.values()) + 1, "colours")
for update in run.view().log[-3:]:
    print(f"{update.time:.3f} s  vertex {update.vertex} read {dict(update.reads)}, wrote {dict(update.writes)}")
here.cluster.close()

# %% [markdown]
# The papers say that this never ends under the *synchronous* scheduler, which updates all of T on the values of the round before, as Pregel does. It needs a bound. (`max_updates` says *about* where: the machines tell the monitor their counts four times a second, and the run ends when it hears of enough.)

# %%
here = lab("synchronous")
run = here.run(Colouring(), mesh, engine="chromatic", scheduler="synchronous", max_updates=600)
print(run.ended, "after", run.view().updates, "updates:", len(monochrome(mesh, run.values())), "of", mesh.edges)
here.cluster.close()

# %% [markdown]
# Does it matter for learning, which is approximate anyway? Figure 1d: alternating least squares for film ratings. A vertex solves for its vector while its neighbours' stand still, or should.

# %%
from labkit.systems.graphlab.experiments import figure_1d

print(figure_1d(users=24, updates=700).round(3).to_string())

# %% [markdown]
# All at once the error stays several times as high. Racing updates (locks on the own vertex only) come through here, with twice the work; the paper's run, on many more cores, was unstable. Nobody promised either.
#
# **Question.** Which of the three models does PageRank need? And a program that adds 1 to each neighbour?

# %% [markdown]
# ## 3. Two engines
# **Chromatic**: colour the graph; vertices of one colour have no common edge, so all of them may be updated at once, without locks; then a barrier, then the next colour. For full consistency neighbours of neighbours differ too.

# %%
from labkit.systems.graphlab import PageRank
from labkit.systems.graphlab.atoms import colouring

web = generate.barabasi_albert(60, 2, seed=1)
for model in ("vertex", "edge", "full"):
    print(f"{model:7}", colouring(DataGraph(web), model).max() + 1, "colours")

# %% [markdown]
# **Locking**: a readers-writer lock for each vertex, taken in the order (owner, vertex), so that nobody waits in a circle. The request travels along the machines of the scope; the newest data come back with the locks. Meanwhile up to `pipeline` other updates wait for theirs. Figure 8b, a mesh that is cut at random:

# %%
from labkit.systems.graphlab.experiments import figure_8b

print(figure_8b((1, 10, 100), side=24).round(2).to_string())

# %% [markdown]
# **Question.** A deeper pipeline holds more locks while it waits. When is that a loss?
#
# Both engines come to the same ranks as one thread, in any of the orders:

# %%
here, alone = lab("engines"), run_locally(PageRank(tolerance=1e-4), web)
for options in ({}, {"scheduler": "priority"}, {"scheduler": "splash"}, {"engine": "chromatic"}, {"consistency": "full"}):
    run = here.run(PageRank(tolerance=1e-4), web, **options)
    error = max(abs(a - b) for a, b in zip(run.values(), alone.values(), strict=True)) * web.n
    print(f"{options!s:28} {run.view().updates:5} updates, error {error:.0e}, serializable: {run.check().serializable}")
print("the machines agreed:", run.view().agreed)

# %% [markdown]
# Nobody is told by a master that T is empty: a **token** goes round the machines that have nothing to do, and adds up the messages that were sent and those that came (Safra's algorithm). Only when the sum is nought and nobody was woken meanwhile is it over.

# %%
import labkit
from labkit.systems.graphlab.termination import Consensus

here.cluster.close()
labkit.show(Consensus.over)

# %% [markdown]
# ## 4. Failure: a snapshot as an update function
# Algorithm 5 is Chandy and Lamport's snapshot, written as an update: save the vertex; save the edges to neighbours that are not saved yet, and schedule these; mark the vertex. It needs edge consistency and comes before other updates. Nothing else stops. Then a machine dies:

# %%
here = lab("a death")
run = here.start(PageRank(tolerance=1e-4), web, seconds_per_update=0.01, timeout=1.0)
here.cluster.run(0.6)
epoch, number = run.snapshot("asynchronous")  # epoch: one more after each rollback
print("snapshot", number, "of epoch", epoch, "after", run.view().updates, "updates")
here.cluster.run(0.2)
here.cluster.kill("m4")
run.panel()

# %%
run.result()
for at, _, why in run.view().rollbacks:
    print(f"{at:.2f} s: {why}; all go back, on {run.view().members}")
error = max(abs(a - b) for a, b in zip(run.values(), alone.values(), strict=True)) * web.n
print(f"error {error:.0e} |", str(run.check()).replace("\n", " | "))

# %% [markdown]
# The atoms of m4 went to the machines that live: the graph was cut into many more atoms than machines, so nobody had to cut it anew.
#
# `check()` has also judged the snapshot: no update is in it whose causes are not. **Why bother**, when all could stand still for a moment? Figure 4: one machine stands still just as the snapshot begins.

# %%
from labkit.systems.graphlab.experiments import figure_4

here.cluster.close()
print(figure_4(side=8, stall=0.5).round(2).to_string())

# %% [markdown]
# A synchronous snapshot waits for it, and so does everybody. In the asynchronous one the others go on.
#
# ## What to take along
# * **Shared data** instead of messages: the newest value is read, and who depends on it is scheduled.
# * **Consistency is a choice** with a price in locks. Within the rights a run is serializable; beyond them a checker can say that it was not, but nothing can mend it.
# * **Order** prevents deadlock, **pipelines** hide latency, **over-partitioning** makes placement cheap.
# * A **snapshot** is a wave over the graph, and needs no standstill.
