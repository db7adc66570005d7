"""Gnutella's descriptors as bytes: a header of 23 bytes and a payload (protocol 0.4; 0.6 draft, §2.4).

====================  =====  ==========================================================================
field of the header   bytes  meaning
====================  =====  ==========================================================================
descriptor id            16  a GUID: whose copy this is, for duplicates and for the way back
payload descriptor        1  ``PING`` …
TTL                       1  so many times it may still be sent on
hops                      1  so many times it was: TTL + hops stays what it was at the origin
payload length            4  little-endian, as all numbers but IP addresses
====================  =====  ==========================================================================

The sources disagree on the byte order; this is the 0.6 draft's. Peers here have names instead of IP
addresses: peer 258 of the system is 10.0.1.2 on the wire.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["BYE", "HEADER", "KINDS", "PING", "PONG", "PUSH", "QRP", "QUERY", "QUERY_HIT", "BadDescriptor",
           "Hit", "Pong", "Push", "Query", "bye", "header", "hits_of", "onward", "payload", "pong", "pong_of",
           "push", "push_of", "query", "query_hit", "query_of"]  # fmt: skip

HEADER = struct.Struct("<16sBBBI")
PING, PONG, BYE, QRP, PUSH, QUERY, QUERY_HIT = 0x00, 0x01, 0x02, 0x30, 0x40, 0x80, 0x81
KINDS = {PING: "ping", PONG: "pong", BYE: "bye", QRP: "qrp", PUSH: "push", QUERY: "query", QUERY_HIT: "hit"}
PORT = 6346

#: Bits of the field that 0.4 calls minimum speed, of which 0.6 made flags: bit 15 says so. The last is this
#: lab's own: the query is a random walker.
FLAGS, FIREWALLED, WALKER = 0x8000, 0x4000, 0x0001
#: At most so many hits fit into one descriptor, whose count is a byte.
MOST_HITS = 255


class BadDescriptor(ValueError):
    """Bytes that are no descriptor: a servent drops them, and the connection."""


class Pong(NamedTuple):
    """A peer that answers, and what it shares."""

    peer: int
    files: int
    kilobytes: int


class Query(NamedTuple):
    """What is looked for."""

    flags: int
    text: str


class Hit(NamedTuple):
    """One file of one peer that fits a query."""

    peer: int
    name: str
    size: int  #: bytes
    root: bytes  #: the file's hash: 20 bytes (in the extension of 0.6, as HUGE has it)
    speed: int  #: kB/s
    firewalled: bool
    servent: bytes  #: 16 bytes by which a Push finds its way


class Push(NamedTuple):
    """A request to a peer behind a firewall: connect to ``peer``."""

    servent: bytes
    index: int
    peer: int


def header(guid: bytes, kind: int, ttl: int, hops: int, load: bytes) -> bytes:
    """A descriptor: its header, then its payload."""
    return HEADER.pack(guid, kind, ttl, hops, len(load)) + load


def payload(data: bytes) -> tuple[bytes, int, int, int, bytes]:
    """(GUID, kind, TTL, hops, payload) of a descriptor. Raises ``BadDescriptor``."""
    if len(data) < HEADER.size:
        raise BadDescriptor(f"{len(data)} bytes are no descriptor: its header alone has {HEADER.size}")
    guid, kind, ttl, hops, length = HEADER.unpack_from(data)
    if kind not in KINDS:
        raise BadDescriptor(f"payload descriptor {kind:#04x} is none of {', '.join(map(hex, KINDS))}")
    if length != len(data) - HEADER.size:
        raise BadDescriptor(f"the header says {length} bytes of payload, there are {len(data) - HEADER.size}")
    if not 1 <= ttl <= 255 - hops:
        raise BadDescriptor(f"TTL {ttl} after {hops} hops: a TTL of 0 is not sent, and their sum is a byte")
    return guid, kind, ttl, hops, data[HEADER.size :]


def onward(data: bytes) -> bytes:
    """The descriptor as it is sent on: TTL less one, hops one more."""
    return b"%b%c%c%b" % (data[:17], data[17] - 1, data[18] + 1, data[19:])


def address(peer: int) -> bytes:
    """A peer's number as an IP address, which is big-endian: 10.0.0.0 and its number."""
    return struct.pack(">I", (10 << 24) + peer)


def peer_of(packed: bytes) -> int:
    """The peer's number of an address. Raises ``BadDescriptor`` if it is none of 10.0.0.0/8."""
    if packed[0] != 10:
        raise BadDescriptor(f"no peer has the address {'.'.join(map(str, packed))}")
    return int(struct.unpack(">I", packed)[0]) - (10 << 24)


def pong(peer: int, files: int, kilobytes: int) -> bytes:
    """A Pong's payload: port, address, files, kilobytes."""
    return struct.pack("<H4sII", PORT, address(peer), files, kilobytes)


def pong_of(load: bytes) -> Pong:
    """Raises ``BadDescriptor``."""
    if len(load) < 14:
        raise BadDescriptor(f"a Pong has 14 bytes, not {len(load)}")
    _, where, files, kilobytes = struct.unpack_from("<H4sII", load)
    return Pong(peer_of(where), files, kilobytes)


def query(text: str, flags: int = 0) -> bytes:
    """A Query's payload: two bytes, and the text with a zero at its end."""
    return struct.pack("<H", flags) + _text(text)


def query_of(load: bytes) -> Query:
    """Raises ``BadDescriptor``."""
    if len(load) < 3 or load[-1]:
        raise BadDescriptor("a Query has two bytes and a text that ends with a zero byte")
    try:
        return Query(load[0] | load[1] << 8, load[2:-1].decode())
    except UnicodeDecodeError as error:
        raise BadDescriptor(f"no text: {error}") from None


def query_hit(hits: list[Hit]) -> bytes:
    """A QueryHit's payload: hits of one peer, with its address, speed and servent id."""
    first = hits[0]
    parts = [struct.pack("<BH4sI", len(hits), PORT, address(first.peer), first.speed)]
    for index, hit in enumerate(hits):
        parts += [struct.pack("<II", index, hit.size), _text(hit.name), _text("urn:sha1:" + hit.root.hex())]
    return b"".join(parts) + bytes([first.firewalled]) + first.servent


def hits_of(load: bytes) -> list[Hit]:
    """Raises ``BadDescriptor``."""
    try:
        count, _, where, speed = struct.unpack_from("<BH4sI", load)
        at, found = 11, []
        for _ in range(count):
            _, size = struct.unpack_from("<II", load, at)
            name_end = load.index(0, at + 8)
            urn_end = load.index(0, name_end + 1)
            root = bytes.fromhex(load[name_end + 1 : urn_end].decode().removeprefix("urn:sha1:"))
            found.append((load[at + 8 : name_end].decode(), size, root))
            at = urn_end + 1
    except (struct.error, ValueError) as error:
        raise BadDescriptor(f"no QueryHit: {error}") from None
    if not found:
        raise BadDescriptor("a QueryHit without hits")
    if len(load) != at + 17:
        raise BadDescriptor(f"a QueryHit ends with a byte and a servent id of 16, not {len(load) - at} bytes")
    peer, firewalled, servent = peer_of(where), bool(load[at]), load[at + 1 :]
    return [Hit(peer, name, size, root, speed, firewalled, servent) for name, size, root in found]


def push(servent: bytes, index: int, peer: int) -> bytes:
    """A Push's payload."""
    return struct.pack("<16sI4sH", servent, index, address(peer), PORT)


def push_of(load: bytes) -> Push:
    """Raises ``BadDescriptor``."""
    if len(load) < 26:
        raise BadDescriptor(f"a Push has 26 bytes, not {len(load)}")
    servent, index, where, _ = struct.unpack_from("<16sI4sH", load)
    return Push(servent, index, peer_of(where))


def bye(code: int, why: str) -> bytes:
    """A Bye's payload (0.6): a code as HTTP has them, and a text."""
    return struct.pack("<H", code) + _text(why)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"
