"""How large jobs are, and whether they need a cluster (Rowstron et al., "Nobody ever got fired for using
Hadoop on a cluster", HotCDP 2012).

The abstract says that many jobs process less than 14 GB. The medians at Microsoft and Yahoo (below 14 GB) and
Facebook's 90 % below 100 GB are as reported by others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["JobSizes", "Offer", "cheaper"]


@dataclass(frozen=True)
class JobSizes:
    """Gigabytes read by each of many jobs, (k,)."""

    gigabytes: Sequence[float]

    def __post_init__(self) -> None:
        sizes = np.asarray(self.gigabytes, dtype=float)
        if sizes.ndim != 1 or not len(sizes) or not (np.isfinite(sizes) & (sizes >= 0)).all():
            raise ValueError(f"sizes are one row of gigabytes of at least 0, not {self.gigabytes!r}")

    @classmethod
    def through(cls, quantiles: dict[float, float], jobs: int = 10_000) -> JobSizes:
        """Log-normal sizes through two known quantiles, such as {0.5: 14, 0.9: 100}; no random numbers."""
        from statistics import NormalDist

        if len(quantiles) != 2 or not all(0 < q < 1 and gb > 0 for q, gb in quantiles.items()):
            raise ValueError(f"two quantiles above 0 and below 1 with gigabytes above 0, not {quantiles!r}")
        (q1, gb1), (q2, gb2) = sorted(quantiles.items())
        if gb2 <= gb1:
            raise ValueError(f"the larger quantile has the larger job, unlike {quantiles!r}")
        normal = NormalDist()
        z1, z2 = normal.inv_cdf(q1), normal.inv_cdf(q2)
        sigma = (np.log(gb2) - np.log(gb1)) / (z2 - z1)
        mu = np.log(gb1) - sigma * z1
        at = (np.arange(jobs) + 0.5) / jobs
        return cls([float(np.exp(mu + sigma * normal.inv_cdf(float(each)))) for each in at])

    def below(self, gigabytes: float) -> float:
        """The part of the jobs that read at most so much: the cumulative distribution."""
        return float(np.mean(np.asarray(self.gigabytes) <= gigabytes))

    def fits(self, memory: float, overhead: float = 1.0) -> float:
        """The part whose input, so many times as large in memory as on disk, fits one computer's
        gigabytes.
        """
        if memory <= 0 or overhead <= 0:
            raise ValueError(f"memory and overhead are above 0, not {memory!r} and {overhead!r}")
        return self.below(memory / overhead)


@dataclass(frozen=True)
class Offer:
    """So many equal machines: gigabytes of memory and price an hour of one, seconds for the job on all."""

    name: str
    machines: int
    memory: float
    price: float
    seconds: float

    def fits(self, gigabytes: float) -> bool:
        """Whether a job of that size fits in all memory together."""
        return gigabytes <= self.machines * self.memory

    def job(self) -> float:
        """What one job costs."""
        return self.machines * self.price * self.seconds / 3600


def cheaper(up: Offer, out: Offer, gigabytes: float) -> Offer:
    """Scale up or scale out? The one in whose memory the job fits and which costs less; ValueError if
    none.
    """
    fitting = [each for each in (up, out) if each.fits(gigabytes)]
    if not fitting:
        raise ValueError(f"{gigabytes} GB fit neither in {up.name} nor in {out.name}")
    return min(fitting, key=Offer.job)
