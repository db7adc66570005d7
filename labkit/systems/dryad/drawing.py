"""A graph as a picture: stages from top to bottom, each vertex a dot; of many, the stages alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from .channels import FIFO, FILE, PIPE

__all__ = ["Picture", "bundle", "skeleton", "svg"]

#: More vertices than this are not drawn each.
DRAWN = 200
WIDTH, ROW, DOT = 620.0, 58.0, 7.0
#: How a kind of channel looks, besides its colour.
DASHES = {FILE: "", PIPE: "6 3", FIFO: "2 2"}
COLOURS = {FILE: "#4c78a8", PIPE: "#d9822b", FIFO: "#2e8b57"}


class Picture(NamedTuple):
    """Vertices with their stages, edges with their kinds. marks: words on a vertex's dot."""

    title: str
    stages: Mapping[int, str]
    edges: Sequence[tuple[int, int, str]]
    marks: Mapping[int, str] = {}


def skeleton(picture: Picture) -> Picture:
    """One vertex for each stage."""
    names = list(dict.fromkeys(picture.stages.values()))
    found: dict[tuple[str, str], str] = {}
    for a, b, kind in picture.edges:
        found[picture.stages[a], picture.stages[b]] = kind
    counts = {name: sum(each == name for each in picture.stages.values()) for name in names}
    edges = [(names.index(a), names.index(b), kind) for (a, b), kind in found.items()]
    marks = {i: str(counts[name]) for i, name in enumerate(names)}
    return Picture(picture.title, dict(enumerate(names)), edges, marks)


def depths(picture: Picture) -> dict[str, int]:
    """How far below the inputs each stage stands."""
    found = dict.fromkeys(picture.stages.values(), 0)
    pairs = {(picture.stages[a], picture.stages[b]) for a, b, _ in picture.edges}
    pairs = {(a, b) for a, b in pairs if a != b}
    for _ in found:  # as often as the longest path may be long
        for a, b in sorted(pairs):
            found[b] = max(found[b], min(found[a] + 1, len(found)))
    return found


def svg(picture: Picture) -> str:
    """The picture, with a title for each vertex."""
    if len(picture.stages) > DRAWN:
        picture = skeleton(picture)
    depth = depths(picture)
    rows: dict[int, list[int]] = {}
    for vertex, stage in sorted(picture.stages.items(), key=lambda pair: (depth[pair[1]], pair[1], pair[0])):
        rows.setdefault(depth[stage], []).append(vertex)
    places = {}
    for row, (_, some) in enumerate(sorted(rows.items())):
        for k, vertex in enumerate(some):
            places[vertex] = (110 + (WIDTH - 130) * (k + 0.5) / len(some), 46 + ROW * row)
    lines = [f'<text x="8" y="18" font-weight="bold">{escape(picture.title)}</text>']
    for a, b, kind in picture.edges:
        (x1, y1), (x2, y2) = places[a], places[b]
        lines.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{COLOURS[kind]}" '
            f'stroke-dasharray="{DASHES[kind]}" opacity="0.6"/>'
        )
    for vertex, (x, y) in places.items():
        stage, mark = picture.stages[vertex], picture.marks.get(vertex, "")
        lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT}" fill="#ffffff" stroke="#333"><title>'
                     f"{escape(stage)} {vertex} {escape(mark)}</title></circle>")  # fmt: skip
        if mark:
            lines.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}" font-size="10">{escape(mark)}</text>')
    for row, (_, some) in enumerate(sorted(rows.items())):
        names = dict.fromkeys(picture.stages[vertex] for vertex in some)
        lines.append(f'<text x="8" y="{50 + ROW * row:.1f}">{escape(", ".join(names))[:24]}</text>')
    height = 20 + ROW * len(rows) + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:.0f}" height="{height:.0f}" font-size="12" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>{"".join(lines)}</svg>'
    )


def bundle(picture: Picture, text: str) -> dict[str, str]:
    """For a notebook: the picture as an image with a data address (GitHub strips inline SVG), and text."""
    data = base64.b64encode(svg(picture).encode()).decode()
    return {
        "text/html": f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">',
        "text/plain": text,
    }
