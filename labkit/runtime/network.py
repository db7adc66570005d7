"""The network between machines: how long a message takes, and whether it arrives.

One class for both engines. In the simulator it decides each delivery; on Ray every machine holds a copy
that is applied by the *sender*, on top of what the real transport costs, and a change is pushed to all of
them. Nodes on the same machine talk through its memory: no loss, no partition, almost no latency.

By default messages may overtake one another, as datagrams do; ``fifo=True`` keeps the order of each link, as
TCP does.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from labkit.runtime.copying import dumps

__all__ = ["Constant", "Distribution", "Exponential", "LogNormal", "Network", "Uniform"]

#: Seconds between two nodes on one machine in the simulator: not zero, so that time always moves along a
#: chain of calls.
LOCAL_LATENCY = 0.00005


class Distribution(Protocol):
    """A distribution of one-way delays in seconds."""

    def sample(self, random: Random) -> float:
        """One delay."""


def _positive(name: str, value: float, zero: bool = True) -> None:
    if not (
        isinstance(value, (int, float)) and math.isfinite(value) and (value > 0 or (zero and value == 0))
    ):
        raise ValueError(f"{name} is a number of seconds {'>= 0' if zero else '> 0'}, not {value!r}")


def _duration(seconds: float) -> str:
    """Seconds as a person says them."""
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"


@dataclass(frozen=True)
class Constant:
    """Always the same."""

    seconds: float

    def __post_init__(self) -> None:
        _positive("seconds", self.seconds)

    def sample(self, random: Random) -> float:
        """``seconds``."""
        return self.seconds

    def __str__(self) -> str:
        return _duration(self.seconds)


@dataclass(frozen=True)
class Uniform:
    """Anything between ``low`` and ``high``, equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _positive("low", self.low)
        _positive("high", self.high)
        if self.low > self.high:
            raise ValueError(f"low <= high is needed, not low={self.low}, high={self.high}")

    def sample(self, random: Random) -> float:
        """``low + (high - low) * u``."""
        return self.low + (self.high - self.low) * random.random()

    def __str__(self) -> str:
        return f"{_duration(self.low)} to {_duration(self.high)}"


@dataclass(frozen=True)
class Exponential:
    """Memoryless, with the given mean, above a minimum."""

    mean: float
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _positive("mean", self.mean, zero=False)
        _positive("minimum", self.minimum)

    def sample(self, random: Random) -> float:
        """``minimum`` plus an exponential variate."""
        return self.minimum + random.expovariate(1.0 / self.mean)

    def __str__(self) -> str:
        above = f"{_duration(self.minimum)} and " if self.minimum else ""
        return f"{above}{_duration(self.mean)} on average, memoryless"


@dataclass(frozen=True)
class LogNormal:
    """Long-tailed, as latencies between hosts are: ``median`` seconds, ``sigma`` of the logarithm."""

    median: float
    sigma: float = 0.5

    def __post_init__(self) -> None:
        _positive("median", self.median, zero=False)
        _positive("sigma", self.sigma)

    def sample(self, random: Random) -> float:
        """A log-normal variate."""
        return random.lognormvariate(math.log(self.median), self.sigma)

    def __str__(self) -> str:
        return f"{_duration(self.median)} in the middle, long-tailed"


def probability(name: str, value: float) -> float:
    """``value`` if it is a probability, else ``ValueError``."""
    if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is a probability between 0 and 1, not {value!r}")
    return float(value)


@dataclass
class Network:
    """Distribution in seconds, bandwidth in bytes per second and link (None: unlimited), loss and duplication
    as probabilities.

    ``latency=None`` means the engine's own: 0.5 to 1.5 ms in the simulator, nothing on top of the real one on
    Ray.
    """

    latency: Distribution | None = None
    bandwidth: float | None = None
    loss: float = 0.0
    duplicate: float = 0.0
    fifo: bool = False
    #: Directed pairs of machines that cannot reach each other.
    blocked: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        probability("loss", self.loss)
        probability("duplicate", self.duplicate)
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise ValueError(
                f"bandwidth is bytes per second > 0, or None for unlimited, not {self.bandwidth!r}"
            )
        self._busy_until: dict[tuple[str, str], float] = {}
        self._last_arrival: dict[tuple[str, str], float] = {}

        self.changed()

    def changed(self) -> None:
        """To be called after a change, so that the common case stays quick: one sample, nothing else."""
        self.drops = bool(self.blocked or self.loss)
        sample = self.latency.sample if self.latency is not None else None
        plain = self.bandwidth is None and not self.fifo and not self.duplicate and not self.drops
        #: The whole effect of the network in the common case; None if more than one sample is needed.
        self.only_delay = sample if plain else None

    def use_default_latency(self, latency: Distribution) -> None:
        """The engine's latency, if the user gave none."""
        if self.latency is None:
            self.latency = latency
            self.changed()

    def partition(self, a: Iterable[str], b: Iterable[str], oneway: bool = False) -> None:
        """Nothing from ``a`` arrives at ``b``, nor back unless ``oneway``."""
        pairs = [(x, y) for x in a for y in b if x != y]
        self.blocked.update(pairs)
        if not oneway:
            self.blocked.update((y, x) for x, y in pairs)
        self.changed()

    def heal(self) -> None:
        """All machines reach each other again."""
        self.blocked.clear()
        self.changed()

    def blocks(self, source: str, target: str) -> bool:
        """Whether a partition stops messages in this direction."""
        return (source, target) in self.blocked

    def drop_reason(self, source: str, target: str, random: Random) -> str | None:
        """Why this message is lost, or None: it arrives."""
        if self.blocked and (source, target) in self.blocked:
            return "partition"
        if self.loss and random.random() < self.loss:
            return "loss"
        return None

    def arrival(self, source: str, target: str, now: float, payload: Any, random: Random) -> float:
        """When a message sent now arrives: waiting for the link, transmission, then latency."""
        when = now
        if self.bandwidth is not None:
            link = (source, target)
            when = max(now, self._busy_until.get(link, 0.0)) + size_of(payload) / self.bandwidth
            self._busy_until[link] = when
        if self.latency is not None:
            when += self.latency.sample(random)
        if self.fifo:
            when = max(when, self._last_arrival.get((source, target), 0.0))
            self._last_arrival[source, target] = when
        return when


def size_of(payload: Any) -> int:
    """Bytes of a message on the wire: its pickle, plus what goes out of band."""
    buffers: list[pickle.PickleBuffer] = []
    head = len(dumps(payload, buffers))
    return head + sum(buffer.raw().nbytes for buffer in buffers)
