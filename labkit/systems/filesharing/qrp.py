"""Query routing tables of Gnutella 0.6: which queries a leaf could answer, as bits (QRP, Rohrs 2002).

A leaf hashes the words of its files' names into a table, and sends it to its ultrapeers: RESET, which says
how large the table is, then PATCH messages with what has changed. An ultrapeer hands a query on to a leaf
only if all its words are there. A bit may be there by chance; never is one missing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from .collection import keywords
from .descriptor import BadDescriptor

__all__ = ["BITS", "hashed", "may_have", "patches", "reset", "table_of", "updated"]

#: A table has 2**BITS slots. The draft's usual is 16; the lab's peers have few files.
BITS = 12
#: The golden ratio's multiplier, of the draft.
MULTIPLIER = 0x4F1BBCDC
RESET, PATCH = 0x00, 0x01
#: Slots of the largest table that is taken.
LARGEST = 2**20
#: Bytes of a patch, before compression.
PATCHED = 256
DEFLATED = 0x01


def hashed(word: str, bits: int = BITS) -> int:
    """The slot of a word: its bytes folded into 32 bits, times the multiplier, the upper bits of it."""
    folded = 0
    for place, byte in enumerate(word.lower().encode()):
        folded ^= byte << (8 * (place % 4))
    return ((folded * MULTIPLIER) & 0xFFFFFFFF) >> (32 - bits)


def table_of(names: Iterable[str], bits: int = BITS) -> bytes:
    """The table of these names: 2**bits bits."""
    table = bytearray(2**bits // 8)
    for name in names:
        for word in keywords(name):
            slot = hashed(word, bits)
            table[slot >> 3] |= 1 << (slot & 7)
    return bytes(table)


def may_have(table: bytes, text: str) -> bool:
    """Whether all words of a query are in the table."""
    bits = (len(table) * 8).bit_length() - 1
    slots = [hashed(word, bits) for word in keywords(text)]
    return bool(slots and table) and all(table[slot >> 3] >> (slot & 7) & 1 for slot in slots)


def reset(bits: int = BITS) -> bytes:
    """A RESET's payload: slots of the table, and the infinity of the draft, unused where slots are bits."""
    return struct.pack("<BIB", RESET, 2**bits, 1)


def patches(old: bytes, new: bytes) -> list[bytes]:
    """PATCH payloads that make one table of the other: what to flip, in numbered pieces, compressed."""
    flips = bytes(a ^ b for a, b in zip(old, new, strict=True))
    pieces = [flips[at : at + PATCHED] for at in range(0, len(flips), PATCHED)]
    return [
        struct.pack("<BBBBB", PATCH, number + 1, len(pieces), DEFLATED, 1) + zlib.compress(piece)
        for number, piece in enumerate(pieces)
    ]


def updated(table: bytes, load: bytes) -> bytes:
    """The table after a RESET or a PATCH. A patch before its RESET changes nothing.

    Raises ``BadDescriptor``.
    """
    try:
        if load[:1] == bytes([RESET]):
            _, slots, _ = struct.unpack("<BIB", load)
            if not 8 <= slots <= LARGEST or slots & (slots - 1):
                raise BadDescriptor(f"a table of {slots} slots: a power of two, from 8 to {LARGEST}")
            return bytes(slots // 8)
        _, number, _, compressor, _ = struct.unpack_from("<BBBBB", load)
        piece = zlib.decompress(load[5:]) if compressor == DEFLATED else load[5:]
    except (struct.error, zlib.error) as error:
        raise BadDescriptor(f"no RESET or PATCH: {error}") from None
    at = max(0, number - 1) * PATCHED
    if at + len(piece) > len(table):
        return table
    changed = bytes(a ^ b for a, b in zip(table[at : at + len(piece)], piece, strict=True))
    return table[:at] + changed + table[at + len(piece) :]
