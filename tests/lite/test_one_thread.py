"""labkit in a process of one thread, without NumPy and pandas: everything that a page in a browser needs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT), str(ROOT / "widgets")])

RING = """
    import tests.lite.one_thread
    import asyncio
    from labkit import Cluster, LabError
    from labkit.systems.chord import Chord
    from labkit_widgets.opened import tree
    from labkit_widgets.poller import POLLER

    def ring_of(**options):
        cluster = Cluster(machines=4, engine="sim", seed=7, **options)
        ring = Chord(cluster, nodes=12, replicas=3)
        ring["lecture"] = "P2"
        return cluster, ring
"""


def run(program: str) -> str:
    """What the program prints, in such a process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RING) + textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": PATH}, cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_panel_moves_and_a_click_acts_while_a_cell_awaits() -> None:
    said = run("""
        async def cell():
            cluster, ring = ring_of()
            panel = ring.panel()
            begun = cluster.now
            asyncio.get_running_loop().call_later(0.1, lambda: panel.act("kill", machine="m2"))
            await cluster.arun(0.6)
            print("dead in the picture:", [m["name"] for m in panel.top.machines if m["state"] == "dead"])
            print("exactly:", round(cluster.now - begun, 9), "error:", panel.error or "none")
            charts = [str(getattr(widget, "value", "")) for widget in tree(panel.root)]
            print("drawn without bqplot:", sum("<rect" in chart for chart in charts))
            print("still there:", ring["lecture"], "refreshed:", POLLER.running)
            panel.close()
            await asyncio.sleep(0.05)
            print("refreshed:", POLLER.running)

        asyncio.run(cell())
    """)
    assert said.splitlines() == [
        "dead in the picture: ['m2']",
        "exactly: 0.6 error: none",
        "drawn without bqplot: 1",
        "still there: P2 refreshed: True",
        "refreshed: False",
    ]


@pytest.mark.slow
def test_the_event_loop_plays_and_who_waits_for_virtual_time_gets_it_at_once() -> None:
    said = run("""
        async def cells():
            cluster, ring = ring_of()
            cluster.pace = 10.0
            begun = cluster.now
            await asyncio.sleep(0.3)
            print("played:", 0.5 < cluster.now - begun < 30)
            before = cluster.now
            cluster.run(100)
            print("waited:", cluster.now - before >= 100)
            cluster.pace = None
            stands = cluster.now
            await asyncio.sleep(0.1)
            print("stands:", cluster.now == stands)
            await cluster.arun(0.1)

        asyncio.run(cells())
        try:
            ring_of(pace=2.0)
        except LabError as error:
            print(error)
    """)
    assert said.splitlines() == [
        "played: True",
        "waited: True",
        "stands: True",
        "pace=2.0 needs a thread or a running event loop, and here is neither: let time pass by "
        "cluster.run(seconds)",
    ]


@pytest.mark.slow
def test_systems_of_messages_run_and_those_of_arrays_say_what_they_need() -> None:
    said = run("""
        import importlib
        for name in ("chord", "dryad", "haloop", "mapreduce", "pregel", "spark"):
            try:
                importlib.import_module(f"labkit.systems.{name}")
                print(name)
            except ModuleNotFoundError as error:
                print(name, "–", error)
        cluster, ring = ring_of()
        try:
            cluster.trace.frame()
        except ModuleNotFoundError as error:
            print(error)
    """)
    lines = said.splitlines()
    assert lines[:4] == ["chord", "dryad", "haloop", "mapreduce"]
    assert lines[4].startswith("pregel – numpy is not on this page, which has no systems that compute with")
    assert lines[5].startswith("spark – fsspec is not on this page, which has no Spark's names of files:")
    assert lines[6].startswith(
        "pandas is not on this page, which has no tables, as trace.frame() (trace.filter"
    )


@pytest.mark.slow
def test_an_exercise_is_checked() -> None:
    said = run("""
        from labkit.coursework import Exercise, Wrong
        from labkit.systems.chord.ids import between

        exercise = Exercise("chord-routing")

        def closest_preceding_finger(n, key):
            return n.peer

        try:
            exercise.check("closest")
        except Wrong as wrong:
            print("wrong:", str(wrong).split(":")[0])

        def closest_preceding_finger(n, key):
            return next((f for f in reversed(n.fingers) if between(n.id, f.id, key)), n.peer)

        exercise.check("closest")
    """)
    assert said.startswith("wrong: closest\nclosest: right, in")
