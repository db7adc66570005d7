# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown]
# # Chord
# A ring of nodes on simulated machines holds the modules of Python's standard library. Look one up, kill a machine, look again. Choose another ring, and press *Start*.

# %%
from labkit.data import standard_library
from labkit.systems.chord import Chord

setup = Chord.setup(seed=7, then=lambda ring: ring.update(standard_library()))
setup.start()
setup
