"""LOCKSS: libraries preserve documents for decades by polls among peers, while bits rot and some peers lie.

After Maniatis et al. (SOSP 2003) and the running daemon's V3 protocol. The bodies of the papers could not be
read: what is in their abstracts, and what the daemon's source says, is told as such; the rest is **this
lab's model**, and marked so (``options.py`` says for each number where it comes from).

Begin with ``model.py``. ``nodes/library.py`` is a peer; the rules that it keeps are in ``polls.py`` (a poll,
seen by its poller), ``holding.py`` (reference list, friends, admission control) and ``tally.py`` (the
landslide); ``single.py`` drives the same rules in one loop, for thousands of libraries. ``effort.py``,
``replicas.py`` (rot, nonces, hashes), ``adversaries.py``, ``prediction.py``.
"""

from .adversaries import Adversary, Attrition, Lurking, Nuisance, Stealth
from .model import Lockss, modules
from .options import SOSP, V3, Options
from .single import Population, simulate

__all__ = [
    "SOSP",
    "V3",
    "Adversary",
    "Attrition",
    "Lockss",
    "Lurking",
    "Nuisance",
    "Options",
    "Population",
    "Stealth",
    "modules",
    "simulate",
]
