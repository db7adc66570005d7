"""The three pictures of a job's graph: as it was drawn, as it ran, and its skeleton."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import many

from .drawing import Picture, bundle, skeleton, svg
from .model import Graph
from .view import JobState

__all__ = ["Graphs"]


class Graphs:
    """``drawn`` and ``ran`` are pictures, ``skeleton`` is by (stage, stage) the number of edges as it ran."""

    def __init__(self, graph: Graph, view: JobState) -> None:
        self.drawn = graph.picture("as drawn")
        marks = {vertex: f"v{version}" for vertex, version in view.completed.items() if version > 1}
        self.ran = Picture("as it ran", dict(view.stage_of), view.edges(), marks)
        self.skeleton: dict[tuple[str, str], int] = {}
        for a, b, _ in self.ran.edges:
            pair = view.stage_of[a], view.stage_of[b]
            self.skeleton[pair] = self.skeleton.get(pair, 0) + 1

    def _text(self) -> str:
        edges = ", ".join(f"{n} × {a} → {b}" for (a, b), n in self.skeleton.items())
        return (
            f"as drawn: {many(len(self.drawn.stages), 'vertex')}, {many(len(self.drawn.edges), 'edge')}\n"
            f"as it ran: {many(len(self.ran.stages), 'vertex')}, {many(len(self.ran.edges), 'edge')}\n"
            f"skeleton: {edges}"
        )

    def __repr__(self) -> str:
        return self._text()

    def svg(self) -> str:
        """As it ran."""
        return svg(self.ran)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        bones = skeleton(self.ran)._replace(title="skeleton")
        pictures = [bundle(each, each.title)["text/html"] for each in (self.drawn, self.ran, bones)]
        return {"text/html": "<br>".join(pictures), "text/plain": self._text()}
