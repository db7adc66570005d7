"""Finding a key's successor: fingers, hops, and what to do when a hop does not answer (SIGCOMM 2001, sections
4.3-4.4 and 5.2).

A lookup is a walk along the circle to the key's *predecessor*, each hop to the known node that comes closest
before the key, and then one final step to that node's successor, which is asked too, so that the answer is
never a node known only from hearsay. Only a node that answers is on the path. The path length counts the hops
of `find_predecessor` and not the final step (``Lookup.hops``).

``search.py`` is the origin's side; ``recursive.py`` and ``iterative.py`` are the two styles of the walk, and
``pointers.py`` the next hop.

Left out: proximity neighbour selection; a node that misbehaves instead of failing.
"""

from __future__ import annotations

from .iterative import Iterative
from .recursive import Recursive
from .search import Found, Search

__all__ = ["Found", "Routing"]


class Routing(Recursive, Iterative):
    """The lookups that use a node's pointers, in the ring's style."""

    __slots__ = ()

    def begin(self, search: Search) -> None:
        """An attempt sets out, in the style that the ring has."""
        if self.settings.routing == "iterative":
            self.spawn(self.walk(search))
        else:
            self.set_out(search)
