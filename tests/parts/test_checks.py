"""What a report says."""

from __future__ import annotations

from labkit.parts.checks import Findings, Violation


def test_one_is_one_and_many_are_many() -> None:
    found = Findings()
    assert found.lines({"query": 1, "copy of them": 2026, "process": 0}) == [
        "1 query, 2,026 copies of them and 0 processes judged, 0 violations"
    ]
    found.violations.append(Violation(1.5, "Once", "a task was committed twice"))
    assert found.lines({"placed edge": 2, "run of vertices": 1})[0] == (
        "2 placed edges and 1 run of vertices judged, 1 violation"
    )
    assert found.lines("3 changes (1 stale)")[0] == "3 changes (1 stale) judged, 1 violation"
