"""Input and output types (§4.4): how bytes become key/value pairs, and pairs bytes.

"Each input type implementation knows how to split itself into meaningful ranges for processing as separate
map tasks (e.g. text mode's range splitting ensures that range splits occur only at line boundaries)." A type
of your own is a subclass with another ``pair`` or ``line``.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Pairs", "Piece", "Segment", "TextLines", "TextPairs", "parts_of", "split", "temporary"]


class Segment(NamedTuple):
    """Bytes of a file: those lines that begin in them."""

    path: str
    start: int
    end: int


class Piece(NamedTuple):
    """A segment that was read: its bytes, from the beginning of a line to the end of a line."""

    path: str
    offset: int  #: in the file, of the first byte
    data: bytes


def split(files: Iterable[tuple[str, int]], M: int) -> list[tuple[Segment, ...]]:
    """The input in M pieces of equal size (§3.1 step 1); a piece may end in one file and begin in another.
    ``files``: names and sizes. Fewer than M pieces if there are not so many bytes."""
    files = [(path, size) for path, size in files if size]
    whole = sum(size for _, size in files)
    M = max(1, min(M, whole))
    bounds = [whole * number // M for number in range(M + 1)]
    splits: list[list[Segment]] = [[] for _ in range(M)]
    at = number = 0
    for path, size in files:
        start = 0
        while start < size:
            end = min(size, bounds[number + 1] - at)
            if end > start:
                splits[number].append(Segment(path, start, end))
            start = end
            if at + end == bounds[number + 1]:
                number = min(number + 1, M - 1)
        at += size
    return [tuple(each) for each in splits]


class TextLines:
    """ "Text" mode: "each line is a key/value pair: the key is the offset in the file and the value is the
    contents of the line"."""

    def pairs(self, piece: Piece) -> Iterator[tuple[Any, Any]]:
        """The pairs of a piece."""
        at = piece.offset
        for line in piece.data.split(b"\n") if piece.data else ():
            if line or at < piece.offset + len(piece.data):
                yield self.pair(at, line.removesuffix(b"\r"))
            at += len(line) + 1

    def pair(self, offset: int, line: bytes) -> tuple[Any, Any]:
        """One line without its end, which is "\\n" or "\\r\\n"."""
        return offset, line.decode("utf8", "replace")


class Pairs(TextLines):
    """ "A sequence of key/value pairs sorted by key": reads what ``Pairs`` has written as output of another
    job. Keys and values are Python's literals: numbers, text, tuples, lists, dicts …"""

    def pair(self, offset: int, line: bytes) -> tuple[Any, Any]:
        """Its two literals."""
        key, _, value = line.decode().partition("\t")
        try:
            return literal(key), literal(value)
        except (ValueError, SyntaxError):
            raise ValueError(
                f"{line!r:.80} is not a key, a tab and a value, both literals of Python: Pairs reads what "
                "Pairs has written, TextLines any text"
            ) from None

    def line(self, key: Any, value: Any) -> str:
        """Such that reading it gives equal values; ``ValueError`` for what is no literal."""
        if not (_is_literal(key) and _is_literal(value)):
            raise ValueError(
                f"Pairs cannot read {key!r:.40} and {value!r:.40} again: emit finite numbers, text, bytes, "
                "None, and tuples, lists, dicts and sets of these; float(x) or x.tolist() of NumPy's"
            )
        return f"{key!r}\t{value!r}\n"

    def frame(self, parts: Iterable[bytes]) -> pd.DataFrame:
        """The pairs of output files, in order."""
        import pandas as pd  # not in the machines' processes

        return pd.DataFrame(
            [self.pair(0, line) for part in parts for line in part.splitlines()], columns=["key", "value"]
        )


#: A whole number, a number, and a tuple of numbers, as Python writes them.
_WHOLE = r"-?(?:0|[1-9][0-9]*)"
_NUMBER = rf"{_WHOLE}(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"
_is_whole, _is_number = re.compile(_WHOLE).fullmatch, re.compile(_NUMBER).fullmatch
_is_tuple = re.compile(rf"\({_NUMBER}(?:, {_NUMBER})+\)").fullmatch


def literal(text: str) -> Any:
    """The value of a literal: as ``ast.literal_eval``, and ten times as quick for numbers, tuples of numbers
    and plain text, which are most of what jobs write."""
    if _is_number(text):
        return int(text) if _is_whole(text) else float(text)
    if _is_tuple(text):
        return tuple([int(each) if _is_whole(each) else float(each) for each in text[1:-1].split(", ")])
    if text[:1] == "'" == text[-1:] and "\\" not in text and text.count("'") == 2 and text.isprintable():
        return text[1:-1]
    return ast.literal_eval(text)


def _is_literal(value: Any) -> bool:
    kind = type(value)
    if kind in (str, int, bool, bytes, type(None)):
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(map(_is_literal, value)) and all(map(_is_literal, value.values()))
    return kind in (tuple, list, set) and all(map(_is_literal, value)) and (kind is not set or bool(value))


class TextPairs:
    """ "key", a tab, "value": text that people and other programs read."""

    def line(self, key: Any, value: Any) -> str:
        """One line. (A key with a tab in it is one, too; ``frame`` takes what is before for the key.)"""
        line = f"{key}\t{value}\n"
        if line.count("\n") > 1:
            raise ValueError(
                f"{line!r:.80} would be several lines: emit text without them, or use writer = Pairs()"
            )
        return line

    @staticmethod
    def _lines(part: bytes) -> list[str]:
        return part.decode("utf8", "surrogatepass").split("\n")[:-1]

    def frame(self, parts: Iterable[bytes]) -> pd.DataFrame:
        """The pairs of output files, in order; a column of numbers has numbers."""
        import pandas as pd

        lines = [line.partition("\t")[::2] for part in parts for line in self._lines(part)]
        table = pd.DataFrame(lines, columns=["key", "value"], dtype=object)
        return table.apply(_numbers) if len(table) else table


def _numbers(column: pd.Series) -> pd.Series:
    import pandas as pd

    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column


def parts_of(output: str, R: int) -> list[str]:
    """The names of the R output files."""
    return [f"{output}/part-{number:05}" for number in range(R)]


def temporary(output: str) -> str:
    """The folder of what is in the output's folder while a job writes there."""
    return f"{output}/_temporary"
