"""A scene as SVG text, without a browser. Attributes only, no style sheet.

Whatever cleans HTML leaves them alone.
"""

from __future__ import annotations

import html
import math

from .palette import COLOURS, SNAPSHOT
from .scene import Box, Label, Link, Mark, Scene

#: Regular shapes: corners, turn in degrees, growth that makes all shapes look equally large.
_CORNERS = {
    "square": (4, 45, 1.2),
    "diamond": (4, 0, 1.25),
    "triangle": (3, 0, 1.35),
    "wedge": (3, 180, 1.35),
    "hexagon": (6, 30, 1.12),
    "pentagon": (5, 0, 1.18),
}
#: For each class of link: stroke (a name of SNAPSHOT, or "own"), width, dashes, opacity. The first fit
#: counts.
_LINKS = (
    ("dependency wide again", "again", 4.0, "", 1.0),
    ("dependency again", "again", 1.8, "", 1.0),
    ("dependency wide", "faint", 4.0, "", 0.75),
    ("dependency", "faint", 1.5, "", 1.0),
    ("slot", "line", 1.0, "", 0.5),
    ("job", "faint", 1.0, "2 3", 0.6),
    ("moment dead", "bad", 1.4, "", 1.0),
    ("moment noticed", "faint", 1.4, "3 3", 1.0),
    ("moment back", "good", 1.4, "", 1.0),
    ("succ wrong", "bad", 1.8, "5 4", 1.0),
    ("succ", "faint", 1.6, "", 1.0),
    ("key", "accent", 4.0, "", 1.0),
    ("circle", "line", 1.0, "2 4", 1.0),
    ("finger stale", "bad", 1.5, "4 4", 0.8),
    ("finger", "accent", 1.5, "", 0.75),
    ("load copies", "own", 5.0, "", 0.35),
    ("load", "own", 5.0, "", 1.0),
    ("density gone", "bad", 9.0, "", 0.6),
    ("density", "own", 9.0, "", 1.0),
    ("link cut", "bad", 2.0, "3 9", 1.0),
    ("cutoff", "bad", 2.2, "", 1.0),
    ("link idle", "line", 1.0, "2 5", 0.8),
    ("link", "faint", 1.0, "", 0.5),
    ("lane", "own", 1.4, "", 0.55),
    ("arrow lost", "bad", 1.2, "4 3", 0.9),
    ("arrow explains", "accent", 2.6, "", 1.0),
    ("arrow", "faint", 1.1, "", 0.75),
    ("wait", "warn", 1.5, "4 3", 0.9),
    ("grid", "line", 1.0, "", 0.7),
    ("", "line", 1.0, "", 1.0),
)
#: Classes of text: colour, size (None: as it is), weight.
_TEXTS = (
    ("stage", "ink", 12, 600),
    ("kept", "ink", None, 700),
    ("tiny", "faint", 11, 400),
    ("bar", "ink", 11, 400),
    ("sign", "ink", 11, 700),
    ("moment", "faint", 10.5, 400),
    ("running", "accent", 12, 600),
    ("done", "good", 12, 600),
    ("failed", "bad", 12, 600),
    ("skipped", "faint", 12, 400),
    ("waiting", "faint", 12, 400),
    ("back", "good", 10.5, 400),
    ("lost", "bad", 9, 700),
    ("holding", "warn", None, 600),
    ("note", "faint", None, 400),
    ("hint", "faint", 14, 400),
    ("big", "ink", 17, 600),
    ("name", "ink", 13, 600),
    ("good", "good", 13, 600),
    ("key", "accent", 12.5, 600),
    ("cross", "bad", 15, 600),
    ("bad", "bad", 13, 600),
    ("dead", "bad", 12, 600),
    ("paused", "warn", 12, 600),
    ("slow", "warn", 12, 600),
)
TEXT_SIZE = 11.5
#: How the pieces of an RDD look: strength of the machine's colour in the square, and what is drawn over it.
_CELLS = {
    "todo": (0.0, ""), "running": (0.0, ""), "passed": (0.3, ""), "memory": (1.0, ""), "disk": (0.55, ""),
    "delivered": (0.3, "tick"), "lost": (0.0, "cross"), "ghost": (0.0, "cross"), "good": (0.55, ""),
    "failed": (0.0, ""),
}  # fmt: skip


def drawing(scene: Scene) -> str:
    """The elements of a scene, back to front; without the words that ask a person for a click."""
    parts = [
        *map(_box, scene.boxes),
        *map(_link, scene.links),
        *map(_leader, scene.marks),
        *(_label(label) for label in scene.labels if "ask" not in label.cls.split()),
        *map(mark, scene.marks),
    ]
    return "".join(parts)


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """One element; `stroke_width=2` becomes `stroke-width='2'`, and None is left out."""
    words = "".join(
        f" {key.replace('_', '-')}='{_text(value)}'" for key, value in attributes.items() if value is not None
    )
    return f"<{name}{words}>{content}</{name}>" if content else f"<{name}{words}/>"


def text(x: float, y: float, words: str, ink: str = "ink", **attributes: object) -> str:
    """A line of text in one of the snapshot's colours."""
    attributes = {"font_size": TEXT_SIZE, "fill": SNAPSHOT[ink], **attributes}
    return tag("text", html.escape(str(words)), x=x, y=y, **attributes)


def _text(value: object) -> str:
    return (
        f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else html.escape(str(value), quote=True)
    )


def _hue(index: int) -> str:
    return COLOURS[index % len(COLOURS)] if index >= 0 else SNAPSHOT["faint"]


def _box(box: Box) -> str:
    words = box.cls.split()
    if words[:1] in (["legend"], ["count"], ["task"]):
        return _piece(box, words)
    if words[:1] == ["cone"]:
        return tag("rect", x=box.x, y=box.y, width=box.w, height=box.h, rx=4, fill=SNAPSHOT["again"],
                   fill_opacity="0.13")  # fmt: skip
    look: dict[str, object] = {"fill": SNAPSHOT["soft"], "stroke": _hue(box.colour), "stroke_width": 1.4}
    if "band" in words:
        look = {"fill": SNAPSHOT["bad" if "dead" in words else "warn"], "fill_opacity": "0.2"}
    elif "column" in words and "alive" in words:
        look = {"fill": _hue(box.colour), "fill_opacity": "0.07"}
    elif "stage" in words:
        look = {"fill": "none", "stroke": SNAPSHOT["accent" if "running" in words else "line"]}
    elif "dead" in words:
        look = {"fill": "#fdecea", "stroke": SNAPSHOT["bad"], "stroke_dasharray": "5 4"}
    elif "allowed" in words:
        look = {"fill": "#e6f4ee", "stroke": SNAPSHOT["good"], "stroke_width": 1}
    elif "paused" in words or "slow" in words:
        look = {"fill": "#fff5d6", "stroke": SNAPSHOT["warn"], "stroke_width": 1.4}
    return tag("rect", x=box.x, y=box.y, width=box.w, height=box.h, rx=8, **look)


def _piece(box: Box, words: list[str]) -> str:
    """A task, a square of the legend, or some of an RDD's partitions, counted."""
    state = next((word for word in words if word in _CELLS), "todo")
    hue = SNAPSHOT["again"] if "again" in words else _hue(box.colour)
    wrong = state in ("lost", "failed")
    fill, strength = ("#fdecea", 1.0) if wrong else (hue, _CELLS[state][0])
    return tag(
        "rect", x=box.x, y=box.y, width=box.w, height=box.h, rx=2, fill=fill, fill_opacity=str(strength),
        stroke=SNAPSHOT["bad"] if wrong else hue, stroke_width=1.0,
        stroke_dasharray="2 2" if state in ("todo", "running") else None,
    )  # fmt: skip


def _cell(one: Mark) -> str:
    """One partition of an RDD: its state as the strength of its colour, and a sign."""
    words = set(one.cls.split())
    strength, sign = _CELLS[one.state]
    hue = SNAPSHOT["bad"] if sign == "cross" else SNAPSHOT["again"] if "again" in words else _hue(one.colour)
    side, faint = 1.7 * one.r, "0.4" if one.state == "ghost" else None
    corner = {"x": one.x - side / 2, "y": one.y - side / 2, "width": side, "height": side}
    parts = [tag("rect", **corner, fill=hue, fill_opacity=str(strength), stroke=hue,
                 stroke_width=0.8 if one.state == "todo" else 1.2, opacity=faint)]  # fmt: skip
    if "again" in words:
        d = 0.85 * one.r
        corner_path = f"M{one.x + d:.1f},{one.y - d:.1f}v{d:.1f}L{one.x:.1f},{one.y - d:.1f}Z"
        parts.append(tag("path", d=corner_path, fill=SNAPSHOT["ink"]))
    if sign == "cross":
        cross = shape("cross", one.x, one.y, one.r * 0.62)
        parts.append(tag("path", d=cross, stroke=hue, stroke_width=1.8, opacity=faint))
    if sign == "tick":
        r = one.r
        tick = (
            f"M{one.x - r * 0.45:.1f},{one.y:.1f}l{r * 0.32:.1f},{r * 0.4:.1f}l{r * 0.6:.1f},{-r * 0.8:.1f}"
        )
        parts.append(tag("path", d=tick, fill="none", stroke=SNAPSHOT["ink"], stroke_width=1.5))
    if {"owed", "source", "selected"} & words:
        ring = {"fill": "none", "stroke": SNAPSHOT["again" if "owed" in words else "accent"]}
        outline = shape("square", one.x, one.y, one.r + 2.2)
        parts.append(tag("path", d=outline, stroke_width=1.6, **ring))
    return "".join(parts)


def _link(link: Link) -> str:
    words = set(link.cls.split())
    _, colour, width, dashes, opacity = next(look for look in _LINKS if set(look[0].split()) <= words)
    return tag(
        "path",
        d=link.path,
        fill="none",
        stroke=_hue(link.colour) if colour == "own" else SNAPSHOT[colour],
        stroke_width=link.width if link.width != 1.0 else width,
        stroke_dasharray=dashes or None,
        opacity=str(opacity),
    )


def _label(label: Label) -> str:
    words = label.cls.split()
    fits = [look for look in _TEXTS if look[0] in words]
    _, ink, size, weight = fits[-1] if fits else ("", "ink", None, 400)
    look = {"font_size": size or TEXT_SIZE, "font_weight": weight, "text_anchor": label.anchor}
    return text(label.x, label.y, label.text, ink, **look)


def _leader(one: Mark) -> str:
    """The line from a mark to its name, if the name stands apart."""
    if not one.label or one.anchor == "middle":
        return ""
    x = one.lx + (-3 if one.anchor == "start" else 3)
    path = f"M{one.x:.1f},{one.y:.1f}L{x:.1f},{one.ly - 4:.1f}"
    return tag("path", d=path, stroke=SNAPSHOT["line"], stroke_width=0.8)


def mark(one: Mark) -> str:
    """A mark, its state and its name."""
    words, dead = set(one.cls.split()), one.state == "dead"
    if "cell" in words:
        return _cell(one)
    fill, stroke, width = _hue(one.colour), SNAPSHOT["paper"], 1.2
    if dead or words & {"fault", "trouble"}:
        fill, stroke, width = (SNAPSHOT["paper"] if dead else "none"), SNAPSHOT["bad"], 1.5
    if "node" in words:
        fill = SNAPSHOT["ink" if "kept" in words else "paper"]
        stroke, width = SNAPSHOT["again" if "again" in words else "faint"], 1.8
    if "client" in words:
        fill, stroke, width = SNAPSHOT["paper"], SNAPSHOT["ink"], 2.0
    if "repair" in words:
        fill = SNAPSHOT["good"]
    parts = []
    if words & {"selected", "explains"}:
        halo = {"fill": "none", "stroke": SNAPSHOT["accent"], "stroke_width": 2.5}
        parts.append(tag("circle", cx=one.x, cy=one.y, r=one.r + 5, **halo))
    outline = shape(one.shape, one.x, one.y, one.r)
    parts.append(tag("path", d=outline, fill=fill, stroke=stroke, stroke_width=width))
    if dead and one.r >= 3:
        cross = shape("cross", one.x, one.y, one.r * 0.62)
        parts.append(tag("path", d=cross, stroke=SNAPSHOT["bad"], stroke_width=2))
    if one.state == "paused" and one.r >= 3:
        parts.append(tag("path", d=_bars(one), stroke=SNAPSHOT["paper"], stroke_width=2))
    if one.label:
        parts.append(text(one.lx, one.ly, one.label, "bad" if dead else "ink", text_anchor=one.anchor))
    return "".join(parts)


def _bars(one: Mark) -> str:
    d = one.r * 0.45
    left, right, top = one.x - d * 0.7, one.x + d * 0.7, one.y - d
    return f"M{left:.1f},{top:.1f}v{2 * d:.1f}M{right:.1f},{top:.1f}v{2 * d:.1f}"


def shape(name: str, x: float, y: float, r: float) -> str:
    """Path data of a mark's shape; `stage.js` draws the same ones."""
    if name == "cross":
        d = r * 0.75
        strokes = ((x - d, y - d, x + d, y + d), (x + d, y - d, x - d, y + d))
        return "".join(f"M{a:.1f},{b:.1f}L{c:.1f},{e:.1f}" for a, b, c, e in strokes)
    if name == "star":
        corners = [(36.0 * k, r * (0.6 if k % 2 else 1.3)) for k in range(10)]
    elif name in _CORNERS:
        count, turn, grow = _CORNERS[name]
        corners = [(turn + 360 / count * k, r * grow) for k in range(count)]
    else:
        half = f"a{r:.1f},{r:.1f} 0 1 0 "
        return f"M{x - r:.1f},{y:.1f}{half}{2 * r:.1f},0{half}{-2 * r:.1f},0"
    turned = [(far, math.radians(angle)) for angle, far in corners]
    return (
        "M" + "L".join(f"{x + far * math.sin(a):.1f},{y - far * math.cos(a):.1f}" for far, a in turned) + "Z"
    )
