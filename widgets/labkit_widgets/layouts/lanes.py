"""Lanes: who runs how far ahead, one lane each, against what is allowed; and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..looks import outline
from ..scene import Box, Field, Label, Link, Mark, line

#: The columns of steps, from left to right, and where they begin.
LEFT, RIGHT, TOP = 138.0, 412.0, 44.0
#: A lane's height for few runners, and for many; more lanes than this are not drawn.
LANE, NARROW, LANES = 46.0, 16.0, 32
#: Columns that are drawn at least, so that a step is a step.
COLUMNS = 6


class Runner(NamedTuple):
    """Who runs: where it is, what it does and (narrow lanes leave that out) what stands at its lane's end."""

    id: str
    name: str
    at: int
    colour: int
    state: str
    tip: str
    does: str
    cls: str = "note"  # of what it does
    holding: bool = False
    share: str = ""
    waits_for: tuple[tuple[str, str], ...] = ()  # (id, tip)


def lanes(
    runners: Sequence[Runner],
    low: int,
    high: int,
    allowed: tuple[int, int, str] | None,
    heads: Sequence[Label],
) -> Field:
    """The steps from `low` to `high`. `allowed`: the first and the last that are, and words for it."""
    high = max(high, low + COLUMNS)
    shown = runners[:LANES]
    lane = LANE if len(shown) <= 8 else NARROW
    bottom = TOP + lane * max(1, len(shown))
    rows = {runner.id: TOP + lane * (k + 0.5) for k, runner in enumerate(shown)}

    def x(step: float) -> float:
        """The middle of a step's column."""
        return LEFT + (RIGHT - LEFT) * (step - low + 0.5) / (high - low + 1)

    places = {runner.id: (x(min(runner.at, high)), rows[runner.id]) for runner in shown}
    every = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if (high - low) / s <= 10), 1000)
    grid = [
        Link(f"g{k}", line(at, TOP, at, bottom), "grid")
        for k, at in enumerate(x(c - 0.5) for c in range(low, high + 2, every))
    ]
    waits = [
        Link(f"w{runner.id}:{other}", line(*places[runner.id], *places[other]), "wait", tip=tip)
        for runner in shown
        for other, tip in runner.waits_for
        if other in places and other != runner.id
    ]
    numbers = [
        Label(x(c), bottom + 14, str(c), "note") for c in range(-(-low // every) * every, high + 1, every)
    ]
    boxes = []
    if allowed is not None:
        first, last, tip = allowed
        left, right = x(first - 0.5), x(last + 0.5)
        boxes.append(Box("allowed", left, TOP, right - left, bottom - TOP, "allowed", tip=tip))
    more = len(runners) - len(shown)
    rest = [Label(10, bottom + 26, f"and {more} more workers", "note", "start")] if more else []
    words = [label for runner in shown for label in _words(runner, rows[runner.id], lane == NARROW)]
    return Field(
        marks=[_mark(runner, *places[runner.id], 9.0 if lane == LANE else 5.5) for runner in shown],
        links=[*grid, *waits],
        labels=[
            *heads, *rest, *numbers, Label(LEFT - 8, bottom + 14, "iteration", "note", "end"), *words,
        ],
        boxes=boxes,
        bottom=bottom + 30.0,
    )  # fmt: skip


def _mark(runner: Runner, x: float, y: float, r: float) -> Mark:
    return Mark(runner.id, x, y, r, outline(runner.colour), runner.colour, runner.state, tip=runner.tip)


def _words(runner: Runner, y: float, narrow: bool) -> list[Label]:
    """A runner's name and what it does; in narrow lanes only the name."""
    if narrow:
        return [Label(LEFT - 8, y + 4, runner.name, "holding" if runner.holding else "note", "end")]
    found = [
        Label(10, y - 3, runner.name, "name", "start"),
        Label(10, y + 12, runner.does, runner.cls, "start"),
    ]
    return [*found, Label(RIGHT + 14, y + 4, runner.share, "note", "start")] if runner.share else found
