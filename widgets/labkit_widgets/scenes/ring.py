"""The scene of a Chord ring: identifiers clockwise from twelve o'clock, as in the paper's figures."""

from __future__ import annotations

import math
from functools import lru_cache

from labkit.trace.words import many

from ..frames.ring import RingFrame, RingNode
from ..looks import indexes, outline
from ..scene import MARKS, Label, Link, Mark, Scene, arc, around, bow, line, on_circle, spread

WIDTH, HEIGHT = 570.0, 530.0
CX, CY, R = WIDTH / 2, HEIGHT / 2 + 2, 188.0
#: Labels stand on a wider circle; every node has one up to this many, beyond it only on hover.
LABEL_R, LABELLED, LABEL_GAP = R + 26, 40, 14.5
#: Key load is drawn as a bar inwards, at most this long.
BAR = 34.0
#: What is drawn of the selected node.
SELECTED = ("lines: its fingers", "green rings: its successor list", "dashed ring: its predecessor")
#: Above `MARKS` nodes the ring is drawn as this many arcs, each as dark as it is populated.
ARCS = 96


def ring_scene(frame: RingFrame, selected: str | None = None, key: tuple[str, int] | None = None) -> Scene:
    """The ring, with the fingers and successors of the selected node, and the place of a key (its name and
    id).
    """
    if len(frame.nodes) > MARKS:
        return _summary(frame)
    angles = _angles(tuple(node.id for node in frame.nodes), frame.bits)
    places = dict(zip((node.name for node in frame.nodes), angles, strict=True))
    colours = indexes([machine.name for machine in frame.machines])
    chosen = frame.node(selected) if selected else None
    labels = _label_places(frame.nodes, places) if len(frame.nodes) <= LABELLED else {}
    marks = tuple(
        _mark(node, places[node.name], colours, chosen, labels, len(frame.nodes)) for node in frame.nodes
    )
    return Scene(
        WIDTH,
        HEIGHT,
        marks=marks,
        links=(
            *_circle(),
            *_loads(frame, places, colours),
            *_pointers(frame, places),
            *_fingers(chosen, frame, places),
            *_key_line(key, frame.bits),
        ),
        labels=(
            *_captions(frame, chosen),
            *_key_label(key, frame.bits),
            *_leaders_text(frame, chosen, places, labels),
        ),
        boxes=(),
        title=_title(frame),
        bend=0.55,
        centre=(CX, CY),
    )


@lru_cache(maxsize=64)
def _angles(ids: tuple[int, ...], bits: int) -> tuple[float, ...]:
    """Where the nodes stand: at their identifiers, moved apart just enough to be told apart."""
    exact = [2 * math.pi * place / 2**bits for place in ids]
    return tuple(around(exact, (2 * _radius(len(ids)) + 3) / R))


def _radius(count: int) -> float:
    return 8.5 if count <= 40 else 6.0 if count <= 80 else 3.2


def _mark(
    node: RingNode,
    angle: float,
    colours: dict[str, int],
    chosen: RingNode | None,
    labels: dict[str, tuple[float, float, str]],
    count: int,
) -> Mark:
    x, y = on_circle(CX, CY, R, angle)
    lx, ly, anchor = labels.get(node.name, (0.0, 0.0, "middle"))
    colour = colours.get(node.machine, -1)
    sign = {"dead": " ✕", "paused": " ‖", "slow": " ◔"}.get(node.state, "")
    return Mark(
        id=node.name,
        x=x,
        y=y,
        r=_radius(count),
        shape=outline(colour),
        colour=colour,
        state=node.state,
        label=node.name + sign if node.name in labels else "",
        lx=lx,
        ly=ly,
        anchor=anchor,
        tip=tip(node),
        cls=_relation(node, chosen),
    )


def _relation(node: RingNode, chosen: RingNode | None) -> str:
    """What the node is to the selected one."""
    if chosen is None:
        return "" if node.right else "wrong"
    if node.name == chosen.name:
        return "selected"
    parts = []
    if node.name in chosen.successors:
        parts.append("listed")
    if node.name == chosen.predecessor:
        parts.append("predecessor")
    if any(node.name == name for _, name in chosen.fingers):
        parts.append("fingered")
    return " ".join(parts)


def tip(node: RingNode) -> str:
    """A node in one sentence: tooltip, and name for those who cannot see."""
    load = held(node)
    state = "" if node.state == "alive" else f", {node.state}"
    return f"{node.name} on {node.machine or '?'}{state}; {load}" + (
        f"; {node.problem}" if node.problem else ""
    )


def held(node: RingNode) -> str:
    """What a node keeps."""
    return f"{many(node.own, 'key')}, {many(node.copies, 'copy')}"


def _label_places(
    nodes: tuple[RingNode, ...], places: dict[str, float]
) -> dict[str, tuple[float, float, str]]:
    """Labels left and right of the ring, level with their nodes as far as they do not touch."""
    found: dict[str, tuple[float, float, str]] = {}
    for side in (1, -1):
        group = [n for n in nodes if (math.sin(places[n.name]) >= 0) == (side > 0)]
        wanted = sorted((on_circle(CX, CY, LABEL_R, places[n.name])[1], n.name) for n in group)
        heights = spread([y for y, _ in wanted], LABEL_GAP, 16.0, HEIGHT - 26.0)
        for (_, name), y in zip(wanted, heights, strict=True):
            away = min(1.0, abs(y - CY) / LABEL_R)
            x = CX + side * max(LABEL_R * math.sqrt(1 - away**2), 26.0)
            found[name] = (x, y + 4.0, "start" if side > 0 else "end")
    return found


# -- lines ------------------------------------------------------------


def _circle() -> tuple[Link, ...]:
    return (Link("circle", arc(CX, CY, R, 0.0, 0.0), "circle"),)


def _pointers(frame: RingFrame, places: dict[str, float]) -> list[Link]:
    """Each living node's first successor: an arc of the ring if it is right, a warning if not."""
    links = []
    for node in frame.nodes:
        if node.state == "dead" or not node.successors or node.successors[0] not in places:
            continue
        first = node.successors[0]
        here, there = places[node.name], places[first]
        if node.right:
            links.append(Link(f"s:{node.name}", arc(CX, CY, R, here, there), "succ"))
        else:
            ends = (*on_circle(CX, CY, R, here), *on_circle(CX, CY, R, there))
            links.append(Link(f"s:{node.name}", bow(*ends, CX, CY, -0.25), "succ wrong", tip=node.problem))
    return links


def _loads(frame: RingFrame, places: dict[str, float], colours: dict[str, int]) -> list[Link]:
    """Bars inwards: keys a node owns, and beyond them the copies it keeps for others."""
    most = max((node.own + node.copies for node in frame.nodes if node.state != "dead"), default=0)
    if not most:
        return []
    links = []
    width = 5.0 if len(frame.nodes) <= 80 else 2.5
    for node in frame.nodes:
        if node.state == "dead" or not node.own + node.copies:
            continue
        angle, colour = places[node.name], colours.get(node.machine, -1)
        start = R - _radius(len(frame.nodes)) - 4
        middle, end = start - BAR * node.own / most, start - BAR * (node.own + node.copies) / most
        tip_ = f"{node.name}: {held(node)}"
        for name, a, b in (("own", start, middle), ("copies", middle, end)):
            if a - b > 0.4:
                path = line(*on_circle(CX, CY, a, angle), *on_circle(CX, CY, b, angle))
                links.append(Link(f"{name}:{node.name}", path, f"load {name}", colour, width, tip_))
    return links


def _fingers(chosen: RingNode | None, frame: RingFrame, places: dict[str, float]) -> list[Link]:
    """Chords from the selected node to its fingers, one for each node they lead to."""
    if chosen is None:
        return []
    reasons: dict[str, list[int]] = {}
    for k, name in chosen.fingers:
        reasons.setdefault(name, []).append(k)
    links = []
    for name, which in reasons.items():
        if name not in places or name == chosen.name:
            continue
        ends = (*on_circle(CX, CY, R, places[chosen.name]), *on_circle(CX, CY, R, places[name]))
        target = frame.node(name)
        stale = target is not None and target.state == "dead"
        words = f"finger {which[0]}" if len(which) == 1 else f"fingers {which[0]} to {which[-1]}"
        links.append(
            Link(
                f"f:{name}",
                bow(*ends, CX, CY, 0.35),
                "finger stale" if stale else "finger",
                tip=f"{words}: {name}",
            )
        )
    return links


def _key_line(key: tuple[str, int] | None, bits: int) -> tuple[Link, ...]:
    """Where a key lies on the circle: the next living node clockwise owns it."""
    if key is None:
        return ()
    angle = 2 * math.pi * key[1] / 2**bits
    return (
        Link(
            "key",
            line(*on_circle(CX, CY, R - 13, angle), *on_circle(CX, CY, R + 13, angle)),
            "key",
            tip=key[0],
        ),
    )


def _key_label(key: tuple[str, int] | None, bits: int) -> tuple[Label, ...]:
    if key is None:
        return ()
    angle = 2 * math.pi * key[1] / 2**bits
    x, y = on_circle(CX, CY, R - 22, angle)
    anchor = "end" if math.sin(angle) > 0.35 else "start" if math.sin(angle) < -0.35 else "middle"
    name = key[0] if len(key[0]) <= 18 else key[0][:17] + "…"
    return (Label(x, y + 4 + 6 * math.cos(angle), name, "key", anchor),)


# -- words ------------------------------------------------------------


def _captions(frame: RingFrame, chosen: RingNode | None) -> tuple[Label, ...]:
    wrong = sum(not node.right for node in frame.nodes if node.state != "dead")
    if not frame.nodes:
        return (Label(CX, CY, "no node has joined yet", "hint"),)
    if not frame.living:
        whole = "✕ no member left"
    else:
        whole = f"! {many(wrong, 'successor')} to repair" if wrong else "✓ ring whole"
    head = Label(12, 20, whole, "good" if frame.living and not wrong else "bad", "start")
    keys = (
        Label(12, HEIGHT - 10, "bars inwards: keys owned, paler: copies", "note", "start")
        if frame.keys
        else None
    )
    asked, words = ("note", SELECTED) if chosen else ("note ask", ("select a node to see its fingers",))
    hints = [Label(WIDTH - 12, 20 + 15 * k, text, asked, "end") for k, text in enumerate(words)]
    return tuple(label for label in (head, keys, *hints) if label is not None and label.text)


def _leaders_text(
    frame: RingFrame,
    chosen: RingNode | None,
    places: dict[str, float],
    labels: dict[str, tuple[float, float, str]],
) -> list[Label]:
    """In a crowded ring only the selected node and its successor list are named."""
    if labels or chosen is None:
        return []
    found = []
    for node in frame.nodes:
        if node.name == chosen.name or node.name in chosen.successors[:1]:
            x, y = on_circle(CX, CY, LABEL_R - 12, places[node.name])
            found.append(Label(x, y + 4, node.name, "", "start" if x >= CX else "end"))
    return found


def _title(frame: RingFrame) -> str:
    dead = len(frame.nodes) - frame.living
    return f"Chord ring of {many(frame.living, 'living node')}" + (f" and {dead} dead" if dead else "")


def _summary(frame: RingFrame) -> Scene:
    """Too many nodes to draw: how densely each arc is populated, and how much of it is dead."""
    counts = [[0, 0] for _ in range(ARCS)]
    for node in frame.nodes:
        counts[int(node.id * ARCS / 2**frame.bits)][node.state == "dead"] += 1
    most = max(alive + dead for alive, dead in counts)
    step, links = 2 * math.pi / ARCS, []
    for index, (alive, dead) in enumerate(counts):
        middle = (index + 0.5) * step
        for kind, a, b in (("own", 0, alive), ("gone", alive, alive + dead)):
            if b > a:
                near, far = R + 60.0 * a / most, R + 60.0 * b / most
                path = line(*on_circle(CX, CY, near, middle), *on_circle(CX, CY, far, middle))
                links.append(
                    Link(f"{kind}:{index}", path, f"density {kind}", 0, 9.0, f"{alive} alive, {dead} dead")
                )
    words = (
        Label(CX, CY - 8, f"{many(frame.living, 'node')} alive", "big"),
        Label(
            CX,
            CY + 16,
            f"{len(frame.nodes) - frame.living:,} dead; summarised: each bar counts one arc",
            "note",
        ),
    )
    return Scene(
        WIDTH, HEIGHT, links=(*_circle(), *links), labels=words, title=_title(frame), centre=(CX, CY)
    )
