"""What grading writes: a table of all marks, JUnit XML, and a page of feedback for each student.

A page says what each task was, what came out, and for a failure the cell that shows it again in the
student's own notebook. It shows no hidden test: a judge's source is public anyway, and of the hidden cases
it names the one that failed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from .folders import write_whole
from .grade import Marks
from .tasks import Tasks
from .words import in_a_line

__all__ = ["WALLS", "isolation", "write_csv", "write_feedback", "write_junit"]

#: What each wall keeps a student's code from.
WALLS = {
    "limits": "time, memory, processes, size of files and of output are limited",
    "files": "it reads and writes nothing but Python, labkit and a folder of its own; it opens no "
    "TCP connection "
    "and reaches no process outside (Landlock)",
    "user": "it runs as a user of its own, which no other run has, without privileges",
    "namespaces": "it sees no network, no other process and no shared memory of others, and ends with all it "
    "started (bubblewrap)",
    "calls": "it makes no new sockets, no shared memory and no namespaces (seccomp)",
}

NOT_ISOLATED = (
    "Not isolated: the kernel of the operating system is shared. "
    "Grade what strangers hand in on a machine that holds nothing else."
)


def isolation(walls: Sequence[str]) -> str:
    """What a student's code was kept from, and what not."""
    lines = [WALLS[wall] for wall in walls if wall in WALLS]
    if "files" not in walls and "namespaces" not in walls:
        lines.append(
            "NO wall round files and other processes, so that the judges can be read: this machine has "
            "neither Landlock nor bubblewrap"
        )
    elif "namespaces" not in walls:
        lines.append(
            "other processes' names are visible (there is no bubblewrap, or it may make no namespaces)"
        )
    if "namespaces" not in walls and "calls" not in walls:
        lines.append("NO wall round UDP and Unix sockets")
    if "user" not in walls:
        lines.append("it ran as the user who graded")
    return "Isolation: " + "; ".join(lines) + ". " + NOT_ISOLATED


def write_csv(path: Path, all_marks: Sequence[Marks]) -> None:
    """One row for each student: the sum, each task, and remarks."""
    names = list(all_marks[0].tasks) if all_marks else []
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["student", "exercise", "marks", "of", *names, "remarks"])
    for marks in sorted(all_marks, key=lambda marks: marks.student):
        got = [_number(marks.tasks[name].got) for name in names]
        trouble = [f"NOT GRADED: {marks.trouble}"] if marks.trouble else []
        words = in_a_line("; ".join([*trouble, *marks.notes, *marks.alike]))
        first = [_plain(marks.student), marks.exercise, _number(marks.got), _number(marks.of)]
        rows.writerow([*first, *got, _plain(words)])
    write_whole(path, text.getvalue())


def _plain(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(tuple("=+-@\t\r")) else text


def _number(value: float) -> str:
    return f"{value:g}"


def write_junit(path: Path, all_marks: Sequence[Marks]) -> None:
    """A test suite for each student, a test case for each task."""
    root = ElementTree.Element("testsuites")
    for marks in sorted(all_marks, key=lambda marks: marks.student):
        failed = sum(mark.got < mark.of for mark in marks.tasks.values())
        count = {
            "tests": str(len(marks.tasks)),
            "failures": str(failed),
            "errors": str(int(bool(marks.trouble))),
        }
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(marks.student), **count)
        for name, mark in marks.tasks.items():
            case = ElementTree.SubElement(suite, "testcase", classname=marks.exercise, name=name)
            if marks.trouble:
                ElementTree.SubElement(case, "error", message=_xml(marks.trouble))
            elif mark.got < mark.of:
                failure = ElementTree.SubElement(case, "failure", message=_xml(mark.message))
                failure.text = _xml(mark.replay)
    write_whole(path, ElementTree.tostring(root, encoding="unicode", xml_declaration=True))


def _xml(text: str) -> str:
    """Text without the characters that XML does not know."""
    return "".join(
        c for c in text if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe")
    )


STYLE = """body{font-family:sans-serif;max-width:48em;margin:2em auto;padding:0 1em;line-height:1.45}
td,th{text-align:left;padding:.3em .8em;border-bottom:1px solid #8884;vertical-align:top}
pre{background:#8882;padding:.6em;overflow-x:auto;white-space:pre-wrap}small{color:#666}"""


def write_feedback(path: Path, marks: Marks, tasks: Tasks) -> None:
    """A student's page."""
    rows = []
    for name, mark in marks.tasks.items():
        sign = "✓" if mark.got == mark.of else "✗"
        text = tasks[name].text if name in tasks else ""
        cell = (
            f"<p>To see it, run this cell in your notebook:</p><pre>{_html(mark.replay)}</pre>"
            if mark.replay
            else ""
        )
        rows.append(
            f"<tr><td>{sign} {_html(name)}</td><td>{_number(mark.got)} of {_number(mark.of)}</td>"
            f"<td>{_html(text)}<pre>{_html(mark.message)}</pre>{cell}</td></tr>"
        )
    notes = "".join(f"<li>{_html(note)}</li>" for note in marks.notes)
    raised = "".join(
        f"<li>{_html(cell)}: <code>{_html(words)}</code></li>" for cell, words in marks.raised.items()
    )
    page = [
        f'<!doctype html><html lang="en"><meta charset="utf8"><title>{_html(marks.exercise)}: '
        f"{_html(marks.student)}"
        f"</title><style>{STYLE}</style>",
        f"<h1>{_html(marks.exercise)}</h1><p>{_html(marks.student)}: <b>{_number(marks.got)} of "
        f"{_number(marks.of)}</b></p>",
        f"<p>Not graded yet: {_html(marks.trouble)}</p>" if marks.trouble else "",
        f"<h2>Remarks</h2><ul>{notes}</ul>" if notes else "",
        f"<h2>Cells that raised an error</h2><ul>{raised}</ul>" if raised else "",
        f"<table><tr><th>task</th><th>marks</th><th></th></tr>{''.join(rows)}</table>",
        f"<p><small>{_html(isolation(marks.walls))}</small></p></html>",
    ]
    write_whole(path, "\n".join(part for part in page if part))


def _html(text: str) -> str:
    return escape(text, quote=True)
