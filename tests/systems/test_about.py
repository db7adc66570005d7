"""What the systems say of themselves is complete, and the course page can show it."""

from __future__ import annotations

import pkgutil
from dataclasses import fields
from pathlib import Path

import pytest

import labkit.systems
from labkit.systems import About, catalogue, questions

ROOT = Path(__file__).parents[2]
FOLDERS = [each.name for each in pkgutil.iter_modules(labkit.systems.__path__) if each.ispkg]


def test_every_system_is_in_the_catalogue() -> None:
    assert set(catalogue()) == set(FOLDERS)
    assert {"chord", "spark", "paramserver"} <= set(FOLDERS)
    places = [about.order for about in catalogue().values()]
    assert places == sorted(set(places)), "two systems have one place in the course"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_system_answers_every_question_and_has_its_lecture(name: str) -> None:
    about = catalogue()[name]
    for field in fields(About):
        if field.name != "order":
            assert len(getattr(about, field.name)) >= 3, field.name
    for suffix in (".py", ".ipynb"):
        assert (ROOT / "notebooks" / "lectures" / (about.lecture + suffix)).is_file()


def test_the_table_has_a_row_for_each_system_and_a_column_for_each_question() -> None:
    shown = questions()
    html = shown._repr_html_()
    assert html.count("<tr>") == len(FOLDERS) + 1
    assert html.count("<td") == 3 * len(FOLDERS)
    for about in catalogue().values():
        assert about.failure in repr(shown)
