"""How things look, from `looks.toml`: for the browser as a style sheet, for the static SVG as attributes."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.trace.machines import CLIENT, natural

_TOML = tomllib.loads((Path(__file__).parent / "looks.toml").read_text(encoding="utf8"))
#: Outlines and signs of size 1 around 0,0.
OUTLINES: dict[str, str] = _TOML["shapes"]
OVERLAYS: dict[str, str] = _TOML["signs"]
#: Machine i has COLOURS[i % 8] and SHAPES[i % 8]; two machines share a colour only beyond eight.
SHAPES: list[str] = _TOML["machines"]
COLOURS: list[str] = [_TOML["colours"][f"c{k}"][0] for k in range(len(SHAPES))]
#: States of a machine: a sign for each, so that the state never hangs on colour alone.
SIGNS: dict[str, str] = _TOML["states"]
#: Colours of charts, and of the snapshot, a light card that reads on any page.
CHARTS: dict[str, str] = _TOML["charts"]
LIGHT: dict[str, str] = {
    **{name: light for name, (light, _) in _TOML["colours"].items()},
    **{name: light for name, (_, light) in _TOML["notebook"].items()},
}
#: What has rules of its own, and where the browser has it: the thing with the class, what is styled in it.
_KINDS = {
    "box": ("lk-box", ""), "link": ("lk-link", ""), "label": ("lk-label", ""), "leader": ("lk-leader", ""),
    "mark": ("lk-mark", ""), "shape": ("lk-mark", "lk-shape"), "overlay": ("lk-mark", "lk-overlay"),
    "corner": ("lk-mark", "lk-corner"), "halo": ("lk-mark", "lk-halo"), "name": ("lk-named", "lk-name"),
}  # fmt: skip
#: Each property: in CSS and SVG, and its unit in CSS.
_PROPERTIES = {
    "fill": ("fill", ""), "stroke": ("stroke", ""), "width": ("stroke-width", ""), "rx": ("rx", "px"),
    "dashes": ("stroke-dasharray", ""), "cap": ("stroke-linecap", ""), "opacity": ("opacity", ""),
    "size": ("font-size", "px"), "weight": ("font-weight", ""), "own": ("--lk-own", ""),
}  # fmt: skip


def placed(path: str, x: float, y: float, r: float) -> str:
    """An outline of size 1 as one of size `r` at x, y; `stage.js` has the same function."""
    return re.sub(
        r"(-?[\d.]+),(-?[\d.]+)",
        lambda pair: f"{x + r * float(pair[1]):.1f},{y + r * float(pair[2]):.1f}",
        path,
    )


# -- for the browser ------------------------------------------------------------


def script() -> str:
    """The outlines as constants of a module."""
    return f"const OUTLINES = {json.dumps(OUTLINES)}, OVERLAYS = {json.dumps(OVERLAYS)};"


def style_sheet() -> str:
    """The colours as variables, and a rule for each look."""
    light, dark = (
        "".join(f"--lk-{name}: {pair[k]}; " for name, pair in _TOML["colours"].items()) for k in (0, 1)
    )
    light += "".join(
        f"--lk-{name}: var({theirs}, {ours}); " for name, (theirs, ours) in _TOML["notebook"].items()
    )
    everywhere = ("{0}.labkit-panel, {0}.labkit-stage {{ {1}}}").format
    owns = [
        f".labkit-stage .lk-c{k} {{ --lk-own: var(--lk-{f'c{k}' if k != '' else 'faint'}); }}"
        for k in ("", *range(len(COLOURS)))
    ]
    rules = [
        f"{', '.join(_selector(kind, words) for words in which.split(' | '))} "
        f"{{ {'; '.join(_declared(*each) for each in look.items())} }}"
        for kind in _KINDS
        for which, look in _TOML[kind].items()
    ]
    night = '[data-jp-theme-light="false"] '
    return "\n".join([everywhere("", light), everywhere(night, dark), *owns, *rules])


def _selector(kind: str, words: str) -> str:
    outer, inner = _KINDS[kind]
    if inner and not words:
        return f".labkit-stage .{inner}"
    return ".".join([f".labkit-stage .{outer}", *words.split()]) + (f" .{inner}" if inner else "")


def _declared(name: str, value: Any) -> str:
    css, unit = _PROPERTIES[name]
    if name not in ("fill", "stroke", "own"):
        return f"{css}: {value}{unit}"
    colour, _, part = value.partition(" ")
    if colour in ("none", "transparent"):
        return f"{css}: {colour}"
    mixed = f"color-mix(in srgb, var(--lk-{colour}) {part}%, var(--lk-paper))"
    return f"{css}: {mixed if part else f'var(--lk-{colour})'}"


# -- for the static SVG ------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _look(kind: str, words: frozenset[str]) -> dict[str, Any]:
    fitting = [
        (len(need), order, look)
        for order, (which, look) in enumerate(_TOML[kind].items())
        for need in (set(each.split()) for each in which.split(" | "))
        if need <= words
    ]
    found: dict[str, Any] = {}
    for _, _, look in sorted(fitting, key=lambda each: each[:2]):
        found.update(look)
    return found


def attributes(kind: str, words: str, colour: int = -1, own: str = "") -> dict[str, object]:
    """How a thing of these words looks, as SVG attributes; `own`: the name of a colour instead of its own."""
    mine = LIGHT[own] if own else COLOURS[colour % len(COLOURS)] if colour >= 0 else LIGHT["faint"]
    look = _look(kind, frozenset(words.split()))
    return {
        _PROPERTIES[name][0]: _solid(value, mine) if name in ("fill", "stroke") else value
        for name, value in look.items()
        if name != "own"
    }


def own(words: str) -> str:
    """The name of the colour that a mark of these words has instead of its own, or ""."""
    return str(_look("mark", frozenset(words.split())).get("own", ""))


def _solid(value: str, mine: str) -> str:
    """A colour as it is on the light card."""
    name, _, part = value.partition(" ")
    if name in ("none", "transparent"):
        return "none"
    colour = mine if name == "own" else LIGHT[name]
    if not part:
        return colour
    share = int(part) / 100
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(LIGHT["paper"][1:]), strict=True)
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


def indexes(machines: Sequence[str]) -> dict[str, int]:
    """Which colour and shape each machine has: by natural order of the names; the client has none (-1)."""
    order = sorted((name for name in machines if name != CLIENT), key=natural)
    return {**{name: index for index, name in enumerate(order)}, CLIENT: -1}


def sign(state: str) -> str:
    """What stands behind the name of a thing in this state: a blank and the state's sign, or nothing."""
    return f" {SIGNS[state]}" if state != "alive" and state in SIGNS else ""


def outline(index: int) -> str:
    """The shape of a machine's things."""
    return SHAPES[index % len(SHAPES)] if index >= 0 else "circle"
