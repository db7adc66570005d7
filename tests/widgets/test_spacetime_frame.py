"""The space-time diagram: lanes, arrows, what was lost, and why."""

from __future__ import annotations

from typing import Any

from labkit_widgets.happened import SHOWN, frame
from labkit_widgets.layouts.lamport import lamport

EXCHANGE = [
    (0.0, "m1", "a", "node_started", {}),
    (0.0, "m2", "b", "node_started", {}),
    (1.0, "m1", "a", "sent", {"message": 1, "to": "b", "method": "ping", "what": "request"}, 5),
    (1.2, "m2", "b", "delivered", {"message": 1, "from": "a", "method": "ping", "what": "request"}, 5, 3),
    (1.3, "m2", "b", "answered", {}, 5, 4),
]


def test_arrows_join_lanes_by_happens_before(make_trace: Any) -> None:
    diagram = frame(make_trace(EXCHANGE), window=0.5)
    assert diagram.lanes == ("a", "b")
    assert [(arrow.source, arrow.target, arrow.lost) for arrow in diagram.arrows] == [(3, 4, "")]
    assert diagram.points[0].text == "a sends ping (request) to b"


def test_a_lost_message_points_at_the_lane_it_never_reached(make_trace: Any) -> None:
    dead = (0.5, "m2", None, "killed", {})
    dropped = (
        1.1,
        "m1",
        "a",
        "dropped",
        {"message": 1, "to": "b", "to_machine": "m2", "reason": "dead"},
        5,
        4,
    )
    trace = make_trace([*EXCHANGE[:2], dead, EXCHANGE[2], dropped])
    diagram = frame(trace, window=0.3)
    assert diagram.lanes == ("a", "b"), "the silent lane is shown"
    assert [(arrow.source, arrow.lost) for arrow in diagram.arrows] == [(4, "b")]
    assert [(band.lane, band.state) for band in diagram.bands] == [("b", "dead")]
    assert any("lost" in link.cls for link in lamport(diagram).links)


def test_one_operation_and_one_window(make_trace: Any) -> None:
    trace = make_trace([*EXCHANGE, (9.0, "m1", "a", "later", {})])
    assert [point.seq for point in frame(trace, span=5).points] == [3, 4, 5]
    assert [point.seq for point in frame(trace, 1.25, window=0.1).points] == [4]
    assert frame(trace, 0.5, window=0.1).points == ()
    assert "nothing happened" in lamport(frame(trace, 0.5, window=0.1)).labels[-1].text


def test_a_lane_has_its_machine_s_colour_though_others_are_not_shown(make_trace: Any) -> None:
    trace = make_trace([*EXCHANGE, (9.0, "m2", "b", "later", {})])
    scene = lamport(frame(trace, window=0.1))
    assert [mark.colour for mark in scene.marks] == [1]


def test_lanes_are_machines_when_there_are_many_nodes(make_trace: Any) -> None:
    rows = [(1.0, f"m{k % 2 + 1}", f"n-{k}", "tick", {}) for k in range(40)]
    assert frame(make_trace(rows)).lanes == ("m1", "m2")
    assert len(frame(make_trace(rows), by="node").lanes) == 40


def test_too_many_events_are_left_out_and_it_says_so(make_trace: Any) -> None:
    rows = [(1.0 + k / 1000, "m1", "a", "tick", {}) for k in range(SHOWN + 50)]
    diagram = frame(make_trace(rows), window=1.0)
    assert (len(diagram.points), diagram.left_out) == (SHOWN, 50)
    assert any(f"the last {SHOWN} of 250 events" in label.text for label in lamport(diagram).labels)


def test_why_marks_the_events_that_led_there(make_trace: Any) -> None:
    diagram = frame(make_trace(EXCHANGE), window=0.5, chosen=5)
    assert diagram.chain == (3, 4, 5)
    scene = lamport(diagram, 5)
    assert scene.mark("5").cls.split()[-1] == "selected"
    assert [link.cls for link in scene.links if link.id == "a:3:4"] == ["arrow explains"]


def test_the_axis_has_round_moments(make_trace: Any) -> None:
    scene = lamport(frame(make_trace(EXCHANGE), 1.3, window=0.5))
    assert [label.text for label in scene.labels if label.text.endswith(" s")] == [
        "0.8 s", "0.9 s", "1.0 s", "1.1 s", "1.2 s", "1.3 s"
    ]  # fmt: skip
