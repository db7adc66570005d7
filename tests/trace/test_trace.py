"""The trace: levels, bounds, reading, causes, files and the formats of other tools."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import Cluster, LabError, Timeout, Trace
from labkit.trace.event import Event, canonical, packed, plain, unpacked
from labkit.trace.export import vector_clocks
from tests.runtime.nodes import Echo, gossips

Sim = Callable[..., Cluster]


def a_run(sim: Sim, seconds: float = 3.0, **options: Any) -> Cluster:
    """Gossip, one machine killed and restarted."""
    cluster = sim(**options)
    cluster.spawn_many(gossips())
    with cluster.span("a greeting", who="g0"):
        cluster.call("g0", "hear", 7)
    cluster.run(seconds / 2)
    cluster.kill("m2")
    cluster.run(seconds / 2)
    return cluster


class TestLevels:
    def test_off_records_nothing(self, sim: Sim) -> None:
        cluster = a_run(sim, trace="off")
        assert len(cluster.trace) == cluster.trace.count == 0
        assert len(cluster.schedule) == 1

    def test_domain_has_no_messages_and_messages_has_all_of_domain(self, sim: Sim) -> None:
        def told(level: str) -> list[tuple[Any, ...]]:
            trace = a_run(sim, trace=level).trace
            return [
                (event.time, event.machine, event.node, event.kind)
                for event in trace
                if event.kind not in ("sent", "delivered", "dropped")
            ]

        assert told("domain") == told("messages")
        kinds = {event.kind for event in a_run(sim).trace}
        assert not kinds & {"sent", "delivered", "dropped"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"level": "all"}, "trace is one of 'off', 'domain', 'messages', not 'all'"),
            ({"limit": 0}, "limit is the number of events to keep, >= 1, not 0"),
        ],
    )
    def test_bad_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Trace(**options)


class TestReading:
    def test_spans_go_through_every_message(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        a, b, c = (cluster.spawn(Echo) for _ in range(3))
        with cluster.span("outer", tags={"x", "y"}) as outer:
            cluster.call(a, "ask", b, "forward", c, 1)
        cluster.call(a, "plain", 1)
        events = cluster.trace.filter(span=outer)
        assert {event.node for event in events} == {"client", a, b, c}
        assert [event.kind for event in (events[0], events[-1])] == ["span_started", "span_finished"]
        assert events[0].data == {"name": "outer", "tags": ["x", "y"]}
        assert sum(event.kind == "sent" for event in events) == 6
        (own,) = {event.span for event in cluster.trace.filter(kind="sent")} - {outer}
        assert {event.data["method"] for event in cluster.trace.filter(kind="sent", span=own)} == {"plain"}

    def test_a_span_that_fails_says_why(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        with pytest.raises(ZeroDivisionError), cluster.span("doomed"):
            cluster.call(a, "fail")
        assert cluster.trace[-1].data == {"name": "doomed", "error": "ZeroDivisionError: on purpose"}
        with pytest.raises(ZeroDivisionError):
            cluster.call(a, "fail")
        assert cluster.trace[-1].data == {"name": "fail", "error": "ZeroDivisionError: on purpose"}

    def test_what_is_emitted_is_a_copy_with_sets_in_order(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        data = {"names": {"b", "a"}, "nested": [({2, 1},)], "map": {"k": frozenset("yx")}}
        cluster.call(a, "note", "noted", data)
        (event,) = cluster.trace.filter(kind="noted")
        assert event.data == {"names": ["a", "b"], "nested": [([1, 2],)], "map": {"k": ["x", "y"]}}

    def test_filter(self, sim: Sim) -> None:
        trace = a_run(sim).trace
        assert {event.kind for event in trace.filter(kind=("heard", "killed"))} == {"heard", "killed"}
        assert all(
            event.node == "g1" and event.data["total"] == 2 for event in trace.filter(node="g1", total=2)
        )
        assert [event.kind for event in trace.filter(machine="m2", kind="killed")] == ["killed"]

    def test_indexing_and_since(self, sim: Sim) -> None:
        trace = a_run(sim).trace
        events = list(trace)
        assert (trace[0], trace[-1], trace[2:5]) == (events[0], events[-1], events[2:5])
        assert trace.since(5) == events[5:]
        assert trace.since(trace.count) == []
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert trace.sorted() == events

    def test_watchers_see_each_event_as_it_happens(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        a = cluster.spawn(Echo)
        seen: list[Event] = []
        cluster.trace.watch(seen.append)
        start = cluster.trace.count
        cluster.call(a, "plain", 1)
        cluster.trace.unwatch(seen.append)
        cluster.trace.unwatch(seen.append)
        assert seen == cluster.trace.since(start)
        cluster.call(a, "plain", 2)
        assert len(seen) < len(cluster.trace.since(start))

    def test_frame(self, sim: Sim) -> None:
        import pandas

        cluster = sim()
        a = cluster.spawn(Echo)
        cluster.call(a, "note", "noted", {"time": "mine", "x": 1})
        frame = cluster.trace.frame()
        assert len(frame) == len(cluster.trace)
        assert list(frame.columns[:7]) == ["time", "seq", "machine", "node", "kind", "span", "parent"]
        (row,) = frame[frame.kind == "noted"].to_dict("records")
        assert (row["data_time"], row["x"]) == ("mine", 1)
        assert list(Trace().frame().columns) == list(frame.columns[:7])
        assert isinstance(frame, pandas.DataFrame)

    def test_story(self, sim: Sim) -> None:
        cluster = a_run(sim)
        trace = cluster.trace
        story = trace.story("g1", last=3)
        head, *lines = story.splitlines()
        assert re.fullmatch(r"… \d+ earlier events", head)
        assert len(lines) == 3
        assert all("g1" in line for line in lines)
        assert "a greeting" in trace.story(1)
        assert "killed" in trace.story("m2")
        assert trace.story("nobody") == "no event in this trace is about 'nobody'"
        cluster.spawn(Echo)
        cluster.call("echo-0", "note", "stored", {"keys": [["deep", "key"]]})
        assert "stored" in trace.story("key")

    def test_str_and_repr(self) -> None:
        event = Event(1.5, 1, "m1", "a", "heard", None, None, {"x": 1})
        assert str(event) == "    1.5000  a            heard                x=1"
        trace = Trace()
        trace.extend([event])
        assert repr(trace) == "Trace(1 events, level='domain')"


class TestBound:
    def test_the_oldest_are_forgotten_and_counted(self, sim: Sim) -> None:
        bounded = a_run(sim, trace_limit=40, seconds=8).trace
        whole = a_run(sim, seconds=8).trace
        assert 40 <= len(bounded) <= 50
        assert bounded.dropped == whole.count - len(bounded) > 0
        assert bounded.count == whole.count
        assert list(bounded) == whole[-len(bounded) :]
        assert bounded.since(0) == list(bounded)
        assert bounded.since(whole.count - 3) == whole[-3:]
        assert f"{bounded.dropped} forgotten" in repr(bounded)

    def test_the_digest_is_of_all_events_ever_recorded(self, sim: Sim) -> None:
        digests = {
            a_run(sim, seconds=8, trace="messages", trace_limit=limit).trace.digest()
            for limit in (10, 77, 10_000)
        }
        assert len(digests) == 1

    def test_extending_is_bounded_too(self) -> None:
        trace = Trace(limit=10)
        trace.extend((float(n), n, "m1", None, "x", None, None, {}) for n in range(100))
        assert (len(trace), trace.dropped, trace.count) == (10, 90, 100)
        assert len(trace.drain()) == 10
        assert len(trace) == 0


class TestWhy:
    def cut(self, sim: Sim, *faults: Callable[[Cluster], None], level: str = "domain") -> Cluster:
        cluster = sim(trace=level)
        cluster.spawn(Echo, machine="m1")
        cluster.spawn(Echo, machine="m2")
        cluster.run(1)
        for fault in faults:
            fault(cluster)
            cluster.run(0.1)
        return cluster

    @pytest.mark.parametrize("level", ["domain", "messages"])
    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (lambda c: c.kill("m2"), "killed"),
            (lambda c: c.pause("m2"), "paused"),
            (lambda c: c.partition("m1", "m2"), "partitioned"),
            (lambda c: c.partition("m2", "m1", oneway=True), "partitioned"),
            (lambda c: c.remove("echo-1"), "node_stopped"),
            (lambda c: c.loss(1.0), "loss_changed"),
            (lambda c: c.slow("m2", 10_000), "slowed"),
        ],
    )
    def test_a_timeout_is_led_back_to_its_fault(
        self, sim: Sim, fault: Callable[[Cluster], None], kind: str, level: str
    ) -> None:
        cluster = self.cut(sim, fault, level=level)
        client = "client" if kind == "loss_changed" else "echo-0"
        asked = ("echo-1", "plain", 1) if client == "client" else ("echo-0", "patient", "echo-1", 0.5)
        with pytest.raises(Timeout):
            cluster.call(*asked, timeout=0.5 if client == "client" else 5.0)
        (symptom,) = cluster.trace.filter(kind="timed_out", node=client)
        chain = cluster.trace.why(symptom)
        assert chain.fault is not None
        assert (chain.fault.kind, chain.events[-1]) == (kind, symptom)
        assert str(chain).splitlines()[-1].startswith("  because")
        assert repr(chain) == str(chain)

    def test_a_fault_that_was_mended_before_is_not_to_blame(self, sim: Sim) -> None:
        cluster = self.cut(
            sim,
            lambda c: c.partition("m1", "m2"), lambda c: c.heal(),
            lambda c: c.pause("m2"), lambda c: c.resume("m2"),
            lambda c: c.loss(0.5), lambda c: c.loss(0.0),
            lambda c: c.slow("m2"), lambda c: c.slow("m2", 1),
        )  # fmt: skip
        with pytest.raises(Timeout):
            cluster.call("echo-0", "patient", "echo-1", 0.5)
        assert cluster.trace.why(cluster.trace.filter(kind="timed_out")[0]).fault is None

    def test_but_one_that_was_mended_while_the_caller_waited_is(self, sim: Sim) -> None:
        cluster = self.cut(sim, lambda c: c.kill("m2"))
        operation = cluster.submit(lambda client: client.call("echo-0", "patient", "echo-1", 0.5))
        cluster.run(0.1)
        cluster.restart("m2")
        with pytest.raises(Timeout):
            operation.result()
        fault = cluster.trace.why(cluster.trace.filter(kind="timed_out")[0]).fault
        assert fault is not None
        assert fault.kind == "killed"

    def test_it_walks_through_messages_and_says_what_it_does_not_know(self, sim: Sim) -> None:
        cluster = self.cut(sim, level="messages")
        cluster.call("echo-0", "ask", "echo-1", "note", "noted", {})
        (noted,) = cluster.trace.filter(kind="noted")
        assert [event.kind for event in cluster.trace.why(noted.seq).events] == [
            "sent", "delivered", "sent", "delivered", "noted",
        ]  # fmt: skip
        with pytest.raises(LabError, match="no event with seq 99999; it holds 17, and older ones may"):
            cluster.trace.why(99_999)


Plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.just("$tuple")), inner, max_size=3),
    ),
    max_leaves=8,
)


class TestFiles:
    @pytest.mark.parametrize("name", ["run.jsonl", "run.parquet"])
    def test_what_was_saved_is_loaded(self, sim: Sim, tmp_path: Path, name: str) -> None:
        cluster = a_run(sim, trace="messages")
        cluster.spawn(Echo)
        cluster.call("echo-0", "note", "odd", {"fingers": {1: "a", 2: ("b", b"\xff")}, "x": 1.25})
        before = cluster.trace
        after = Trace.load(before.save(tmp_path / name))
        assert list(after) == list(before)
        assert (after.meta, after.level, after.dropped) == (before.meta, before.level, before.dropped)
        assert after.digest() == before.digest()
        assert after.meta == {"engine": "sim", "seed": 0, "machines": ["m1", "m2", "m3"], "name": "sim"}
        assert after.record(9.0, "m1", None, "more", None, None, {}) == before[-1].seq + 1

    @given(Plain)
    def test_any_plain_data_comes_back_from_json(self, value: Any) -> None:
        data = {"value": value}
        assert canonical(json.loads(json.dumps(packed(data)), object_hook=unpacked)) == canonical(data)

    def test_data_that_json_has_no_word_for(self) -> None:
        import numpy

        assert json.loads(json.dumps(packed({"a": numpy.arange(3), "b": {3, 1}, "c": Constantly()}))) == {
            "a": [0, 1, 2], "b": [1, 3], "c": "constantly",
        }  # fmt: skip
        assert plain(b"\xff") == "ÿ"

    @pytest.mark.parametrize(
        "text",
        ["", "no json", "[1]\n", '{"meta": {}}\n', '{"meta": {}, "level": "domain", "dropped": 0}\n[1, 2]\n'],
    )
    def test_a_file_that_is_no_trace(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "other.jsonl"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"other\.jsonl is not a trace saved by labkit"):
            Trace.load(path)

    def test_a_parquet_file_that_is_no_trace(self, tmp_path: Path) -> None:
        import pandas

        path = tmp_path / "other.parquet"
        pandas.DataFrame({"x": [1]}).to_parquet(path)
        with pytest.raises(ValueError, match=r"other\.parquet is not a trace saved by labkit"):
            Trace.load(path)

    def test_without_pyarrow(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(
            LabError, match=r"Parquet needs pyarrow: pip install pyarrow, or save to .*\.jsonl"
        ):
            Trace().save(tmp_path / "x.parquet")

    def test_perfetto(self, sim: Sim, tmp_path: Path) -> None:
        cluster = a_run(sim, trace="messages")
        told = json.loads(cluster.trace.to_perfetto(tmp_path / "run.json").read_text())
        events = told["traceEvents"]
        names = {event["args"]["name"] for event in events if event["ph"] == "M"}
        assert {"m1", "m2", "m3", "client", "g0"} <= names
        assert all({"ph", "pid"} <= event.keys() for event in events)
        assert all(event["ts"] >= 0 for event in events if event["ph"] != "M")
        assert [event["ph"] for event in events if event.get("cat") == "span"] == ["b", "e"]
        starts = [event["id"] for event in events if event["ph"] == "s"]
        ends = {event["id"] for event in events if event["ph"] == "f"}
        assert len(set(starts)) == len(starts)  # no two messages are drawn as one
        assert ends <= set(starts)
        assert len(ends) > 20

    def test_shiviz(self, sim: Sim, tmp_path: Path) -> None:
        cluster = sim(trace="messages")
        cluster.spawn(Echo, name="first node")
        cluster.spawn(Echo, name="b", machine="m2")
        cluster.call("first node", "ask", "b", "plain", 1)
        text = cluster.trace.to_shiviz(tmp_path / "run.log").read_text()
        parser, blank, *_ = text.splitlines()
        assert blank == ""
        found = re.findall(parser.replace("(?<", "(?P<"), text.split("\n", 2)[2])
        assert len(found) == len(cluster.trace)
        latest: dict[str, int] = {}
        for host, clock_text, _ in found:
            clock = json.loads(clock_text)
            latest[host] = latest.get(host, 0) + 1
            assert clock[host] == latest[host]  # its own events are counted without a gap
            assert all(
                count <= latest.get(other, 0) for other, count in clock.items()
            )  # nothing of the future
        assert {"first_node", "b", "client"} <= latest.keys()
        with pytest.raises(LabError, match="make the cluster with trace=\"messages\", not 'domain'"):
            sim().trace.to_shiviz(tmp_path / "none.log")

    def test_vector_clocks_say_what_happened_before(self, sim: Sim) -> None:
        cluster = a_run(sim, trace="messages", seconds=1)
        events = list(cluster.trace)
        clocks = vector_clocks(events)
        by_seq = {event.seq: clock for event, clock in zip(events, clocks, strict=True)}
        for event, clock in zip(events, clocks, strict=True):
            if event.kind == "delivered":
                before = by_seq[event.parent or 0]
                assert all(clock[node] >= count for node, count in before.items())
                assert clock != before


class Constantly:
    def __repr__(self) -> str:
        return "constantly"


class TestDigest:
    def test_it_tells_apart_what_differs(self) -> None:
        def digest(*rows: tuple[Any, ...]) -> str:
            trace = Trace()
            trace.extend(rows)
            return trace.digest()

        row = (1.0, 1, "m1", "a", "x", None, None, {"k": 1})
        assert digest(row) == digest(row)
        others = [
            (*row[:7], data)
            for data in ({"k": 2}, {"k": True}, {"k": "1"}, {"l": 1}, {"k": [1]}, {"k": math.nan})
        ]
        assert len({digest(one) for one in [row, *others]}) == 7
        assert digest(row, row) != digest(row)

    def test_odd_values_have_no_address_and_no_order_in_it(self) -> None:
        import numpy

        class Odd:
            def __init__(self, x: Any) -> None:
                self.x = x

        assert canonical({"a": Odd(1)}) == canonical({"a": Odd(1)}) != canonical({"a": Odd(2)})
        assert canonical([Odd((numpy.arange(3),))]) == canonical([Odd((numpy.arange(3),))])
        assert canonical([Odd({"k": [1]})]) == canonical([Odd({"k": [1]})])
