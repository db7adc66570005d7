"""What each system says of itself: the answers to the three questions that the lecture asks of every system.

A system's folder has a module ``about.py`` with one ``ABOUT``. Whoever adds a system writes it, and the
course page (``notebooks/index.ipynb``) shows it.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["About", "Questions", "catalogue", "questions"]


@dataclass(frozen=True)
class About:
    """One system, in a few sentences. What is said of the paper has been read in the paper."""

    title: str
    paper: str  #: authors, title, where and when
    work: str  #: how work is divided
    communication: str  #: how the parts communicate
    failure: str  #: what happens on failure
    lecture: str  #: its notebook, in notebooks/lectures
    order: int  #: its place in the course


#: The attributes of ``About`` that answer a question, and the question.
ASKED = {
    "work": "How is work divided?",
    "communication": "How do the parts communicate?",
    "failure": "What happens on failure?",
}


def catalogue() -> dict[str, About]:
    """Every system that labkit has, by the name of its folder, in the order of the course."""
    folder = Path(__file__).parent
    names = [each.name for each in pkgutil.iter_modules([str(folder)]) if each.ispkg]
    found = {
        name: importlib.import_module(f"{__package__}.{name}.about").ABOUT
        for name in names
        if (folder / name / "about.py").is_file()
    }
    return dict(sorted(found.items(), key=lambda item: item[1].order))


class Questions:
    """The three questions and each system's answers: a table in a notebook, text elsewhere."""

    def __init__(self, systems: dict[str, About]) -> None:
        self.systems = systems

    def __repr__(self) -> str:
        lines = []
        for about in self.systems.values():
            lines += [about.title, f"  {about.paper}"]
            lines += [f"  {question} {getattr(about, name)}" for name, question in ASKED.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{escape(question)}</th>" for question in ASKED.values())
        rows = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{escape(about.title)}</th>"
            + "".join(
                f"<td style='text-align:left;vertical-align:top'>{escape(getattr(about, name))}</td>"
                for name in ASKED
            )
            + "</tr>"
            for about in self.systems.values()
        )
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def questions() -> Questions:
    """How is work divided, how do the parts communicate, what happens on failure? For every system."""
    return Questions(catalogue())
