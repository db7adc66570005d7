"""Bad input to ``Chord(...)``: each refused with the value given and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.runtime.errors import MachineDead, NameTaken

from .ids import MAX_BITS
from .pointers import Settings

__all__ = [
    "MAINTENANCE",
    "ROUTING",
    "check_name",
    "check_options",
    "check_place",
    "check_ring",
    "chosen_ids",
    "chosen_machines",
    "defaults_for",
]

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


def check_name(name: Any) -> None:
    """Members are called after their ring, and a lookup's path is a list of names in one string."""
    if not (isinstance(name, str) and name and name.isprintable()):
        raise ValueError(f'name={name!r}: members are called after their ring; write name="chord"')


def check_place(name: str, nodes: list[str], alive: list[bool]) -> None:
    """There is room on the cluster for a ring of this name."""
    if not any(alive):
        raise MachineDead.of_all()
    if f"directory-{name}" in nodes:
        raise NameTaken(
            f"there is a ring {name!r} on this cluster already: go on with it, or write "
            f"Chord(cluster, name={name + '-2'!r})"
        )


def chosen_ids(ids: Any, members: int, bits: int) -> list[int] | None:
    """The identifiers that the user wants, as a list; None: SHA-1 of the names."""
    if ids is None:
        return None
    several = list(ids) if isinstance(ids, Iterable) else []
    fits = len(several) == members and all(_whole(id) and 0 <= id < 2**bits for id in several)
    if not fits or len(set(several)) != members:
        raise ValueError(
            f"ids={ids!r}: give {members} different ids from 0 to 2**{bits} - 1, one for each member"
        )
    return [int(id) for id in several]


def chosen_machines(machines: Any, there: list[str]) -> list[Any] | None:
    """The machines that the user wants, as a list; None: all."""
    if machines is None:
        return None
    several = list(machines) if isinstance(machines, Iterable) and not isinstance(machines, str) else []
    if not several:
        raise ValueError(
            f"machines={machines!r}: a list of at least one machine; write machines={there[:2]!r}, "
            "or leave it out for all"
        )
    return several


def _whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def check_ring(settings: Settings, nodes: Any, virtual_nodes: Any, maintenance: Any) -> None:
    """Refuse what cannot work, and say what would."""
    members = nodes * virtual_nodes if isinstance(nodes, int) and isinstance(virtual_nodes, int) else 0
    if not _is_count(nodes, 1):
        raise ValueError(f"nodes={nodes!r}: a ring needs at least one node; write nodes=24")
    if not _is_count(virtual_nodes, 1):
        raise ValueError(
            f"virtual_nodes={virtual_nodes!r}: each node stands for at least one; write virtual_nodes=1"
        )
    if not _is_count(settings.bits, 1) or settings.bits > MAX_BITS:
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
    if not _is_count(settings.successors, 1):
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
        if not _is_seconds(value) or value == 0:
            raise ValueError(f"{field}={value!r}: seconds must be positive; write {field}=1.0")
    for field, least in (("attempts", 1), ("fingers_per_round", 0)):
        value = getattr(settings, field)
        if not _is_count(value, least):
            raise ValueError(f"{field}={value!r}: a whole number >= {least}; write {field}={max(least, 1)}")
    wait = settings.avoid_for
    if not _is_seconds(wait):
        raise ValueError(f"avoid_for={wait!r}: seconds, 0 or more; write avoid_for=5.0")
    for field in ("detours", "sampling", "announce"):
        if not isinstance(value := getattr(settings, field), bool):
            raise ValueError(f"{field}={value!r}: write {field}=True or {field}=False")
