"""The programming model: one shared collection under several architectures, behind ``search`` and
``download``.

::

    sharing = FileSharing(cluster, architecture="gnutella", peers=24)
    found = sharing.search("moon river", at=3)         # what peer 3's user sees
    sharing.download(found[0], at=3)                   # from all peers that have it, at the same time
    sharing.fail("peer-7"); sharing.attack(0.04, best=True)

What the user is promised: a file that was loaded is the one that was found, since all pieces are checked.
What is *not* promised is that what somebody shares is found: ``recall`` says how much of it was.
"""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labkit.parts.system import System
from labkit.runtime.again import arguments
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.errors import LabError, MachineDead, NameTaken, Timeout, UnknownNode
from labkit.runtime.node import Node
from labkit.runtime.script import Made, options_of
from labkit.runtime.sync import gather
from labkit.trace.fold import History

from .collection import SharedFile, file_of, fits, keywords
from .column import ChordColumn
from .descriptor import Hit
from .downloads import Loaded
from .invariants import Report, check_sharing
from .nodes import Peer
from .options import RULES, STRATEGIES, Options, given
from .results import Accounts, Found, Search, SharingFailed, loaded
from .starting import PEERS, joining, planned, start
from .topology import Graph
from .view import SharingReducer, SharingState

__all__ = ["FileSharing", "PeerHandle"]

#: Calls of one program that are under way at the same time.
AT_ONCE = 200
#: Seconds that a download may be without an answer from its peer.
PATIENCE = 10.0
#: Bytes of a file's name, as file systems have it.
LONGEST_NAME = 255


@dataclass(frozen=True)
class PeerHandle:
    """A peer as the user sees it."""

    name: str
    number: int
    machine: str
    alive: bool = True

    def __str__(self) -> str:
        return self.name


def _size(text: str) -> int:
    """Bytes of a text; more than any limit if it has halves of characters."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 2**31


def _file(call: str, what: Any, write: str = "") -> Any:
    """A file as searches and ``share`` give it; raises ``TypeError``."""
    if not isinstance(what, (Found, Hit, SharedFile)):
        raise TypeError(
            f"{call}({what!r:.60}): what a search or share() gave, not its name; "
            f"write {write or call + '(found[0])'}"
        )
    return what


class FileSharing(System):
    """Peers that share files. Options are the fields of ``Options``, such as ``architecture``: "napster",
    "gnutella" (0.4), "ultrapeers" (0.6), "fasttrack" or "chord"; ``peers``; ``ttl``; ``topology``.

    peer_class: another class for the peers, such as a planted mistake.
    """

    panel_class = "FileSharingPanel"

    def __init__(self, cluster: Cluster, peer_class: type[Peer] | None = None, **options: Any) -> None:
        self.cluster = cluster
        chosen = given(options)
        if not any(machine.alive for machine in cluster.machines):
            raise MachineDead.of_all()
        if chosen.peer(0) in cluster.nodes:
            raise NameTaken(
                f"there are peers called {chosen.name!r} on this cluster already: go on with them, or write "
                f"FileSharing(cluster, name={chosen.name + '2'!r})"
            )
        self._plan = planned(chosen, cluster.seed)
        self.options: Options = self._plan.options
        self._class = peer_class or PEERS[self.options.architecture]
        #: As they are now, of the next search: the panel changes them.
        self._ttl, self._strategy = self.options.ttl, self.options.strategy
        self.numbers = list(range(self.options.peers))  #: of peers that were not removed
        self._next = self.options.peers
        self._random = stream(cluster.seed, "filesharing", self.options.name)
        with cluster.all_or_none():
            start(cluster, self._plan, self._class)
            self.column = ChordColumn(cluster, self.options) if self.options.architecture == "chord" else None
        self._history = History(cluster.trace, SharingReducer(self.options.name))
        cluster.trace.meta.update(system="FileSharing", architecture=self.options.architecture)
        if self.column is not None:
            self.column.publish(dict(enumerate(self._plan.libraries)))

    # who there is ------------------------------------------------------------

    @property
    def name(self) -> str:
        """Before the numbers of the peers."""
        return self.options.name

    @property
    def architecture(self) -> str:
        """Which it is."""
        return self.options.architecture

    @property
    def ttl(self) -> int:
        """Hops of the next query; may be changed at any time."""
        return self._ttl

    @ttl.setter
    def ttl(self, ttl: int) -> None:
        self._ttl = RULES["ttl"]("ttl", ttl)

    @property
    def strategy(self) -> str:
        """How Gnutella 0.4 searches; may be changed at any time."""
        return self._strategy

    @strategy.setter
    def strategy(self, strategy: str) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy is one of {', '.join(map(repr, STRATEGIES))}, not {strategy!r}")
        self._strategy = strategy

    @property
    def peers(self) -> list[PeerHandle]:
        """All that were not removed; some may be on a dead machine, or offline."""
        homes = self.cluster.nodes
        return [self._handle(number, homes[name]) for number in self.numbers
                if (name := self.options.peer(number)) in homes]  # fmt: skip

    @property
    def servers(self) -> list[str]:
        """Napster's index servers; of the others nobody."""
        count = self.options.servers if self.architecture == "napster" else 0
        return [
            name for number in range(count) if (name := self.options.server(number)) in self.cluster.nodes
        ]

    def peer(self, which: str | int | PeerHandle) -> PeerHandle:
        """The peer of this number or name; raises ``UnknownNode``."""
        name: Any = which.name if isinstance(which, PeerHandle) else which
        if isinstance(name, numbers.Integral) and not isinstance(name, bool):  # NumPy's, too
            name = self.options.peer(int(name))
        homes = self.cluster.nodes
        known = {self.options.peer(number): number for number in self.numbers}
        if not isinstance(name, str) or name not in known or name not in homes:
            some = ", ".join(list(known)[:6])
            raise UnknownNode(
                f"{which!r} is no peer here; write a number or a name, as {some}, …: see sharing.peers"
            )
        return self._handle(known[name], homes[name])

    def _handle(self, number: int, machine: str) -> PeerHandle:
        return PeerHandle(self.options.peer(number), number, machine, self.cluster.machine(machine).alive)

    def _living(self, which: Any) -> PeerHandle:
        """A peer that can be asked; any that is alive and has not left, if none is named."""
        if which is None:
            known = self.view().peers
            left = {name for name, peer in known.items() if not peer.online}
            alive = [peer for peer in self.peers if peer.alive and peer.name not in left]
            if not alive:
                raise MachineDead(
                    "no peer is left on a living machine and online; restart one, sharing.return_(peer), or "
                    "sharing.join()"
                )
            return alive[int(self._random.random() * len(alive))]
        peer = self.peer(which)
        if not peer.alive:
            raise MachineDead(
                f"{peer} is on {peer.machine}, which is dead; ask another, or "
                f"cluster.restart({peer.machine!r})"
            )
        return peer

    # search and download ------------------------------------------------------------

    def search(
        self, text: str, at: Any = None, *, ttl: int | None = None, strategy: str | None = None
    ) -> Search:
        """What a peer's user finds: files of others whose names have all words of ``text``.

        at: the peer; any unless given. ttl, strategy: instead of the system's, for this search. Raises
        ``SharingFailed`` if the peer can ask nobody, ``Timeout`` if it does not answer.
        """
        self._check_text(text)
        options = self.options
        ttl = RULES["ttl"]("ttl", self.ttl if ttl is None else ttl)
        strategy = RULES["strategy"]("strategy", strategy or self.strategy)
        peer = self._living(at)
        begun = self.cluster.now
        with self.cluster.span("search", text=text, at=peer.name):
            if self.column is not None:
                return self.column.search(text, peer)
            steps = 1 + (ttl // 2 if strategy == "expanding ring" else 0)
            timeout = 2 * PATIENCE + 8 * options.search_wait * steps
            try:
                queries, hits = self.cluster.call(
                    peer.name, "search", text, ttl, strategy, options.search_wait, timeout=timeout
                )
            except Timeout:
                raise
            except LabError as error:
                raise SharingFailed(str(error)) from error
        found = tuple(Hit(*hit) for hit in hits)
        messages, reached = self._cost(queries)
        return Search(text, peer.name, found, tuple(queries), self.cluster.now - begun, messages, reached)

    def _check_text(self, text: Any) -> None:
        if not isinstance(text, str) or not keywords(text):
            raise ValueError(
                f'search({text!r:.60}): some words of a file\'s name; write search("moon river")'
            )
        if "\0" in text or _size(text) > 4000:
            raise ValueError(
                f"search({text!r:.60}): no zero bytes, no halves of characters, and it must fit into a "
                'descriptor of 4 kB; write search("moon river")'
            )

    def _cost(self, queries: Any) -> tuple[int | None, int | None]:
        """Copies sent and nodes reached, as the trace tells; None if it was not told."""
        if not self.options.announced:
            return None, None
        view = self.view()
        mine = [view.queries[query] for query in queries if query in view.queries]
        nodes = {node for query in mine for node in query.hops} - {query.origin for query in mine}
        return sum(query.messages for query in mine), len(nodes)

    def download(self, what: Found | Hit, at: Any = None) -> Loaded:
        """Load a file from the peers that have it; it is shared from then on. Returns how it went; the bytes
        are ``sharing.content(what, at)``.

        Raises ``SharingFailed`` with the reason, ``Timeout`` if the peer itself is silent.
        """
        if not isinstance(what, (Found, Hit)):
            raise TypeError(
                f"download({what!r:.60}): a file that a search has found; write download(found[0])"
            )
        hits = list(what.hits) if isinstance(what, Found) else [what]
        peer = self._living(at)

        async def program(client: Node) -> Loaded:
            while True:
                answer = await client.call(peer.name, "load", what.name, what.root, hits, timeout=PATIENCE)
                if answer is not None:
                    return Loaded(*answer)

        with self.cluster.span("download", file=what.name, at=peer.name):
            try:
                return loaded(self.cluster.submit(program).result())
            except Timeout:
                raise
            except LabError as error:
                raise SharingFailed(str(error)) from error

    def content(self, what: Found | Hit | SharedFile, at: Any) -> bytes:
        """The bytes of a file in a peer's library. Raises ``KeyError`` if it is not there."""
        root, peer = _file("content", what).root, self._living(at)
        try:
            return bytes(self.cluster.call(peer.name, "content", root))
        except KeyError:
            raise KeyError(f"{peer} does not have {what.name!r}; download it there first") from None

    def share(self, at: Any, name: str, data: bytes) -> SharedFile:
        """Put a file of your own into a peer's library."""
        printable = isinstance(name, str) and name.isprintable() and '"' not in name
        if not printable or not keywords(name) or _size(name) > LONGEST_NAME:
            raise ValueError(
                f"share(…, {name!r:.60}, …): a name with words in it, without quotes, {LONGEST_NAME} bytes "
                'at most; write "my song.mp3"'
            )
        if not isinstance(data, (bytes, bytearray)) or not data:
            raise TypeError(f'share(…, {name!r}, {data!r:.40}): bytes, at least one; write b"…"')
        peer, data = self._living(at), bytes(data)
        file = SharedFile(*self.cluster.call(peer.name, "share", name, data))
        if self.column is not None:
            self.column.publish({peer.number: (file_of(name, data),)})
        return file

    def unshare(self, at: Any, what: Found | Hit | SharedFile) -> bool:
        """Take a file out of a peer's library; whether it was there."""
        _file("unshare", what)
        peer = self._living(at)
        if self.column is not None:
            self.column.withdraw(peer.number, what.root, what.name)
        return bool(self.cluster.call(peer.name, "unshare", what.root))

    # coming and going ------------------------------------------------------------

    def join(self, machine: str | None = None, files: tuple[SharedFile, ...] = ()) -> PeerHandle:
        """A peer more, which finds its own way in. files: what it shares."""
        files = tuple(_file("join", file, "join(files=(share(0, …),))") for file in files)
        number, self._next = self._next, self._next + 1
        name = self.options.peer(number)
        self.cluster.spawn(
            self._class, *joining(self.options, number, files, self._class), name=name, machine=machine
        )
        self.numbers.append(number)
        if self.column is not None:
            self.column.join(number, machine)
            self.column.publish({number: files})
        return self.peer(number)

    def leave(self, which: Any) -> None:
        """A peer goes offline in order; ``return_`` brings it back."""
        self.cluster.call(self._living(which).name, "leave")

    def return_(self, which: Any) -> None:
        """A peer that had left comes back."""
        self.cluster.call(self._living(which).name, "return_")

    def fail(self, which: Any) -> None:
        """Stop a peer or a server for good, without a word to anybody."""
        if isinstance(which, str) and which in self.servers:
            self.cluster.remove(which)
            return
        peer = self.peer(which)
        self.cluster.remove(peer.name)
        self.numbers.remove(peer.number)
        if self.column is not None:
            self.column.fail(peer.number)

    def attack(self, part: float, best: bool = False) -> list[str]:
        """Stop a part of the peers at the same time: random ones, or those with most links. Who they are."""
        if not isinstance(part, (int, float)) or not 0 <= part <= 1:
            raise ValueError(f"attack({part!r}): a part of the peers, from 0 to 1; write attack(0.3)")
        names = [peer.name for peer in self.peers]
        count = round(part * len(names))
        if best:
            degree = {name: len(report["links"]) for name, report in self.reports().items()}
            chosen = sorted(names, key=lambda name: (-degree.get(name, 0), name))[:count]
        else:
            chosen = self._random.sample(names, count)
        for name in chosen:
            self.fail(name)
        return chosen

    # what can be counted ------------------------------------------------------------

    def reports(self) -> dict[str, dict[str, Any]]:
        """What every peer and server that answers says of itself."""
        names = [peer.name for peer in self.peers if peer.alive]
        names += [name for name in self.servers if self.cluster.machine(self.cluster.nodes[name]).alive]

        async def program(client: Node) -> list[Any]:
            answers: list[Any] = []
            for at in range(0, len(names), AT_ONCE):
                some = names[at : at + AT_ONCE]
                calls = [client.call(name, "report", timeout=PATIENCE) for name in some]
                answers += await gather(*calls, return_exceptions=True)
            return answers

        answers = self.cluster.submit(program).result()
        return {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, dict)}

    def shared(self, text: str) -> set[tuple[int, bytes]]:
        """All that fits a query at peers that are online now: (peer, root)."""
        self._check_text(text)
        return {
            (self.options.number(name), root)
            for name, report in self.reports().items()
            if report["online"] and report["role"] != "server"
            for file, root in report["files"]
            if fits(text, file)
        }

    def recall(self, search: Search) -> float:
        """The part of the different files that fit, at peers online now, which a search has found; 1 if none
        fits."""
        if not isinstance(search, Search):
            raise TypeError(f'recall({search!r:.60}): what a search gave; write recall(search("moon river"))')
        own = self.options.number(search.origin)
        there = {root for peer, root in self.shared(search.text) if peer != own}
        return len(there & {hit.root for hit in search.hits}) / len(there) if there else 1.0

    def accounts(self) -> Accounts:
        """Messages and bytes so far, of overlay and index; and who received most."""
        reports = self.reports()
        kinds: Counter[str] = Counter()
        for report in reports.values():
            kinds.update(report["sent"])
        load = {name: report["received"] for name, report in reports.items()}
        busiest = max(load, key=load.__getitem__, default="")
        size, uploaded = (
            sum(report[what] for report in reports.values()) for what in ("sent_bytes", "uploaded")
        )
        share = load.get(busiest, 0) / max(1, sum(load.values()))
        return Accounts(sum(kinds.values()), size, dict(kinds), busiest, share, uploaded)

    def graph(self) -> Graph:
        """The overlay now: neighbours by number, of peers that answer; those that are gone have none."""
        reports = {name: r for name, r in self.reports().items() if r["role"] != "server" and r["online"]}
        there = {name: self.options.number(name) for name in reports}
        found: list[set[int]] = [set() for _ in range(self._next)]
        for name, report in reports.items():
            for other in report["links"]:
                if other in there:
                    found[there[name]].add(there[other])
                    found[there[other]].add(there[name])
        return [sorted(each) for each in found]

    # a run to look at ------------------------------------------------------------

    def view(self, position: float | None = None) -> SharingState:
        """What the trace tells, now or at a position in seconds."""
        state: SharingState = self._history.read(position)
        return state

    def check(self) -> Report:
        """The invariants, judged on the trace."""
        return check_sharing(self.cluster, self.name)

    def settle(self, until: Callable[[], bool], timeout: float = 60.0, what: str = "") -> None:
        """Let time pass until a condition holds; raises ``Timeout``."""
        self.cluster.run_until(until, timeout=timeout, what=what)

    def made(self) -> Made:
        """How it was made."""
        return Made("labkit.systems.filesharing", "sharing_again", "FileSharing", options_of(self),
                    "searches, downloads, and peers that joined, left or were attacked")  # fmt: skip

    def _in_short(self) -> str:
        alive = sum(peer.alive for peer in self.peers)
        given_name = arguments(self).get("name")
        called = f" {given_name!r}" if given_name else ""
        there = f"{alive} of {len(self.numbers)} peers on living machines"
        return f"file sharing{called}: {self.architecture}, {there}"
