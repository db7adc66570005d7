# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Parameter server
# Four simulated workers learn to read digits from parameters on two servers; one worker is slow. Start the training and move the control between waiting for everybody (BSP) and
# for nobody (Async). Kill a server.

# %%
from labkit import Cluster
from labkit.systems.paramserver import BSP, SGD, ParameterServer
from labkit.systems.paramserver.algorithms import accuracy, digits_split, shards, softmax
from labkit_widgets.run_button import run_button

cluster = Cluster(machines=6, engine="sim", seed=7)
ps = ParameterServer(cluster, servers=2, workers=4, replicas=1, consistency=BSP())
w = ps.vector("w", size=650, update=SGD(1.0))
training, testing = digits_split()

# %%
def seconds(worker):  # that an iteration takes
    return 0.1 * worker.random.lognormvariate(0, 0.5) * (2.5 if worker.rank == 0 else 1)

def train():
    ps.run(softmax(w, cost=seconds), iterations=600, data=shards(training, 4))
    return f"{accuracy(w[:], *testing):.1%} of the test images are read correctly"

cluster.pace = 1.0  # from now on, time passes by itself
display(run_button("Train", train))
ps.panel()
