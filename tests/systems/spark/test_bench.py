"""`labkit bench spark`: its programs are the same on any context, and it says what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labkit.bench import spark as bench
from labkit.systems.spark import SingleContext


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORDS": 400, "POINTS": 40, "VERTICES": 30, "EDGES": 80, "PAIRS": 100}.items():
        monkeypatch.setattr(bench, name, value)


@pytest.mark.usefixtures("small")
def test_programs(tmp_path: Path) -> None:
    sc = SingleContext(2)
    assert bench.trivial(sc)() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    bench.write_words(tmp_path / "words.txt")
    words = (tmp_path / "words.txt").read_text().split()
    assert len(words) == 400
    top = bench.word_count(sc, str(tmp_path / "words.txt"))()
    assert top == sorted(((w, words.count(w)) for w in set(words)), key=lambda pair: (-pair[1], pair[0]))[:10]
    assert bench.sort_by_key(sc)() == 100
    assert bench.page_rank(sc)() == bench.page_rank(sc)() > 0
    bench.logistic_regression(sc)()


def test_both_sides_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SETTLE", 0.0)
    memory = bench.PeakMemory()
    assert bench.measure(lambda sc: lambda: 1, "ours", "theirs", 1, memory)[1] is not None
    assert bench.measure(lambda sc: lambda: 1, "ours", None, 1, memory)[1] is None
    with pytest.raises(AssertionError, match="ours gave 'ours', PySpark 'theirs'"):
        bench.measure(lambda sc: lambda: sc, "ours", "theirs", 1, memory)


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert "PySpark is not installed: pip install" in str(bench.missing_peer())
    monkeypatch.setitem(sys.modules, "pyspark", sys)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "PySpark needs Java 17" in str(bench.missing_peer())
