"""The programming model (§4.1, Fig. 2): a vertex program is gather, sum, apply and scatter.

::

    class Greedy(VertexProgram):                      # greedy colouring, Fig. 3
        gather_nbrs = scatter_nbrs = ALL

        def gather(self, D_u, D_uv, D_v):
            return {D_v}

        def sum(self, a, b):
            return a | b

        def apply(self, D_u, acc):
            return next(c for c in itertools.count() if c not in acc)

        def scatter(self, D_u, D_uv, D_v):
            if D_u == D_v:
                self.activate()
            return D_uv, None

The functions see one vertex u, one of its neighbours v and the edge between them, and nothing else: that is
what lets several machines run them for one vertex. ``sum`` must be commutative and associative. Data are not
changed in place; a function returns what is to be instead.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

__all__ = ["ALL", "IN", "NBRS", "NONE", "OUT", "BatchProgram", "Vertex", "VertexProgram"]

#: Whose edges: none, those that end in the vertex, those that begin in it, both.
NONE, IN, OUT, ALL = NBRS = ("none", "in", "out", "all")


class Vertex(NamedTuple):
    """What is known of a vertex before the run."""

    id: int  #: its number in the graph, from 0 on
    in_degree: int
    out_degree: int
    vertices: int  #: of the graph


class VertexProgram:
    """The interface ``GASVertexProgram(u)`` of Fig. 2; u is the vertex that runs, v a neighbour."""

    gather_nbrs: ClassVar[str] = IN
    scatter_nbrs: ClassVar[str] = OUT
    #: The accumulator of a vertex that gathers from nobody.
    zero: Any = None
    #: Whether edges from a vertex to itself count; else the loaders leave them out.
    self_edges: ClassVar[bool] = True
    #: What ``activate`` was told during one scatter; the engine empties it before each.
    activated: str = ""

    def initial(self, vertex: Vertex) -> Any:
        """D_u before the first run."""
        return None

    def edge(self, weight: float) -> Any:
        """D_uv before the first run, from the edge's weight (1.0 in a graph without weights)."""
        return weight

    def gather(self, D_u: Any, D_uv: Any, D_v: Any) -> Any:
        """What u takes from a neighbour v over the edge between them, of whichever direction; not None."""
        raise NotImplementedError(f"{type(self).__name__} gathers, but has no gather(D_u, D_uv, D_v)")

    def sum(self, a: Any, b: Any) -> Any:
        """Two accumulators as one; commutative and associative."""
        raise NotImplementedError(f"{type(self).__name__} gathers, but has no sum(a, b)")

    def apply(self, D_u: Any, acc: Any) -> Any:
        """D_u from now on."""
        raise NotImplementedError(f"{type(self).__name__} has no apply(D_u, acc)")

    def scatter(self, D_u: Any, D_uv: Any, D_v: Any) -> tuple[Any, Any]:
        """(D_uv from now on, Δa): Δa is added to v's cached accumulator; None empties it, so that v gathers
        anew when it runs again (Alg. 1)."""
        return D_uv, None

    def activate(self, which: str = "v") -> None:
        """In ``scatter``: let a vertex of the arguments, "v" or "u", run (again). "A vertex program may only
        activate vertices visible in the arguments" (§4.1)."""
        if which not in ("u", "v"):
            raise ValueError(f'activate({which!r}): scatter sees the two vertices "u" and "v"')
        self.activated += which

    def result(self, D_u: Any) -> Any:
        """What ``values()`` gives of a vertex (of a ``BatchProgram``: of arrays, too)."""
        return D_u

    def bound(self, graph: Any) -> VertexProgram:
        """The program as it is sent to the machines, where vertices are numbers: for one that names some."""
        return self


class BatchProgram(VertexProgram):
    """A program that also says what it does to a whole partition, as NumPy arrays: the same, but for millions
    of edges. Runs on the synchronous engine, without delta caching.

    D is a named tuple; here each of its fields is an array with an entry for each vertex. What a vertex takes
    from a neighbour must be ``along(offer(D_v), D_uv)``, and the sum a ufunc.
    """

    #: How the edge's number joins what a neighbour offers: ``np.add``, ``np.multiply``; None: not at all.
    along: ClassVar[np.ufunc | None] = None
    #: ``sum`` as a ufunc.
    sum_batch: ClassVar[np.ufunc] = np.add

    def initial_batch(self, ids: Any, in_degree: Any, out_degree: Any, vertices: int) -> Any:
        """As ``initial``, of many vertices: arrays (k) each; returns D, of arrays (k)."""
        raise NotImplementedError(f"{type(self).__name__} has no initial_batch")

    def gather_batch(self, D: Any) -> Any:
        """What each vertex offers to those that gather from it, an array (k)."""
        raise NotImplementedError(f"{type(self).__name__} has no gather_batch")

    def apply_batch(self, D: Any, acc: Any) -> Any:
        """As ``apply``; acc: an array (k). Must be the same for each vertex, whichever others there are."""
        raise NotImplementedError(f"{type(self).__name__} has no apply_batch")

    def changed_batch(self, D: Any) -> Any:
        """Which vertices activate all their neighbours when they scatter: booleans (k)."""
        raise NotImplementedError(f"{type(self).__name__} has no changed_batch")
