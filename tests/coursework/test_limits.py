"""A check in a notebook ends: after its time, or when it is interrupted once."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from labkit.coursework import Exercise, Wrong
from labkit.coursework.answers import Local
from labkit.runtime.errors import Interrupted

FOREVER = "an endless loop. There was no answer within 0.05 s .at line .*: "


def test_an_endless_loop_ends() -> None:
    def plain(number: int) -> int:
        while True:
            number += 1

    def stubborn(number: int) -> int:
        while True:
            try:
                number += 1
            except Exception:
                pass

    async def handler(n: Any) -> None:
        while True:
            n.count += 1

    answers = Local({f.__name__: f for f in (plain, stubborn, handler)}, question_seconds=0.05)
    for name in ("plain", "stubborn"):
        with pytest.raises(Wrong, match=FOREVER):
            answers.call(name, 1)
    with pytest.raises(Wrong, match=FOREVER):
        answers.start("handler", {"count": 0})


def test_all_questions_together_end() -> None:
    answers = Local({"five": 5}, task_seconds=0.0)
    with pytest.raises(Wrong, match="the answers took more than 0 s in all"):
        answers.value("five")


def test_signals_are_as_before_after_an_answer() -> None:
    rang: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 1000.0)
        Local({"double": lambda n: 2 * n}).call("double", 4)
        assert 900 < signal.setitimer(signal.ITIMER_REAL, 0)[0] <= 1000
        signal.raise_signal(signal.SIGALRM)
        assert rang == [1]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_one_interrupt_ends_a_check() -> None:
    """Also where the engine of the judge's run defers it: the answer is asked for in the middle of a step."""
    names: dict[str, Any] = {"__name__": "__main__", "pressed": lambda: os.kill(os.getpid(), signal.SIGINT)}
    exec(ANSWERS, names)
    with pytest.raises(Interrupted, match="the check of lookup was stopped") as stopped:
        names["exercise"].check("lookup")
    assert stopped.value._render_traceback_() == [f"Interrupted: {stopped.value}"]
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert isinstance(names["exercise"], Exercise)


ANSWERS = """
from labkit.coursework import Exercise

exercise = Exercise("chord-routing")

async def find_successor(n, key):
    pressed()
    while True:
        pass
"""
