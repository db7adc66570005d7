"""Files in blocks on several machines' disks: the file system that MapReduce, Dryad and Pregel take for
granted.

After Ghemawat, Gobioff and Leung, The Google File System (SOSP 2003). One *master* has the names and knows
which machine holds which block; a *chunkserver* on each machine has the blocks. Bytes never pass through the
master.

::

    fs = FileSystem(cluster, replicas=3)
    fs.put("corpus/", standard_library())
    fs.cat("corpus/ast")
    fs.locations("corpus/ast")                       # which block is on which machines

    class Reader(Node):                              # inside a system's node
        def __init__(self, settings): self.settings = settings           # fs.settings
        def start(self): self.store = Files(self, self.settings)
        ...  await self.store.read("corpus/ast", 0, 100)

Left out of the paper: snapshots, access rights, shadow masters, racks. Unlike the paper's, a file that is
written whole appears at once or not at all, an append happens exactly once, and the master knows each file's
length.
"""

from .blocks import Modelled
from .events import EVENTS
from .files import Files, Location
from .health import Health
from .invariants import Report
from .model import FileSystem
from .settings import BlockLost, Settings

__all__ = [
    "EVENTS",
    "BlockLost",
    "FileSystem",
    "Files",
    "Health",
    "Location",
    "Modelled",
    "Report",
    "Settings",
]
