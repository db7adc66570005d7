"""What several systems need to know who lives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from labkit.parts import members
from labkit.parts.members import Silence


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The loop in which the looks are: how much longer a timeout of so many seconds waits."""
    loop = SimpleNamespace(extra=0.0, grace=lambda delay: loop.extra * delay)
    monkeypatch.setattr(members, "running_loop", lambda: loop)
    return loop


def test_a_gap_between_two_looks_is_a_standstill_of_ones_own(host: Any) -> None:
    silence = Silence(timeout=2.0, now=6.0)
    stood = []
    for now in (7.0, 7.4, 8.4, 9.5, 9.9):
        silence.look({}, now)
        stood.append(silence.stood_still)
    assert stood == [False, False, False, True, False]


def test_who_is_silent_counts_as_dead_unless_nobody_could_be_heard(host: Any) -> None:
    known = {"a": SimpleNamespace(heard=0.0), "b": SimpleNamespace(heard=1.5)}
    silence = Silence(timeout=2.0, now=0.0)
    assert [silence.look(known, now) for now in (0.9, 1.8)] == [[], []]
    assert silence.look(known, 2.5) == [("a", 2.5)]
    assert silence.look(known, 8.0) == [], "it stood still, and all begin anew"
    assert [each.heard for each in known.values()] == [8.0, 8.0]
    assert [silence.look(known, now) for now in (9.0, 9.9)] == [[], []]
    assert silence.look(known, 10.5) == [("a", 2.5), ("b", 2.5)]


def test_a_process_that_stands_still_all_the_time_finds_the_dead_all_the_same(host: Any) -> None:
    known = {"alive": SimpleNamespace(heard=0.0), "dead": SimpleNamespace(heard=0.0)}
    silence = Silence(timeout=2.0, now=0.0)
    found = []
    for look in range(1, 10):
        found.append([name for name, _ in silence.look(known, 1.5 * look)])
        assert silence.stood_still
        known["alive"].heard = 1.5 * look + 0.1
    assert found[:5] == [[]] * 5
    assert found[5:] == [["dead"]] * 4


def test_on_a_host_that_has_no_time_it_takes_longer(host: Any) -> None:
    known = {"a": SimpleNamespace(heard=0.0)}
    silence = Silence(timeout=2.0, now=0.0)
    host.extra = 3.0
    assert all(silence.look(known, now / 2) == [] for now in range(1, 17))
    assert silence.look(known, 8.5) == [("a", 8.5)]
