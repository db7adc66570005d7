"""Colours and shapes. Each machine has both, so that nobody needs to tell colours apart to read a panel.

The hues are Okabe and Ito's, which stay distinct under the common forms of colour blindness. Red is kept for
what went wrong. The browser has its own copy of the colours in `stage.css`, with a lighter set for dark
themes; a test compares.
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.trace.machines import CLIENT, natural

#: Machine i has COLOURS[i % 8] and SHAPES[i % 8]; two machines share a colour only beyond eight.
COLOURS = ("#0072b2", "#d98200", "#00855f", "#b65a93", "#3a9fd6", "#8a6d1d", "#5b57c4", "#5f6b76")
SHAPES = ("circle", "square", "diamond", "triangle", "hexagon", "wedge", "pentagon", "star")
#: States of a machine: a sign for each, so that the state never hangs on colour alone.
SIGNS = {"alive": "●", "slow": "◔", "paused": "‖", "dead": "✕"}
#: Colours of the static snapshot, a light card that reads on any page.
SNAPSHOT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "faint": "#6b7580",
    "line": "#c9d1d9",
    "soft": "#f3f5f7",
    "bad": "#c62828",
    "good": "#00734f",
    "warn": "#875a00",
    "accent": "#1a56c4",
    "again": "#7a4fd0",
}


def indexes(machines: Sequence[str]) -> dict[str, int]:
    """Which colour and shape each machine has: by natural order of the names; the client has none (-1)."""
    order = sorted((name for name in machines if name != CLIENT), key=natural)
    return {**{name: index for index, name in enumerate(order)}, CLIENT: -1}
