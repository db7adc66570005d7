"""The parameter server: parameters that many workers share (Li et al., OSDI 2014), and stale synchronous
parallel training (Ho et al., NIPS 2013).

Begin with ``model.py``, the programming model: vectors, and a program that each worker runs on its part of
the data. What it builds on is the architecture:

====================  =======================================================================================
``consistency.py``    sequential, bounded delay, eventual; stale synchronous parallel
``handles.py``        what its user holds: vectors, pushes and pulls under way
``vectors.py``        (key, value) vectors with ordered keys; NumPy and SciPy in and out
``updates.py``        what the servers do with a push; ``filters.py``: what is not worth sending
``worker.py``         a worker, and what its program sees; ``tables.py``: rows with a cache
``scheduler.py``      who may begin which iteration; a dead worker's data
``client.py``         push and pull: cut by range, sent, repeated until answered; ``lanes.py``: in which order
``messages.py``       what a push and a pull are on their way
``server.py``         a server; ``store.py``: its arrays
``chain.py``          a range of keys as a state machine, and its copies: chain replication
``clocks.py``         range vector clocks: no push is applied twice
``ring.py``           consistent hashing with virtual servers; ``manager.py``: who has what
``checkpoints.py``    all vectors in one file; ``options.py`` refuses bad input
====================  =======================================================================================

Modelled: ranged push and pull, tasks with execute-after dependencies, consistency that changes while the
program runs, user-defined updates and filters, range vector clocks, chain replication after aggregation,
servers and workers that join, leave and fail, SSP tables. Left out: the failure of the server manager and of
the task scheduler (they live in the user's process), and a hierarchy of worker groups.
"""

from .consistency import BSP, SSP, Async, Bounded, Consistency
from .filters import KKT, Filter, KeyCaching, SignificantlyModified, ZeroCompression
from .handles import Namespace, Pending, Vector
from .model import ParameterServer
from .scheduler import TrainingFailed
from .tables import Table
from .updates import SGD, AdaGrad, Proximal, Subgradient, Sum, Update
from .worker import WorkerTask

__all__ = [
    "BSP",
    "KKT",
    "SGD",
    "SSP",
    "AdaGrad",
    "Async",
    "Bounded",
    "Consistency",
    "Filter",
    "KeyCaching",
    "Namespace",
    "ParameterServer",
    "Pending",
    "Proximal",
    "SignificantlyModified",
    "Subgradient",
    "Sum",
    "Table",
    "TrainingFailed",
    "Update",
    "Vector",
    "WorkerTask",
    "ZeroCompression",
]
