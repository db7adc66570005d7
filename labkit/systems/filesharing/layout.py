"""Where to draw the peers: a force layout (Fruchterman and Reingold 1991), in plain Python.

Links pull their ends together, all peers push each other away, and the whole cools down. The same graph
always gives the same picture, and a picture that goes on from the last one moves little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from labkit.runtime.copying import stable_hash

__all__ = ["Place", "force_layout"]

Place = tuple[float, float]
#: Rounds from nothing, and rounds that an earlier picture is mended by.
ROUNDS, MENDED = 60, 12


def force_layout(
    names: Sequence[str], links: Iterable[tuple[str, str]], before: Mapping[str, Place] | None = None
) -> dict[str, Place]:
    """Places from 0 to 1 in both directions, by name. before: an earlier picture to go on from."""
    known = before or {}
    places = [known.get(name) or _first(name) for name in names]
    number = {name: index for index, name in enumerate(names)}
    pairs = [(number[a], number[b]) for a, b in links if a in number and b in number]
    if len(names) < 2:
        return dict.fromkeys(names, (0.5, 0.5))
    ideal = 0.8 / math.sqrt(len(names))
    rounds = MENDED if sum(name in known for name in names) > 0.7 * len(names) else ROUNDS
    heat = 0.12 if rounds == ROUNDS else 0.03
    for at in range(rounds):
        places = _round(places, pairs, ideal, heat * (1 - at / rounds))
    return dict(zip(names, _fitted(places), strict=True))


def _round(places: list[Place], pairs: list[tuple[int, int]], ideal: float, heat: float) -> list[Place]:
    count, square = len(places), ideal * ideal
    moved = [[0.1 * (0.5 - x), 0.1 * (0.5 - y)] for x, y in places]  # a little towards the middle
    for a in range(count):
        ax, ay = places[a]
        mine = moved[a]
        for b in range(a):
            dx, dy = ax - places[b][0], ay - places[b][1]
            push = square / (dx * dx + dy * dy + 1e-6)
            mine[0] += dx * push
            mine[1] += dy * push
            moved[b][0] -= dx * push
            moved[b][1] -= dy * push
    for a, b in pairs:
        dx, dy = places[a][0] - places[b][0], places[a][1] - places[b][1]
        pull = math.hypot(dx, dy) / ideal
        moved[a][0] -= dx * pull
        moved[a][1] -= dy * pull
        moved[b][0] += dx * pull
        moved[b][1] += dy * pull
    found = []
    for (x, y), (dx, dy) in zip(places, moved, strict=True):
        length = math.hypot(dx, dy) or 1.0
        step = min(length, heat)
        found.append((x + dx / length * step, y + dy / length * step))
    return found


def _first(name: str) -> Place:
    """Where a peer stands before it is pushed."""
    drawn = stable_hash("place", name)
    return (drawn % 1009) / 1009, (drawn // 1009 % 1013) / 1013


def _fitted(places: list[Place]) -> list[Place]:
    """Stretched to the whole square."""
    lows = [min(place[side] for place in places) for side in (0, 1)]
    spans = [(max(place[side] for place in places) - lows[side]) or 1.0 for side in (0, 1)]
    return [((x - lows[0]) / spans[0], (y - lows[1]) / spans[1]) for x, y in places]
