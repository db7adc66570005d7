"""Panels without a browser: what they show, what a click does, and that nothing stays behind."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ipywidgets.widgets.widget import _instances

from labkit import Cluster, Network, Uniform
from labkit.runtime.errors import BadFault
from labkit.systems.chord import Chord
from labkit_widgets import ClusterPanel, RingPanel, SpaceTimePanel
from labkit_widgets.actions import sentence
from labkit_widgets.charts import Iterations
from tests.widgets.acting import acted, eventually, states

# -- a click, and what it does --------------------------------


def test_every_fault_is_one_click_and_is_recorded(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    for action, machine, state in (
        ("kill", "m1", "dead"),
        ("restart", "m1", "alive"),
        ("pause", "m2", "paused"),
        ("resume", "m2", "alive"),
        ("slow", "m3", "slow"),
        ("normal", "m3", "alive"),
    ):
        panel.act(action, machine=machine)
        acted(panel)
        assert (panel.error, states(panel)[machine]) == ("", state)
    panel.act("loss", probability=0.2)
    panel.act("latency", choice="0.01-0.02")
    acted(panel)
    panel.act("partition", side=["m1"], oneway=False)
    acted(panel)
    assert panel.network.network["loss"] == 0.2
    assert panel.network.network["cut"]
    panel.act("heal")
    acted(panel)
    assert not panel.network.network["cut"]
    kinds = [type(fault).__name__ for _, fault in cluster.schedule]
    assert kinds[:6] == ["Kill", "Restart", "Pause", "Resume", "Slow", "Slow"]
    assert set(kinds[6:]) == {"Loss", "Latency", "Partition", "Heal"}


def test_a_message_from_the_browser_reaches_the_action(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    panel.top._handle_custom_msg({"action": "kill", "machine": "m4"}, [])
    acted(panel)
    assert states(panel)["m4"] == "dead"


def test_an_error_in_a_callback_is_shown_and_dismissed(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    cluster.kill("m1")
    panel.act("pause", machine="m1")
    acted(panel)
    assert panel.top.error.startswith("Pause m1 did not work: m1 is dead; what can be done to it now")
    panel.act("partition", side=[])
    panel.refresh()
    assert panel.network.error.startswith("Partition did not work: tick at least one machine")
    assert panel.top.error == "", "it stands beside the control that was pressed, and there only"
    panel.act("fly")
    panel.refresh()
    assert "this panel has no action 'fly'" in panel.top.error
    panel.act("dismiss")
    panel.refresh()
    assert (panel.top.error, panel.network.error) == ("", "")


def test_an_error_goes_with_the_next_success(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    panel.act("partition", side=[])
    panel.act("partition", side=["m1"])
    acted(panel)
    assert panel.error == ""
    panel.act("partition", side=[])
    panel.act("speed", factor=2.0)
    panel.refresh()
    assert panel.error == ""


def test_the_second_half_of_a_double_click_asks_for_nothing(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    for _ in range(2):
        panel.act("kill", machine="m1")
        acted(panel)
    assert panel.error == ""
    for _ in range(2):
        panel.act("restart", machine="m1")
        acted(panel)
    assert panel.error == ""
    assert [type(fault).__name__ for _, fault in cluster.schedule] == ["Kill", "Restart"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BadFault("Kill(machine='m1'): m1 is dead; restart it"), "m1 is dead; restart it"),
        (ValueError("type a key first"), "type a key first"),
        (KeyError("m9"), "KeyError: 'm9'"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_is_a_sentence(error: Exception, words: str) -> None:
    assert sentence(error) == words


def test_an_error_while_drawing_is_shown_and_the_panel_recovers(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    good = panel.frame
    panel.frame = lambda position: 1 / 0  # type: ignore[assignment,method-assign]
    panel.refresh()
    assert panel.top.error.startswith("To draw the panel did not work: ZeroDivisionError")
    panel.frame = good  # type: ignore[method-assign]
    panel.refresh()
    assert panel.top.error == ""


def test_a_callback_returns_at_once_and_is_not_repeated(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    release, calls = threading.Event(), []

    def slow(machine: str) -> None:
        calls.append(machine)
        release.wait(10)

    panel.cluster = _Instead(cluster, kill=slow)
    panel.act("kill", machine="m1")
    panel.act("kill", machine="m1")
    eventually(lambda: calls)
    release.set()
    acted(panel)
    assert calls == ["m1"]
    panel.cluster = cluster


class _Instead:
    """A cluster with some methods replaced."""

    def __init__(self, cluster: Cluster, **methods: Any) -> None:
        self._cluster = cluster
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


# -- time --------------------------------


def test_time_travel_and_back(ring: Chord, cluster: Cluster) -> None:
    panel = RingPanel(ring, live=False)
    cluster.run(1.0)
    cluster.kill("m2")
    cluster.run(1.0)
    panel.refresh()
    assert states(panel)["m2"] == "dead"
    assert panel.top.clock["position"] is None
    panel.act("seek", position=cluster.now - 1.5)
    panel.refresh()
    assert states(panel)["m2"] == "alive"
    assert panel.top.clock["position"] == cluster.now - 1.5
    panel.act("step", by=1)
    panel.refresh()
    assert panel.top.clock["position"] > cluster.now - 1.5
    panel.act("live")
    panel.refresh()
    assert states(panel)["m2"] == "dead"
    assert panel.top.clock["position"] is None


def test_play_pause_and_speed_move_simulated_time(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    assert not panel.top.clock["playing"]
    panel.act("speed", factor=2.0)
    panel.act("play")
    panel.refresh()
    assert cluster.pace == 2.0
    assert panel.top.clock["playing"]
    panel.act("pause")
    panel.refresh()
    assert cluster.pace is None
    assert panel.top.clock["position"] is None, "the run stands, and the panel is still live"


def test_a_step_is_one_event(ring: Chord, cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    before = cluster.trace.count
    panel.act("step", by=1)
    acted(panel)
    assert cluster.trace.count > before
    panel.act("step", by=-1)
    panel.refresh()
    assert panel.top.clock["position"] is not None


def test_a_replay_runs_to_the_end_and_is_live_again(ring: Chord, cluster: Cluster) -> None:
    cluster.run(1.0)
    panel = ClusterPanel(cluster, live=False)
    panel.act("seek", position=cluster.now - 0.01)
    panel.act("speed", factor=10.0)
    panel.act("play")
    panel.refresh()
    eventually(lambda: (panel.refresh(), panel.top.clock["position"] is None)[1], "live again")


@pytest.mark.slow
def test_a_closed_cluster_can_still_be_looked_at(ring: Chord, cluster: Cluster) -> None:
    panel = RingPanel(ring, live=False)
    cluster.kill("m1")
    cluster.close()
    panel.refresh()
    assert panel.error == ""
    assert panel.top.clock["closed"]
    assert states(panel)["m1"] == "dead"


def test_the_run_so_far_as_code(ring: Chord, cluster: Cluster) -> None:
    panel = RingPanel(ring, live=False)
    cluster.kill("m2")
    panel.act("code")
    panel.refresh()
    names: dict[str, Any] = {}
    exec(panel.events.code, names)
    with names["again"] as again:
        assert (again.seed, again.trace.level, names["ring_again"].settings) == (7, "messages", ring.settings)
        assert again.now == pytest.approx(cluster.now, abs=1e-6)
        assert again.schedule == cluster.schedule
        assert not again.machine("m2").alive, "the fault has struck"
    panel.act("code", close=True)
    panel.refresh()
    assert panel.events.code == ""


def test_what_a_script_cannot_repeat_it_says(
    ring: Chord, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = RingPanel(ring, live=False)
    ring.switch("sigcomm2001")
    monkeypatch.setattr(Cluster, "engine", property(lambda _: "ray"))
    code = panel.code()
    monkeypatch.undo()
    assert "# This was a run on real processes; the simulator will not do quite the same" in code
    assert "# The faults are in it. Not in it: what you stored and looked up" in code
    assert "# Its maintenance was changed meanwhile: ring_again.switch('sigcomm2001')" in code


def test_every_option_is_in_the_code() -> None:
    network = Network(latency=Uniform(0.01, 0.02), bandwidth=1e6)
    with Cluster(["a", "b", "c"], "sim", seed=3, network=network, trace_limit=5_000) as cluster:
        ring = Chord(
            cluster, 8, successors=4, routing="iterative", virtual_nodes=2, timeout=0.3, machines=["a", "b"]
        )
        names: dict[str, Any] = {}
        exec(RingPanel(ring, live=False).code(), names)
        with names["again"] as again:
            twin = names["ring_again"]
            assert again.trace.limit == 5_000
            assert (twin.settings, twin.virtual_nodes, twin.ids) == (ring.settings, 2, ring.ids)
            assert again.nodes == cluster.nodes
            assert again._engine.network.bandwidth == 1e6


# -- begun anew -------------------------------------------------------


def test_reset_is_the_same_system_once_more(ring: Chord, cluster: Cluster) -> None:
    panel, beside = RingPanel(ring, live=False), ClusterPanel(cluster, live=False)
    names = set(ring.ids)
    for machine in cluster.machines:
        cluster.kill(machine)
    cluster.run(1.0)
    panel.refresh()
    assert set(states(panel).values()) == {"dead"}
    panel.act("reset")
    acted(panel)
    beside.refresh()
    for one in (panel, beside):
        assert (one.error, set(states(one).values())) == ("", {"alive"})
        assert one.top.marks == []
    assert (set(ring.ids), len(ring)) == (names, 0)
    ring["lecture"] = 1
    assert ring["lecture"] == 1
    panel.refresh()
    assert {n["label"]: n["value"] for n in panel.numbers.numbers}["Successors right"] == "12 of 12"


# -- the time line and the event list ---------------------------------


def test_faults_are_marked_and_stay_in_the_list(ring: Chord, cluster: Cluster) -> None:
    panel = RingPanel(ring, live=False)
    cluster.kill("m2")
    struck = cluster.now
    cluster.run(60.0)
    for _ in range(80):
        cluster.trace.record(cluster.now, "m1", "chord-0", "printed", None, None, {"text": "noise"})
    panel.refresh()
    assert [(mark["text"], mark["time"]) for mark in panel.top.marks] == [("m2 was killed", struck)]
    texts = [line["text"] for line in panel.events.lines]
    assert "m2 was killed" in texts
    silent = [text.split(" does not answer")[0] for text in texts if "does not answer" in text]
    assert len(silent) == len(set(silent)), "one line for each silent node"
    panel.act("seek", position=struck - 0.001)
    panel.refresh()
    assert "m2 was killed" not in [line["text"] for line in panel.events.lines]


def test_what_happens_is_read_aloud(ring: Chord, cluster: Cluster) -> None:
    panel = RingPanel(ring, live=False)
    cluster.kill("m2")
    panel.refresh()
    assert panel.top.said["text"].startswith("m2 was killed")
    before = panel.top.said["n"]
    panel.refresh()
    assert panel.top.said["n"] == before, "once"
    panel.act("lookup", key="lecture")
    acted(panel)
    assert "'lecture' belongs to" in panel.top.said["text"]


def test_one_can_go_back_to_a_lookup(ring: Chord, cluster: Cluster) -> None:
    ring.lookup("first")
    cluster.run(1.0)
    ring.lookup("second")
    panel = RingPanel(ring, live=False)
    assert panel.top.runs["label"] == "Lookups"
    words = [words for _, words in panel.top.runs["items"][:2]]
    assert [any(key in each for each in words) for key in ("second", "first")] == [True, True]
    at = next(at for at, words in panel.top.runs["items"] if "first" in words)
    panel.act("seek", position=at)
    panel.refresh()
    assert panel.steps.steps["title"].startswith("Lookup of 'first'")


def test_the_trace_is_written_by_a_click(
    cluster: Cluster, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    panel = ClusterPanel(cluster, live=False)
    for form, name in (("trace", "trace.jsonl"), ("perfetto", "perfetto.json"), ("shiviz", "shiviz.log")):
        panel.act("save", form=form)
        acted(panel)
        assert (panel.error, (tmp_path / f"panels-{name}").exists()) == ("", True)
        assert panel.events.head["text"].startswith(f"written: panels-{name}")
    with Cluster(2, "sim") as quiet:
        assert "messages" in ClusterPanel(quiet, live=False).events.head["shiviz"]


def test_a_compact_panel(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, compact=True, live=False)
    assert "labkit-compact" in panel.root._dom_classes
    panel.act("compact")
    panel.refresh()
    assert "labkit-compact" not in panel.root._dom_classes


def test_nothing_is_alive_on_a_closed_cluster(ring: Chord, cluster: Cluster) -> None:
    panel = RingPanel(ring, live=False)
    cluster.kill("m1")
    cluster.close()
    panel.refresh()
    assert states(panel) == {"m1": "dead", "m2": "closed", "m3": "closed", "m4": "closed"}
    assert "good" not in [number["tone"] for number in panel.numbers.numbers]


# -- the ring --------------------------------


def test_a_lookup_is_told_and_replayed(ring: Chord) -> None:
    panel = RingPanel(ring, live=False)
    panel.ask._handle_custom_msg({"action": "lookup", "key": "lecture"}, [])
    acted(panel)
    found = ring.lookup("lecture")
    assert panel.steps.steps["title"].startswith("Lookup of 'lecture' at ")
    assert panel.steps.steps["items"][-1]["text"].startswith(f"'lecture' belongs to {found.owner} on m")
    assert panel.stage.route["owner"] == found.owner
    assert [hop["source"] for hop in panel.stage.route["hops"]]
    assert any(link["id"] == "key" for link in panel.stage.scene["links"]) or panel.refresh() is None
    before = panel.stage.route["id"]
    panel.act("replay")
    panel.refresh()
    assert panel.stage.route["id"] != before


def test_selecting_a_node_shows_its_fingers_and_it_can_leave(ring: Chord) -> None:
    panel = RingPanel(ring, live=False)
    assert panel.leave.disabled
    name = ring.nodes[3].name
    panel.stage.selected = name
    panel.refresh()
    assert not panel.leave.disabled
    assert any(link["cls"].startswith("finger") for link in panel.stage.scene["links"])
    panel.leave.click()
    acted(panel)
    assert name not in ring.ids
    assert name not in [mark["id"] for mark in panel.stage.scene["marks"]]
    panel.join.click()
    acted(panel)
    assert panel.error == ""
    assert len(ring.nodes) == 12


def test_empty_keys_are_refused(ring: Chord) -> None:
    panel = RingPanel(ring, live=False)
    panel.act("lookup", key="  ")
    panel.refresh()
    assert "type a key first" in panel.ask.error


def test_the_maintenance_is_switched_where_the_ring_can(ring: Chord) -> None:
    panel = RingPanel(ring, live=False)
    switched: list[str] = []
    panel.ring = _Instead(ring, switch=switched.append)  # type: ignore[arg-type]
    panel.act("maintenance", protocol="sigcomm2001")
    acted(panel)
    assert switched == ["sigcomm2001"]


def test_hops_become_pulses_once(ring: Chord) -> None:
    panel = RingPanel(ring, live=False)
    ring.lookup("key-1")
    panel.refresh()
    ids = [pulse["id"] for pulse in panel.stage.pulses["items"]]
    assert ids
    assert len(set(ids)) == len(ids)
    panel.refresh()
    assert [pulse["id"] for pulse in panel.stage.pulses["items"]] == ids, "sent again, not drawn again"


def test_more_messages_than_can_be_drawn_are_counted(cluster: Cluster) -> None:
    panel = ClusterPanel(cluster, live=False)
    Chord(cluster, nodes=12, successors=4).update({str(k): k for k in range(100)})
    panel.refresh()
    assert "more messages just now are not drawn" in panel.stage.caption
    assert len(panel.stage.pulses["items"]) <= 200


# -- space and time --------------------------------


def test_why_of_a_timeout_goes_back_to_the_fault(ring: Chord, cluster: Cluster) -> None:
    cluster.kill("m2")
    cluster.run(3.0)
    panel = SpaceTimePanel(cluster, window=5.0, live=False)
    lost = cluster.trace.filter(kind="timed_out")[-1]
    panel.stage.selected = str(lost.seq)
    panel.refresh()
    assert panel.error == ""
    assert panel.steps.steps["items"][0]["text"].endswith("m2 was killed")
    panel.lanes.value = "machine"
    panel.refresh()
    names = {label["text"] for label in panel.stage.scene["labels"] if label["cls"] == "name"}
    assert names <= {"client", "m1", "m2", "m3", "m4"}


@pytest.mark.parametrize(("amount", "form"), [(1.0, "~g"), (40.0, "~g"), (2_500.0, "~s")])
def test_half_of_one_is_not_500_thousandths(amount: float, form: str) -> None:
    before = set(_instances)
    chart = Iterations("Alarms")
    chart.show([1], [amount])
    assert chart.left.tick_format == form
    for made in set(_instances) - before:
        _instances[made].close()
