"""The options of ``Chord(...)``: what each means, and what it must be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from labkit.parts.options import Rule, anything, checked, one_of, seconds, switch, text, whole
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
    #: again, and a node that knows nobody alive asks the lab. Both are beyond the papers' maintenance.
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
        chosen = {**CHOICES, **checked("Chord", given, RULES)}
        nodes, members = chosen["nodes"], chosen["nodes"] * chosen["virtual_nodes"]
        usual = {"successors": max(1, min(8, members - 1)), "sampling": chosen["maintenance"] == "correct",
                 "announce": nodes <= ANNOUNCED_UP_TO, "avoid_for": 10.0 * chosen["timeout"]}  # fmt: skip
        chosen |= {name: value for name, value in usual.items() if given.get(name) is None}
        if given.get("replicas") is None:
            chosen["replicas"] = min(3, chosen["successors"] + 1)
        settings = Settings(**{name: chosen.pop(name) for name in Settings._fields})
        check_ring(settings, members, chosen["maintenance"])
        chosen["ids"] = chosen_ids(chosen["ids"], members, settings.bits)
        chosen["machines"] = chosen_machines(chosen["machines"], machines)
        return cls(settings=settings, **chosen)


#: Every option by name, with its default.
CHOICES: dict[str, Any] = {
    **{field.name: field.default for field in fields(Options) if field.name != "settings"},
    **Settings._field_defaults,
}


#: What each must be by itself.
RULES: dict[str, Rule] = {
    "nodes": whole(1, says="a ring needs at least one node", write=24),
    "virtual_nodes": whole(1, says="each node stands for at least one", write=1),
    "maintenance": one_of(MAINTENANCE),
    "ids": anything,
    "machines": anything,
    "name": text(says="members are called after their ring", write="chord"),
    "bits": whole(1, MAX_BITS, says=f"SHA-1 gives identifiers of 1 to {MAX_BITS} bits", write=32),
    "successors": whole(1, says="a successor list has at least one entry", write=8).or_none(),
    "replicas": whole().or_none(),
    "stabilize_every": seconds().or_none(),
    "routing": one_of(ROUTING),
    "timeout": seconds(),
    "attempts": whole(1),
    "detours": switch,
    "avoid_for": seconds(0, write=5.0),
    "fingers_per_round": whole(0),
    "sampling": switch,
    "announce": switch,
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
    says = f"give {members} different ids from 0 to 2**{bits} - 1, one for each member"
    one = whole(0, 2**bits - 1)

    def take(given: Any) -> list[int]:
        several = [one.take(id) for id in given]
        if len(several) != members or len(set(several)) != members:
            raise ValueError
        return several

    return Rule(take, says, (range(members),))("ids", ids)


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


def check_ring(settings: Settings, members: int, maintenance: str) -> None:
    """Refuse what cannot work together, and say what would."""
    bits, successors = settings.bits, settings.successors
    if members > 2**bits:
        raise ValueError(f"{members} members do not fit on a circle of 2**{bits} ids; write bits=32")
    least = 1 if successors == 1 else successors + 1  # a ring of one grows from there
    if maintenance == "correct" and settings.stabilize_every is not None and members < least:
        raise ValueError(
            f"{members} members with successors={successors}: the correct protocol starts with at least "
            f"successors + 1 = {successors + 1}; write successors={max(1, members - 1)}, or more nodes"
        )
    says = f"copies go to the owner and its successors={successors}, so there are 1 to {successors + 1}"
    whole(1, successors + 1, says=says, write=min(3, successors + 1))("replicas", settings.replicas)
