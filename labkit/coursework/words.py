"""What students' code says, made fit to be shown on a terminal, in a table, on a page.

No control sequences, no lines that look like ours, and only so much of it: in its words a function could
bring out what it was asked.
"""

from __future__ import annotations

import unicodedata

__all__ = ["in_a_line", "printable", "shown"]

#: Characters of a value that is shown, and of a whole message.
MOST_VALUE, MOST_MESSAGE = 80, 2000

#: Characters that turn the direction of what follows.
TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def printable(text: str, most: int = MOST_MESSAGE) -> str:
    """The text, cut, with control characters written out; line ends and tabs stay.

    >>> printable("\\x1b[2Jgone\\nnext")
    '\\\\x1b[2Jgone\\nnext'
    """
    cut = text[:most] + (f"… ({len(text)} characters)" if len(text) > most else "")
    return "".join(c if c in "\n\t" or _seen(c) else c.encode("unicode_escape").decode() for c in cut)


def in_a_line(text: str, most: int = MOST_MESSAGE) -> str:
    """The text as ``printable`` makes it, in one line."""
    return " ⏎ ".join(printable(text, most).replace("\t", " ").split("\n"))


def shown(value: object) -> str:
    """A value, as a message shows it: not more than fits."""
    text = repr(value)
    return text if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]}…"


def _seen(character: str) -> bool:
    return character not in TURNS and unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
