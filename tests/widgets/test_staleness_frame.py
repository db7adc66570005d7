"""The frame and the scene of `StalenessPanel`, from events written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.systems.paramserver.events import meaning
from labkit.systems.paramserver.view import POINTS, StalenessReducer, StalenessView, kind_of
from labkit.trace.fold import History, fold
from labkit_widgets.panels import staleness
from labkit_widgets.panels.staleness import staleness_scene

Row = tuple[Any, ...]
RANGES = [[0.0, 0.5, ["server-0", "server-1"]], [0.5, 1.0, ["server-1", "server-0"]]]


def lab() -> list[Row]:
    """Two servers on m1 and m2, three workers on m3, m4, m1."""
    places = {"server-0": "m1", "server-1": "m2", "worker-0": "m3", "worker-1": "m4", "worker-2": "m1"}
    return [
        *(
            (0.0, machine, name, "node_started", {"cls": "Server", "events": "parameter server"})
            for name, machine in places.items()
        ),
        (0.0, "client", "manager", "view", {"view": 1, "ranges": RANGES}),
    ]


def started(
    consistency: str = "SSP(2)", bound: int | None = 2, time: float = 1.0, iterations: int = 50
) -> Row:
    workers = ["worker-0", "worker-1", "worker-2"]
    data = {
        "run": "1",
        "workers": workers,
        "iterations": iterations,
        "consistency": consistency,
        "bound": bound,
    }
    return (time, "client", "scheduler", "training_started", data)


def of(shard: int, time: float, kind: str, **data: Any) -> Row:
    name = f"worker-{shard}"
    return (time, f"m{(shard + 2) % 4 + 1}", name, kind, {"worker": name, "shard": shard, **data})


def waits(shard: int, time: float, clock: int, slowest: int, names: list[str], bound: int = 2) -> Row:
    return of(shard, time, "wait_started", clock=clock, bound=bound, slowest=slowest, **{"for": names})


def frame(trace: Any, position: float | None = None, now: float | None = None) -> StalenessView:
    """The parameter server at a position, from scratch."""
    found: StalenessView = fold(StalenessReducer(), trace, position).view(position, now)
    return found


def numbers(picture: Any) -> dict[str, tuple[str, str]]:
    return {
        number.label: (number.value, number.theory or number.note) for number in staleness.numbers(picture)
    }


# -- clocks and waiting ------------------------------------------------------------


def test_clocks_against_the_bound_and_who_waits_for_whom(make_trace: Any) -> None:
    trace = make_trace(
        [
            *lab(),
            started(),
            of(0, 2.0, "clock", clock=3),
            of(1, 2.0, "clock", clock=4),
            of(2, 2.0, "clock", clock=2),
            waits(1, 2.0, 5, 2, ["worker-2"]),
        ]
    )
    picture = frame(trace)
    assert [(w.name, w.clock, w.state, w.waits_for) for w in picture.workers] == [
        ("worker-0", 3, "computing", ()),
        ("worker-1", 4, "waiting", ("worker-2",)),
        ("worker-2", 2, "computing", ()),
    ]
    assert (picture.slowest, picture.fastest, picture.bound) == (2, 4, 2)
    assert numbers(picture)["Fastest ahead by"] == ("2", "at most 2")
    scene = staleness_scene(picture)
    (allowed,) = scene.boxes
    inside = [m.id for m in scene.marks if allowed.x <= m.x <= allowed.x + allowed.w and m.y < 200]
    assert inside == ["shard-0", "shard-1", "shard-2"], "nobody is outside of what the bound allows"
    (link,) = [link for link in scene.links if link.cls == "wait"]
    assert link.tip == "worker-1 waits for worker-2"
    assert "waits for worker-2" in [label.text for label in scene.labels]


def test_waiting_is_counted_in_seconds_also_while_it_lasts(make_trace: Any) -> None:
    trace = make_trace(
        [
            *lab(),
            started(time=1.0),
            waits(0, 2.0, 3, 0, ["worker-2"]),
            of(0, 4.0, "wait_finished", clock=3, seconds=2.0),
            waits(0, 7.0, 4, 1, ["worker-1", "worker-2"]),
        ]
    )
    halfway = frame(trace, 3.0).workers[0]
    assert (halfway.waited, halfway.worked, halfway.state) == (1.0, 1.0, "waiting")
    later = frame(trace, 7.0).workers[0]
    assert (later.waited, later.worked) == (2.0, 4.0)
    now = frame(trace, now=9.0).workers[0]
    assert (now.waited, now.worked) == (4.0, 4.0)
    assert numbers(frame(trace, now=9.0))["Time waiting"][0] == "17%", "4 of the workers' 24 seconds"


@pytest.mark.parametrize(("bound", "shown"), [(0, 1), (3, 1), (None, 0)])
def test_what_the_bound_allows_is_a_band_of_columns(make_trace: Any, bound: int | None, shown: int) -> None:
    picture = frame(
        make_trace([*lab(), started("x", bound), *(of(k, 2.0, "clock", clock=5) for k in range(3))])
    )
    scene = staleness_scene(picture)
    assert len(scene.boxes) == shown
    if shown:
        one = staleness_scene(frame(make_trace([*lab(), started("BSP()", 0)]))).boxes[0].w
        assert scene.boxes[0].w == pytest.approx(one * ((bound or 0) + 1), rel=0.35)
    assert meaning(bound) in {
        "each iteration begins when all have ended the one before",
        "nobody is more than 3 iterations ahead of the slowest",
        "nobody waits for anybody",
    }


def test_a_stopped_run_waits_no_longer(make_trace: Any) -> None:
    trace = make_trace(
        [
            *lab(),
            started(iterations=3),
            of(0, 2.0, "clock", clock=3),
            waits(1, 2.0, 3, 0, ["worker-2"]),
            (3.0, "client", "scheduler", "training_finished", {"run": "1", "ok": False}),
        ]
    )
    assert frame(trace, 2.5).workers[0].state == "done", "its last iteration is over"
    picture = frame(trace, now=100.0)
    assert not picture.running
    assert [w.state for w in picture.workers] == ["done", "stopped", "stopped"]
    assert picture.workers[1].waited == 1.0
    assert "Training was stopped" in [line.text for line in picture.lines]


# -- reads and the loss ------------------------------------------------------------


def test_staleness_of_reads(make_trace: Any) -> None:
    pulls = [
        of(k % 3, 2.0 + k, "pulled", vector="w", keys=10, bytes=80, raw=160, clock=k, staleness=k % 4)
        for k in range(8)
    ]
    picture = frame(make_trace([*lab(), started(), *pulls]))
    assert [(read.time, read.staleness) for read in picture.reads][:4] == [
        (2.0, 0),
        (3.0, 1),
        (4.0, 2),
        (5.0, 3),
    ]
    assert numbers(picture)["Staleness of reads"] == ("1.5 (max 3)", "at most 2")
    assert numbers(picture)["On the wire"] == ("0.00 MB", "filters save 50%")
    assert [w.staleness for w in picture.workers] == [2, 3, 1]


def test_the_loss_is_the_mean_of_what_the_workers_said_last(make_trace: Any) -> None:
    rows = [of(k, 2.0 + k, "loss", iteration=0, loss=3.0) for k in range(3)]
    rows += [of(k, 3.0 + k, "clock", clock=1) for k in range(3)]
    change = (5.5, "client", "scheduler", "consistency_changed", {"consistency": "Async()", "bound": None})
    rows += [change, of(0, 6.0, "loss", iteration=1, loss=0.0)]
    picture = frame(make_trace([*lab(), started("BSP()", 0), *rows]))
    assert [(p.time, p.loss, p.kind) for p in picture.points] == [(4.0, 3.0, "BSP"), (6.0, 2.0, "Async")]
    assert picture.points[-1].iteration == 1.0
    assert picture.bounds == ((1.0, 0), (5.5, None))
    assert numbers(picture)["Loss"][0] == "2.000"
    assert "Consistency is now Async(): nobody waits for anybody" in [line.text for line in picture.lines]


def test_a_long_curve_is_thinned_and_an_earlier_run_is_kept(make_trace: Any) -> None:
    rows = [of(k % 3, 2.0 + k / 100, "loss", iteration=k // 3, loss=1.0 / (1 + k)) for k in range(5 * POINTS)]
    picture = frame(make_trace([*lab(), started("BSP()", 0), *rows, started("SSP(4)", 4, time=90.0)]))
    assert picture.points == ()
    ((label, points),) = picture.earlier
    assert label == "BSP()"
    assert POINTS / 2 <= len(points) <= POINTS
    assert [p.time for p in points] == sorted(p.time for p in points)
    assert points[0].time < 2.1
    assert points[-1].time > 21.5


# -- servers ------------------------------------------------------------


def test_a_dead_server_and_its_successor(make_trace: Any) -> None:
    trace = make_trace(
        [
            *lab(),
            (5.0, "m2", None, "killed", {}),
            (6.0, "client", "manager", "server_failed", {"server": "server-1", "why": "silent for 2 s"}),
            (6.0, "client", "manager", "view", {"view": 2, "ranges": [[0.0, 1.0, ["server-0"]]]}),
        ]
    )
    before, dead, replaced = frame(trace, 4.0), frame(trace, 5.5), frame(trace)
    assert [(s.name, s.state, s.share) for s in before.servers] == [
        ("server-0", "alive", 0.5),
        ("server-1", "alive", 0.5),
    ]
    assert [s.state for s in dead.servers] == ["alive", "dead"]
    assert numbers(before)["Ranges copied"][0] == "2 of 2"
    assert numbers(dead)["Ranges copied"][0] == "0 of 2"
    copied = next(number for number in staleness.numbers(dead) if number.label == "Ranges copied")
    assert "servers left" in copied.note
    assert copied.theory == "", "what is left is no theory, though its words begin with a number"
    assert [(s.name, s.share) for s in replaced.servers] == [("server-0", 1.0), ("server-1", 0.0)]
    arcs = [link.tip for link in staleness_scene(dead).links if link.cls.startswith("load")]
    assert "server-1, master of 50.0% of the circle; chain: server-1 → server-0" in arcs
    assert any("server-1 is taken for dead" in line.text for line in replaced.lines)


def test_a_replaced_server_that_lives_is_not_shown_as_alive(make_trace: Any) -> None:
    failed = (6.0, "client", "manager", "server_failed", {"server": "server-1", "why": "silent"})
    paused = frame(make_trace([*lab(), (5.0, "m2", None, "paused", {}), failed]))
    assert [s.state for s in paused.servers] == ["alive", "paused"]
    back = frame(
        make_trace([*lab(), (5.0, "m2", None, "paused", {}), failed, (7.0, "m2", None, "resumed", {})])
    )
    assert [s.state for s in back.servers] == ["alive", "failed"]
    assert staleness_scene(back).mark("server-1").state == "dead"
    left = frame(make_trace([*lab(), (8.0, "client", "manager", "server_left", {"server": "server-1"})]))
    assert [s.name for s in left.servers] == ["server-0"]


def test_a_dead_worker_s_shard_goes_on_elsewhere(make_trace: Any) -> None:
    trace = make_trace(
        [
            *lab(),
            started(),
            of(1, 2.0, "clock", clock=7),
            (3.0, "m4", None, "killed", {}),
            (4.0, "client", "scheduler", "worker_failed", {"worker": "worker-1", "why": "silent"}),
            (
                5.0,
                "client",
                "scheduler",
                "shard_reassigned",
                {"shard": 1, "from": "worker-1", "to": "worker-0"},
            ),
            (6.0, "m3", "worker-0", "clock", {"worker": "worker-0", "shard": 1, "clock": 8}),
        ]
    )
    dead, failed, again = frame(trace, 3.5).workers[1], frame(trace, 4.5), frame(trace).workers[1]
    assert (dead.state, dead.machine_state) == ("computing", "dead")
    assert failed.workers[1].state == "failed"
    assert failed.slowest == 0, "a dead worker holds nobody back; the others are at 0"
    assert (again.name, again.clock, again.state, again.machine) == ("worker-0", 8, "computing", "m3")
    assert staleness_scene(failed).mark("shard-1").state == "dead"


def test_pushes_and_forwards_are_flows_between_marks(make_trace: Any) -> None:
    push = ("m1", "server-0", "applied", {"worker": "worker-2", "shard": 2, "vector": "w"})
    on = ("m1", "server-0", "forwarded", {"to": "server-1"})
    picture = frame(make_trace([*lab(), started(), (2.0, *push), (2.1, *on)]))
    assert [(f.source, f.target, f.kind) for f in picture.flows] == [
        ("worker-2", "server-0", "push"),
        ("server-0", "server-1", "forward"),
    ]


# -- the whole ------------------------------------------------------------


def test_nothing_yet(make_trace: Any) -> None:
    picture = frame(make_trace([]))
    texts = [label.text for label in staleness_scene(picture).labels]
    assert "no training yet" in texts
    assert "no servers yet" in texts
    assert numbers(picture)["Loss"][0] == "none yet"


def test_many_workers_and_many_ranges_are_summarised(make_trace: Any) -> None:
    workers = [f"worker-{k}" for k in range(60)]
    data = {"run": "1", "workers": workers, "iterations": 9, "consistency": "BSP()", "bound": 0}
    cuts = [[k / 500, (k + 1) / 500, [f"server-{k % 5}"]] for k in range(500)]
    rows = [
        (0.0, "client", "manager", "view", {"view": 1, "ranges": cuts}),
        (1.0, "client", "scheduler", "training_started", data),
    ]
    scene = staleness_scene(frame(make_trace(rows)))
    assert sum(mark.id.startswith("shard-") for mark in scene.marks) == 32
    assert "and 28 more workers" in [label.text for label in scene.labels]
    assert sum(link.cls == "load" for link in scene.links) == 5
    assert len(scene.marks) < 200


def test_a_remembered_fold_equals_one_from_scratch(make_trace: Any) -> None:
    rows: list[Row] = [*lab(), started()]
    for k in range(1500):
        rows.append(of(k % 3, 2.0 + k / 100, "clock", clock=k // 3))
        rows.append(of(k % 3, 2.0 + k / 100, "loss", iteration=k // 3, loss=1.0 / (1 + k)))
    trace = make_trace(rows)
    history = History(trace, StalenessReducer())
    for position in (None, 3.0, 9.99, 16.0, None):
        assert history.at(position).view(position) == frame(trace, position)


def test_kinds() -> None:
    assert [kind_of(bound) for bound in (0, 1, 16, None)] == ["BSP", "SSP", "SSP", "Async"]
