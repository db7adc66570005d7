"""The picture that stays when the kernel is gone: what a notebook file carries of a panel.

A notebook's reader (GitHub, nbviewer, nbconvert, a grader) has no kernel. Each of them prefers `text/html` to
`image/svg+xml`, and leaves the widget aside when no widget state is saved. GitHub cleans `text/html`: it
drops scripts, styles and `<svg>` elements but keeps an `<img>` with the picture in a data URI. So the HTML is
one such image, drawn on its own light card, which reads on a dark page too; and below it a small table with
the machines and the numbers: all that the strictest cleaner (`nbconvert --sanitize-html`) leaves, and what a
screen reader reads.
"""

from __future__ import annotations

import base64
import html
import math
import textwrap
from typing import Any

from labkit.trace.machines import MachineView
from labkit.trace.words import many

from .looks import LIGHT, SIGNS, indexes, outline
from .numbers import Number
from .scene import Mark, Scene
from .svg import drawing, mark, tag, text

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
FONT = "system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif"
#: Chips in the picture; a lab with more machines shows the first ones.
CHIPS = 24
Figures = tuple[Number, ...]
#: Width of a small letter in the picture, as far as one can know without drawing it.
LETTER = 5.6
#: The last events, which are the answer to what happened.
EVENTS = 6


def bundle(plain: str, view: str | None, note: str, *shown: Any) -> dict[str, Any]:
    """The MIME bundle of a panel: the live widget, the picture, and a text that is equal in every run."""
    data: dict[str, Any] = {"text/plain": plain, "text/html": page(*shown, note)}
    if view is not None:
        data[WIDGET_VIEW] = {"version_major": 2, "version_minor": 0, "model_id": view}
    return data


def page(title: str, facts: str, frame: Any, numbers: Figures, scene: Scene, note: str = "") -> str:
    """The picture as HTML that cleaners leave alone, below a note on what became of the panel."""
    svg = card(title, facts, frame, numbers, scene)
    data = base64.b64encode(svg.encode()).decode()
    words = html.escape(f"{title}, {facts}: {scene.title}", quote=True)
    image = f'<img alt="{words}" width="{scene.width:.0f}" src="data:image/svg+xml;base64,{data}">'
    machines = _table(
        [[f"{m.name}: {SIGNS[m.state]} {m.state}, {many(len(m.nodes), 'node')}" for m in frame.machines]]
    )
    figures = _table([[n.label, n.value, n.theory or n.note] for n in numbers])
    events = _table([[f"{line.time:.2f} s", line.text] for line in list(frame.lines)[: -EVENTS - 1 : -1]])
    head = f"<p><em>{html.escape(note)}</em></p>" if note else ""
    return f"{head}<div>{image}</div><div>{machines}{figures}{events}</div>"


def _table(rows: list[list[str]]) -> str:
    return "<table>" + "".join(map(_row, rows)) + "</table>"


def _row(cells: list[str]) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def card(title: str, facts: str, frame: Any, numbers: Figures, scene: Scene) -> str:
    """A panel as one SVG document: title, machines, stage, numbers."""
    width = scene.width
    chips, top = _chips(frame.machines, width)
    figures, below = _numbers(numbers, width)
    bottom = top + scene.height
    height = bottom + below
    paper = {"fill": LIGHT["paper"], "stroke": LIGHT["line"]}
    content = [
        tag("rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=10, **paper),
        text(16, 26, title, font_size=16, font_weight=600),
        text(width - 16, 26, f"{facts} · at {frame.time:.2f} s", "faint", font_size=12, text_anchor="end"),
        chips,
        tag("g", drawing(scene), transform=f"translate(0,{top:.0f})"),
        tag("g", figures, transform=f"translate(0,{bottom:.0f})") if figures else "",
    ]
    size = {"width": width, "height": height, "viewBox": f"0 0 {width:.0f} {height:.0f}"}
    return tag("svg", "".join(content), xmlns="http://www.w3.org/2000/svg", font_family=FONT, **size)


def _chips(machines: tuple[MachineView, ...], width: float) -> tuple[str, float]:
    """One chip a machine, in rows; and the height they end at."""
    colours = indexes([machine.name for machine in machines])
    per_row = max(1, int((width - 24) // 132))
    step = (width - 24) / per_row
    shown = machines[:CHIPS]
    parts = [
        _chip(machine, colours[machine.name], 16 + (k % per_row) * step, 40 + (k // per_row) * 28, step - 8)
        for k, machine in enumerate(shown)
    ]
    return "".join(parts), 44.0 + 28.0 * math.ceil(len(shown) / per_row)


def _chip(machine: MachineView, index: int, x: float, y: float, width: float) -> str:
    tones = {"alive": ("line", "good"), "dead": ("bad", "bad")}
    edge, ink = tones.get(machine.state, ("warn", "warn"))
    glyph = Mark("", x + 13, y + 11, 5.5, outline(index), index, machine.state)
    state = f"{SIGNS[machine.state]} {machine.state}"
    return (
        tag("rect", x=x, y=y, width=width, height=22, rx=6, fill="none", stroke=LIGHT[edge])
        + mark(glyph)
        + text(x + 25, y + 15, machine.name, font_size=12, font_weight=600)
        + text(x + width - 8, y + 15, state, ink, font_size=12, text_anchor="end")
    )


def _numbers(numbers: Figures, width: float) -> tuple[str, float]:
    """The numbers side by side; and the height they take."""
    if not numbers:
        return "", 12.0
    step = (width - 24) / len(numbers)
    beside = [textwrap.wrap(number.theory or number.note, int(step / LETTER)) for number in numbers]
    parts = [tag("line", x1=16, x2=width - 16, y1=4, y2=4, stroke=LIGHT["line"])]
    for index, number in enumerate(numbers):
        x, ink = 16 + index * step, number.tone if number.tone in LIGHT else "ink"
        parts.append(text(x, 22, number.label, "faint", font_size=9.8))
        parts.append(text(x, 41, number.value, ink, font_size=14, font_weight=600))
        lines = enumerate(beside[index])
        parts += [text(x, 57 + 12 * k, line, "faint", font_size=10.5) for k, line in lines]
    return "".join(parts), 58.0 + 12.0 * max(1, *map(len, beside), 1)
