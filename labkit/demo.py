"""`labkit demo`: the story of the welcome notebook, without a browser.

A ring of Chord nodes stores every module of Python's standard library under its name. While all of them
are looked up, a machine is killed. Lookups time out and take other routes, successor lists close the gap,
replicas are restored; and no module may be lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Literal

from labkit.data import standard_library
from labkit.runtime import Cluster, Kill, LabError, when
from labkit.systems.chord import Chord

__all__ = ["run_demo"]

Say = Callable[[str], None]

REPLICAS = 3
#: The machine to kill, and after which share of the lookups.
VICTIM, KILL_AFTER = "m2", 1 / 4
#: How often all keys are looked up until the kill has struck. On real processes the news of a lookup takes a
#: tenth of a second to reach whoever decides, so it may strike in the second round.
ROUNDS = 20


def run_demo(
    engine: Literal["sim", "ray"] = "sim", nodes: int = 24, machines: int = 4, seed: int = 7, say: Say = print
) -> int:
    """Tell the story: the exit status, 0 if nothing was lost."""
    try:
        with Cluster(machines=machines, engine=engine, seed=seed) as cluster:
            return _tell(cluster, nodes, say)
    except (LabError, ValueError) as error:
        say(f"{type(error).__name__}: {error}")
        return 1


def _tell(cluster: Cluster, nodes: int, say: Say) -> int:
    # The correct protocol wants fewer successors than nodes.
    ring = Chord(cluster, nodes=nodes, replicas=REPLICAS, successors=min(8, nodes - 1))
    kind = "simulated machines" if cluster.engine == "sim" else "real processes"
    say(f"{nodes} Chord nodes on {len(cluster.machines)} machines ({kind}, seed {cluster.seed}):")
    for machine in cluster.machines:
        process = f", process {machine.pid}" if machine.pid else ""
        say(f"  {machine.name}{process}: {len(machine.nodes)} nodes")

    library = standard_library()
    reports = ring.put_many(library)
    least = min(report.replicas for report in reports)
    size = sum(map(len, library.values())) / 1e6
    say(
        f"\n{len(library)} modules of the standard library ({size:.1f} MB) are stored, on {least} nodes each."
    )

    hops = fmean(found.hops for found in ring.lookup_many(library))
    theory = math.log2(nodes) / 2
    say(f"A lookup takes {hops:.2f} hops on average. With fingers alone it would be about ½·log₂ {nodes} =")
    say(f"{theory:.2f}; the successor lists of {ring.settings.successors} shorten the way.")

    found = _look_up_and_kill(ring, library, say)
    cluster.run_until(lambda: bool(cluster.trace.filter(kind="killed")), what="it has been killed")
    ring.settle()
    _show_what_happened(ring, say)

    # A wrong answer is as lost as none.
    lost = [name for name, source in library.items() if found.get(name) != source or ring.get(name) != source]
    say(f"\nlost: {len(lost)}" + (f" ({', '.join(lost)})" if lost else " modules"))
    return 1 if lost else 0


def _look_up_and_kill(ring: Chord, library: Mapping[str, str], say: Say) -> dict[str, str]:
    """Read every module, again and again until the machine has died meanwhile: what the last round found."""
    cluster = ring.cluster
    say(f"\nLooking up every module; {VICTIM} will be killed meanwhile …")
    cluster.play([(when("lookup_finished", count=max(1, int(len(library) * KILL_AFTER))), Kill(VICTIM))])
    for number in range(1, ROUNDS + 1):
        began = cluster.now
        found: dict[str, str] = ring.get_many(library)
        say(f"  round {number}: {len(found)} of {len(library)} found in {cluster.now - began:.2f} s")
        if not cluster.machine(VICTIM).alive:
            return found
    raise LabError(f"{VICTIM} was not killed within {ROUNDS} rounds of lookups")


def _show_what_happened(ring: Chord, say: Say) -> None:
    trace = ring.cluster.trace
    killed = trace.filter(kind="killed")[0]

    def after(kind: str) -> list[dict[str, object]]:
        return [event.data for event in trace.filter(kind=kind) if event.time >= killed.time]

    copies = sum(int(str(data["count"])) for data in after("replicated"))
    say(f"{VICTIM} was killed at {killed.time:.2f} s. After that:")
    say(f"  {len(after('hop_timed_out'))} hops timed out, and their lookups took another route")
    say(f"  {len(after('successors_changed'))} times a node changed its successor list")
    say(f"  {copies} copies were made anew, so that each module has {REPLICAS} again")
    say(f"  the ring is as it should be since {ring.cluster.now:.2f} s: {ring.health()}".split("\n")[0])
