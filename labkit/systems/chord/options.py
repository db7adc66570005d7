"""Bad input to ``Chord(...)``: each refused with the value given and what to write instead."""

from __future__ import annotations

from typing import Any

from .ids import MAX_BITS
from .pointers import Settings

__all__ = ["MAINTENANCE", "ROUTING", "check_options", "check_ring", "defaults_for"]

MAINTENANCE = ("correct", "sigcomm2001")
ROUTING = ("recursive", "iterative")


def defaults_for(
    nodes: Any, virtual_nodes: Any, successors: int | None, replicas: int | None
) -> tuple[int, int]:
    """Successors and replicas where they are not given: 8 and 3, or what so many members can have."""
    if successors is None:
        members = nodes * virtual_nodes if isinstance(nodes, int) and isinstance(virtual_nodes, int) else 9
        successors = max(1, min(8, members - 1))
    if replicas is None:
        replicas = min(3, successors + 1) if isinstance(successors, int) else 3
    return successors, replicas


def check_options(options: dict[str, Any]) -> None:
    """Refuse further options that do not exist."""
    unknown = [option for option in options if option not in Settings._fields]
    if unknown:
        raise TypeError(
            f"Chord has no option {unknown[0]!r}; further options are {', '.join(Settings._fields)}"
        )


def check_ring(
    settings: Settings, nodes: Any, virtual_nodes: Any, maintenance: Any, ids: list[int] | None
) -> None:
    """Refuse what cannot work, and say what would."""
    members = nodes * virtual_nodes if isinstance(nodes, int) and isinstance(virtual_nodes, int) else 0
    if not isinstance(nodes, int) or isinstance(nodes, bool) or nodes < 1:
        raise ValueError(f"nodes={nodes!r}: a ring needs at least one node; write nodes=24")
    if not isinstance(virtual_nodes, int) or virtual_nodes < 1:
        raise ValueError(
            f"virtual_nodes={virtual_nodes!r}: each node stands for at least one; write virtual_nodes=1"
        )
    if not isinstance(settings.bits, int) or not 1 <= settings.bits <= MAX_BITS:
        raise ValueError(
            f"bits={settings.bits!r}: SHA-1 gives identifiers of 1 to {MAX_BITS} bits; write bits=32"
        )
    if members > 2**settings.bits:
        raise ValueError(f"{members} members do not fit on a circle of 2**{settings.bits} ids; write bits=32")
    if maintenance not in MAINTENANCE:
        raise ValueError(
            f'maintenance={maintenance!r}: write maintenance="correct" or maintenance="sigcomm2001"'
        )
    if settings.routing not in ROUTING:
        raise ValueError(f'routing={settings.routing!r}: write routing="recursive" or routing="iterative"')
    if not isinstance(settings.successors, int) or settings.successors < 1:
        raise ValueError(
            f"successors={settings.successors!r}: a successor list has at least one entry; write successors=8"
        )
    least = 1 if settings.successors == 1 else settings.successors + 1  # a ring of one grows from there
    if maintenance == "correct" and settings.stabilize_every is not None and members < least:
        raise ValueError(
            f"{members} members with successors={settings.successors}: the correct protocol starts with "
            f"at least successors + 1 = {settings.successors + 1}; write successors={max(1, members - 1)}, "
            "or more nodes"
        )
    if not isinstance(settings.replicas, int) or not 1 <= settings.replicas <= settings.successors + 1:
        raise ValueError(
            f"replicas={settings.replicas!r}: copies go to the owner and its "
            f"successors={settings.successors}, so write 1 to {settings.successors + 1}"
        )
    for field in ("stabilize_every", "timeout"):
        value = getattr(settings, field)
        if value is None and field == "stabilize_every":
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise ValueError(f"{field}={value!r}: seconds must be positive; write {field}=1.0")
    if ids is not None and (
        len(ids) != members or len(set(ids)) != len(ids) or not all(0 <= id < 2**settings.bits for id in ids)
    ):
        raise ValueError(
            f"ids={ids!r}: give {members} different ids from 0 to 2**{settings.bits} - 1, one for each member"
        )
