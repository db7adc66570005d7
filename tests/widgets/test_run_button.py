"""The button runs beside everything else, once at a time, and says what came of it."""

from __future__ import annotations

import threading

from labkit_widgets.opened import tree
from labkit_widgets.run_button import run_button
from tests.engines import wait_until


def test_it_runs_once_at_a_time_and_says_what_came_of_it() -> None:
    go, runs = threading.Event(), []

    def action() -> str:
        runs.append(threading.current_thread())
        assert go.wait(10)
        return f"run {len(runs)}"

    box = run_button("Run", action)
    button, said = box.children
    button.click()
    wait_until(lambda: runs)
    button.click()
    assert (button.disabled, said.value) == (True, "running …")
    go.set()
    wait_until(lambda: not button.disabled)
    assert (said.value, len(runs)) == ("run 1", 1)
    assert runs[0] is not threading.current_thread()
    button.click()
    wait_until(lambda: said.value == "run 2" and not button.disabled)
    for widget in tree(box):
        widget.close()


def test_it_says_what_went_wrong() -> None:
    box = run_button("Fail", lambda: 1 / 0)
    button, said = box.children
    button.click()
    wait_until(lambda: not button.disabled)
    assert said.value == "ZeroDivisionError: division by zero"
    for widget in tree(box):
        widget.close()
