"""Napster: an index server with everybody's files, and peers that load from each other.

The messages are OpenNap's (``napster.txt``): two bytes of length, two of type, little-endian, then text. Left
out: chat, hot lists, operators. An MD5 of the first 300 kB is the file's root here.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from labkit.parts.members import Silence
from labkit.runtime.errors import LabError, Timeout, UnknownNode
from labkit.runtime.node import Node, every, rpc

from ..collection import SharedFile
from ..descriptor import Hit
from ..events import EVENTS
from ..index import Index
from ..options import Options, servent_id
from .peer import Peer, Refused

__all__ = ["IndexServer", "NapsterPeer", "frame", "unframe"]

ERROR, LOGIN, LOGGED_IN, SHARE, UNSHARE = 0, 2, 3, 100, 102
SEARCH, RESULT, END_OF_RESULTS = 200, 201, 202
DOWNLOAD_BEGINS, DOWNLOAD_ENDS, PUSH_REQUEST, PUSH_SENT, PING, PONG = 218, 219, 500, 501, 751, 752
NAMES = {ERROR: "error", LOGIN: "login", LOGGED_IN: "login", SHARE: "share", UNSHARE: "unshare",
         SEARCH: "query", RESULT: "hit", END_OF_RESULTS: "hit",
         DOWNLOAD_BEGINS: "transfer", DOWNLOAD_ENDS: "transfer",
         PUSH_REQUEST: "push", PUSH_SENT: "push", PING: "ping", PONG: "pong"}  # fmt: skip
#: Results of one search (OpenNap's).
MOST = 100
_WORDS = re.compile(r'"([^"]*)"|(\S+)')


def frame(kind: int, text: str = "") -> bytes:
    """A message: length, type, text."""
    data = text.encode()
    return struct.pack("<HH", len(data), kind) + data


def unframe(data: bytes) -> tuple[int, list[str]]:
    """(type, words) of a message; what stands in quotes is one word. Raises ``ValueError``."""
    if len(data) < 4 or len(data) != 4 + (length := struct.unpack_from("<H", data)[0]):
        raise ValueError(f"a message of Napster has 4 bytes and as many as it says, not {data[:40]!r}")
    words = [quoted or word for quoted, word in _WORDS.findall(data[4 : 4 + length].decode())]
    return struct.unpack_from("<HH", data)[1], words


class User:
    """A peer that is logged in."""

    __slots__ = ("firewalled", "heard", "speed")

    def __init__(self, now: float, firewalled: bool, speed: int) -> None:
        self.heard, self.firewalled, self.speed = now, firewalled, speed


class IndexServer(Node):
    """Knows who is logged in and what they share; keeps nothing on its disk."""

    events = EVENTS
    ping_every: float | None

    def __init__(self, options: Options) -> None:
        self.options = options
        self.users: dict[str, User] = {}
        self.index = Index()
        self.received = 0
        self.received_bytes = 0
        self.sent = 0
        self.sent_bytes = 0
        self.transfers = 0  #: reported to it
        self.ping_every = options.ping_every

    def start(self) -> None:
        """With an empty index: its users log in again."""
        self.silence = Silence(self.options.timeout, self.now)

    @every("ping_every")
    def look_round(self) -> None:
        """Whoever was silent for too long has lost its connection."""
        for nick, _ in self.silence.look(self.users, self.now):
            self.forget_user(nick, "it is silent")

    def forget_user(self, nick: str, why: str) -> None:
        if self.users.pop(nick, None) is not None:
            number = self.options.number(nick)
            files = len(self.index.files.get(number, ()))
            self.index.drop(number)
            if self.options.announced:
                self.emit("logged_out", peer=nick, files=files, why=why)

    @rpc
    def message(self, nick: str, frames: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What a user sends over its connection; the answers."""
        answers: list[bytes] = []
        for data in frames:
            kind, words = unframe(data)
            self.received += 1
            self.received_bytes += len(data)
            user = self.users.get(nick)
            if kind == LOGIN:
                answers += self._login(nick, words)
            elif user is None:
                answers.append(frame(ERROR, "not logged in"))
                break
            else:
                user.heard = self.now
                answers += self._handle(nick, kind, words)
        self.sent += len(answers)
        self.sent_bytes += sum(map(len, answers))
        return tuple(answers)

    def _login(self, nick: str, words: list[str]) -> list[bytes]:
        _, _, port, _, speed = words
        self.forget_user(nick, "it logs in anew")
        self.users[nick] = User(self.now, port == "0", int(speed))
        return [frame(LOGGED_IN, f"{nick}@lab")]

    def _handle(self, nick: str, kind: int, words: list[str]) -> list[bytes]:
        number = self.options.number(nick)
        if kind == SHARE:
            name, root, size = words[:3]
            self.index.add(number, SharedFile(name, int(size), bytes.fromhex(root)))
        elif kind == UNSHARE:
            self.index.remove(number, bytes.fromhex(words[0]))
        elif kind == SEARCH:
            return self._search(nick, words)
        elif kind == PUSH_REQUEST:
            self._push(nick, words[0])
        elif kind in (DOWNLOAD_BEGINS, DOWNLOAD_ENDS):
            self.transfers += 1
        elif kind == PING:
            return [frame(PONG)]
        return []

    def _search(self, nick: str, words: list[str]) -> list[bytes]:
        """``FILENAME CONTAINS "…" MAX_RESULTS 100``: one message for each result, and one at the end."""
        text, query = words[2], words[5]
        found = self.index.find(text, MOST)
        peers = [self.options.peer(owner) for owner, _ in found]
        if self.options.announced:
            self.emit("query_received", query=query, source=nick, hops=1, ttl=0, to=[])
            if found:
                names = [file.name for _, file in found]
                roots = [file.root.hex() for _, file in found]
                self.emit("hits_made", query=query, names=names, roots=roots, owners=peers, to=nick)
        results = []
        for peer, (owner, file) in zip(peers, found, strict=True):
            user = self.users[peer]
            firewalled = int(user.firewalled)
            results.append(
                frame(RESULT, f'"{file.name}" {file.root.hex()} {file.size} 128 44100 60 {peer} {owner} '
                              f"{user.speed} {firewalled}")
            )  # fmt: skip
        return [*results, frame(END_OF_RESULTS)]

    def _push(self, nick: str, owner: str) -> None:
        """The owner is behind a firewall: have it connect (501)."""
        if owner in self.users:
            try:
                self.send(owner, "pushed", frame(PUSH_SENT, nick))
            except UnknownNode:
                pass

    @rpc
    def logout(self, nick: str) -> None:
        """The connection has ended."""
        self.forget_user(nick, "it leaves")

    @rpc
    def report(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "online": True, "role": "server", "links": tuple(self.users), "sent": {"server": self.sent},
            "sent_bytes": self.sent_bytes, "received": self.received, "duplicates": 0,
            "uploaded": 0, "files": [],
        }  # fmt: skip


class NapsterPeer(Peer):
    """Logs in, tells what it shares, and asks the server."""

    def __init__(self, number: int, options: Options, library: tuple[SharedFile, ...] = ()) -> None:
        super().__init__(number, options, library)
        self.server = options.server(number)
        self.connected_to_server = False

    def neighbours(self) -> tuple[str, ...]:
        """The server."""
        return (self.server,) if self.connected_to_server else ()

    async def enter(self, first: bool) -> None:
        """Log in; tried again until it succeeds (``maintain``)."""
        self.connected_to_server = False
        await self._login(patient=first)

    async def _login(self, patient: bool = False) -> None:
        port = 0 if self.host.firewalled else 6699
        frames = [frame(LOGIN, f'{self.name} secret {port} "labkit" {self.host.speed}')]
        frames += [self._share(file) for file in self.mine.values()]
        timeout = 10 * self.options.call_timeout if patient else self.options.call_timeout
        try:
            await self._exchange(frames, timeout)
        except LabError:
            return
        self.connected_to_server = True
        if self.options.announced:
            self.emit("logged_in", peer=self.name, files=len(self.mine))
            self.emit("linked", to=self.server)

    def _share(self, file: SharedFile) -> bytes:
        return frame(SHARE, f'"{file.name}" {file.root.hex()} {file.size} 128 44100 60')

    async def _exchange(self, frames: list[bytes], timeout: float | None = None) -> tuple[bytes, ...]:
        """Messages to the server, and its answers. Raises ``Timeout``, ``Refused`` if it does not know us."""
        for data in frames:
            self.count(NAMES[unframe(data)[0]], len(data))
        try:
            answers = await self.call(
                self.server, "message", self.name, tuple(frames), timeout=timeout or self.options.call_timeout
            )
        except (Timeout, UnknownNode):
            self._lost_server("it does not answer")
            raise
        self.received += len(answers)
        if answers and struct.unpack_from("<HH", answers[0])[1] == ERROR:
            self._lost_server("it has forgotten us")
            raise Refused(f"{self.server} does not know {self.name}")
        return tuple(answers)

    def _lost_server(self, why: str) -> None:
        if self.connected_to_server:
            self.connected_to_server = False
            if self.options.announced:
                self.emit("unlinked", to=self.server, why=why)

    @every("ping_every")
    async def maintain(self) -> None:
        """Keep the connection; log in again when it is lost."""
        if not self.online:
            return
        if self.connected_to_server:
            try:
                await self._exchange([frame(PING)])
            except LabError:
                pass
        if not self.connected_to_server and self.online:
            await self._login()

    async def shares(self, file: SharedFile) -> None:
        """Tell the server."""
        await self._tell(self._share(file))

    async def shares_no_longer(self, file: SharedFile) -> None:
        """Tell the server."""
        await self._tell(frame(UNSHARE, file.root.hex()))

    async def _tell(self, data: bytes) -> None:
        if self.connected_to_server:
            try:
                await self._exchange([data])
            except LabError:
                pass  # it hears of all when we log in again

    async def look(
        self, text: str, ttl: int, strategy: str, wait: float
    ) -> tuple[tuple[str, ...], list[Hit]]:
        """One message, and the server's answers. Raises ``Refused`` without a server."""
        if not self.connected_to_server:
            raise Refused(
                f"{self.name} has no connection to {self.server}, the index server: nothing is found"
            )
        query = self.random.randbytes(6).hex()
        if self.options.announced:
            self.emit("search_started", query=query, text=text, ttl=1, strategy="server", to=[self.server])
        words = re.sub(r'["\s]+', " ", text)
        asked = frame(SEARCH, f'FILENAME CONTAINS "{words}" MAX_RESULTS {MOST} {query}')
        try:
            answers = await self._exchange([asked], wait + self.options.call_timeout)
        except (Timeout, UnknownNode):
            raise Refused(f"{self.server}, the index server, does not answer: nothing is found") from None
        hits = [self._hit(data) for data in answers[:-1]]
        if self.options.announced:
            names = [hit.name for hit in hits]
            self.emit("hits_received", query=query, hits=len(hits), source=self.server, names=names)
        return (query,), hits

    def _hit(self, data: bytes) -> Hit:
        _, (name, root, size, _, _, _, _, owner, speed, firewalled) = unframe(data)
        servent = servent_id(self.options.name, int(owner))
        return Hit(int(owner), name, int(size), bytes.fromhex(root), int(speed), firewalled == "1", servent)

    async def part(self) -> None:
        """The connection ends."""
        self._lost_server("it leaves itself")
        try:
            await self.call(self.server, "logout", self.name, timeout=self.options.call_timeout)
        except LabError:
            pass

    async def push(self, hit: Hit) -> None:
        """Through the server."""
        peer = self.options.peer(hit.peer)
        if self.host.firewalled:
            raise Refused(f"{peer} and {self.name} are both behind firewalls")
        self.emit("push_sent", to=peer)
        self.through.pop(peer, None)
        await self._exchange([frame(PUSH_REQUEST, peer)])
        await self.comes_through(peer)

    @rpc
    async def pushed(self, data: bytes) -> None:
        """The server hands on that somebody wants a connection."""
        if self.online:
            await self.answer_push(unframe(data)[1][0])
