"""What a saved notebook shows of panels whose kernel is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.lab.pictures import VIEW, fresh, without_the_dead

MODEL = "0123456789abcdef0123456789abcdef"


def notebook(metadata: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    data = {VIEW: {"model_id": model}, "text/html": "as it began", "text/plain": "<RingPanel>"}
    return {
        "cells": [
            {"cell_type": "markdown"},
            {"outputs": [{"output_type": "stream"}, {"data": data, "metadata": metadata}]},
        ]
    }


def data_of(book: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = book["cells"][1]["outputs"][1]["data"]
    return found


def test_a_saved_notebook_has_the_newest_picture(tmp_path: Path) -> None:
    book = notebook({"labkit": {"pid": 7}})
    fresh(book, tmp_path)
    assert data_of(book)["text/html"] == "as it began"
    (tmp_path / f"{MODEL}.html").write_text("as it was last")
    fresh(book, tmp_path)
    assert data_of(book)["text/html"] == "as it was last"
    assert VIEW in data_of(book), "it is loaded again while the kernel lives"


def test_no_file_but_a_picture_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text("secret")
    book = notebook({"labkit": {"pid": 7}}, model="../pictures/secret")
    fresh(book, tmp_path / "..")
    assert data_of(book)["text/html"] == "as it began"


def test_a_panel_without_its_kernel_is_a_picture() -> None:
    book = notebook({"labkit": {"pid": 7}})
    without_the_dead(book, lambda pid: pid == 7)
    assert VIEW in data_of(book)
    without_the_dead(book, lambda pid: False)
    assert set(data_of(book)) == {"text/html", "text/plain"}


def test_widgets_of_others_stay() -> None:
    book = notebook({})
    without_the_dead(book, lambda pid: False)
    assert VIEW in data_of(book)
