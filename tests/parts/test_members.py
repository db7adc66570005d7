"""What several systems need to know who lives."""

from __future__ import annotations

from labkit.parts.members import Standstill


def test_a_gap_between_two_looks_is_a_standstill_of_ones_own() -> None:
    standstill = Standstill(timeout=2.0, now=6.0)
    looks = [standstill.noticed(now) for now in (7.0, 7.4, 8.4, 9.5, 9.9)]
    assert looks == [False, False, False, True, False]
    assert Standstill(timeout=2.0, now=6.0).noticed(8.0)
