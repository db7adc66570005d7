"""Tasks over time: a line for each slot of an executor, a bar for each task, and the machines' fates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from labkit.systems.spark.state import TaskView

from ..frames.lineage import LineageFrame, Slot
from ..layouts.lamport import round_moments
from ..scene import Box, Label, Link, line

LEFT, RIGHT = 50.0, 14.0
#: A line's height, and the height of all of them at most.
LINE, TALL = 15.0, 190.0
#: More bars than this are joined where no eye could tell them apart.
BARS = 200
ENDS = {"ok": "done", "fetch_failed": "an input was gone", "executor_lost": "died with its executor",
        "too_late": "another copy was faster", "cancelled": "cancelled", "error": "failed"}  # fmt: skip
#: What the bars mean that the squares' legend does not say.
LEGEND = "stage.partition; ↻ done again; dashed: running; red: failed, its result is not used"
Scale = Callable[[float], float]
WHYS = {"lost": "its result was lost", "retry": "a second attempt", "speculative": "a copy of a slow task"}


@dataclass(frozen=True)
class Chart:
    """A part of a scene, and where it ends."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    labels: tuple[Label, ...]
    bottom: float


def gantt(frame: LineageFrame, colours: dict[str, int], width: float, top: float) -> Chart:
    """The chart of a frame's tasks, below `top`."""
    slots = {(slot.executor, slot.index): k for k, slot in enumerate(frame.slots)}
    if not slots:
        return Chart((), (), (), top)
    tall = min(LINE, TALL / len(slots))
    first, last = frame.start, max([frame.time if _open(frame) else 0.0, *(t.end or 0.0 for t in frame.bars)])
    span = max(last - first, 1e-9)
    y0 = top + 46
    bottom = y0 + tall * len(slots)

    def x(time: float) -> float:
        return LEFT + (width - LEFT - RIGHT) * min(1.0, max(0.0, (time - first) / span))

    boxes = [_bar(task, x, y0 + tall * slots[task.executor, task.slot], tall, colours, last)
             for task in frame.bars]  # fmt: skip
    labels = [Label(16, top + 14, "Tasks over time", "name", "start"), *_names(frame.slots, y0, tall)]
    if tall >= 13:
        labels += [
            Label(box.x + box.w / 2, box.y + tall - 5.5, words, "bar")
            for task, box in zip(frame.bars, boxes, strict=True)
            if (words := _written(task, box.w))
        ]
    labels.append(Label(width - RIGHT, top + 14, LEGEND, "note", "end"))
    lines, words = _moments(frame, x, y0, bottom)
    jobs, names = _jobs(frame, x, y0, bottom)
    axis = [
        Label(x(t), bottom + 14, f"{text} s", "note", "end" if x(t) > width - 30 else "middle")
        for t, text in round_moments(first, last, 5)
    ]
    rows = [Link(f"slot:{k}", line(LEFT, y0 + tall * (k + 1), width - RIGHT, y0 + tall * (k + 1)), "slot")
            for k in range(len(slots))]  # fmt: skip
    return Chart(
        tuple(_joined(boxes) if len(boxes) > BARS else boxes),
        (*rows, *jobs, *lines),
        (*labels, *names, *words, *axis),
        bottom + 22,
    )


def _written(task: TaskView, width: float) -> str:
    """What fits on a bar: the sign of a task that is done again, and which task it is."""
    sign = "↻" if task.again else ""
    if width > 30 + 10 * task.again:
        return f"{sign} {task.stage}.{task.partition}".strip()
    return sign if width > 9 else ""


def _open(frame: LineageFrame) -> bool:
    return frame.job is not None and frame.job.end is None


def _bar(task: TaskView, x: Scale, y: float, tall: float, colours: dict[str, int], last: float) -> Box:
    left, right = x(task.start), x(task.end if task.end is not None else last)
    look = "running" if task.end is None else "good" if task.result == "ok" else "failed"
    if task.again and look != "failed":
        look += " again"
    if task.why == "speculative":
        look += " speculative"
    took = f", {1000 * (task.end - task.start):,.0f} ms" if task.end is not None else ""
    end = ENDS.get(task.result, task.result) if task.end is not None else "running"
    records = f", {task.records:,} records" if task.records else ""
    why = f"; {WHYS[task.why]}" if task.why in WHYS else ""
    what = f"task {task.id}: stage {task.stage}, partition {task.partition} on {task.machine}"
    tip = f"{what}: {end}{took}{records}{why}"
    width = max(1.5, right - left - 0.8)
    colour = colours.get(task.machine, -1)
    return Box(f"t:{task.id}", left, y + 1.5, width, tall - 3, f"task {look}", colour, tip)


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


def _names(slots: tuple[Slot, ...], y0: float, tall: float) -> list[Label]:
    """Each machine once, at the middle of its lines."""
    lines: dict[str, list[int]] = {}
    for k, slot in enumerate(slots):
        lines.setdefault(slot.machine, []).append(k)
    gap = tall * len(slots) / max(1, len(lines))
    if gap < 9:
        return []
    return [
        Label(LEFT - 8, y0 + tall * (sum(some) / len(some) + 0.5) + 4, machine, "", "end")
        for machine, some in lines.items()
    ]


def _moments(frame: LineageFrame, x: Scale, y0: float, bottom: float) -> tuple[list[Link], list[Label]]:
    """When machines died, when the driver noticed, when they came back."""
    links, labels = [], []
    signs = {"dead": "✕ {} dies", "noticed": "noticed", "back": "✓ {} is back"}
    taken = float("-inf")
    for k, (time, machine, what) in enumerate(frame.moments):
        at = x(time)
        links.append(Link(f"moment:{k}", line(at, y0 - 12, at, bottom), f"moment {what}", width=1.4))
        words = signs[what].format(machine)
        if at - taken > 8:
            side, anchor = (3, "start") if at < 500 else (-3, "end")
            labels.append(Label(at + side, y0 - 5, words, f"moment {what}", anchor))
            taken = at + 6 * len(words)
    return links, labels


def _jobs(frame: LineageFrame, x: Scale, y0: float, bottom: float) -> tuple[list[Link], list[Label]]:
    """Where each job begins."""
    links, labels = [], []
    shown = [job for job in frame.jobs if job.start >= frame.start and frame.job and job.id <= frame.job.id]
    taken = float("-inf")
    for job in shown:
        at = x(job.start)
        links.append(Link(f"job:{job.id}", line(at, y0 - 18, at, bottom), "job"))
        if at - taken > 46:
            labels.append(Label(at + 2, y0 - 17, f"job {job.id}", "tiny", "start"))
            taken = at
    return links, labels
