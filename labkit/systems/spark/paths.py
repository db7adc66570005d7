"""How files are named, in all calls alike: fsspec's names with Hadoop's patterns.

A name is a path (``data/book.txt``: from the driver's folder, as it is when the call is made) or has a scheme
(``file:/data/book.txt``, ``file:///data/book.txt``, ``memory://book.txt``, and what else fsspec knows).
Where files are read, it may be several names with commas, and each may be a pattern, as of Hadoop's
``globStatus``: ``*``, ``?``, ``[a-c]``, ``[^a]`` (or ``[!a]``), ``{a,b}``, and ``\\`` before what is meant
literally. Neither ``*`` nor ``?`` matches a ``/``. A name of something that exists is that, whatever it looks
like.

What comes out is *whole*: an absolute path, or a name with a scheme. It means the same on every machine.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from fsspec.core import url_to_fs

__all__ = [
    "check_seen",
    "file_system",
    "input_files",
    "is_private",
    "open_file",
    "part_file",
    "shown",
    "whole",
]

#: A file system of this process alone: real machines do not see it.
PRIVATE = "memory"
#: What makes a name a pattern.
MAGIC = re.compile(r"[*?\[{\\]")


def file_system(name: str) -> tuple[Any, str]:
    """fsspec's file system of a name, and the name inside it."""
    fs, inside = url_to_fs(name)
    return fs, inside


def open_file(name: str, mode: str = "rb") -> Any:
    """A file of any file system."""
    fs, inside = file_system(name)
    return fs.open(inside, mode)


def whole(name: Any) -> str:
    """The same name, which does not depend on the folder one is in."""
    name = os.fspath(name)
    if not name:
        raise ValueError("an empty string is the name of no file; write '.' for the folder you are in")
    fs, inside = file_system(name)
    return _whole(fs, inside)


def _whole(fs: Any, inside: str) -> str:
    return inside if _is_local(fs) else str(fs.unstrip_protocol(inside))


def _is_local(fs: Any) -> bool:
    return "file" in _protocols(fs)


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def is_private(name: str) -> bool:
    """Whether only this process has the files of this name."""
    return PRIVATE in _protocols(file_system(name)[0])


def check_seen(ctx: Any, path: str) -> None:
    """Refuse files that the machines of this context do not see."""
    if not ctx.one_process and is_private(path):
        raise ValueError(
            f"{path} is in the memory of this process, and the machines are processes of their own: write to "
            'a folder that all see, or use Cluster(engine="sim")'
        )


def shown(name: str) -> str:
    """A whole name as PySpark shows it: with its scheme."""
    return f"file:{name}" if name.startswith("/") else name


def part_file(directory: str, index: int, suffix: str = "") -> str:
    """The file of one partition."""
    return posixpath.join(directory, f"part-{index:05d}{suffix}")


def input_files(names: Any) -> list[str]:
    """The whole names of the files that are meant, in order: of a directory, those in it. Hidden files do not
    count. Raises ``FileNotFoundError`` for a name or a pattern that nothing has.
    """
    names = os.fspath(names)
    found: list[str] = []
    for name in [names] if _exists(names) else _split(names):
        for fs, inside in _matches(name):
            within = sorted(fs.ls(inside, detail=False)) if fs.isdir(inside) else [inside]
            found += [_whole(fs, each) for each in within if _is_visible(each) and fs.isfile(each)]
    return found


def _is_visible(path: str) -> bool:
    return posixpath.basename(path)[:1] not in ("", ".", "_")


def _exists(name: str) -> bool:
    if not name:
        return False
    try:
        fs, inside = file_system(name)
    except ValueError:  # a list whose first name has a scheme that is none
        return False
    return bool(fs.exists(inside))


def _split(names: str) -> list[str]:
    """At the commas that are not within braces."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(names):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth <= 0:
            parts.append(names[start:place])
            start = place + 1
    return [*parts, names[start:]]


def _matches(name: str) -> Iterator[tuple[Any, str]]:
    """What a name or a pattern stands for, in the order of the names."""
    if not name:
        raise ValueError("an empty name in a list of files: a comma too many")
    if _exists(name) or not MAGIC.search(name):
        fs, inside = file_system(name)
        if not fs.exists(inside):
            raise FileNotFoundError(f"Input path does not exist: {shown(_whole(fs, inside))}")
        yield fs, inside
        return
    found: dict[str, Any] = {}
    for pattern in _alternatives(name):
        fs, inside = file_system(pattern)
        found.update(dict.fromkeys(_glob(fs, inside), fs))
    if not found:
        raise FileNotFoundError(f"Input Pattern {name} matches 0 files: nothing of that name exists")
    for inside in sorted(found):
        yield found[inside], inside


def _alternatives(pattern: str) -> Iterator[str]:
    """The pattern without its braces: one for each choice, the innermost first."""
    braces = re.search(r"(?<!\\)\{([^{}]*)\}", pattern)
    if braces is None:
        yield pattern
        return
    for choice in braces[1].split(","):
        yield from _alternatives(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _glob(fs: Any, pattern: str) -> list[str]:
    """The paths that match, walking down one part of the pattern at a time."""
    root, _, rest = pattern.partition("/") if not pattern.startswith("/") else ("/", "", pattern[1:])
    found = [root]
    for part in filter(None, rest.split("/")):
        if MAGIC.search(part):
            fits = re.compile(_regular_expression(part)).fullmatch
            inside = [each for place in found if fs.isdir(place) for each in fs.ls(place, detail=False)]
            found = [each for each in inside if fits(posixpath.basename(each.rstrip("/")))]
        else:
            found = [each for place in found if fs.exists(each := posixpath.join(place, part))]
    return found


def _regular_expression(part: str) -> str:
    """One part of a pattern, without braces."""
    words = {"*": "[^/]*", "?": "[^/]"}
    out: list[str] = []
    for token in re.findall(r"\\.|\[[!^]?\]?[^\]]*\]|.", part):
        if token[0] == "[" and len(token) > 1:
            negated = token[1] in "!^"
            inside = re.sub(r"[\[\\^]", r"\\\g<0>", token[1 + negated : -1])
            out.append(f"[{'^' if negated else ''}{inside}]")
        else:
            out.append(words.get(token) or re.escape(token.removeprefix("\\")))
    return "".join(out)
