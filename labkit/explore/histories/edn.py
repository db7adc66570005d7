"""EDN, the text form of Clojure's data, as far as Jepsen's histories use it.

Keywords and symbols are read as text (``:read`` as ``"read"``), vectors and lists as tuples, maps as
dictionaries, sets as frozen sets. A tagged value is read as the value, but for ``KeyAndValue``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .operations import frozen

__all__ = ["KeyAndValue", "parse"]


class KeyAndValue(tuple[Any, ...]):
    """``#jepsen.independent/tuple [key value]``: a value of one of several objects."""

    __slots__ = ()


_TOKEN = re.compile(
    r"""[\s,]*+(?:;[^\n]*+[\s,]*+)*+        # between tokens: white space, commas, comments
    (?: (?P<open>\#\{|[(\[{]) | (?P<close>[)\]}]) | (?P<discard>\#_)
      | (?P<text>"(?:[^"\\]|\\.)*") | (?P<tag>\#[A-Za-z][^\s,()\[\]{}"]*)
      | (?P<char>\\(?:newline|space|tab|return|u[0-9a-fA-F]{4}|.)) | (?P<atom>[^\s,()\[\]{}";]+) )""",
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {"(": ")", "[": "]", "{": "}", "#{": "}"}
_NAMES = {"nil": None, "true": True, "false": False, "##NaN": float("nan"), "##Inf": float("inf")}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "b": "\b", "f": "\f"}
_CHARS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}
#: What a reader of tokens returns at a closing bracket.
_END = object()


def parse(text: str) -> list[Any]:
    """All values in a text. Raises ``ValueError`` where it is no EDN, with the line."""
    reader = _Reader(text)
    found = []
    while not reader.at_end():
        value = reader.value(None)
        if value is not _END:
            found.append(value)
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def at_end(self) -> bool:
        return _TOKEN.match(self.text, self.at) is None and not self._rest()

    def _rest(self) -> str:
        return re.sub(r";[^\n]*", "", self.text[self.at :]).strip(" \t\r\n,")

    def wrong(self, what: str) -> ValueError:
        line = self.text.count("\n", 0, self.at) + 1
        return ValueError(f"line {line} is no EDN: {what}; is it a history.edn of Jepsen's?")

    def value(self, closes: str | None) -> Any:
        """The next value; _END at the bracket that ends what is being read, or at the text's end."""
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            if closes is None and not self._rest():
                return _END
            raise self.wrong(f"{self._rest()[:20]!r}" if self._rest() else f"{closes} is missing at the end")
        self.at = match.end()
        kind, token = match.lastgroup, match.group(match.lastgroup or 0)
        if kind == "close":
            if token != closes:
                raise self.wrong(f"{token} closes nothing")
            return _END
        if kind == "discard":
            self.value(None)
            return self.value(closes)
        if kind == "tag":
            value = self.value(None)
            return KeyAndValue(value) if token == "#jepsen.independent/tuple" else value
        if kind == "open":
            return self._collection(token)
        if kind == "text":
            return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, token[1:-1], flags=re.DOTALL)
        if kind == "char":
            name = token[1:]
            return _CHARS.get(name) or (chr(int(name[1:], 16)) if len(name) == 5 else name)
        return _atom(token)

    def _collection(self, opens: str) -> Any:
        items = list(self._until(_CLOSES[opens]))
        if opens == "{":
            if len(items) % 2:
                raise self.wrong("a map has a key without a value")
            return {_key(key): item for key, item in zip(items[::2], items[1::2], strict=True)}
        return frozenset(map(_key, items)) if opens == "#{" else tuple(items)

    def _until(self, closes: str) -> Iterator[Any]:
        while (item := self.value(closes)) is not _END:
            yield item


def _key(value: Any) -> Any:
    return frozen(value) if isinstance(value, (dict, tuple)) and not isinstance(value, KeyAndValue) else value


def _unescaped(match: re.Match[str]) -> str:
    what = match.group(1)
    return chr(int(what[1:], 16)) if len(what) == 5 else _ESCAPES.get(what, what)


def _atom(token: str) -> Any:
    if token in _NAMES:
        return _NAMES[token]
    if token == "##-Inf":
        return float("-inf")
    if token.startswith(":") and len(token) > 1:
        return token[1:]
    if re.fullmatch(r"[+-]?\d+N?", token):
        return int(token.rstrip("N"))
    if re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?", token):
        return float(token.rstrip("M"))
    return token
