"""Random schedules of faults for systems whose masters are on m1, and a digest made in another process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence

from labkit import Kill, Pause, Restart, Resume, Slow
from labkit.runtime import Duplicate, Fault, Loss


def disturbances(
    seed: int, machines: Sequence[str] = ("m2", "m3", "m4"), lossy_from: float = 1.0, begin: float = 1.5
) -> list[tuple[float, Fault]]:
    """By seconds; at most one of the machines is away at a time, so that no file is lost."""
    draw = random.Random(seed)
    schedule: list[tuple[float, Fault]] = []
    if draw.random() < 0.5:
        schedule += [(lossy_from, Loss(0.03)), (lossy_from, Duplicate(0.2))]
    at = begin
    for _ in range(3):
        at += 1.5 * draw.random()
        machine, back = draw.choice(machines), at + draw.choice([0.1, 1.0, 4.0])
        what = draw.choice(["kill", "kill", "pause", "slow"])
        if what == "kill":
            schedule += [(at, Kill(machine)), (back, Restart(machine))]
        elif what == "pause":
            schedule += [(at, Pause(machine)), (back, Resume(machine))]
        else:
            schedule += [(at, Slow(machine, 10)), (back, Slow(machine, 1))]
        at = back
    return schedule


def digest_elsewhere(module: str) -> str:
    """What the function ``digest`` of a module returns in a process with another hash seed."""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": path}
    program = f"from {module} import digest; print(digest())"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
