"""User-defined functions of the servers: what happens to the parameters when a push arrives.

A worker pushes numbers; which function combines them with the parameters is the vector's choice (Li et al.,
OSDI 2014, section 3.3). Addition is the default. The others move an optimiser's step from the workers to the
servers, where it is done once for the *sum* of all workers' gradients instead of once in each worker.

``apply`` gets the values of the keys that were pushed and changes them in place, all keys at once. It sees
either one worker's push or, in a round of bulk-synchronous execution, the sum of all workers' pushes:
``share`` says which part of the workers it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labkit.parts.options import number

__all__ = [
    "SGD",
    "AdaGrad",
    "Array",
    "Proximal",
    "Subgradient",
    "Sum",
    "Update",
    "all_finite",
    "soft_threshold",
    "step",
]

#: float64, one number a key (or, where a function says so, one row a key).
Array = np.ndarray

STEP = number(above=0, says="the step is a finite number > 0", write=0.1)
PENALTY = number(0, says="the penalty is a finite number >= 0", write=0.1)


@dataclass(frozen=True)
class Update:
    """How a server combines a push with its parameters. Subclasses implement ``apply``."""

    #: Numbers that are pushed for each key.
    columns: ClassVar[int] = 1
    #: Arrays that the server keeps beside the values, one number a key, zero at the start.
    extras: ClassVar[tuple[str, ...]] = ()

    def apply(self, values: Array, pushed: Array, extras: dict[str, Array], share: float = 1.0) -> None:
        """Change ``values`` (n,) and ``extras`` (n,) in place; ``pushed`` is (n,) or (n, columns).

        ``share``: the push is from this fraction of the workers, 1 for a whole round.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Sum(Update):
    """``w += pushed``: workers push finished steps."""

    def apply(self, values: Array, pushed: Array, extras: dict[str, Array], share: float = 1.0) -> None:
        """Add."""
        values += pushed


@dataclass(frozen=True)
class SGD(Update):
    """``w -= rate · pushed``: workers push gradients."""

    rate: float

    def __post_init__(self) -> None:
        STEP("rate", self.rate, of=type(self).__name__)

    def apply(self, values: Array, pushed: Array, extras: dict[str, Array], share: float = 1.0) -> None:
        """A step against the gradient."""
        values -= self.rate * pushed


@dataclass(frozen=True)
class Subgradient(Update):
    """``w -= rate · (pushed + l1 · sign(w))``: the server's half of Alg. 1, for ``loss + l1 · |w|₁``.

    Outside of rounds each push brings its ``share`` of the penalty: exact for keys that every worker has.
    """

    rate: float
    l1: float

    def __post_init__(self) -> None:
        STEP("rate", self.rate, of=type(self).__name__)
        PENALTY("l1", self.l1, of="Subgradient")

    def apply(self, values: Array, pushed: Array, extras: dict[str, Array], share: float = 1.0) -> None:
        """A step against a subgradient; that of |w| at zero is taken to be zero."""
        values -= self.rate * (pushed + (self.l1 * share) * np.sign(values))


@dataclass(frozen=True)
class AdaGrad(Update):
    """``w -= rate · g / sqrt(sum of all g²)``: a rate for each key, from the gradients that the key has seen.

    Keys that are rarely pushed keep a large rate: what sparse data want (Duchi, Hazan and Singer, JMLR 2011).
    """

    rate: float
    #: Keeps the first step finite.
    epsilon: float = 1e-8
    extras: ClassVar[tuple[str, ...]] = ("squares",)

    def __post_init__(self) -> None:
        STEP("rate", self.rate, of=type(self).__name__)

    def apply(self, values: Array, pushed: Array, extras: dict[str, Array], share: float = 1.0) -> None:
        """Remember the square, then step."""
        squares = extras["squares"]
        squares += pushed * pushed
        values -= self.rate * pushed / (np.sqrt(squares) + self.epsilon)


@dataclass(frozen=True)
class Proximal(Update):
    """A proximal gradient step for ``loss + l1 · |w|₁``, with a rate for each coordinate (Alg. 3).

    A push has two columns: the worker's part of the step, ``g_r/u``, and its part of the threshold,
    ``l1 · p_r/u``. There ``u`` bounds the second derivative of the whole loss, and the ``p_r`` of the workers
    add up to 1. The weight is moved by the step and then drawn towards zero by the threshold; what does not
    reach beyond it becomes exactly zero: most weights of a sparse model. The parts of all workers add up to
    the step for the sum of their losses; one by one they are its pieces.
    """

    rate: float = 1.0
    columns: ClassVar[int] = 2

    def __post_init__(self) -> None:
        STEP("rate", self.rate, of=type(self).__name__)

    def apply(self, values: Array, pushed: Array, extras: dict[str, Array], share: float = 1.0) -> None:
        """The step, and the soft threshold."""
        values[:] = soft_threshold(values - self.rate * pushed[:, 0], self.rate * pushed[:, 1])


def soft_threshold(x: Array, threshold: Array | float) -> Array:
    """``x`` drawn towards zero by ``threshold``, and zero if it is closer: the proximal operator of |x|₁."""
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)


def step(
    update: Update, values: Array, pushed: Array, extras: dict[str, Array], share: float = 1.0, *,
    finite: bool = True, vector: str = "w",
) -> None:  # fmt: skip
    """``update.apply``. Raises ``ValueError`` if it leaves numbers in ``values`` that are not finite."""
    update.apply(values, pushed, extras, share)
    if finite and not all_finite(values):
        first = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"{update!r} made {values[first]} of a value of {vector!r}, to which {pushed[first]} was pushed; "
            f"a smaller rate may help, or allow it: ps.vector({vector!r}, ..., finite=False)"
        )


def all_finite(numbers: Array) -> bool:
    """Whether all are. A finite sum says so in one pass, without an array of answers."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(numbers.sum()) or np.isfinite(numbers).all())
