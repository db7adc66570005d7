"""Five shapes that must hold (SYSTEMS.md §3(e)), each a table by what is varied, with theory beside it.

The bodies of the papers could not be read, so there is no column of the papers' numbers: the shapes are what
we remember of them (M), the numbers are this lab's model, run by ``single.py`` from few seeds.

``options`` of each may be those of ``SOSP`` with ``libraries=1000``; as it stands, a seventh of the libraries
with smaller circles give the same shapes in seconds. What matters is that a reference list is a small part of
all libraries.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import TYPE_CHECKING, Any

from labkit.parts.experiments import sweep

from .adversaries import Lurking, Nuisance, Stealth
from .options import SOSP, Options
from .prediction import circles, damaged_share
from .single import Population, simulate
from .tally import INCONCLUSIVE, LOSS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["damage_by_rot", "foothold_by_bias", "intervals", "loss_by_subversion", "nuisance"]


#: A seventh of the size that the paper is remembered to have simulated.
SIZE: dict[str, Any] = {
    "libraries": 150, "inner": 10, "quorum": 5, "minority": 2, "outer": 6, "reference": 20, "friends": 10,
}  # fmt: skip


def _run(years: float, seed: int, options: dict[str, Any], **fixed: Any) -> Population:
    return simulate(**{**SIZE, "years": years, "seed": seed, **fixed, **options})


def damage_by_rot(
    rates: Iterable[float] = (0.1, 0.2, 0.5, 1.0, 2.0), years: float = 5.0, seed: int = 0, **options: Any
) -> pd.DataFrame:
    """Shape 1: the damaged share is about rot × interval / 2; false alarms are few, and grow with the rot."""

    def run(rate: float) -> dict[str, Any]:
        found = _run(years, seed, options, rot=rate, blocks=8)
        polls = sum(found.polls.values())
        expected = damaged_share(found.options)
        alarms = len(found.alarms)
        return {"damaged": found.damaged_share, "theory": expected, "alarms": alarms, "polls": polls}

    return sweep("blocks rotten a year", rates, run)


def loss_by_subversion(
    fractions: Iterable[float] = (0.1, 0.2, 0.3, 0.35, 0.4, 0.5), years: float = 10.0,
    seeds: Iterable[int] = range(3), **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Shape 2: the probability that half of the loyal replicas are changed, by the share of 200 libraries
    that the adversary has at the start, with the circles of ``SOSP``; beside the chance of a landslide in one
    inner circle, at the start and with the foothold that it has in the end.

    Missed at the size of the paper: 200 libraries keep their documents for 30 years against a third, 1,000
    with the same reference list of 60 lose them after seven, three years after the first alarm."""

    def run(fraction: float) -> dict[str, Any]:
        attack: dict[str, Any] = {"adversary": Stealth(fraction), "rot": 0.0, "until_lost": True}
        attack |= {**SOSP, "libraries": 200}
        found = [_run(years, seed, options, **attack) for seed in seeds]
        chosen = found[0].options
        foothold = fmean(each.foothold for each in found)
        first = [each.alarms[0][0] / 365 for each in found if each.alarms]
        return {
            "lost": fmean(each.lost_at is not None for each in found),
            "strikes a poll": fmean(each.strikes / sum(each.polls.values()) for each in found),
            "foothold": foothold,
            "landslide at the start": circles(fraction, chosen)[LOSS],
            "landslide at the end": circles(foothold, chosen)[LOSS],
            "first alarm, year": min(first, default=float("nan")),
        }

    return sweep("subverted", fractions, run)


def foothold_by_bias(
    biases: Iterable[float] = (0.0, 0.3, 0.6, 0.9), years: float = 5.0, seed: int = 0,
    fraction: float = 0.2, **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Shape 3: an adversary that lurks gains places in reference lists; friends among them slow it."""

    def run(bias: float) -> dict[str, Any]:
        found = _run(years, seed, options, adversary=Lurking(fraction), rot=0.0, friend_bias=bias, sample=1.0)
        return {f"year {year:g}": share for year, _, share, _ in found.series}

    return sweep("friend bias", biases, run)


def nuisance(
    fractions: Iterable[float] = (0.0, 0.1, 0.2, 0.3),
    years: float = 3.0,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Shape 4: who wants alarms gets alarms, and no damage."""

    def run(fraction: float) -> dict[str, Any]:
        found = _run(years, seed, options, adversary=Nuisance(fraction), rot=0.2, blocks=100)
        foothold = found.foothold
        return {
            "alarms a poll": len(found.alarms) / sum(found.polls.values()),
            "theory": circles(foothold, found.options)[INCONCLUSIVE],
            "changed replicas": found.changed,
            "damaged": found.damaged_share,
        }

    return sweep("subverted", fractions, run)


def intervals(
    days: Iterable[float] = (182.5, 91.25, 45.625), years: float = 6.0, seed: int = 0,
    rot: float = 0.5, **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Shape 5: twice as many polls, half the damage at a time."""

    def run(interval: float) -> dict[str, Any]:
        found = _run(years, seed, options, interval=interval, rot=rot, blocks=100)
        theory = damaged_share(Options(interval=interval, rot=rot))
        return {"damaged": found.damaged_share, "theory": theory, "polls": sum(found.polls.values())}

    return sweep("days between polls", days, run)
