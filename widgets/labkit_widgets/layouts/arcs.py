"""Arcs: a circle divided among servers, the copies on rings further in, and the servers below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..looks import outline, sign
from ..scene import Field, Label, Link, Mark, arc

#: The middle, the radius, and how thick the outer and an inner ring are.
CX, CY, R, MASTER, REPLICA = 546.0, 128.0, 76.0, 16.0, 9.0
#: Servers that are drawn, and in a row.
SERVERS, IN_ROW = 12, 3


class Part(NamedTuple):
    """A part of the circle, 0 to 1, and who has it: (colour, tip), the outermost first."""

    low: float
    high: float
    chain: Sequence[tuple[int, str]]


class Server(NamedTuple):
    """Whoever has parts."""

    name: str
    colour: int
    state: str
    tip: str


def arcs(parts: Sequence[Part], servers: Sequence[Server], labels: Sequence[Label]) -> Field:
    """The circle, with words in its middle."""
    links = [link for number, part in enumerate(parts) for link in _links(number, part)]
    shown = servers[:SERVERS]
    rows = -(-max(1, len(shown)) // IN_ROW)
    marks = [_mark(server, number, len(shown)) for number, server in enumerate(shown)]
    return Field(marks=marks, links=links, labels=list(labels), bottom=CY + R + 30.0 + 38.0 * rows)


def _links(number: int, part: Part) -> list[Link]:
    links = []
    pad = min(0.015, (part.high - part.low) * math.pi / 4)
    ends = (2 * math.pi * part.low + pad, 2 * math.pi * part.high - pad)
    for place, (colour, tip) in enumerate(part.chain):
        radius = R - (0 if place == 0 else MASTER / 2 + 2 + (place - 0.5) * (REPLICA + 1))
        if radius < REPLICA:
            break
        cls, width = ("load", MASTER) if place == 0 else ("load copies", REPLICA)
        links.append(Link(f"r{number}.{place}", arc(CX, CY, radius, *ends), cls, colour, width, tip))
    return links


def _mark(server: Server, number: int, count: int) -> Mark:
    per_row = min(IN_ROW, count)
    row, column = divmod(number, per_row)
    in_row = min(per_row, count - row * per_row)
    x, y = CX + (column - (in_row - 1) / 2) * 66, CY + R + 36 + row * 38
    return Mark(
        server.name, x, y, 8.0, outline(server.colour), server.colour, server.state,
        server.name + sign(server.state), x, y + 22, tip=server.tip,
    )  # fmt: skip
