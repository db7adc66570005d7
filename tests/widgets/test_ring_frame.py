"""The ring's frame and scene: from traces made by hand, and from a real ring on the simulator."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.chord import Chord
from labkit.systems.chord.view import RingReducer, RingView
from labkit.trace.fold import History, fold
from labkit_widgets.panels.lookups import checks, steps, words
from labkit_widgets.panels.ring import numbers, ring_scene
from labkit_widgets.replay import Replay

#: A ring of four on an 8-bit circle, settled.
IDS = {"chord-0": 0, "chord-1": 64, "chord-2": 128, "chord-3": 192}


def frame(trace: Any, position: float | None = None, bits: int = 8, replicas: int = 1) -> RingView:
    """The ring at a position, from scratch."""
    found: RingView = fold(RingReducer(), trace, position).view(position, bits, replicas)
    return found


def settled() -> list[tuple[Any, ...]]:
    names = list(IDS)
    rows: list[tuple[Any, ...]] = [
        (0.0, f"m{k % 2 + 1}", n, "node_started", {"cls": "ChordNode", "events": "Chord"})
        for k, n in enumerate(names)
    ]
    for k, name in enumerate(names):
        following = [names[(k + step) % 4] for step in (1, 2, 3)]
        machine = f"m{k % 2 + 1}"
        rows.append((0.0, machine, name, "joined", {"id": IDS[name], "successor": following[0]}))
        ids = [IDS[n] for n in following]
        rows.append((0.0, machine, name, "successors_changed", {"successors": following, "ids": ids}))
        rows.append((0.0, machine, name, "predecessor_changed", {"predecessor": names[k - 1]}))
    return rows


def test_a_settled_ring_is_right(make_trace: Any) -> None:
    picture = frame(make_trace(settled()), bits=8)
    assert [node.name for node in picture.nodes] == list(IDS)
    assert all(node.right for node in picture.nodes)
    assert {number.label: number.value for number in numbers(picture)}["Successors right"] == "4 of 4"


def test_a_death_is_stale_until_repaired(make_trace: Any) -> None:
    repair = {"successors": ["chord-2", "chord-0"], "ids": [128, 0]}
    trace = make_trace(
        [
            *settled(),
            (1.0, "m2", None, "killed", {}),
            (2.0, "m1", "chord-0", "successors_changed", repair),
            (2.5, "m1", "chord-2", "successors_changed", {"successors": ["chord-0"], "ids": [0]}),
        ]
    )
    stale = frame(trace, 1.5, bits=8)
    assert [node.state for node in stale.nodes] == ["alive", "dead", "alive", "dead"]
    assert stale.nodes[0].problem == "its successor chord-1 is dead; it has not noticed yet"
    assert ring_scene(stale).labels[0].text == "! 2 successors to repair"
    repaired = frame(trace, bits=8)
    assert [node.right for node in repaired.nodes if node.state != "dead"] == [True, True]
    assert ring_scene(repaired).labels[0].text == "✓ ring whole"


def test_a_broken_invariant_is_told_with_names(make_trace: Any) -> None:
    lonely = {"successors": ["chord-1"], "ids": [64]}
    trace = make_trace(
        [*settled(), (1.0, "m1", "chord-0", "successors_changed", lonely), (2.0, "m2", None, "killed", {})]
    )
    found = {check["name"]: check for check in checks(frame(trace, bits=8))}
    assert not found["OneLiveSuccessor"]["holds"]
    assert "chord-0 knows no live successor" in found["OneLiveSuccessor"]["detail"]
    assert found["OneLiveSuccessor"]["words"] == "One live successor"
    assert all(
        check["holds"] for check in checks(frame(trace, 0.5, bits=8)) if check["name"] != "EnoughPrincipals"
    )


def test_keys_their_copies_and_their_loss(make_trace: Any) -> None:
    def stored(time: float, node: str, replica: bool, key: str = "k") -> tuple[Any, ...]:
        machine = "m1" if node in ("chord-0", "chord-2") else "m2"
        return (time, machine, node, "stored", {"key": key, "key_id": 100, "replica": replica})

    trace = make_trace(
        [
            *settled(),
            stored(1.0, "chord-2", False),
            stored(1.0, "chord-3", True),
            stored(1.0, "chord-3", False, "other"),
            (2.0, "m2", None, "killed", {}),
            stored(3.0, "chord-0", True),
            (4.0, "m1", "chord-0", "removed", {"key": "k"}),
        ]
    )
    facts = {
        at: (p.keys, p.scarce, p.lost)
        for at in (1.0, 2.0, 3.0)
        for p in [frame(trace, at, bits=8, replicas=2)]
    }
    assert facts == {1.0: (2, 1, 0), 2.0: (2, 2, 1), 3.0: (2, 1, 1)}
    loads = {node.name: (node.own, node.copies) for node in frame(trace, 3.0, bits=8).nodes}
    assert loads["chord-2"] == (1, 0)
    assert loads["chord-0"] == (0, 1)
    assert {n.name: (n.own, n.copies) for n in frame(trace, bits=8).nodes}["chord-0"] == (0, 0)


LOOKUP = [
    (1.0, "m1", "chord-0", "lookup_started", {"key": "lecture", "key_id": 150, "origin": "chord-0"}, 9),
    (
        1.1,
        "m1",
        "chord-0",
        "hop",
        {"to": "chord-3", "key_id": 150, "n": 1, "final": False, "via": "finger"},
        9,
    ),
    (1.6, "m1", "chord-0", "hop_timed_out", {"to": "chord-3", "key_id": 150}, 9),
    (
        1.7,
        "m1",
        "chord-0",
        "hop",
        {"to": "chord-2", "key_id": 150, "n": 2, "final": False, "via": "finger"},
        9,
    ),
    (
        1.8,
        "m1",
        "chord-2",
        "hop",
        {"to": "chord-3", "key_id": 150, "n": 3, "final": True, "via": "successor"},
        9,
    ),
    (
        2.0,
        "m1",
        "chord-0",
        "lookup_finished",
        {"key_id": 150, "owner": "chord-3", "hops": 1, "timeouts": 1},
        9,
    ),
]


def test_a_lookup_hop_by_hop(make_trace: Any) -> None:
    picture = frame(make_trace([*settled(), *LOOKUP]), bits=8)
    (view,) = picture.lookups
    assert (view.key, view.owner, view.counted, view.timeouts) == ("lecture", "chord-3", 1, 1)
    assert [(hop.source, hop.target, hop.timed_out) for hop in view.hops] == [
        ("chord-0", "chord-3", True),
        ("chord-0", "chord-2", False),
        ("chord-2", "chord-3", False),
    ]
    under_way = frame(make_trace([*settled(), *LOOKUP]), 1.2, bits=8).lookups[-1]
    assert (len(under_way.hops), under_way.end) == (1, None)


def test_a_lookup_in_words(make_trace: Any) -> None:
    picture = frame(make_trace([*settled(), *LOOKUP]), bits=8)
    story = steps(picture.lookups[0], picture, replay=1)
    assert story["title"] == "Lookup of 'lecture' at 7:01 (as on a clock)"
    assert [(item["sign"], item["text"]) for item in story["items"]] == [
        ("▸", "starts at chord-0 (m1)"),
        ("✕", "chord-3 (m2) does not answer (it may be dead, or slow: nobody can tell)"),
        ("2", "chord-0 → chord-2 (m1), by a finger"),
        ("3", "chord-2 → chord-3 (m2), its successor; the last step"),
        ("✓", "belongs to chord-3 (m2): 1 hop and the last step, 1 timeout, 1000 ms"),
    ]
    replay = Replay()
    replay.shown = picture.lookups[0]
    route = replay.route(words, False)
    assert [hop["lost"] for hop in route["hops"]] == [True, False, False]
    assert route["hops"][0]["text"] == "hop 1: chord-0 asks chord-3, which does not answer"
    assert steps(None, picture, 0) == {}


@pytest.mark.parametrize(
    ("via", "to", "final", "words"),
    [
        ("successor", "chord-1", True, "its successor; the last step"),
        ("successor", "chord-3", False, "the 3rd of its successor list"),
        ("finger", "chord-4", False, "by a finger"),
        ("successor", "chord-4", True, "its predecessor; the last step"),
    ],
)
def test_only_the_first_of_the_list_is_its_successor(
    make_trace: Any, via: str, to: str, final: bool, words: str
) -> None:
    begin = (1.0, "m1", "chord-0", "lookup_started", {"key": "k", "key_id": 9, "origin": "chord-0"}, 5)
    hop = (1.1, "m1", "chord-0", "hop", {"to": to, "key_id": 9, "n": 1, "final": final, "via": via}, 5)
    picture = frame(make_trace([*settled(), begin, hop]), bits=8)
    where = " (m2)" if to in IDS and IDS[to] in (64, 192) else ""
    assert steps(picture.lookups[0], picture, 1)["items"][1]["text"] == f"chord-0 → {to}{where}, {words}"


def test_of_an_empty_ring_nothing_is_right(make_trace: Any) -> None:
    rows = [*settled(), (0.5, "m1", "chord-0", "stored", {"key": "k", "replica": False})]
    dead = [(1.0, machine, None, "killed", {}) for machine in ("m1", "m2")]
    picture = frame(make_trace([*rows, *dead]), bits=8, replicas=3)
    shown = {number.label: (number.value, number.tone) for number in numbers(picture)}
    assert shown["Successors right"] == ("no member left", "bad")
    assert shown["Keys fully copied"] == ("1 lost", "bad")
    head = ring_scene(picture).labels[0]
    assert (head.text, head.cls) == ("✕ no member left", "bad")
    back = [(2.0, machine, None, "restarted", {}) for machine in ("m1", "m2")]
    nodes = [(2.0, f"m{k % 2 + 1}", name, "node_started", {"cls": "ChordNode"}) for k, name in enumerate(IDS)]
    disk = (2.1, "m1", "chord-0", "stored", {"key": "k", "replica": False})
    picture = frame(make_trace([*rows, *dead, *back, *nodes, disk]), bits=8, replicas=3)
    shown = {number.label: (number.value, number.tone) for number in numbers(picture)}
    assert shown["Keys fully copied"] == ("1 lost", "bad"), "its holder is no member, so nobody finds it"


def test_before_there_are_keys_nothing_is_copied(make_trace: Any) -> None:
    shown = {number.label: number for number in numbers(frame(make_trace(settled()), bits=8))}
    assert (shown["Keys fully copied"].value, shown["Keys fully copied"].tone) == ("no keys yet", "plain")
    assert shown["Fullest node"].theory == ""
    assert shown["Hops per lookup"].theory.startswith(
        "½ log₂ 4 = 1.00 with fingers alone; the successor lists"
    )


def test_two_lookups_in_one_span_are_told_apart(make_trace: Any) -> None:
    other = [(*row[:4], {**row[4], "key": "other", "key_id": 10}, row[5]) for row in LOOKUP]
    mixed = [row for pair in zip(LOOKUP, other, strict=True) for row in pair]
    views = frame(make_trace([*settled(), *mixed]), bits=8).lookups
    assert sorted((view.key_id, len(view.hops)) for view in views) == [(10, 3), (150, 3)]


def test_fingers_of_the_selected_node(make_trace: Any) -> None:
    fingers = (1.0, "m1", "chord-0", "fingers_changed", {"fingers": {7: "chord-1", 8: "chord-2"}})
    picture = frame(make_trace([*settled(), fingers, (2.0, "m2", None, "killed", {})]), bits=8)
    links = {link.id: link for link in ring_scene(picture, "chord-0").links if link.id.startswith("f:")}
    assert {name: link.tip for name, link in links.items()} == {
        "f:chord-1": "finger 7: chord-1",
        "f:chord-2": "finger 8: chord-2",
    }
    assert "stale" in links["f:chord-1"].cls
    assert ring_scene(picture, "chord-0").mark("chord-0").cls == "selected"


@pytest.mark.parametrize("count", [3, 24, 40])
def test_every_node_has_a_label_and_none_touch(make_trace: Any, count: int) -> None:
    rows = [
        (
            0.0,
            f"m{k % 4 + 1}",
            f"chord-{k}",
            kind,
            {"cls": "ChordNode", "id": (k * 7919 * 997) % 2**16, "successor": ""},
        )
        for k in range(count)
        for kind in ("node_started", "joined")
    ]
    marks = ring_scene(frame(make_trace(rows), bits=16)).marks
    assert all(mark.label for mark in marks)
    for side in ("start", "end"):
        heights = sorted(mark.ly for mark in marks if mark.anchor == side)
        assert all(b - a > 11 for a, b in itertools.pairwise(heights))
    gaps = [math.dist((a.x, a.y), (b.x, b.y)) for a in marks for b in marks if a.id < b.id]
    assert min(gaps) >= 2 * marks[0].r


def test_a_large_ring_is_summarised(make_trace: Any) -> None:
    rows = [(0.0, "m1", f"chord-{k}", "joined", {"id": k * 13, "successor": ""}) for k in range(1000)]
    scene = ring_scene(frame(make_trace(rows), bits=16))
    assert scene.marks == ()
    assert "1,000 nodes alive" in [label.text for label in scene.labels]


def test_a_real_ring_remembered_equals_from_scratch(ring: Chord, cluster: Cluster) -> None:
    history = History(cluster.trace, RingReducer())
    history.at()
    cluster.kill("m2")
    cluster.run(6)
    positions = [None, 0.0, cluster.now / 2, cluster.now - 5, cluster.now - 1, None]
    for position in positions:
        assert history.at(position).view(position, 32) == frame(cluster.trace, position, bits=32)


def test_a_real_ring_is_repaired_after_a_death(ring: Chord, cluster: Cluster) -> None:
    cluster.kill("m2")
    ring.settle()
    picture = frame(cluster.trace, bits=32, replicas=3)
    assert all(node.right for node in picture.nodes)
    assert (picture.keys, picture.scarce, picture.lost) == (20, 0, 0)
    assert all(verdict.holds for verdict in picture.verdicts)
