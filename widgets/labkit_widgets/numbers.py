"""The numbers that matter: what every frame has beside what the trace adds up to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Number"]


@dataclass(frozen=True)
class Number:
    """One of the few numbers that matter, with what is to be known beside it."""

    label: str
    value: str
    note: str = ""
    tone: str = "plain"  # plain, good or bad
    theory: str = ""  # what theory expects, under which assumption; shown as such instead of the note
