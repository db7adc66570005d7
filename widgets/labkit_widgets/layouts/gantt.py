"""Bars over time: a line for each slot of a machine, a bar for each piece of work, the machines' fates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..scene import Box, Field, Label, Link, line
from .lamport import round_moments

LEFT, RIGHT, MARGIN = 50.0, 14.0, 16.0
#: Width of a character of the title, and of what stands beside it, as far as one can know without drawing it.
BOLD, NOTE = 6.8, 5.6
#: A line's height, and the height of all of them at most.
LINE, TALL = 15.0, 190.0
#: More bars than this are joined where no eye could tell them apart.
BARS = 200
#: What befell a machine.
FATES = {"dead": "✕ {} dies", "noticed": "noticed", "back": "✓ {} is back"}
Scale = Callable[[float], float]


class Bar(NamedTuple):
    """Work in a slot; `end` is None while it goes on. Of `words` the first fit counts: (width, text)."""

    id: str
    slot: int
    start: float
    end: float | None
    cls: str
    colour: int
    tip: str
    words: tuple[tuple[float, str], ...] = ()


def gantt(
    bars: Sequence[Bar],
    slots: Sequence[str],
    span: tuple[float, float],
    *,
    width: float,
    top: float,
    heads: tuple[str, str],
    moments: Sequence[tuple[float, str, str]] = (),
    starts: Sequence[tuple[str, float, str]] = (),
) -> Field:
    """The chart below `top`. `slots`: the machine of each; `heads`: the title, and what the bars mean.

    `moments`: (time, machine, key of ``FATES``); `starts`: (id, time, words) of jobs.
    """
    if not slots:
        return Field(bottom=top)
    tall = min(LINE, TALL / len(slots))
    first, last = span
    long = max(last - first, 1e-9)
    beside = MARGIN + BOLD * len(heads[0]) + 12 + NOTE * len(heads[1]) + RIGHT <= width
    y0 = top + (46 if beside else 60)
    bottom = y0 + tall * len(slots)

    def x(time: float) -> float:
        return LEFT + (width - LEFT - RIGHT) * min(1.0, max(0.0, (time - first) / long))

    boxes = [_box(bar, x, y0 + tall * bar.slot, tall, last) for bar in bars]
    written = [
        Label(box.x + box.w / 2, box.y + tall - 5.5, words, "bar")
        for bar, box in zip(bars, boxes, strict=True)
        if tall >= 13 and (words := next((words for need, words in bar.words if box.w > need), ""))
    ]
    lines, fates = _moments(moments, x, y0, bottom)
    begins, names = _starts(starts, x, y0, bottom)
    axis = [
        Label(x(t), bottom + 14, f"{text} s", "note", "end" if x(t) > width - 30 else "middle")
        for t, text in round_moments(first, last, 5)
    ]
    rows = [y0 + tall * (k + 1) for k in range(len(slots))]
    return Field(
        boxes=_joined(boxes) if len(boxes) > BARS else boxes,
        links=[
            *(Link(f"slot:{k}", line(LEFT, y, width - RIGHT, y), "slot") for k, y in enumerate(rows)),
            *begins,
            *lines,
        ],
        labels=[
            Label(MARGIN, top + 14, heads[0], "name", "start"),
            *_machines(slots, y0, tall),
            *written,
            Label(width - RIGHT, top + 14, heads[1], "note", "end")
            if beside
            else Label(MARGIN, top + 29, heads[1], "note", "start"),
            *names,
            *fates,
            *axis,
        ],
        bottom=bottom + 22,
    )


def _box(bar: Bar, x: Scale, y: float, tall: float, last: float) -> Box:
    left, right = x(bar.start), x(bar.end if bar.end is not None else last)
    width = max(1.5, right - left - 0.8)
    return Box(bar.id, left, y + 1.5, width, tall - 3, bar.cls, bar.colour, bar.tip)


def _joined(boxes: list[Box]) -> list[Box]:
    """Bars of one line and one look that touch become one."""
    found: dict[tuple[float, str], Box] = {}
    done: list[Box] = []
    for box in sorted(boxes, key=lambda b: (b.y, b.x)):
        key = (box.y, box.cls)
        other = found.get(key)
        if other is not None and box.x - (other.x + other.w) < 1.6:
            width = max(other.w, box.x + box.w - other.x)
            found[key] = replace(other, w=width, tip="several tasks")
            continue
        if other is not None:
            done.append(other)
        found[key] = box
    return [*done, *found.values()]


def _machines(slots: Sequence[str], y0: float, tall: float) -> list[Label]:
    """Each machine once, at the middle of its lines."""
    lines: dict[str, list[int]] = {}
    for k, machine in enumerate(slots):
        lines.setdefault(machine, []).append(k)
    if tall * len(slots) / max(1, len(lines)) < 9:
        return []
    return [
        Label(LEFT - 8, y0 + tall * (sum(some) / len(some) + 0.5) + 4, machine, "", "end")
        for machine, some in lines.items()
    ]


def _moments(
    moments: Sequence[tuple[float, str, str]], x: Scale, y0: float, bottom: float
) -> tuple[list[Link], list[Label]]:
    links, labels = [], []
    taken = float("-inf")
    for k, (time, machine, cls) in enumerate(moments):
        at, words = x(time), FATES[cls].format(machine)
        links.append(Link(f"moment:{k}", line(at, y0 - 12, at, bottom), f"moment {cls}", width=1.4))
        long, right = 6 * len(words), x(float("inf")) + RIGHT
        side, anchor = (3, "start") if at + 3 + long < right else (-3, "end")
        if (at if side > 0 else at - long) - taken > 8:
            labels.append(Label(at + side, y0 - 5, words, f"moment {cls}", anchor))
            taken = at + long if side > 0 else at
    return links, labels


def _starts(
    starts: Sequence[tuple[str, float, str]], x: Scale, y0: float, bottom: float
) -> tuple[list[Link], list[Label]]:
    links, labels = [], []
    taken = float("-inf")
    for name, time, words in starts:
        at = x(time)
        links.append(Link(name, line(at, y0 - 18, at, bottom), "job"))
        if at - taken > 46:
            labels.append(Label(at + 2, y0 - 17, words, "tiny", "start"))
            taken = at
    return links, labels
