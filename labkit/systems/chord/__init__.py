"""Chord: a scalable peer-to-peer lookup service (Stoica et al., SIGCOMM 2001), and its correct version
(Zave).

Begin with ``model.py``, the programming model: a dictionary on a ring. ``nodes.py`` and what it builds on is
the architecture:

====================  =======================================================================================
``ids.py``            the identifier circle: SHA-1, intervals
``pointers.py``       what a node knows of the ring, and the next hop of a lookup
``routing.py``        lookups: ``search.py`` at their origin; on the way ``recursive.py`` or ``iterative.py``
``patience.py``       how long to wait for a member that is at work
``nodes.py``          a member: starting, leaving, fingers, sampling
``store.py``          the layer above: keys and their copies: writing, moving, repairing
``protocol.py``       what a maintenance protocol is
``correct.py``        ring maintenance by Zave's protocol
``sigcomm2001.py``    ring maintenance as in the paper's Fig. 7
``starting.py``       ids and machines of the members; ``directory.py`` refounds a ring that has died
``client.py``         the programs a user's client runs; ``options.py`` refuses bad input
``health.py``         what ``ring.health()`` says
``single.py``         the same ring on one thread: the oracle
``view.py``           what the events add up to at a position of the trace
``snapshot.py``       the pointers of all members at one instant
``invariants.py``     what must hold, as predicates; ``trace_checks.py`` applies them to a recorded run
``model_check.py``    every interleaving of a small ring
``scenarios.py``      a small ring under failures: what a fault search runs
``experiments.py``    the paper's evaluation, reproduced in the simulator
====================  =======================================================================================

Modelled: consistent hashing, successor ring, fingers, joining and leaving, successor lists, both maintenance
protocols, replication on the successor list, virtual nodes. Left out: proximity neighbour selection,
security, and caching along the lookup path.
"""

from .client import Lookup, Stored
from .correct import CorrectChordNode
from .health import Health
from .ids import Peer, identifier
from .model import Chord, NodeHandle
from .nodes import ChordNode
from .pointers import LookupFailed
from .sigcomm2001 import Sigcomm2001ChordNode
from .single import IdealRing
from .store import NoHeir, NotResponsible

__all__ = [
    "Chord",
    "ChordNode",
    "CorrectChordNode",
    "Health",
    "IdealRing",
    "Lookup",
    "LookupFailed",
    "NoHeir",
    "NodeHandle",
    "NotResponsible",
    "Peer",
    "Sigcomm2001ChordNode",
    "Stored",
    "identifier",
]
