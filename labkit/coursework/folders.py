"""Who has handed in what: from files and folders, as learning platforms, archives, browsers and students
leave them, to one notebook for each student.

Only regular files are taken: a link may lead to another's notebook, a pipe never ends. What a student has
handed in twice, or in an odd way, concerns this student alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Submission", "file_name", "find_submissions", "readable", "write_whole"]

#: What archives and editors put beside notebooks: names that begin with a dot, and this folder.
NOT_HANDED_IN = "__MACOSX"

#: What browsers, JupyterLab and file managers add to the name of a copy.
COPY = r"(?:-Copy\d+| ?\(\d+\)| - Copy| copy(?: \d+)?)*"

#: Bytes of a file's name that we write; with endings, file systems allow 255.
MOST_NAME = 200

#: Characters that are printed though they have no shape: they join letters in some languages.
JOINERS = "\u200c\u200d"


@dataclass
class Submission:
    """What one student has handed in."""

    path: Path
    remarks: list[str] = field(default_factory=list)
    #: Why there is nothing to grade, where that is the student's affair.
    refused: str = ""
    #: Why it cannot be graded before the teacher has chosen.
    trouble: str = ""


@dataclass(frozen=True)
class Candidate:
    """A file that may be a student's submission."""

    path: Path
    student: str
    #: 0: it has the exercise's name, 1: and is a copy, 2: it has another name.
    named: int
    depth: int
    regular: bool

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Who counts: the smallest."""
        return not self.regular, self.named, self.depth


def find_submissions(paths: Iterable[Path], *names: str) -> dict[str, Submission]:
    """Student to notebook. A folder is searched: ``STUDENT.ipynb``, or ``STUDENT/…/EXERCISE.ipynb`` as
    nbgrader collects them, with any of the exercise's names. Of several files in a student's folder that with
    the exercise's name counts, the upper one first. Raises ``LookupError`` if there is none.
    """
    by_student: dict[str, list[Candidate]] = defaultdict(list)
    for path in paths:
        found = list(_candidates(path, names))
        if not found:
            raise LookupError(f"there is no notebook at {path}")
        for each in found:
            by_student[each.student].append(each)
    return {student: _chosen(student, found) for student, found in by_student.items()}


def _chosen(student: str, found: list[Candidate]) -> Submission:
    first, *others = sorted(found, key=lambda each: each.rank)
    others = [each for each in others if each.path.absolute() != first.path.absolute()]
    submission = Submission(first.path)
    if not first.regular:
        submission.refused = f"{_shown(first.path)} is a link or no regular file; hand in the notebook itself"
    elif others and others[0].rank == first.rank:
        submission.trouble = (
            f"two submissions of {student!r}: {_shown(first.path)} and {_shown(others[0].path)}"
        )
    elif others:
        names = ", ".join(_shown(each.path, first.path.parent) for each in others[:5])
        submission.remarks.append(f"{_shown(first.path, first.path.parent)} was graded, and not {names}")
    return submission


def _shown(path: Path, below: Path | None = None) -> str:
    return readable(str(path.relative_to(below) if below and path.is_relative_to(below) else path))


def _candidates(path: Path, names: tuple[str, ...]) -> Iterator[Candidate]:
    if path.is_file():  # named by the teacher, so it may be a link
        student = readable(path.stem)
        named = _named(student, names)
        yield Candidate(path, _folder_of(path, names) if named < 2 else student, named, 0, True)
        return
    files = [(each, _parts(each, path), regular) for each, regular in _notebooks(path)]
    owners = _owners([parts for _, parts, _ in files], names)
    for (each, parts, regular), owner in zip(files, owners, strict=True):
        named = _named(parts[-1], names)
        if owner is None:
            owner = _folder_of(each, names) if named < 2 else parts[-1]
        yield Candidate(each, owner, named, len(parts), regular)


def _notebooks(root: Path) -> Iterator[tuple[Path, bool]]:
    """Notebooks below a folder, and whether each is a regular file. Not recursive: folders may be deep."""
    todo = [root] if root.is_dir() else []
    while todo:
        try:
            entries = sorted(os.scandir(todo.pop()), key=lambda entry: entry.name)
        except OSError:  # no permission, or a path too long for anything to be in it
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name == NOT_HANDED_IN:
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append(Path(entry.path))
            elif entry.name.lower().endswith(".ipynb") or (entry.is_symlink() and entry.is_dir()):
                yield Path(entry.path), entry.is_file(follow_symlinks=False)


def _parts(path: Path, root: Path) -> list[str]:
    """The folders below the root, and the file's name without its ending."""
    *folders, name = path.relative_to(root).parts
    return [readable(each) for each in (*folders, re.sub(r"\.ipynb$", "", name, flags=re.IGNORECASE))]


def _named(stem: str, names: tuple[str, ...]) -> int:
    if stem in names:
        return 0
    return 1 if re.fullmatch(f"(?:{'|'.join(map(re.escape, names))}){COPY}", stem) else 2


def _folder_of(path: Path, names: tuple[str, ...]) -> str:
    folder = path.absolute().parent
    return readable(folder.parent.name if folder.name in names else folder.name)


def _owners(files: list[list[str]], names: tuple[str, ...]) -> list[str | None]:
    """Whose folder each file is in; None for a file that is in nobody's and speaks for itself."""
    # Where notebooks bear the exercise's name, or all the same one, it is the folders that say who.
    deep = [parts for parts in files if len(parts) > 1]
    stems = [parts[-1] for parts in deep]
    same = len(set(stems)) < len(stems) == len({tuple(parts[:-1]) for parts in deep})
    if not same and all(_named(stem, names) == 2 for stem in stems):
        return [None] * len(files)
    folders = [_without_exercise(parts[:-1], names) for parts in files]
    below: dict[str, set[str]] = defaultdict(set)
    direct = set()
    for found, parts in zip(folders, files, strict=True):
        if len(found) > 1 and (same or _named(parts[-1], names) < 2):
            below[found[0]].add(found[1])
        elif len(found) == 1:
            direct.add(found[0])
    # In ADA/ps1 and BOB/ps1 the upper folders are students'; in GROUP/ada and GROUP/bob the lower ones.
    often = {
        name for name in set().union(*below.values()) if sum(name in each for each in below.values()) > 1
    }
    groups = any(
        len(each - often) > 1 and top not in direct and not each & often for top, each in below.items()
    )
    owners: list[str | None] = []
    for found in folders:
        group = groups and len(found) > 1 and found[0] not in direct and found[1] not in often
        owners.append(found[int(group)] if found else None)
    return owners


def _without_exercise(folders: list[str], names: tuple[str, ...]) -> list[str]:
    return folders[:-1] if len(folders) > 1 and folders[-1] in names else folders


def readable(name: str) -> str:
    """A name as it can be written anywhere: bytes that are no UTF-8 are read as Latin-1, and what is no
    character that one can see becomes �.

    >>> readable("J\\udcfcrgen"), readable("ada\\x1b[2J")
    ('Jürgen', 'ada�[2J')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        try:
            name = os.fsencode(name).decode("latin-1")
        except UnicodeEncodeError:
            name = name.encode("utf8", "replace").decode()
    return "".join(c if c.isprintable() or c in JOINERS else "\ufffd" for c in name)


def file_name(student: str, ending: str) -> str:
    """The name of a file about a student, which is shortened where no file system takes it."""
    raw = student.encode("utf8", "replace")
    if len(raw) <= MOST_NAME and not set("/\0") & set(student):
        return student + ending
    short = raw[: MOST_NAME // 2].decode(errors="ignore").replace("/", "_").replace("\0", "_")
    return f"{short}-{hashlib.sha256(raw).hexdigest()[:16]}{ending}"


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, also if the disk is full or we are interrupted: then what was there
    stays. Raises ``OSError``.
    """
    part = path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
