"""Geometry, palette and plain data of scenes."""

from __future__ import annotations

import itertools
import json
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from labkit_widgets.looks import (
    COLOURS,
    LIGHT,
    OUTLINES,
    OVERLAYS,
    SHAPES,
    attributes,
    indexes,
    own,
    placed,
    style_sheet,
)  # fmt: skip
from labkit_widgets.scene import Mark, Scene, arc, around, on_circle, spread
from labkit_widgets.svg import shape

numbers = st.floats(min_value=0, max_value=100, allow_nan=False, width=16)


@given(st.lists(numbers, max_size=12).map(sorted), st.floats(min_value=0.5, max_value=20))
def test_spread_keeps_order_distance_and_bounds(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap, 0.0, 100.0)
    fair = min(gap, 100.0 / max(1, len(wanted) - 1))
    assert len(placed) == len(wanted)
    assert all(b - a >= fair - 1e-6 for a, b in itertools.pairwise(placed))
    assert all(-1e-6 <= value <= 100 + 1e-6 for value in placed)


def test_spread_moves_nothing_that_has_room() -> None:
    assert spread([10.0, 30.0, 50.0], 15.0, 0.0, 100.0) == [10.0, 30.0, 50.0]
    assert spread([48.0, 52.0], 10.0, 0.0, 100.0) == [45.0, 55.0]
    assert spread([], 10.0, 0.0, 1.0) == []


@given(st.lists(st.floats(min_value=0, max_value=6.28), min_size=2, max_size=30).map(sorted))
def test_around_moves_angles_apart_on_the_circle(angles: list[float]) -> None:
    gap = 0.1
    placed = sorted(angle % (2 * math.pi) for angle in around(angles, gap))
    gaps = [(b - a) % (2 * math.pi) for a, b in zip(placed, placed[1:] + placed[:1], strict=True)]
    assert all(each >= gap - 1e-6 for each in gaps)


def test_twelve_o_clock_is_up_and_time_runs_clockwise() -> None:
    assert [round(v, 6) for v in on_circle(0, 0, 1, 0)] == [0, -1]
    assert [round(v, 6) for v in on_circle(0, 0, 1, math.pi / 2)] == [1, 0]
    assert arc(0, 0, 10, 0, math.pi / 2) == "M0.0,-10.0A10.0,10.0 0 0 1 10.0,-0.0"
    assert arc(0, 0, 10, 0, 0).count("A") == 2, "the whole circle takes two arcs"


def test_a_scene_is_plain_data_with_rounded_numbers() -> None:
    scene = Scene(10, 10, marks=(Mark("a", 1 / 3, 2, 3, "circle", 0),))
    assert json.loads(json.dumps(scene.plain()))["marks"][0]["x"] == 0.33


def test_machines_have_colour_and_shape_and_the_client_has_none() -> None:
    assert indexes(["m10", "m2", "client", "m1"]) == {"m1": 0, "m2": 1, "m10": 2, "client": -1}
    assert len(set(SHAPES)) == len(set(COLOURS)) == 8
    assert len({shape(name, 0, 0, 5) for name in SHAPES}) == 8


def test_every_look_reaches_the_browser_and_the_picture() -> None:
    sheet = style_sheet()
    assert re.findall(r"--lk-c\d: (#\w+);", sheet)[:8] == COLOURS
    assert ".labkit-stage .lk-link.succ.wrong { stroke: var(--lk-bad); stroke-width: 1.8; " in sheet
    assert ".labkit-stage .lk-mark.cell.disk .lk-shape { fill: var(--lk-paper) }" in sheet
    assert "color-mix(in srgb, var(--lk-own) 9%, var(--lk-paper))" in sheet
    assert attributes("link", "succ wrong") == {
        "fill": "none", "stroke": LIGHT["bad"], "stroke-width": 1.8, "stroke-dasharray": "5 4"
    }  # fmt: skip
    assert attributes("box", "machine alive", 0)["fill"] == "#e8f2f8", "a tenth of its colour on paper"


def test_more_words_count_more_than_a_later_rule() -> None:
    assert attributes("label", "stage failed")["fill"] == LIGHT["bad"]
    assert attributes("halo", "cell owed selected")["stroke"] == LIGHT["accent"]
    assert attributes("shape", "cell passed again", 0, own("cell passed again"))["stroke"] == LIGHT["hop"]


def test_outlines_and_signs_stand_once() -> None:
    """Both sides place the same unit path, so pairs of absolute coordinates are all that it may have."""
    for path in (*OUTLINES.values(), *OVERLAYS.values()):
        assert not re.sub(r"[MLCZ ]|-?[\d.]+,-?[\d.]+", "", path)
    assert placed("M-1,0L0,1", 10, 20, 2) == "M8.0,20.0L10.0,22.0"
