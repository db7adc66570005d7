"""What theory expects: which circles the adversary owns, by the hypergeometric distribution, and how much is
damaged at a time."""

from __future__ import annotations

from math import comb

from .options import DAYS, Options
from .tally import INCONCLUSIVE, LOSS, WIN

__all__ = ["circles", "damaged_share", "hypergeometric"]


def hypergeometric(k: int, population: int, marked: int, drawn: int) -> float:
    """The probability of exactly ``k`` marked ones, if so many are drawn without putting them back."""
    if k > marked or drawn - k > population - marked:
        return 0.0
    return comb(marked, k) * comb(population - marked, drawn - k) / comb(population, drawn)


def circles(share: float, options: Options) -> dict[str, float]:
    """With this share of malign peers in a reference list: how probable it is that the minions in an inner
    circle, all of them against all others, give the poller a loss, an alarm, or nothing (win)."""
    size = min(options.reference, options.libraries - 1)
    malign, drawn = round(share * size), min(options.inner, size)
    found = {LOSS: 0.0, INCONCLUSIVE: 0.0, WIN: 0.0}
    for minions in range(drawn + 1):
        verdict = options.verdict(drawn - minions, drawn)
        found[verdict] += hypergeometric(minions, size, malign, drawn)
    return found


def damaged_share(options: Options, rot: float | None = None) -> float:
    """Of the replicas, at a moment: a damage waits for the poller's next poll, half an interval on average.

    rot × interval / 2, and a little more since intervals vary: a long one is hit more often. It is never more
    than 1, though a replica that rots so fast is damaged again before it is repaired. rot: as it is now, if
    it was changed."""
    waits = options.interval / 2 * (1 + options.jitter**2 / 3)
    return min(1.0, (options.rot if rot is None else rot) / DAYS * waits)
