"""Looking for the run that goes wrong, by running again: a run is a program, a seed and a schedule of faults.

``search`` tries schedules and seeds until an invariant breaks, ``shrink`` removes every fault the failure
does not need, ``replay`` runs it once more to look at. All on the simulator, where the three determine every
event.
"""

from labkit.explore.search import Failure, random_schedules, replay, search, shrink

__all__ = ["Failure", "random_schedules", "replay", "search", "shrink"]
