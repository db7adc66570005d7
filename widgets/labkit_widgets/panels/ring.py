"""A Chord ring as data for the stage, and the numbers that matter beside it. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from labkit.systems.chord.view import RingNode, RingView
from labkit.trace.words import many

from ..layouts.circle import CX, CY, HEIGHT, WIDTH, Spot, Way, circle, crowded, summary
from ..looks import indexes
from ..numbers import Number
from ..scene import Label, Scene

#: What is drawn of the selected node.
SELECTED = ("lines: its fingers", "green rings: its successor list", "dashed ring: its predecessor")


def ring_scene(frame: RingView, selected: str | None = None, key: tuple[str, int] | None = None) -> Scene:
    """The ring, with the fingers and successors of the selected node, and the place of a key (name, id)."""
    colours = indexes([machine.name for machine in frame.machines])
    chosen = frame.node(selected) if selected else None
    size = 2**frame.bits
    spots = [
        Spot(
            node.name,
            node.id / size,
            colours.get(node.machine, -1),
            node.state,
            tip(node),
            _relation(node, chosen),
            (("own", node.own), ("copies", node.copies)) if node.state != "dead" else (),
            f"{node.name}: {_held(node)}",
        )
        for node in frame.nodes
    ]
    living = len(frame.living)
    dead = len(frame.nodes) - living
    title = f"Chord ring of {many(living, 'living node')}" + (f" and {dead} dead" if dead else "")
    if crowded(spots):
        note = f"{dead:,} dead; summarised: each bar counts one arc"
        return summary(spots, f"{many(living, 'node')} alive", note, title)
    named = (chosen.name, *chosen.successors[:1]) if chosen is not None else ()
    tick = (key[0], key[1] / size) if key is not None else None
    ways = [*_pointers(frame), *_fingers(frame, chosen)]
    return circle(spots, ways, title, tick=tick, heads=_heads(frame, chosen), named=named)


def tip(node: RingNode) -> str:
    """A node in one sentence: tooltip, and name for those who cannot see."""
    state = "" if node.state == "alive" else f", {node.state}"
    problem = f"; {node.problem}" if node.problem else ""
    return f"{node.name} on {node.machine or '?'}{state}; {_held(node)}{problem}"


def _held(node: RingNode) -> str:
    return f"{many(node.own, 'key')}, {many(node.copies, 'copy')}"


def _relation(node: RingNode, chosen: RingNode | None) -> str:
    """What the node is to the selected one."""
    if chosen is None:
        return "" if node.right else "wrong"
    if node.name == chosen.name:
        return "selected"
    fingered = any(node.name == name for _, name in chosen.fingers)
    parts = (
        "listed" if node.name in chosen.successors else "",
        "predecessor" if node.name == chosen.predecessor else "",
        "fingered" if fingered else "",
    )
    return " ".join(filter(None, parts))


def _pointers(frame: RingView) -> Iterator[Way]:
    """Each living node's first successor: an arc of the ring if it is right, a warning if not."""
    for node in frame.living:
        if node.successors:
            ends = f"s:{node.name}", node.name, node.successors[0]
            yield Way(*ends, "succ") if node.right else Way(*ends, "succ wrong", -0.25, node.problem)


def _fingers(frame: RingView, chosen: RingNode | None) -> Iterator[Way]:
    """From the selected node to its fingers, once for each node they lead to."""
    reasons: dict[str, list[int]] = {}
    for k, name in chosen.fingers if chosen is not None else ():
        reasons.setdefault(name, []).append(k)
    for name, which in reasons.items():
        target = frame.node(name)
        if chosen is not None and target is not None and name != chosen.name:
            cls = "finger stale" if target.state == "dead" else "finger"
            said = f"finger {which[0]}" if len(which) == 1 else f"fingers {which[0]} to {which[-1]}"
            yield Way(f"f:{name}", chosen.name, name, cls, 0.35, f"{said}: {name}")


def _heads(frame: RingView, chosen: RingNode | None) -> Iterator[Label]:
    """Whether the ring is whole, and how to read the picture."""
    if not frame.nodes:
        yield Label(CX, CY, "no node has joined yet", "hint")
        return
    wrong = sum(not node.right for node in frame.living)
    whole = f"! {many(wrong, 'successor')} to repair" if wrong else "✓ ring whole"
    whole = whole if frame.living else "✕ no member left"
    yield Label(12, 20, whole, "good" if frame.living and not wrong else "bad", "start")
    if frame.keys:
        yield Label(12, HEIGHT - 10, "bars inwards: keys owned, paler: copies", "note", "start")
    asked, hints = ("note", SELECTED) if chosen else ("note ask", ("select a node to see its fingers",))
    for k, hint in enumerate(hints):
        yield Label(WIDTH - 12, 20 + 15 * k, hint, asked, "end")


# -- the numbers that matter ------------------------------------------------------------


def numbers(frame: RingView) -> tuple[Number, ...]:
    """What the ring is judged by: pointers, copies, and what the paper's theory says of lookups and loads."""
    count, loads = len(frame.living), [node.own for node in frame.living]
    mean = sum(loads) / count if count else 0.0
    peak = f"{max(loads) / mean:.1f}× mean" if mean else "no keys yet"
    harmonic = sum(1 / k for k in range(1, count + 1))
    return (
        _successors_right(frame),
        _keys_copied(frame),
        Number("Hops per lookup", _ratio(frame.hop_sum, frame.finished), theory=_hops_expected(frame.living)),
        Number("Timeouts per lookup", _ratio(frame.timeout_sum, frame.finished), theory="0 without failures"),
        Number("Fullest node", peak, theory=f"{harmonic:.1f}×" if mean else ""),
    )


def _successors_right(frame: RingView) -> Number:
    """Of no member nothing is right."""
    if not frame.nodes:
        return Number("Successors right", "no member yet")
    right, living = sum(node.right for node in frame.living), len(frame.living)
    if not living:
        return Number("Successors right", "no member left", "", "bad")
    tone = "good" if right == living else "bad"
    return Number("Successors right", f"{right} of {living}", tone=tone, theory="all, once stabilised")


def _keys_copied(frame: RingView) -> Number:
    if not frame.keys:
        return Number("Keys fully copied", "no keys yet")
    safe = f"{frame.lost:,} lost" if frame.lost else f"{frame.keys - frame.scarce:,} of {frame.keys:,}"
    tone = "bad" if frame.scarce or frame.lost else "good"
    return Number("Keys fully copied", safe, tone=tone, theory="all, once repaired")


def _hops_expected(living: tuple[RingNode, ...]) -> str:
    """What the paper's theory says, and why fewer may be seen."""
    if not living:
        return ""
    words = f"½ log₂ {len(living)} = {math.log2(len(living)) / 2:.2f} with fingers alone"
    near = max(len(node.successors) for node in living)
    return f"{words}; the successor lists of {near} shorten the way" if near > 1 else words


def _ratio(total: int, count: int) -> str:
    return f"{total / count:.2f}" if count else "none yet"
