"""What can be chosen of GraphX: the optimisations of the paper's section 4, each to be switched off."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from labkit.parts.options import checked, number, switch, whole

__all__ = ["Options", "check_options"]


@dataclass(frozen=True)
class Options:
    """The switches. Results are the same whatever they say."""

    #: Of vertices only those are shipped that have changed since the edges were last told (§4.5.1).
    incremental_view: bool = True
    #: Attributes are shipped only to the side that the function reads (§4.5.2).
    join_elimination: bool = True
    #: The edges of active vertices are found by an index, if a smaller part than ``scan_below`` of a
    #: partition's vertices is active (§4.5.3).
    index_scan: bool = True
    scan_below: float = 0.8
    #: What has the same index is joined place by place, and messages name places instead of ids (§4.4).
    index_reuse: bool = True
    #: Iterations between two checkpoints of a loop, if the context has a checkpoint directory.
    checkpoint_every: int = 25


RULES = {each.name: switch for each in fields(Options)}
RULES["scan_below"] = number(0, 1, says="a part of the vertices, from 0 to 1", write=0.8)
RULES["checkpoint_every"] = whole(1, says="a whole number of iterations", write=25)


def check_options(given: dict[str, Any]) -> Options:
    """The options, or an error that says what to write."""
    return Options(**checked("GraphX", given, RULES))
