"""The rules without a network: tally, admission control, the reference list, effort, options, and the
single-thread simulation beside the nodes."""

from __future__ import annotations

import re
from collections import Counter
from random import Random
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.lockss import SOSP, V3, Attrition, Lockss, Nuisance, Options, Stealth, simulate
from labkit.systems.lockss.adversaries import Adversary
from labkit.systems.lockss.effort import prove, proves
from labkit.systems.lockss.holding import DEBT, Holding
from labkit.systems.lockss.polls import Poll
from labkit.systems.lockss.prediction import circles, damaged_share, hypergeometric
from labkit.systems.lockss.replicas import Damage, commitment, damaged, digest, vote_hash
from labkit.systems.lockss.tally import INCONCLUSIVE, INQUORATE, LOSS, WIN, Landslide, Margin

from .conftest import DOCUMENTS, SMALL, repairs, small


def test_the_landslide_and_the_daemons_margin_are_different_rules() -> None:
    landslide, margin = Landslide(quorum=5, minority=2), Margin(quorum=5, margin=0.75)
    assert [landslide(agree, 10) for agree in range(11)] == [LOSS] * 3 + [INCONCLUSIVE] * 5 + [WIN] * 3
    assert [margin(agree, 10) for agree in range(11)] == [LOSS] * 3 + [INCONCLUSIVE] * 5 + [WIN] * 3
    assert [landslide(agree, 20) for agree in (2, 3, 17, 18)] == [LOSS, INCONCLUSIVE, INCONCLUSIVE, WIN]
    assert [margin(agree, 20) for agree in (5, 6, 14, 15)] == [LOSS, INCONCLUSIVE, INCONCLUSIVE, WIN]
    assert landslide(4, 4) == margin(4, 4) == INQUORATE
    assert margin(4, 8, lacking=0, missing=True) == LOSS, "a quorum has the block that the poller lacks"
    assert margin(3, 8, lacking=5) == WIN, "a quorum lacks it: an extra block, which is not deleted"


def test_a_rule_and_its_votes_are_looked_at() -> None:
    with pytest.raises(ValueError, match="minority=3 with quorum=5: a tie would be a landslide for both"):
        Landslide(quorum=5, minority=3)
    with pytest.raises(ValueError, match=r"margin=75: a share of the votes, 0.5 to 1; write margin=0.75"):
        Margin(quorum=5, margin=75)
    for rule in (Landslide(5, 2), Margin(5, 0.75)):
        with pytest.raises(ValueError, match="11 of 10 votes agree: agree is a number from 0 to votes=10"):
            rule(11, 10)


def test_only_the_inner_circle_counts_and_each_block_is_judged() -> None:
    options = Options(**SMALL)
    poll = Poll(Holding(0, 0, options, 1), 1)
    poll.inner, poll.outer = [1, 2, 3, 4], [5, 6]
    none: frozenset[int] = frozenset()
    votes = {1: frozenset({7}), 2: frozenset({7}), 3: frozenset({7, 2}), 4: frozenset({2}), 5: none, 6: none}
    tally = poll.tally(votes)
    assert (tally.outcome, tally.votes, tally.lost, tally.unclear) == (INCONCLUSIVE, 4, (7,), (2,))
    assert poll.tally({1: none, 5: none, 6: none}).outcome == INQUORATE
    assert sorted(poll.sources(7, votes)) == [1, 2, 3]


def test_invitations_go_on_until_the_circle_is_full_and_names_are_taken_in_turn() -> None:
    holding = Holding(0, 0, Options(**SMALL), 1)
    poll = Poll(holding, 1)
    first = poll.wave()
    assert len(first) == 6
    assert set(first) <= set(holding.refs)
    for peer in first:
        poll.accepted(poll.inner, peer, "refractory" if peer == first[0] else "")
    assert len(poll.wave()) == 1
    assert poll.refused == {first[0]: "refractory"}
    outside = [peer for peer in range(1, 14) if peer not in holding.refs]
    poll.discover(
        {first[1]: [outside[0], outside[1], outside[2]], first[2]: [outside[3]], first[3]: holding.refs}
    )
    assert outside[3] in poll.outer_wave(), "who names many does not fill the circle"


def test_an_unknown_poller_is_heard_once_in_a_refractory_period() -> None:
    options = Options(**SMALL, drop=0.0, refractory=1.0)
    holding = Holding(0, 0, options, 1)
    unknown = [peer for peer in range(1, 14) if peer not in holding.friends]
    assert holding.admit(unknown[0], 0, day=0.0) == ""
    assert holding.admit(unknown[1], 0, day=0.5) == "refractory"
    assert holding.admit(holding.friends[0], 0, day=0.5) == "", "friends are always known"
    assert holding.admit(holding.friends[0], 1, day=0.9) == "heard a short time ago"
    assert holding.admit(unknown[1], 1, day=1.5) == ""
    holding.vote_for(unknown[1])
    assert holding.grade[unknown[1]] == DEBT
    assert holding.admit(unknown[1], 2, day=2.0) == "refractory", "in debt is as bad as unknown"
    holding.voted_for_us([unknown[1]])
    assert holding.admit(unknown[1], 3, day=9.0) == ""
    holding = Holding(0, 0, Options(**SMALL, drop=0.5, refractory=0.0), 1)
    heard = Counter(holding.admit(1000 + k, 0, day=float(k)) for k in range(1000))
    assert 400 < heard[""] < 600
    assert set(heard) == {"", "ignored"}


def test_a_reference_list_turns_over_and_keeps_its_length() -> None:
    options = Options(**{**SMALL, "libraries": 60, "friend_bias": 0.5})
    holding = Holding(0, 0, options, 1)
    refs, random = list(holding.refs), Random(1)
    used = set(refs[:6])
    holding.update(used, refs[:6], [50, 51, 52], random)
    assert len(holding.refs) == len(set(holding.refs)) == 9
    assert 0 not in holding.refs
    assert set(refs[6:]) <= set(holding.refs), "who was not asked stays"
    assert set(holding.friends) & set(holding.refs), "friends come in"


def test_a_vote_cannot_be_kept_or_copied_and_a_seal_not_changed() -> None:
    one, other = vote_hash(1, 2, "url", b"text"), vote_hash(1, 3, "url", b"text")
    assert one != other != vote_hash(4, 2, "url", b"text")
    assert vote_hash(1, 2, "url", None) is None
    assert vote_hash(1, 2, "url", 0) != vote_hash(1, 2, "url", 5)
    assert commitment(("a", 1)) != commitment(("a", 2))
    assert proves(prove("c", 2.0), "c", 1.0)
    assert not proves(prove("c", 0.5), "c", 1.0)
    assert not proves(prove("c", 2.0)._replace(units=9.0), "c", 9.0), "the seal is for the units, too"


def test_a_damage_flips_one_bit() -> None:
    damage = Damage(1, 2, 0, 0, 8)
    after = damaged(b"abcdef", damage.random, damage.mark)
    assert isinstance(after, bytes)
    assert len(after) == 6
    assert sum((a ^ b).bit_count() for a, b in zip(after, b"abcdef", strict=True)) == 1
    assert damaged(0, damage.random, 99) == 99
    assert damaged(None, damage.random, 99) is None
    assert damaged(b"", damage.random, 1) != b""
    assert digest(b"") != digest(None) == ""


CASES: list[tuple[Adversary | None, str]] = [
    (None, "landslide"), (Stealth(0.4), "landslide"), (Nuisance(0.3), "v3"),
]  # fmt: skip


@pytest.mark.parametrize(("adversary", "rule"), CASES)
def test_nodes_with_bytes_nodes_with_a_model_and_one_loop_have_the_same_run(
    adversary: Adversary | None, rule: str
) -> None:
    """A year of the nodes is long beside their messages, as a poll of the loop takes no time at all."""
    options: dict[str, Any] = {**SMALL, "rot": 1.5, "rule": rule, "year": 1e7}
    found = []
    for content in ("bytes", "model"):
        with Cluster(machines=3, engine="sim", seed=7, trace_limit=500_000) as cluster:
            archive = small(cluster, adversary=adversary, content=content, **options).run(2)
            view = archive.view()
            told = dict(view.outcomes), view.damages, len(view.strikes), dict(view.refused)
            alarms = [(round(year * 365, 3), int(name.rsplit("-", 1)[1])) for year, name in archive.alarms()]
            found.append((told, repairs(archive), alarms))
    alone = simulate(years=2, adversary=adversary, seed=7, blocks=8, **options)
    told = dict(alone.polls), alone.damages, alone.strikes, dict(alone.refused)
    mended = sorted((poll, block, source) for poll, block, source, _ in alone.repairs)
    found.append((told, mended, [(round(day, 3), peer) for day, peer in alone.alarms]))
    assert found[0] == found[1] == found[2]


def test_a_flood_that_nobody_sends_refuses_as_many_as_one_that_is_sent() -> None:
    attack, options = Attrition(0.15, rate=1.0), {**SMALL, "year": 1e7}
    with Cluster(machines=2, engine="sim", seed=3, trace_limit=500_000) as cluster:
        sent = small(cluster, adversary=attack, **options).run(2).view().refused
    modelled = simulate(years=2, adversary=attack, seed=3, blocks=8, **options).refused
    quiet = simulate(years=2, seed=3, blocks=8, **options).refused
    assert modelled["refractory"] > 2 * quiet["refractory"]
    assert 0.6 < modelled["refractory"] / sent["refractory"] < 1.7


def test_minions_in_an_outer_circle_alone_strike_as_often_with_messages_as_without() -> None:
    options = {**SMALL, "rot": 1.5, "year": 1e7}
    with Cluster(machines=3, engine="sim", seed=1, trace_limit=500_000) as cluster:
        view = small(cluster, adversary=Nuisance(0.15), content="model", **options).run(1).view()
    alone = simulate(years=1, adversary=Nuisance(0.15), seed=1, blocks=8, **options)
    assert (len(view.strikes), dict(view.outcomes)) == (alone.strikes, dict(alone.polls))


def test_the_loop_keeps_block_and_version_of_a_damage_apart_beyond_a_thousand_libraries() -> None:
    found = simulate(1200, years=0.3, rot=1.0, blocks=3, seed=1)
    assert {block for bad in found.bad[1000:] for block in bad} == {0, 1, 2}
    versions = [version for bad in found.bad for version in bad.values()]
    assert len(versions) == len(set(versions)) > 50


def test_nobody_floods_without_minions() -> None:
    quiet = simulate(years=1, seed=3, blocks=8, **SMALL)
    assert simulate(years=1, seed=3, blocks=8, adversary=Attrition(0.0, rate=50.0), **SMALL).refused == (
        quiet.refused
    )


def test_theory() -> None:
    assert sum(hypergeometric(k, 60, 20, 20) for k in range(21)) == pytest.approx(1)
    options = Options(libraries=1000, **SOSP)
    assert circles(0.0, options) == {LOSS: 0.0, INCONCLUSIVE: 0.0, WIN: 1.0}
    assert circles(1.0, options)[LOSS] == 1.0
    assert 0 < circles(0.5, options)[LOSS] < 1e-3 < circles(0.75, options)[LOSS]
    assert damaged_share(Options(rot=0.2, interval=91.25, jitter=0.0)) == pytest.approx(0.2 * 0.25 / 2)
    assert Options(**V3).verdict == Margin(5, 0.75)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"quorum": 11}, "quorum=11: no poll would ever decide; at most inner=10"),
        ({"minority": 3}, "minority=3: a tie would be a landslide for both"),
        ({"reference": 5}, "reference=5: too short a list; write 10"),
        ({"libraries": 8}, "inner=10: only 7 others"),
        ({"rot": -1}, "rot=-1: a number >= 0; write rot=0.2"),
        ({"rot": float("nan")}, "rot=nan: a number >= 0"),
        ({"rule": "majority"}, 'write rule="landslide" or rule="v3"'),
        ({"retry": 80.0}, "retry=80.0: later than the next poll would be"),
        ({"libraries": True}, "libraries=True"),
        ({"speed": 1}, "Lockss has no option 'speed'; its options are libraries, rot,"),
    ],
)
def test_bad_options_say_what_to_write(options: dict[str, Any], says: str) -> None:
    with (
        Cluster(machines=2, engine="sim") as cluster,
        pytest.raises((ValueError, TypeError), match=re.escape(says)),
    ):
        Lockss(cluster, DOCUMENTS, **options)


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        ({}, "an archive needs a unit"), ({"u": {}}, "without documents"), ({"u": "text"}, "write {"),
        ({"u": {"a": 3}}, "'a': 3; write"), ("text", "archive='text'"), ({3: {"a": "b"}}, "archive has 3"),
    ],
)  # fmt: skip
def test_bad_archives_say_what_to_write(archive: Any, says: str) -> None:
    with (
        Cluster(machines=2, engine="sim") as cluster,
        pytest.raises((ValueError, TypeError), match=re.escape(says)),
    ):
        Lockss(cluster, archive)


def test_bad_requests_say_what_there_is() -> None:
    with pytest.raises(ValueError, match=re.escape("fraction=1.5: a probability from 0 to 1")):
        Stealth(1.5)
    with Cluster(machines=2, engine="sim") as cluster:
        with pytest.raises(TypeError, match=re.escape("write adversary=Stealth(0.3)")):
            small(cluster, adversary="stealth")
        with pytest.raises(ValueError, match="no library is loyal"):
            small(cluster, adversary=Stealth(1.0))
        archive = small(cluster)
        with pytest.raises(KeyError, match="'page-9' is not in the archive; there is page-0"):
            archive.read(0, "page-9")
        with pytest.raises(ValueError, match=re.escape("library=14: write a number from 0 to 13")):
            archive.damage(14, "page-0")
        with pytest.raises(ValueError, match="rot=-2"):
            archive.rot = -2
        with pytest.raises(ValueError, match="years=-1"):
            archive.run(-1)
        assert "14 libraries" in repr(archive)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sample": 0}, "sample=0: a number > 0"),
        ({"years": -1}, "years=-1: a number >= 0"),
        ({"years": float("inf")}, "years=inf: a number >= 0"),
        ({"blocks": 0}, "blocks=0: a whole number >= 1"),
        ({"blocks": 1.5}, "blocks=1.5: a whole number >= 1"),
        ({"retry": 0.0}, "retry=0.0: a number >= 0.01; write retry=10.0"),
        ({"adversary": "stealth"}, "write adversary=Stealth(0.3)"),
        ({"adversary": Stealth}, "write adversary=Stealth(0.3)"),
        ({"adversary": Stealth(1.0)}, "no library is loyal"),
        ({"speed": 3}, "simulate has no option 'speed'"),
    ],
)
def test_a_bad_simulation_says_what_to_write(given: dict[str, Any], says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(says)):
        simulate(**{"libraries": 30, "years": 1.0, **given})
