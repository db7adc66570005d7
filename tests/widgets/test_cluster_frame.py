"""The cluster's frame, from traces made by hand."""

from __future__ import annotations

from typing import Any

from labkit import Cluster
from labkit.runtime.network import Uniform
from labkit.trace.fold import History
from labkit_widgets.layouts.boxes import boxes, flights
from labkit_widgets.messages import ClusterReducer, frame

START = [
    (0.0, "m1", None, "machine_started", {"pid": None, "incarnation": 1}),
    (0.0, "m2", None, "machine_started", {"pid": None, "incarnation": 1}),
    (0.0, "m1", "a", "node_started", {"cls": "Echo"}),
    (0.0, "m2", "b", "node_started", {"cls": "Echo"}),
]


def sent(time: float, number: int, source: str = "a", target: str = "b") -> tuple[Any, ...]:
    home = {"a": "m1", "b": "m2"}
    data = {"message": number, "to": target, "to_machine": home[target], "method": "ping", "what": "request"}
    return (time, home[source], source, "sent", data)


def ended(time: float, number: int, kind: str = "delivered") -> tuple[Any, ...]:
    return (time, "m2", "b", kind, {"message": number, "from": "a", "method": "ping", "what": "request"})


def states(picture: Any) -> dict[str, str]:
    return {machine.name: machine.state for machine in picture.machines}


def test_every_state_of_a_machine(make_trace: Any) -> None:
    trace = make_trace(
        [
            *START,
            (1.0, "m2", None, "slowed", {"factor": 10}),
            (2.0, "m2", None, "paused", {}),
            (3.0, "m2", None, "resumed", {}),
            (4.0, "m2", None, "slowed", {"factor": 1}),
            (5.0, "m2", None, "killed", {}),
            (6.0, "m2", None, "restarted", {}),
        ]
    )
    seen = [states(frame(trace, at))["m2"] for at in (0, 1, 2, 3, 4, 5, 6)]
    assert seen == ["alive", "slow", "paused", "slow", "alive", "dead", "alive"]
    assert states(frame(trace))["m1"] == "alive"


def test_a_dead_machine_keeps_its_nodes_and_they_are_dead(make_trace: Any) -> None:
    picture = frame(make_trace([*START, (1.0, "m2", None, "killed", {})]))
    assert {m.name: m.nodes for m in picture.machines} == {"m1": ("a",), "m2": ("b",)}
    assert (picture.state_of("a"), picture.state_of("b")) == ("alive", "dead")
    assert "b on m2, dead" in boxes(picture).mark("b").tip


def test_messages_in_flight_then_delivered_lost_and_counted(make_trace: Any) -> None:
    trace = make_trace([*START, sent(1.0, 1), sent(1.1, 2), ended(2.0, 1), ended(2.5, 2, "dropped")])
    halfway = frame(trace, 1.5)
    assert [(m.id, m.fate) for m in halfway.messages] == [(1, "flying"), (2, "flying")]
    assert halfway.flying == 2
    assert halfway.messages[0].progress(1.5) == 0.5
    after = frame(trace)
    assert [(m.id, m.fate) for m in after.messages] == [(1, "delivered"), (2, "dropped")]
    assert after.messages[0].progress(1.25) == 0.25
    assert after.links == {("m1", "m2"): 2}
    numbers = {number.label: number.value for number in after.numbers}
    assert numbers["Messages lost"] == "50.0%"
    assert numbers["Mean delay"] == "1000.0 ms"


def test_pulses_move_when_live_and_stand_when_looking_back(make_trace: Any) -> None:
    trace = make_trace([*START, sent(1.0, 1), ended(2.0, 1), sent(3.0, 2), ended(4.0, 2)])
    history = History(trace, ClusterReducer())
    live = frame(trace, None, history=history)
    moving = flights(live, 2.5, ["a", "b"], standing=False)
    assert [(p.id, p.source, p.target, p.at) for p in moving] == [(2, "a", "b", None)]
    past = frame(trace, 1.25, history=history)
    assert [(p.id, p.at) for p in flights(past, 0.0, ["a", "b"], standing=True)] == [(1, 0.5)]
    assert flights(live, 0.0, ["a"], standing=False) == [], "nobody to draw it to"


def test_a_partition_cuts_links_until_it_is_healed(make_trace: Any) -> None:
    cut = (1.0, "client", None, "partitioned", {"a": ["m1"], "b": ["m2"], "oneway": True})
    trace = make_trace([*START, cut, (2.0, "client", None, "healed", {})])
    oneway = frame(trace, 1.0)
    assert oneway.cuts == {("m1", "m2")}
    scene = boxes(oneway)
    link = next(link for link in scene.links if link.id == "l:m1:m2")
    assert "cut" not in link.cls, "the other way is open"
    assert "m1 cannot send to m2" in link.tip
    arrow = next(link for link in scene.links if link.cls == "cutoff")
    assert arrow.tip == link.tip
    assert any(
        label.text == "✕ partition: m1 cannot send to m2 (the other way is open)" for label in scene.labels
    )
    assert frame(trace).cuts == frozenset()


def test_a_partition_of_both_ways_is_a_broken_link(make_trace: Any) -> None:
    scene = boxes(
        frame(make_trace([*START, (1.0, "client", None, "partitioned", {"a": ["m1"], "b": ["m2"]})]))
    )
    assert next(link for link in scene.links if link.id == "l:m1:m2").cls == "link cut"
    assert not any(link.cls == "cutoff" for link in scene.links)


def test_what_is_not_traced_is_no_number(make_trace: Any) -> None:
    trace = make_trace([*START, (1.0, "m1", "a", "timed_out", {"to": "b"})])
    trace.level = "domain"
    shown = {number.label: (number.value, number.theory or number.note) for number in frame(trace).numbers}
    how = ("not traced", 'Cluster(trace="messages")')
    assert [shown[name] for name in ("Messages", "Messages lost", "Mean delay")] == [how] * 3
    assert shown["Timeouts"][0] == "1"
    trace.level = "messages"
    assert {number.label: number.value for number in frame(trace).numbers}["Mean delay"] == "none yet"


def test_latency_is_said_in_words() -> None:
    with Cluster(2, "sim", trace="messages") as cluster:
        cluster.latency(Uniform(0.05, 0.15))
        lines = frame(cluster.trace).lines
    assert lines[-1].text == "Network: latency is now 50 ms to 150 ms"


def test_at_domain_level_events_that_name_a_receiver_are_drawn(make_trace: Any) -> None:
    trace = make_trace([*START, (1.0, "m1", "a", "greeted", {"to": "b"})])
    trace.level = "domain"
    picture = frame(trace)
    assert [(m.source, m.target, m.real) for m in picture.messages] == [("a", "b", False)]
    assert not picture.complete
    assert any("records every message" in label.text for label in boxes(picture).labels)


def test_traffic_per_second(make_trace: Any) -> None:
    trace = make_trace(
        [*START, *[sent(1.0 + k / 100, k) for k in range(10)], (2.2, "m1", "a", "timed_out", {"to": "b"})]
    )
    picture = frame(trace)
    assert [row for row in picture.traffic if any(row[1:])] == [(1.0, 20.0, 0.0, 0.0), (2.0, 0.0, 0.0, 2.0)]


def test_many_nodes_are_counted_not_drawn(make_trace: Any) -> None:
    rows = [(0.0, f"m{k % 3 + 1}", f"n-{k}", "node_started", {"cls": "Echo"}) for k in range(300)]
    scene = boxes(frame(make_trace(rows)))
    assert [mark.id for mark in scene.marks] == ["client"]
    assert sum(label.text == "100 nodes" for label in scene.labels) == 3


def test_calls_to_a_silent_node_share_a_line(make_trace: Any) -> None:
    calls = [(1.0 + k / 10, "m1", "a", "timed_out", {"to": "b", "method": "ping"}) for k in range(5)]
    lines = frame(make_trace([*START, (1.0, "m2", None, "killed", {}), *calls])).lines
    assert [line.text for line in lines][-2:] == [
        "m2 was killed",
        "b does not answer: 5 calls to it timed out",
    ]
    assert [line.tone for line in lines][-2:] == ["fault", "trouble"]
