"""A scene as SVG text, without a browser. Attributes only, no style sheet.

Whatever cleans HTML leaves them alone.
"""

from __future__ import annotations

import html
import math

from .looks import LIGHT, OUTLINES, OVERLAYS, attributes, own, placed
from .scene import Box, Label, Link, Mark, Scene

TEXT_SIZE = 11.5


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
    attributes = {"font_size": TEXT_SIZE, "fill": LIGHT[ink], **attributes}
    return tag("text", html.escape(str(words)), x=x, y=y, **attributes)


def _text(value: object) -> str:
    return (
        f"{value:.2f}".rstrip("0").removesuffix(".")
        if isinstance(value, float)
        else html.escape(str(value), quote=True)
    )


def _box(box: Box) -> str:
    return tag("rect", x=box.x, y=box.y, width=box.w, height=box.h, **attributes("box", box.cls, box.colour))


def _link(link: Link) -> str:
    look = attributes("link", link.cls, link.colour)
    return tag("path", d=link.path, **look | ({"stroke-width": link.width} if link.width != 1.0 else {}))


def _label(label: Label) -> str:
    look = attributes("label", label.cls)
    look.pop("stroke", None)
    return tag("text", html.escape(label.text), x=label.x, y=label.y, **look, text_anchor=label.anchor)


def leads(one: Mark) -> bool:
    """Whether a mark's name stands so far from it that a line leads to it."""
    return bool(one.label) and one.anchor != "middle" and math.hypot(one.lx - one.x, one.ly - 4 - one.y) > 20


def _leader(one: Mark) -> str:
    if not leads(one):
        return ""
    x = one.lx + (-3 if one.anchor == "start" else 3)
    return tag("path", d=f"M{one.x:.1f},{one.y:.1f}L{x:.1f},{one.ly - 4:.1f}", **attributes("leader", ""))


def mark(one: Mark) -> str:
    """A mark, its state and its name; the same parts as in `stage.js`."""
    words = f"{one.state} {one.cls}"
    look = {"colour": one.colour, "own": own(words)}
    parts = []
    halo = attributes("halo", words, **look)
    if halo["stroke"] != "none":
        if "cell" in words.split():
            parts.append(tag("path", d=shape("square", one.x, one.y, one.r + 2.2), **halo))
        else:
            parts.append(tag("circle", cx=one.x, cy=one.y, r=one.r + (3 if one.r < 6 else 5), **halo))
    parts.append(tag("path", d=shape(one.shape, one.x, one.y, one.r), **attributes("shape", words, **look)))
    if "again" in words.split() and one.r > 5:
        corner = placed(OVERLAYS["again"], one.x, one.y, one.r)
        parts.append(tag("path", d=corner, **attributes("corner", words)))
    if one.state in OVERLAYS and one.r >= 3:
        sign = placed(OVERLAYS[one.state], one.x, one.y, one.r)
        parts.append(tag("path", d=sign, **attributes("overlay", words, **look)))
    faint = attributes("mark", words)
    drawn = tag("g", "".join(parts), **faint) if faint else "".join(parts)
    if one.label:
        name = attributes("name", words)
        drawn += tag("text", html.escape(one.label), x=one.lx, y=one.ly, **name, text_anchor=one.anchor)
    return drawn


def shape(name: str, x: float, y: float, r: float) -> str:
    """Path data of a mark's shape."""
    return placed(OUTLINES[name], x, y, r)
