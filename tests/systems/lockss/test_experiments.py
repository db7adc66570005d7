"""The five shapes (SYSTEMS.md §3(e)), from few seeds in small populations."""

from __future__ import annotations

import pytest

from labkit.systems.lockss import Attrition, simulate
from labkit.systems.lockss import experiments as of


def test_damage_is_rot_times_half_an_interval_and_false_alarms_grow_with_it() -> None:
    table = of.damage_by_rot((0.5, 1.0, 3.0), years=2.0, libraries=60)
    ratio = table.damaged / table.theory
    assert ((ratio > 0.65) & (ratio < 1.35)).all(), table
    assert table.damaged.is_monotonic_increasing
    assert table.alarms.iloc[0] <= 1 < table.alarms.iloc[2] < 0.2 * table.polls.iloc[2]


def test_loss_is_rare_up_to_a_third_and_then_certain() -> None:
    table = of.loss_by_subversion((0.3, 0.5), years=6.0, seeds=[1])
    assert table.lost.tolist() == [0.0, 1.0]
    assert table["landslide at the end"].iloc[1] > 100 * table["landslide at the start"].iloc[1]


def test_a_foothold_grows_with_time_and_slower_with_friends() -> None:
    table = of.foothold_by_bias((0.0, 0.5, 0.9), years=3.0, libraries=100)
    assert (table["year 1"] > table["year 0"]).all()
    assert (table["year 3"] > table["year 1"]).all()
    assert table["year 3"].is_monotonic_decreasing


def test_a_nuisance_rings_and_changes_next_to_nothing() -> None:
    table = of.nuisance((0.0, 0.2), years=2.0, libraries=100)
    assert table["alarms a poll"].iloc[0] == 0.0
    assert table["alarms a poll"].iloc[1] == pytest.approx(table.theory.iloc[1], abs=0.25)
    assert table["changed replicas"].iloc[1] <= 3


def test_twice_as_many_polls_halve_the_damage() -> None:
    table = of.intervals(years=3.0, libraries=60)
    for slower, faster in ((182.5, 91.25), (91.25, 45.625)):
        assert table.damaged[slower] / table.damaged[faster] == pytest.approx(2, abs=0.5)


def test_a_flood_shuts_unknown_pollers_out_and_a_long_refractory_period_shuts_out_the_loyal() -> None:
    won = {}
    for refractory in (1.0, 5.0):
        for rate in (0.01, 100.0):
            attack = Attrition(0.1, rate=rate)
            given = {"libraries": 100, "reference": 40, "rot": 0.0, "refractory": refractory}
            polls = simulate(years=1.0, adversary=attack, **given).polls
            won[refractory, rate] = polls["win"] / sum(polls.values())
    assert won[1.0, 0.01] > 0.99
    assert won[1.0, 100.0] > 0.7
    assert won[5.0, 100.0] < 0.6 * won[5.0, 0.01]
