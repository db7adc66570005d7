"""Napster, Gnutella (0.4 and 0.6) and FastTrack: one shared collection under several architectures, with
Chord beside them.

Begin with ``model.py``, the programming model: search and download. ``nodes/`` is the architecture, a class
for each role:

====================  =======================================================================================
``nodes/peer.py``      what every peer does: its library, uploads, coming and going
``nodes/napster.py``   the index server and its users, with OpenNap's messages
``nodes/servent.py``   Gnutella 0.4: flooding, the way back, pushes; on ``connections.py``: handshake, pings,
                       pong cache; ``hosts.py`` is the host cache
``nodes/twotier.py``   leaves and hubs: election, shedding; ``ultrapeer.py`` is Gnutella 0.6, ``fasttrack.py``
``descriptor.py``      Gnutella's 23-byte header and its payloads, as bytes
``qrp.py``             query routing tables
``downloads.py``       one file from several peers, pieces checked by hashes
``collection.py``      who shares what; ``index.py`` an index by words
``topology.py``        generators of overlays, and what can be counted of a graph exactly
``column.py``          the same collection over Chord
``starting.py``        who is who at the start; ``options.py`` refuses bad input
``view.py``            what the events add up to; ``invariants.py`` what must hold of them
``single.py``          the same search on one thread: the oracle
``mistakes.py``        planted mistakes that ``check`` must catch
``layout.py``          where to draw the peers
``experiments.py``     the papers' figures
====================  =======================================================================================

Left out: chat and browsing, queues of uploads, encryption, and everything about money and law.
"""

from .collection import SharedFile
from .descriptor import Hit
from .downloads import Loaded
from .model import FileSharing, PeerHandle
from .options import Options
from .results import Accounts, Found, Search, SharingFailed

__all__ = [
    "Accounts",
    "FileSharing",
    "Found",
    "Hit",
    "Loaded",
    "Options",
    "PeerHandle",
    "Search",
    "SharedFile",
    "SharingFailed",
]
