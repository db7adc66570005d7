"""What every frame shares beside what the trace adds up to: the numbers that matter."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Number"]


@dataclass(frozen=True)
class Number:
    """One of the few numbers that matter, with what theory predicts beside it."""

    label: str
    value: str
    theory: str = ""
    tone: str = "plain"  # plain, good or bad
