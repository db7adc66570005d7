"""The clusters of this process: which are open, and what one is made of where the user does not say."""

from __future__ import annotations

import atexit
import itertools
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from labkit.runtime.engine import CLIENT, Engine
from labkit.runtime.errors import EngineUnavailable
from labkit.runtime.network import Network
from labkit.trace.trace import Trace

__all__ = ["Defaults", "by_name", "clusters", "defaults", "machine_names", "make_engine", "numbers", "opened"]

#: The clusters that have a name, so that one replaces the older of the same name.
by_name: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
opened: weakref.WeakSet[Any] = weakref.WeakSet()
numbers = itertools.count(1)


@dataclass
class Defaults:
    """What ``Cluster()`` takes where it is not told."""

    engine: str = field(default_factory=lambda: os.environ.get("LABKIT_ENGINE", "ray"))
    seed: int = 0


#: The notebook's ``%engine`` and ``%seed`` change them.
defaults = Defaults()


def clusters() -> list[Any]:
    """The clusters of this process that are open, oldest first."""
    return sorted((each for each in list(opened) if not each.closed), key=lambda each: each.run_number)


def machine_names(machines: int | Iterable[str]) -> list[str]:
    """So many machines' names, or these."""
    if isinstance(machines, (bool, str)):
        raise ValueError(f"machines is a number >= 1 or a list of names, not {machines!r}")
    if isinstance(machines, int):
        if machines < 1:
            raise ValueError(f"a cluster needs at least one machine, not {machines}")
        return [f"m{number}" for number in range(1, machines + 1)]
    names = list(machines)
    if (
        not names
        or len(set(names)) != len(names)
        or CLIENT in names
        or not all(isinstance(n, str) and n for n in names)
    ):
        raise ValueError(f"machine names are different, not empty, and not {CLIENT!r}; got {names!r}")
    return names


def make_engine(
    kind: str,
    seed: int,
    network: Network,
    trace: tuple[str, int],
    name: str,
    lost: Callable[[], Callable[[str], None] | None],
    address: str | None,
    options: dict[str, Any],
) -> Engine:
    """``lost`` gives, while the cluster is there, what is told of a machine that died by itself."""
    if kind == "sim":
        if options or address is not None:
            raise TypeError(f"the simulator has no option {', '.join(options) or 'address'}")
        from labkit.runtime.sim import SimEngine

        return SimEngine(seed, network, Trace(*trace), lost)
    if kind == "ray":
        if sys.platform == "emscripten":
            raise EngineUnavailable(
                'a browser\'s tab cannot start processes: write Cluster(engine="sim"), which simulates the '
                "machines; for real ones open the course on your computer (`make lab`) or on Binder"
            )
        from labkit.runtime.ray_engine import RayEngine
        from labkit.trace.merge import MergedTrace

        return RayEngine(seed, network, MergedTrace(*trace), name, address, lost, **options)
    raise ValueError(f'engine is "ray" (real processes) or "sim" (virtual time), not {kind!r}')


@atexit.register
def _close_all() -> None:
    for cluster in list(opened):
        cluster.close()
