"""An NFS-like file server (Sandberg et al., USENIX 1985).

Begin with ``model.py``: files, as if they were here. The architecture is in ``nodes/``:

=======================  =====================================================================================
``protocol.py``          what travels: handles, attributes, statuses; ``options.py`` what can be chosen
``nodes/procedures.py``  the 17 procedures of the server, and who may do what
``nodes/server.py``      the server: stateless, but for ``duplicates.py``, the duplicate request cache
``volume.py``            its file system, on its machine's disk
``nodes/rpc.py``         calls over datagrams: sent again until they are answered
``nodes/vnodes.py``      the client's vnode layer: caches of attributes, names and blocks (``caches.py``)
``nodes/vfs.py``         its VFS layer: mounts, and paths walked name by name
``nodes/client.py``      its system calls: open files, close-to-open, silly rename
``nodes/lockd.py``       the lock service, stateful, with its grace period; ``nodes/locking.py`` asks it
``files.py``             a client as its user holds it; ``fsspec_door.py`` for pandas and others
``single.py``            the same calls on this computer's own files: the oracle
``view.py``              what the events add up to; ``invariants.py`` what must hold
``workload.py``          the paper's mix of calls; ``experiments.py`` its results; ``mistakes.py``
=======================  =====================================================================================

Modelled: all procedures of version 2 and mount, caches and their consistency, hard and soft mounts, silly
rename, root squash, duplicate request cache, locks. Left out: devices, UDP fragments, YP, authentication that
deserves the name.
"""

from .files import Client
from .model import NFS
from .options import CONSISTENCY, Options
from .protocol import Attributes, Export

__all__ = ["CONSISTENCY", "NFS", "Attributes", "Client", "Export", "Options"]
