"""The programming model of Chord: a dictionary whose entries live on a ring of nodes.

``lookup(key)`` is Chord's only operation; the dictionary is the block store on top of it (SIGCOMM 2001 Fig.
1). What the user is promised: a key's value survives as long as fewer than ``replicas`` neighbouring nodes
fail between two repairs, every write reports how many replicas took it, and a lookup answers with the node
that owned the key at some instant while it was under way.

    ring = Chord(cluster, nodes=24, replicas=3)
    ring["lecture"] = b"P2"
    cluster.kill(ring.owner("lecture").machine)
    ring["lecture"]                                  # still there
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from labkit.parts.checks import whole
from labkit.parts.system import System
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.errors import LabError, MachineDead, Timeout, UnknownNode
from labkit.runtime.node import Node
from labkit.runtime.script import Made, options_of
from labkit.runtime.sync import gather

from .client import ClientPrograms, Lookup, Stored
from .directory import CONTACTS
from .health import Health, examine, latest_copies
from .ids import identifier
from .options import Options, check_place, with_options
from .patience import LIMIT, ask_patiently
from .starting import PROTOCOLS, NodeHandle, Starting
from .trace_checks import Report, check_trace

__all__ = ["Chord", "Lookup", "NodeHandle", "Stored"]


class Chord(System, Starting, ClientPrograms, MutableMapping[Any, Any]):
    """A ring on a cluster. Keys are strings or bytes; values are anything that can be sent.

    Options are the fields of ``Options`` and ``Settings`` (``options.py`` says what each means), such as
    ``maintenance``: "correct" (Zave) or "sigcomm2001" (Fig. 7); ``routing``: "recursive" or "iterative";
    ``successors``, the length of the lists: by default 8, or as many as there are others; ``replicas`` of a
    value: by default 3, or as many as there are nodes to hold them; ``stabilize_every`` so many seconds (None
    freezes the ring); ``timeout``, the seconds after which a silent node is taken for dead.

    If all members die, the first that restarts founds the ring again, and the others join it: this is a rule
    of the lab (see ``directory.py``). What their disks kept returns with them.
    """

    panel_class = "RingPanel"

    @with_options
    def __init__(self, cluster: Cluster, nodes: int = 24, **options: Any) -> None:
        machines = [machine.name for machine in cluster.machines]
        chosen = Options.of({"nodes": nodes, **options}, machines)
        self.cluster = cluster
        self.name = chosen.name
        self.virtual_nodes = chosen.virtual_nodes
        #: As it is now: ``switch`` changes it.
        self.maintenance = chosen.maintenance
        self.settings = settings = chosen.settings
        check_place(self.name, list(cluster.nodes), [machine.alive for machine in cluster.machines])
        #: Seconds for which an operation is repeated before it fails.
        self.give_up_after = 60.0
        #: Identifier of every member that was started and has not left, dead ones included.
        self.ids: dict[str, int] = {}
        self._writes = 0
        self._silent = {}
        self._started = 0
        self._random = stream(cluster.seed, "chord", self.name)
        self._directory: str | None = None
        wanted = chosen.machines
        self._machines = None if wanted is None else [cluster.machine(machine).name for machine in wanted]
        with cluster.all_or_none():
            self._start(chosen.nodes, chosen.ids)
        #: Members at the start.
        self.founders = len(self.ids)
        cluster.trace.meta.update(
            system="Chord",
            maintenance=self.maintenance,
            routing=settings.routing,
            bits=settings.bits,
            successors=settings.successors,
            replicas=settings.replicas,
            founders=self.founders,
        )

    @classmethod
    def stable(cls, cluster: Cluster, nodes: int = 10_000, **options: Any) -> Chord:
        """A settled ring without maintenance, built at once, for experiments with lookups."""
        options.setdefault("stabilize_every", None)
        return cls(cluster, nodes, **options)

    # --- a dictionary -----------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return self._run("get", key, self.client_get)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Any) -> None:
        self._run("delete", key, self.client_delete)

    def __contains__(self, key: object) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def __len__(self) -> int:
        return len(self._keys())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys())

    def _keys(self) -> list[Any]:
        """All keys in the order of the circle, as the members that answer know them."""
        latest = latest_copies(self._reports(keys=True))
        return sorted(
            (key for key, (_, _, deleted, _) in latest.items() if not deleted), key=lambda key: latest[key][0]
        )

    def put(self, key: Any, value: Any) -> Stored:
        """Write a value, and report how many replicas took it."""
        stored: Stored = self._run("put", key, self.client_put, value)
        return stored

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Write many values, several at the same time."""
        self.put_many(dict(other, **more))

    def put_many(self, values: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> list[Stored]:
        """Write many values, several at the same time; a report for each."""
        items = list(dict(values).items())
        return self._many("put_many", items, lambda client, item: self.client_put(client, *item))

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Read many values, several at the same time; raises ``KeyError`` for the first that is missing."""
        keys = list(keys)
        return dict(zip(keys, self._many("get_many", keys, self.client_get), strict=True))

    # --- lookups ----------------------------------------------------------------------------------------

    def lookup(self, key: Any, origin: str | NodeHandle | None = None) -> Lookup:
        """Find a key's owner, starting at ``origin`` (default: any member), and say how."""
        start = None if origin is None else self._member(origin)
        if start is not None and not (first := self.node(start)).alive:
            raise MachineDead(
                f"{first} is on {first.machine}, which is dead; begin at another member, or restart it: "
                f"cluster.restart({first.machine!r})"
            )
        found: Lookup = self._run("lookup", key, self.client_lookup, start)
        return found

    def lookup_many(self, keys: Iterable[Any]) -> list[Lookup]:
        """Look many keys up, several at the same time."""
        return self._many("lookup_many", list(keys), self.client_lookup)

    def owner(self, key: Any) -> NodeHandle:
        """The member that owns a key, found by a lookup."""
        return self.node(self.lookup(key).owner)

    def key_id(self, key: Any) -> int:
        """A key's place on the circle."""
        if not isinstance(key, (str, bytes)):
            write = f"bytes({key!r})" if isinstance(key, (bytearray, memoryview)) else repr(str(key))
            raise TypeError(
                f"a key is a str or bytes, not {key!r:.80} of type {type(key).__name__}; write ring[{write}]"
            )
        try:
            return identifier(key, self.settings.bits)
        except UnicodeEncodeError as error:
            as_bytes = key.encode("utf-8", "surrogatepass")
            raise ValueError(
                f"{key!r:.80} has no UTF-8 ({error.reason}); write ring[{as_bytes!r:.80}]"
            ) from None

    # --- members ----------------------------------------------------------------------------------------

    @property
    def bits(self) -> int:
        """Bits of an identifier."""
        return self.settings.bits

    @property
    def nodes(self) -> list[NodeHandle]:
        """Every member that has not left, in the order of the circle; some may not be ``alive``."""
        homes = self.cluster.nodes
        members = sorted(self.ids.items(), key=lambda member: member[1])
        return [self._handle(name, id, homes[name]) for name, id in members if name in homes]

    def node(self, name: str | NodeHandle) -> NodeHandle:
        """The member of this name; raises ``UnknownNode``."""
        name = self._member(name)
        return self._handle(name, self.ids[name], self.cluster.nodes[name])

    def _handle(self, name: str, id: int, machine: str) -> NodeHandle:
        return NodeHandle(name, id, machine, self.cluster.machine(machine).alive)

    def _member(self, node: str | NodeHandle) -> str:
        name = node.name if isinstance(node, NodeHandle) else node
        if not isinstance(name, str) or name not in self.ids:
            known = ", ".join(list(self.ids)[:6])
            raise UnknownNode(
                f"{name!r} is not a member of this ring; its members are {known}, …: see ring.nodes"
            )
        return name

    def join(self, machine: str | None = None, timeout: float = 60.0) -> NodeHandle:
        """Start a new member and wait until the ring has taken it in."""
        name = self.start_joining(machine).name
        self.cluster.run_until(
            lambda: self._joined(name), timeout=timeout, what=f"the ring has taken {name} in"
        )
        return self.node(name)

    def start_joining(self, machine: str | None = None) -> NodeHandle:
        """Start a new member, which joins while time goes on."""
        self._need_maintenance("join")
        if len(self.ids) >= 2**self.settings.bits:
            raise ValueError(
                f"join: all 2**{self.settings.bits} ids of the circle are taken, the dead ones' too; "
                "let a member leave first, or make the ring with more bits"
            )
        name = self._names_for_next()[0]
        id = self._fresh_id(name)
        alive = [node.name for node in self.nodes if node.alive]
        contacts = tuple(self._random.sample(alive, min(CONTACTS, len(alive))))
        home = machine or self._home_for(id)
        self.ids[name] = id
        try:
            self.cluster.spawn(
                PROTOCOLS[self.maintenance], id, self.settings, None, contacts, self._directory,
                name=name, machine=home,
            )  # fmt: skip
        except LabError:
            del self.ids[name]
            raise
        self._started += 1
        return self.node(name)

    def leave(self, node: str | NodeHandle) -> int:
        """Have a member leave in order: its keys go to its successor. Returns how many copies did.

        Raises ``ValueError`` if too few members would remain, and ``NoHeir`` if nobody takes its keys.
        """
        name = self._member(node)
        self._need_maintenance("leave")
        self._check_leave(name)
        moved: int = self.cluster.call(name, "leave", timeout=self.give_up_after)
        self._gone(name)
        return moved

    def _gone(self, name: str) -> None:
        """It has left, and is no node any more either."""
        if self.ids.pop(name, None) is not None:
            self.cluster.remove(name)

    def fail(self, node: str | NodeHandle) -> None:
        """Stop one member for good, without a word to anyone; its machine and neighbours on it live on."""
        name = self._member(node)
        self.cluster.remove(name)
        del self.ids[name]

    def switch(self, maintenance: str) -> None:
        """Have every living member maintain the ring by the other protocol from now on: "correct" or
        "sigcomm2001". Pointers and keys stay as they are; later members follow it too.
        """
        if maintenance not in PROTOCOLS:
            raise ValueError(f"maintenance is one of {', '.join(map(repr, PROTOCOLS))}, not {maintenance!r}")
        self._need_maintenance("switch")
        sampling = maintenance == "correct"
        alive = [node.name for node in self.nodes if node.alive]

        async def program(client: Node) -> list[Any]:
            calls = [
                ask_patiently(
                    client, name, "switch", PROTOCOLS[maintenance], sampling,
                    still=("report",), patience=self._patience, limit=LIMIT * self.settings.timeout,
                )
                for name in alive
            ]  # fmt: skip
            return list(await gather(*calls, return_exceptions=True))

        self.maintenance = maintenance
        self.settings = self.settings._replace(sampling=sampling)
        self.cluster.trace.meta["maintenance"] = maintenance
        outcomes = self.cluster.submit(program).result()
        silent = [
            name for name, outcome in zip(alive, outcomes, strict=True) if isinstance(outcome, Exception)
        ]
        if silent:
            raise Timeout(f"{', '.join(silent)} did not answer and may not have switched; call switch again")

    def _check_leave(self, name: str) -> None:
        remaining = sum(report["joined"] for each, report in self._reports().items() if each != name)
        least = self.settings.successors + 1 if self.maintenance == "correct" else 1
        if remaining < least:
            raise ValueError(
                f"{name} cannot leave: {remaining} members would remain, and a ring with successor lists of "
                f"{self.settings.successors} needs {least}; join others first"
            )

    def _need_maintenance(self, what: str) -> None:
        if self.settings.stabilize_every is None:
            raise ValueError(
                f"{what}: this ring has no maintenance (stabilize_every=None), so it would stay broken"
            )

    # --- health -----------------------------------------------------------------------------------------

    def health(self, fingers: bool = True) -> Health:
        """The invariants on what the members say now, differences from the ideal, and missing copies."""
        reports = self._reports(keys=True)
        alive = [node.name for node in self.nodes if node.alive]
        joined = {name: report for name, report in reports.items() if report["joined"]}
        absent = tuple(name for name in alive if name not in joined)
        names = {id: name for name, id in self.ids.items()}
        promised = self.maintenance == "correct"
        return examine(joined, reports, names, len(alive), absent, self.settings, promised, fingers)

    def settle(self, timeout: float = 300.0, fingers: bool = True) -> Health:
        """Let time pass until the ring is ideal (its fingers too, if wanted). Raises ``Timeout``."""
        self._need_maintenance("settle")
        deadline = self.cluster.now + timeout
        while True:
            health = self.health(fingers)
            if health.ideal:
                return health
            if self.cluster.now >= deadline:
                raise self._not_settled(health, timeout)
            self.cluster.run(min(self.settings.stabilize_every or 1.0, 1.0))

    def _not_settled(self, health: Health, timeout: float) -> LabError:
        return Timeout(f"the ring is not ideal after {timeout:g} s:\n{health}")

    def made(self) -> Made:
        """The ring as code."""
        options, notes = options_of(self), ()
        if self.maintenance != options.get("maintenance", "correct"):
            notes = (f"Its maintenance was changed meanwhile: ring_again.switch({self.maintenance!r})",)
        lacks = "what you stored and looked up, and which nodes joined or left"
        return Made("labkit.systems.chord", "ring_again", "Chord", options, lacks, notes)

    def check(self) -> Report:
        """The invariants judged at every instant of the trace so far, and every lookup's answer.

        Raises ``LabError`` if the trace has forgotten its beginning.
        """
        member = re.compile(rf"{re.escape(self.name)}-\d+(\.\d+)?")  # and not of a ring "chord-b" beside it
        trace = whole(self.cluster)
        own = (event for event in trace if event.node is None or member.fullmatch(event.node))
        return check_trace(own, self.settings.successors, self.settings.replicas, self.founders)

    def _in_short(self) -> str:
        alive = sum(node.alive for node in self.nodes)
        how = f"{self.maintenance}, {self.settings.routing}"
        return f"Chord ring of {len(self.ids)} members ({alive} alive), {how}"

    # --- how --------------------------------------------------------------------------------------------

    def _run(self, name: str, key: Any, program: Callable[..., Any], *args: Any) -> Any:
        """Run one client program as one span of the trace."""
        self.key_id(key)
        with self.cluster.span(name, key=key):
            return self.cluster.submit(program, key, *args).result()

    def _many(self, name: str, items: list[Any], operation: Callable[..., Any]) -> list[Any]:
        with self.cluster.span(name, count=len(items)):
            results: list[Any] = self.cluster.submit(self.client_many, operation, items).result()
        return results

    def _reports(self, keys: bool = False) -> dict[str, dict[str, Any]]:
        reports: dict[str, dict[str, Any]] = self.cluster.submit(self.client_reports, keys).result()
        for name in [name for name, report in reports.items() if report["left"]]:
            self._gone(name)  # it was asked to leave, and its answer came too late
            del reports[name]
        return reports

    def _joined(self, name: str) -> bool:
        return bool(self.cluster.state(name, "joined")["joined"])
