"""Pregel on a property graph (§3.2, Listing 5): a loop of ``mapReduceTriplets`` and ``joinVertices``.

As in Spark's Pregel.scala. Unlike Google's, messages go along edges only, and an edge whose ends had no
messages is not looked at: vertices have voted to halt unless somebody writes to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.parts.options import whole
from labkit.runtime.copying import copy_value
from labkit.systems.spark import RDD

from .calls import check_function, check_merge
from .columns import constant
from .context import Run
from .triplets import Arrays, EdgeDirection, arrays

__all__ = ["Loop", "check_direction", "pregel"]

iterations = whole(0, says="a whole number of iterations, or None for as many as it takes", write=20)

DIRECTIONS = (EdgeDirection.In, EdgeDirection.Out, EdgeDirection.Either, EdgeDirection.Both)


def check_direction(direction: Any) -> None:
    """Raises ``ValueError`` for what is none."""
    if direction not in DIRECTIONS:
        raise ValueError(f"{direction!r:.60} is no direction of edges: write one of {', '.join(DIRECTIONS)}")


class Loop(Run):
    """A loop that keeps what the next iteration needs, and forgets what the last one needed.

    halts: whether it ends as soon as there are no messages."""

    def __init__(self, graph: Any, what: str, most: int | None = None, halts: bool = True) -> None:
        super().__init__(graph._settings, what, graph.number, most=most, halts=halts)
        self.ctx, self._kept, self._before = graph.ctx, [], []

    def keep(self, *rdds: RDD) -> None:
        """Until the next iteration is computed. What the user keeps is left alone."""
        for rdd in rdds:
            if not rdd.persisted:
                rdd.persist()
                self._kept.append(rdd)
            elif rdd in self._before:
                self._before.remove(rdd)
                self._kept.append(rdd)

    def round(self, graph: Any, messages: Any) -> int:
        """Compute an iteration whose messages these are; how many vertices have any."""
        mine = [graph.vertices.partitionsRDD, graph._view.edges, messages.partitionsRDD]
        self.keep(*mine)
        if self.ctx.getCheckpointDir() and self.iteration % self.settings.options.checkpoint_every == 0:
            for rdd in mine:
                rdd.checkpoint()
        try:
            active = self.compute(*mine)
        except BaseException:  # whatever comes next is not of this loop, and nothing of it is kept
            self._before += self._kept
            self._kept = []
            self.forget()
            self.end("an error", [])
            raise
        self.forget()
        return active

    def forget(self) -> None:
        """What was kept before."""
        for rdd in self._before:
            rdd.unpersist()
        self._before, self._kept = self._kept, []

    def result(self, graph: Any, why: str) -> Any:
        """The graph, computed and kept; the loop is over."""
        mine = [graph.vertices.partitionsRDD, graph._view.edges]
        self.keep(*mine)
        graph.vertices.count()
        self.forget()
        self.end(why, [each.id() for each in mine])
        return graph


def pregel(
    graph: Any, initialMsg: Any, vprog: Callable[..., Any], sendMsg: Callable[..., Any],
    mergeMsg: Callable[[Any, Any], Any], maxIterations: int | None, activeDirection: str,
    what: str = "pregel",
) -> Any:  # fmt: skip
    """See ``Graph.pregel``."""
    check_function("pregel(vprog=…)", vprog, "id, attr, message")
    check_function("pregel(sendMsg=…)", sendMsg, "triplet")
    check_merge("pregel(mergeMsg=…)", mergeMsg)
    check_direction(activeDirection)
    most = None if maxIterations is None else iterations("maxIterations", maxIterations)
    loop = Loop(graph, what, most)
    if isinstance(vprog, Arrays):
        first = arrays(lambda ids, attrs: vprog.function(ids, attrs, constant(initialMsg, len(ids))))
    else:
        first = lambda vertex, attr: vprog(vertex, attr, copy_value(initialMsg))  # noqa: E731
    graph = graph.mapVertices(first)
    active = None
    while most is None or loop.iteration < most:
        loop.begin()
        messages = graph._aggregate(sendMsg, mergeMsg, None, active, pairs=True, at_once=True)
        if not loop.round(graph, messages):
            return loop.result(graph, "no messages")
        graph = graph.joinVertices(messages, vprog)
        active = messages, activeDirection
    return loop.result(graph, "the maximum")
