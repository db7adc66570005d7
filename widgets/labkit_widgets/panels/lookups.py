"""A lookup in words, step by step; a node and what it knows; the invariants. Pure functions."""

from __future__ import annotations

import re
from typing import Any

from labkit.systems.chord.view import Hop, LookupView, RingNode, RingView
from labkit.trace.words import many


def line(view: LookupView) -> str:
    """A lookup in a line."""
    end = f"{view.end:.2f} s: " if view.end is not None else ""
    lost = f", {many(view.timeouts, 'timeout')}" if view.timeouts else ""
    return f"{end}{view.key}, {many(view.counted or 0, 'hop')}{lost}"


def _runs(fingers: tuple[tuple[int, str], ...]) -> list[tuple[str, str]]:
    """Fingers that follow one another and show to the same node, together: most of the small ones do."""
    found: list[tuple[int, int, str]] = []
    for k, name in fingers:
        if found and found[-1][1] == k - 1 and found[-1][2] == name:
            found[-1] = (found[-1][0], k, name)
        else:
            found.append((k, k, name))
    return [(str(first) if first == last else f"{first} to {last}", name) for first, last, name in found]


def of_node(node: RingNode | None) -> dict[str, Any]:
    """What the selected node knows: its pointers, as the protocol keeps them."""
    if node is None:
        return {}
    fingers = [f"{ks} → {name}" for ks, name in _runs(node.fingers)]
    rows = [
        ("·", f"on {node.machine or '?'}, {node.state}"),
        ("·", f"{many(node.own, 'key')} of its own, {many(node.copies, 'copy')}"),
        ("←", f"predecessor: {node.predecessor or 'nobody'}"),
        ("→", f"successor list: {', '.join(node.successors) or 'nobody'}"),
        ("↷", f"fingers: {', '.join(fingers)}" if fingers else "no finger has changed yet"),
    ]
    rows += [("!", node.problem)] if node.problem else []
    items = [
        _item(n, sign, text, "trouble" if sign == "!" else "plain") for n, (sign, text) in enumerate(rows)
    ]
    return {"id": node.name, "title": f"{node.name}, id {node.id}", "items": items, "again": False}


def words(number: int, hop: Hop) -> str:
    """One hop, to be read aloud."""
    return f"hop {number}: {hop.source} asks {hop.target}" + (
        ", which does not answer" if hop.timed_out else ""
    )


def steps(view: LookupView | None, frame: RingView, replay: int, answer: str = "") -> dict[str, Any]:
    """The list beside the stage: where the lookup began, every hop, what it found."""
    if view is None:
        return {}
    places = {node.name: node.machine for node in frame.nodes}
    dead = {node.name for node in frame.nodes if node.state == "dead"}
    items = [_item(0, "▸", f"starts at {_where(view.origin, places)}", "plain")]
    guide = view.origin
    for number, hop in enumerate(view.hops, 1):
        items.append(_step(number, hop, places, dead, guide))
        guide = guide if hop.timed_out else hop.target
    if view.end is not None:
        last = any(hop.final and not hop.timed_out for hop in view.hops)
        count = "done" if view.counted is None else many(view.counted, "hop")
        count += " and the last step" if last and view.counted is not None else ""
        lost = f", {many(view.timeouts, 'timeout')}" if view.timeouts else ""
        took = f"{1000 * (view.end - view.start):.0f} ms"
        words = answer or f"belongs to {_where(view.owner or '?', places)}"
        items.append(_item(len(view.hops) + 1, "✓", f"{words}: {count}{lost}, {took}", "good"))
    else:
        items.append(_item(len(view.hops) + 1, "…", "under way", "plain"))
    title = f"Lookup of {view.key!r} at {_place(view.key_id, frame.bits)}"
    return {"id": f"{view.number}.{replay}", "title": title, "items": items, "again": view.end is not None}


def _step(number: int, hop: Hop, places: dict[str, str], dead: set[str], guide: str) -> dict[str, Any]:
    """One hop. `guide` was reached last: where the origin asks everybody itself, it named the next."""
    target = _where(hop.target, places)
    if hop.timed_out:
        why = "its machine is dead" if hop.target in dead else "it may be dead, or slow: nobody can tell"
        return _item(number, "✕", f"{target} does not answer ({why})", "trouble")
    if hop.source == hop.target:
        return _item(number, str(number), f"{target} owns the key itself: the last step", "plain")
    way = _way(hop) if guide == hop.source else f"named by {guide}"
    words = f"{hop.source} → {target}, {way}" + ("; the last step" if hop.final else "")
    return _item(number, str(number), words, "plain")


def _way(hop: Hop) -> str:
    """Which pointer the hop went along."""
    if hop.via == "finger":
        return "by a finger"
    if hop.place:
        return "its successor" if hop.place == 1 else f"the {ordinal(hop.place)} of its successor list"
    if hop.final:  # a node has come between, and owns the key
        return "its predecessor"
    return "of its successor list"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, …, 11th, …"""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _item(number: int, sign: str, text: str, tone: str) -> dict[str, Any]:
    return {"number": number, "sign": sign, "text": text, "tone": tone}


def _where(node: str, places: dict[str, str]) -> str:
    return f"{node} ({places[node]})" if places.get(node) else node


def _place(key_id: int, bits: int) -> str:
    """Where on the circle: an identifier says nothing, a clock face does."""
    turn = 12 * key_id / 2**bits
    return f"{int(turn) or 12}:{int(turn % 1 * 60):02d} (as on a clock)"


def checks(frame: RingView) -> list[dict[str, Any]]:
    """The invariants, each with its name in words; ids in the details become the nodes' names."""
    names = {str(node.id): node.name for node in frame.nodes}
    return [
        {
            "name": verdict.name,
            "words": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", verdict.name).capitalize(),
            "holds": verdict.holds,
            "detail": re.sub(r"\d+", lambda found: names.get(found[0], found[0]), verdict.detail),
        }
        for verdict in frame.verdicts
    ]
