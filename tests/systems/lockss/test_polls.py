"""Polls on both engines: a damaged replica is repaired, an alarm rings when nobody has a landslide."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.lockss import Attrition, Lockss, Nuisance, Stealth
from labkit.systems.lockss.effort import NOTHING, prove

from .conftest import DOCUMENTS, repairs, right, small


def test_a_damaged_page_is_repaired_at_the_next_poll_of_its_library(make_cluster: Any) -> None:
    archive = small(make_cluster(machines=3, seed=2, trace_limit=500_000), rot=0.0, year=16.0, patience=200.0)
    page = DOCUMENTS["press"]["page-5"].encode()
    assert archive.read(3, "page-5") == page
    archive.damage(3, "page-5")
    spoilt = archive.read(3, "page-5")
    if not archive.view().repairs:  # a slow program reads after the next poll
        assert isinstance(spoilt, bytes)
        assert len(spoilt) == len(page)
        assert spoilt != page
    archive.cluster.run_until(lambda: archive.view().repairs == 1, timeout=300.0, what="the page is repaired")
    assert archive.read(3, "page-5") == page
    archive.cluster.run(1.0)
    right(archive)
    assert archive.damaged() == {}
    assert archive.alarms() == []
    assert archive.lost() == []


def test_a_killed_machine_comes_back_with_its_replicas_and_a_lost_disk_is_filled_by_polls(
    make_cluster: Any,
) -> None:
    cluster = make_cluster(machines=5, seed=3, trace_limit=500_000)
    archive = small(cluster, rot=0.0, year=16.0, patience=100.0)
    cluster.kill("m2")
    cluster.run(1.0)
    cluster.restart("m2")
    cluster.kill("m5")
    cluster.disk_loss("m5")
    cluster.restart("m5")
    empty = {"lockss-1-4", "lockss-1-9"}

    def came_back_empty() -> bool:  # in the view, which is as far as the order of the events is sure
        return 2 in [bad for _, bad in archive.view().damage]

    cluster.run_until(came_back_empty, timeout=300.0, what="two libraries came back empty")
    opened = cluster.trace.filter("opened")
    assert {event.node for event in opened if not any(event.data["versions"])} == empty
    if cluster.engine == "sim":  # a slow program may come to it when they are full again
        assert set(archive.damaged()) == empty
    cluster.run_until(lambda: not archive.damaged(), timeout=300.0, what="both are full again")
    assert archive.view().repairs == 16
    assert archive.read(4, "page-7") == DOCUMENTS["press"]["page-7"].encode()
    right(archive)


@pytest.mark.parametrize("rule", ["landslide", "v3"])
def test_rot_for_years(rule: str) -> None:
    with Cluster(machines=3, engine="sim", seed=4, trace_limit=500_000) as cluster:
        archive = small(cluster, rot=1.0, rule=rule, symmetric=True).run(4)
        view = archive.view()
        assert view.damages > 35
        assert view.repairs > 30
        assert archive.lost() == []
        assert len(archive.damaged()) <= 6
        assert view.outcomes["win"] + view.outcomes["loss"] > 14 * 4 * 4 * 0.9
        right(archive)
        proven = cluster.call("lockss-1-0", "replica", 0)["proven"]
        assert len(proven) > 5, "symmetric polls have shown whose replica is as ours"


def test_a_poll_that_was_held_up_puts_off_the_next() -> None:
    """A real process may stand still between the moment at which a poll is due and its call."""
    with Cluster(machines=3, engine="sim", seed=4, trace_limit=500_000) as cluster:
        archive = small(cluster, rot=0.0)
        library = cluster.peek("lockss-1-2")
        holding = library.holdings[0]
        called = library.day
        cluster.submit(lambda _: library._poll(holding, called - 100.0)).result()
        least = archive.options.interval * (1 - archive.options.jitter)
        assert holding.next_poll >= called + least


def test_several_units_are_audited_apart() -> None:
    with Cluster(machines=2, engine="sim", seed=5, trace_limit=500_000) as cluster:
        units = {name: {"text": name, "empty": b""} for name in ("a", "b", "c")}
        archive = Lockss(
            cluster, units, libraries=6, inner=5, reference=5, quorum=3, minority=1, rot=2.0
        ).run(2)
        right(archive)
        assert {unit for _, unit in archive.view().refs} == set("abc")
        assert archive.read(1, "text", unit="b") is not None
        touched = {event.data["unit"] for event in cluster.trace.filter("repaired")}
        assert touched == set("abc")


def test_stealth_wins_where_it_has_a_landslide_and_nuisance_only_rings() -> None:
    with Cluster(machines=2, engine="sim", seed=6, trace_limit=500_000) as cluster:
        archive = small(cluster, rot=0.0, adversary=Stealth(0.6)).run(6)
        right(archive)
        assert archive.view().strikes
        assert archive.lost() == ["page-0"]
        bad = archive.read(next(iter(int(name.rsplit("-", 1)[1]) for name in archive.damaged())), "page-0")
        assert isinstance(bad, bytes)
        assert bad.endswith(b"different\n")
    with Cluster(machines=2, engine="sim", seed=6, trace_limit=500_000) as cluster:
        archive = small(cluster, rot=0.3, adversary=Nuisance(0.3)).run(4)
        right(archive)
        assert len(archive.alarms()) > 5
        assert archive.lost() == []
        assert archive.predicted()["inconclusive"] > 0.1


def test_admission_control_keeps_an_attrition_adversary_out() -> None:
    done = {}
    for refractory in (0.0, 1.0):
        with Cluster(machines=2, engine="sim", seed=6, trace_limit=500_000) as cluster:
            attack = Attrition(0.15, rate=2.0)
            archive = small(cluster, adversary=attack, refractory=refractory, drop=0.5).run(1)
            right(archive)
            polls = archive.view().outcomes
            away = [e for e in cluster.trace.filter("turned_away") if e.data["reason"] == "refractory"]
            done[refractory] = polls["win"] + polls["loss"], len(away)
    assert done[0.0][1] == 0
    assert done[1.0][1] > 200
    assert done[1.0][0] > 30, "their own polls go on"


def test_who_has_not_worked_is_not_heard() -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        archive = small(cluster)
        node, poll = "lockss-1-2", (5, 0, 777)
        units = archive.options.effort * archive.options.introductory
        assert cluster.call(node, "poll", poll, NOTHING)[0] == "no effort proved"
        assert cluster.call(node, "poll", poll, prove(((4, 0, 777), "poll"), units))[0] == "no effort proved"
        assert (
            cluster.call(node, "poll", (5, 3, 1), prove(((5, 3, 1), "poll"), units))[0] == "no such content"
        )
        assert cluster.call(node, "poll_proof", poll, 99, NOTHING) is None
        assert cluster.call(node, "vote_request", poll) is None
        assert cluster.call(node, "repair_request", poll, 0, prove((poll, "repair", 0), 1.0)) is None


def test_rot_is_changed_while_it_runs() -> None:
    with Cluster(machines=2, engine="sim", seed=9, trace_limit=500_000) as cluster:
        archive = small(cluster, rot=0.0).run(2)
        assert archive.view().damages == 0
        archive.rot = 3.0
        assert archive.predicted()["damaged"] == pytest.approx(3 / 8, rel=0.05), "the rot as it is now"
        archive.run(2)
        damages = archive.view().damages
        assert "rot was set to 3" in archive.code()
        assert 14 * 3 * 2 * 0.6 < damages < 14 * 3 * 2 * 1.5
        archive.rot = 0
        archive.run(2)
        assert archive.view().damages == damages
        assert archive.damaged() == {}
        assert archive.view().rate == 0
        right(archive)
        archive.reset()
        assert archive.years < 0.1
        assert archive.view().damages == 0


def test_code_of_a_run_makes_the_same_run() -> None:
    with Cluster(machines=2, engine="sim", seed=9, trace_limit=500_000) as cluster:
        archive = Lockss(cluster, rot=2.0, adversary=Stealth(0.3, lurk=1.0), libraries=12).run(1)
        code = archive.code()
        assert "adversary=Stealth(fraction=0.3, lurk=1.0)" in code
        assert "rot=2.0" in code
        names: dict[str, Any] = {}
        exec(code.rsplit("\n", 2)[0], names)
        again = names["archive_again"]
        assert repairs(again) == repairs(archive) != []
        again.cluster.close()


def test_two_archives_rot_apart_and_a_lossy_network_founds_one() -> None:
    with Cluster(machines=2, engine="sim", seed=1, trace_limit=500_000) as cluster:
        cluster.loss(0.3)
        cluster.duplicate(0.3)
        archives = [small(cluster, rot=2.0) for _ in range(2)]
        archives[0].run(1)
        hit = [
            [e.data["block"] for e in cluster.trace.filter("damaged") if e.node.startswith(a.name)]
            for a in archives
        ]
        assert hit[0] != hit[1]
        for archive in archives:
            right(archive)
            assert len(archive.damaged()) < 12
