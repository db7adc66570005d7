"""Names of files: text with "/" between its parts. There are no folders beside those that files are in."""

from __future__ import annotations

import os
import re

__all__ = ["ancestors", "matcher", "normal"]


def normal(path: str | os.PathLike[str], folder: bool = False) -> str:
    """The path from the root, without a "/" at either end, "." or "..".

    ``folder``: a folder is meant too, so that it may be the root ("") and end in "/". Raises ``TypeError``,
    ``ValueError`` (nothing left of it, or above the root) and ``IsADirectoryError`` (a file that ends in
    "/").
    """
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str):
        raise TypeError(f'a path is text, not {path!r} of type {type(path).__name__}; write "folder/name"')
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise ValueError(f'{path!r} leads above the root of the file system; write "folder/name"')
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if not folder:
        if not parts:
            raise ValueError(f'{path!r} names no file; write "folder/name"')
        if path.endswith("/"):
            raise IsADirectoryError(f"{path!r} names a folder; a file is {'/'.join(parts)!r}")
    return "/".join(parts)


def ancestors(path: str) -> list[str]:
    """The folders that a file is in, innermost first; not the root."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def matcher(pattern: str) -> re.Pattern[str]:
    """A shell's pattern: ``*``, ``?`` and ``[…]`` stay within a folder, ``**`` does not."""
    text, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            text, at = text + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            text, at = text + ".*", at + 2
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            text += f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]"
            at = end + 1
        else:
            text += {"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at]))
            at += 1
    return re.compile(text, re.DOTALL)
