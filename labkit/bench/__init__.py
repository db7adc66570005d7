"""`labkit bench`: every figure that labkit claims, measured here and now beside a peer's.

A bench is a generator of rows, in a module of this folder:

    @bench("loop")
    def loop() -> Iterator[Row]:
        \"\"\"RPC messages a second on the simulator, beside SimPy processing bare timeouts.\"\"\"
        ...
        yield row("domain trace", "messages/s", ours=170_000, peer=177_000, peer_name="SimPy", must=0.8)

What it measures runs in one process tree and *in turn* (ours, the peer's, ours, …), so that a noisy neighbour
disturbs both. The ratio is above 1 if we are better, whether more is better (messages/s) or less (seconds).
`must` is the least ratio that counts as kept; None if a row only informs.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from labkit.runtime.errors import LabError

__all__ = ["Bench", "Row", "UnknownBench", "bench", "benches", "row", "run_benches"]

Say = Callable[[str], None]


class UnknownBench(LabError):
    """No bench has that name."""


@dataclass(frozen=True)
class Row:
    """One figure of ours beside one of a peer's."""

    bench: str
    case: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str | None
    #: Above 1 if we are better; None without a peer.
    ratio: float | None
    #: The least ratio that keeps the promise; None if none was made.
    must: float | None

    @property
    def kept(self) -> bool:
        """Whether the promise, if there is one, is kept."""
        return self.must is None or (self.ratio is not None and self.ratio >= self.must)


def row(
    case: str,
    unit: str,
    ours: float,
    peer: float | None = None,
    peer_name: str | None = None,
    must: float | None = None,
    less_is_better: bool = False,
) -> Row:
    """A row with its ratio. The registry fills in the name of the bench."""
    ratio = None
    if peer is not None:
        better, worse = (peer, ours) if less_is_better else (ours, peer)
        ratio = better / worse if worse else float("inf")
    return Row("", case, unit, ours, peer, peer_name, ratio, must)


Rows = Callable[[], Iterable[Row | Mapping[str, Any]]]


@dataclass(frozen=True)
class Bench:
    """A named generator of rows."""

    name: str
    rows: Rows
    title: str

    def run(self) -> Iterator[Row]:
        """The rows, as they are measured. A generator may also yield them as mappings."""
        for each in self.rows():
            if isinstance(each, Mapping):
                each = Row(**{"ratio": None, "must": None, **each, "bench": self.name})
            yield replace(each, bench=self.name)


_registry: dict[str, Bench] = {}


def bench(name: str, title: str = "") -> Callable[[Rows], Rows]:
    """Register a generator of rows under `name`; its title is the first line of its docstring."""

    def register(rows: Rows) -> Rows:
        _registry[name] = Bench(name, rows, title or (rows.__doc__ or "").strip().split("\n")[0])
        return rows

    return register


def benches(names: Sequence[str] = ()) -> list[Bench]:
    """The benches of these names, or all of them in the order of their names.

    "graphs" stands for those that are called graphs-….
    """
    modules = sorted(each.name for each in pkgutil.iter_modules(__path__) if not each.name.startswith("_"))
    # A module is imported only when its bench is wanted: the peers are not installed everywhere.
    for module in names if names and set(names) <= set(modules) else modules:
        importlib.import_module(f"{__name__}.{module}")
    meant = [
        each
        for name in names
        for each in (
            [name]
            if name in _registry
            else sorted(k for k in _registry if k.startswith(f"{name}-")) or [name]
        )
    ]
    unknown = [name for name in meant if name not in _registry]
    if unknown:
        known = ", ".join(sorted(_registry)) or "none yet"
        raise UnknownBench(f"no bench is called {', '.join(map(repr, unknown))}; there are: {known}")
    return [_registry[name] for name in (meant or sorted(_registry))]


def run_benches(names: Sequence[str], as_json: bool = False, listing: bool = False, say: Say = print) -> int:
    """Run the benches of these names and print their rows: the exit status, 1 if a promise was not kept."""
    try:
        wanted = benches(names)
    except UnknownBench as error:
        say(str(error))
        return 2
    except ImportError as error:
        say(f"A bench needs what is not installed: {error}. Install it with: pip install 'labkit[bench]'")
        return 2
    if listing:
        for each in wanted:
            say(f"{each.name:<10} {each.title}")
        return 0
    os.environ["TQDM_DISABLE"] = "1"  # no bars between the rows
    rows = list(_run_and_say(wanted, (lambda _line: None) if as_json else say))
    if as_json:
        say(json.dumps([asdict(each) for each in rows], indent=1))
    return 0 if all(each.kept for each in rows) else 1


_LINE = "{:<9} {:<34} {:>12} {:>12}  {:<12} {:<26} {:>6}  {}"


def _run_and_say(wanted: Iterable[Bench], say: Say) -> Iterator[Row]:
    say(_LINE.format("bench", "case", "ours", "peer", "unit", "peer is", "ratio", "must"))
    for each in wanted:
        for measured in each.run():
            say(_line(measured))
            yield measured


def _line(row: Row) -> str:
    must = "" if row.must is None else f"≥ {row.must:.2f} {'kept' if row.kept else 'MISSED'}"
    return _LINE.format(
        row.bench,
        row.case,
        _number(row.ours),
        "" if row.peer is None else _number(row.peer),
        row.unit,
        row.peer_name or "",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        must,
    ).rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
