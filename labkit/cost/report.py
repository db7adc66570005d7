"""COST(system, problem): the fewest cores with which the system beats one thread; *unbounded* if none do."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.cost.baselines import Baseline
from labkit.parts.options import number, whole
from labkit.runtime.errors import LabError
from labkit.trace.words import many

__all__ = ["CostReport", "OtherResult", "cost", "hardware", "same_result"]


class OtherResult(LabError):
    """The system's result is not that of the baseline: its speed says nothing."""


@dataclass(frozen=True)
class CostReport:
    """What was measured, and on what; ``print`` it.

    seconds: cores to each repetition's seconds, in the order in which they ran. one_thread: the baseline's.
    simulated: the system's seconds are the simulator's, of a model of machines, and the baseline's are this
    computer's: the two must not be compared, and there is no COST.
    """

    system: str
    baseline: str
    hardware: str
    seconds: dict[int, list[float]]
    one_thread: list[float]
    simulated: bool = False

    @property
    def cost(self) -> int | None:
        """The fewest measured cores whose median is below the baseline's; None if there are none:
        unbounded.
        """
        if self.simulated:
            return None
        limit = median(self.one_thread)
        return min((cores for cores, each in self.seconds.items() if median(each) < limit), default=None)

    @property
    def repetitions(self) -> int:
        """How often each was measured."""
        return len(self.one_thread)

    def to_pandas(self) -> Any:
        """A row for the baseline and one for each number of cores: median, least and most seconds, speed-up
        over the baseline."""
        import pandas as pd

        limit = median(self.one_thread)
        rows = [("one thread", 1, self.one_thread)]
        rows += [(self.system, cores, each) for cores, each in sorted(self.seconds.items())]
        return pd.DataFrame(
            {
                "what": [what for what, _, _ in rows],
                "cores": [cores for _, cores, _ in rows],
                "seconds": [median(each) for _, _, each in rows],
                "least": [min(each) for _, _, each in rows],
                "most": [max(each) for _, _, each in rows],
                "speed-up": [limit / max(median(each), 1e-12) for _, _, each in rows],
            }
        )

    def __str__(self) -> str:
        measured = ", ".join(
            f"{median(each):.3g} s on {many(cores, 'core')}" for cores, each in sorted(self.seconds.items())
        )
        lines = [
            f"COST of {self.system}: {self.in_words()}",
            f"  measured   {measured}",
            f"  baseline   {self.baseline}: {median(self.one_thread):.3g} s",
            f"  hardware   {self.hardware}",
            f"  medians of {many(self.repetitions, 'repetition')}",
        ]
        return "\n".join(lines)

    def in_words(self) -> str:
        """The COST, or that it is unbounded and up to how many cores were tried."""
        if self.simulated:
            return "not defined, the seconds are the simulator's; measure on Ray"
        if self.cost is None:
            return f"unbounded: no configuration of up to {max(self.seconds)} cores beats one thread"
        return many(self.cost, "core")

    def _repr_html_(self) -> str:
        table = self.to_pandas().to_html(index=False, float_format=lambda x: f"{x:.3g}", border=0)
        return (
            f"<p><b>COST of {self.system}: {self.in_words()}</b></p>{table}"
            f"<p>Baseline: {self.baseline}. Medians of {self.repetitions}. {self.hardware}</p>"
        )


def cost(
    run: Callable[[int], Any],
    cores: Sequence[int] = (1, 2),
    *,
    graph: Any = None,
    baseline: Callable[..., Any],
    system: str | None = None,
    repeat: int = 3,
    tolerance: float = 1e-9,
) -> CostReport:
    """Measure a system on so many cores beside one thread, and say its COST.

    run: called with the number of cores, returns the result (one number per vertex, in an array, a list, a
    mapping or a Series; or anything that compares). What it does is measured, so load the graph and start the
    machines before; or let ``run(cores)`` return a function without arguments: then only that one is
    measured. baseline: one of labkit.cost's, called with the graph; or any function, called without arguments
    if there is no graph.
    repeat: how often each is measured, in turn, so that a noisy neighbour disturbs all of them.

    The results are compared first: ``OtherResult`` if they differ by more than the tolerance, relative to the
    largest value.
    """
    try:
        counts = [whole(1)("cores", each) for each in cores]
    except (TypeError, ValueError):
        counts = []
    if not counts:
        raise ValueError(f"cores is a list of whole numbers above 0, such as [1, 2], not {cores!r}")
    repeat = whole(1, write=3)("repeat", repeat)
    tolerance = number(0, write=1e-9)("tolerance", tolerance)
    if not callable(run):
        raise TypeError(f"run is a function of the number of cores, run(cores), not {run!r:.60}")
    if not callable(baseline):
        raise TypeError(f"baseline is a function, such as baseline('pagerank20'), not {baseline!r:.60}")
    if isinstance(baseline, Baseline) and graph is None:
        raise TypeError(f"{baseline} runs on a graph: give graph=…")
    if (warm := getattr(baseline, "warm", None)) is not None:
        warm()
    arguments = () if graph is None else (graph,)
    names = str(baseline) if warm else getattr(baseline, "__name__", repr(baseline))
    name = system or getattr(run, "__name__", "the system").replace("<lambda>", "the system")
    expected: Any = None
    alone: list[float] = []
    found: dict[int, list[float]] = {each: [] for each in counts}
    for _ in range(repeat):
        seconds, expected = _timed(partial(baseline, *arguments))
        alone.append(seconds)
        for each in found:
            seconds, result = _timed(partial(run, each))
            if callable(result):
                seconds, result = _timed(result)
            same_result(result, expected, f"{name} on {each} cores", tolerance)
            found[each].append(seconds)
    return CostReport(name, names, hardware(), found, alone)


def _timed(what: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = what()
    return time.perf_counter() - start, result


def same_result(result: Any, expected: Any, who: str, tolerance: float = 1e-9) -> None:
    """Raise ``OtherResult`` with the first difference, if there is one. Numbers may be in an array, a list, a
    mapping or a pandas Series."""
    if expected is None:
        raise OtherResult("the baseline returns nothing: let it return its result, and the system its own")
    names: Any = None
    if hasattr(expected, "items") and hasattr(result, "items"):  # by key; a Series has them, too
        mine, other = dict(result.items()), dict(expected.items())
        if odd := list(mine.keys() ^ other.keys()):
            raise OtherResult(
                f"{who} and the baseline have other keys: {_short(odd[0])} has only one of them"
            )
        names = list(other)
        result, expected = [mine[each] for each in names], [other[each] for each in names]
    wanted = _array(expected)
    if wanted is None:
        try:
            equal = bool(np.all(result == expected))
        except ValueError:
            equal = False
        if not equal:
            raise OtherResult(f"{who} returns {_short(result)}, and the baseline {_short(expected)}")
        return
    got = _array(result)
    if got is None or got.shape != wanted.shape:
        shape = f"an array of shape {wanted.shape}" if wanted.shape else _short(expected)
        raise OtherResult(f"{who} returns {_short(result)}, and the baseline {shape}")
    if wanted.dtype.kind in "fc" or got.dtype.kind in "fc":
        room = tolerance * max(float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)), 1e-300)
        wrong = ~np.isclose(got, wanted, rtol=0, atol=room, equal_nan=True)
    else:
        wrong = got != wanted
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        place = f"number {first}" if names is None else _short(names[first])
        raise OtherResult(
            f"{who} differs from the baseline at {int(wrong.sum()):,} of {wanted.size:,} places: "
            f"{place} is {got.flat[first].item()!r} instead of {wanted.flat[first].item()!r}"
        )


def _array(value: Any) -> NDArray[Any] | None:
    """If it is made of numbers or texts."""
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return found if found.dtype.kind in "biufcUS" else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def hardware() -> str:
    """Processor, cores, memory, Python: what a COST is worth nothing without."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {usable} cores{memory}, Python {platform.python_version()}, NumPy {np.__version__}"
