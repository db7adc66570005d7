"""The options of ``Chord(...)``: what each means. Bad input is refused with the value given and what to
write instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from labkit.runtime.errors import MachineDead, NameTaken

from .ids import MAX_BITS

__all__ = ["MAINTENANCE", "ROUTING", "Options", "Settings", "check_place", "with_options"]

MAINTENANCE = ("correct", "sigcomm2001")
ROUTING = ("recursive", "iterative")

#: Above this many nodes pointers are not announced in the trace: nobody could watch them.
ANNOUNCED_UP_TO = 1000


class Settings(NamedTuple):
    """What all nodes of a ring agree on."""

    #: Of an identifier: 1 to 160, which is all of SHA-1.
    bits: int = 32
    #: Length of the successor lists, 1 or more: L in Zave's papers, r in the SIGCOMM paper.
    successors: int = 8
    #: Copies of each value, the owner's included: 1 to ``successors`` + 1.
    replicas: int = 3
    #: Seconds between two rounds of each maintenance task; None: no maintenance (a frozen ring, for
    #: experiments).
    stabilize_every: float | None = 1.0
    #: "recursive" or "iterative".
    routing: str = "recursive"
    #: Seconds without an answer after which a node takes another for dead.
    timeout: float = 0.5
    #: How often a lookup starts anew before it is given up.
    attempts: int = 3
    #: Whether a node whose next hop is silent tries another; False: the lookup fails (SIGCOMM section 6.4).
    detours: bool = True
    #: Seconds for which a node avoids one that did not answer.
    avoid_for: float = 10.0
    #: Fingers looked up anew in each round; the paper fixes one, its simulator all (0 here).
    fingers_per_round: int = 1
    #: Whether nodes compare the ring with a random old acquaintance's view, which alone can join two rings
    #: again.
    sampling: bool = True
    #: Whether nodes emit their pointers as events; off for rings too large to watch.
    announce: bool = True


@dataclass(frozen=True)
class Options:
    """What the user of a ring chooses, besides the ``Settings`` of its nodes."""

    settings: Settings
    #: Members at the start, as a settled ring (a ring must not start smaller than its successor lists).
    nodes: int = 24
    #: Members that each node stands for (SIGCOMM 2001, Fig. 9).
    virtual_nodes: int = 1
    #: "correct" (Zave) or "sigcomm2001" (Fig. 7).
    maintenance: str = "correct"
    #: Identifiers to use instead of SHA-1 of the names, one for each member (for textbook rings).
    ids: Iterable[int] | None = None
    #: Names of the machines to use; all by default.
    machines: Iterable[str] | None = None
    #: Of the ring: its members are called after it.
    name: str = "chord"

    @classmethod
    def of(cls, given: dict[str, Any], machines: list[str]) -> Options:
        """The options as they were given, checked, with the defaults that depend on others."""
        unknown = [name for name in given if name not in CHOICES]
        if unknown:
            raise TypeError(f"Chord has no option {unknown[0]!r}; its options are {', '.join(CHOICES)}")
        chosen = {**CHOICES, **given}
        nodes, timeout = chosen["nodes"], chosen["timeout"]
        check_name(chosen["name"])
        chosen["successors"], chosen["replicas"] = defaults_for(
            nodes, chosen["virtual_nodes"], given.get("successors"), given.get("replicas")
        )
        for name, usual in (
            ("sampling", chosen["maintenance"] == "correct"),
            ("announce", isinstance(nodes, int) and nodes <= ANNOUNCED_UP_TO),
            ("avoid_for", 10.0 * timeout if isinstance(timeout, (int, float)) else 0.0),
        ):
            chosen[name] = given.get(name, usual)
        settings = Settings(**{name: chosen.pop(name) for name in Settings._fields})
        check_ring(settings, nodes, chosen["virtual_nodes"], chosen["maintenance"])
        chosen["ids"] = chosen_ids(chosen["ids"], nodes * chosen["virtual_nodes"], settings.bits)
        chosen["machines"] = chosen_machines(chosen["machines"], machines)
        return cls(settings=settings, **chosen)


#: Every option by name, with its default.
CHOICES: dict[str, Any] = {
    **{field.name: field.default for field in fields(Options) if field.name != "settings"},
    **Settings._field_defaults,
}


def with_options(init: Callable[..., None]) -> Callable[..., None]:
    """Have ``help(Chord)`` and completion name the options that ``**options`` stands for."""
    signature = inspect.signature(init)
    *named, _ = signature.parameters.values()
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in CHOICES.items()
        if name not in signature.parameters
    ]
    init.__signature__ = signature.replace(parameters=[*named, *more])  # type: ignore[attr-defined]
    return init


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
    bits, successors, replicas = settings.bits, settings.successors, settings.replicas
    members = nodes * virtual_nodes if isinstance(nodes, int) and isinstance(virtual_nodes, int) else 0

    def need(fine: bool, name: str, words: str, value: Any = None) -> None:
        if not fine:
            raise ValueError(f"{name}={getattr(settings, name, value)!r}: {words}")

    need(_is_count(nodes, 1), "nodes", "a ring needs at least one node; write nodes=24", nodes)
    words = "each node stands for at least one; write virtual_nodes=1"
    need(_is_count(virtual_nodes, 1), "virtual_nodes", words, virtual_nodes)
    words = f"SHA-1 gives identifiers of 1 to {MAX_BITS} bits; write bits=32"
    need(_is_count(bits, 1) and bits <= MAX_BITS, "bits", words)
    if members > 2**bits:
        raise ValueError(f"{members} members do not fit on a circle of 2**{bits} ids; write bits=32")
    words = 'write maintenance="correct" or maintenance="sigcomm2001"'
    need(maintenance in MAINTENANCE, "maintenance", words, maintenance)
    need(settings.routing in ROUTING, "routing", 'write routing="recursive" or routing="iterative"')
    need(
        _is_count(successors, 1), "successors", "a successor list has at least one entry; write successors=8"
    )
    least = 1 if successors == 1 else successors + 1  # a ring of one grows from there
    if maintenance == "correct" and settings.stabilize_every is not None and members < least:
        raise ValueError(
            f"{members} members with successors={successors}: the correct protocol starts with at least "
            f"successors + 1 = {successors + 1}; write successors={max(1, members - 1)}, or more nodes"
        )
    words = f"copies go to the owner and its successors={successors}, so write 1 to {successors + 1}"
    need(isinstance(replicas, int) and 1 <= replicas <= successors + 1, "replicas", words)
    for name in ("stabilize_every", "timeout"):
        value = getattr(settings, name)
        frozen = value is None and name == "stabilize_every"
        need(
            frozen or (_is_seconds(value) and value > 0), name, f"seconds must be positive; write {name}=1.0"
        )
    for name, least in (("attempts", 1), ("fingers_per_round", 0)):
        words = f"a whole number >= {least}; write {name}={max(least, 1)}"
        need(_is_count(getattr(settings, name), least), name, words)
    need(_is_seconds(settings.avoid_for), "avoid_for", "seconds, 0 or more; write avoid_for=5.0")
    for name in ("detours", "sampling", "announce"):
        need(isinstance(getattr(settings, name), bool), name, f"write {name}=True or {name}=False")
