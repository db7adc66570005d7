"""`labkit.show` shows the code that runs."""

import html
import re

import pytest

import labkit
from labkit.systems.chord.correct import CorrectChordNode


def test_shows_the_source_as_it_runs():
    shown = labkit.show(CorrectChordNode.stabilize)
    assert repr(shown).startswith(("@every", "async def stabilize", "def stabilize"))
    assert shown._repr_markdown_().startswith("```python\n")


def test_a_notebook_keeps_the_lines_whole():
    shown = labkit.show(CorrectChordNode.stabilize)._repr_html_()
    lines = html.unescape(re.sub("<style>.*</style>|<[^>]*>", "", shown, flags=re.DOTALL)).rstrip("\n")
    assert lines == repr(labkit.show(CorrectChordNode.stabilize))
    assert "white-space: pre !important" in shown
    assert '<span class="k">async</span>' in shown or '<span class="k">def</span>' in shown


def test_says_what_to_give_instead():
    with pytest.raises(TypeError, match="42 has no Python source to show; give a class"):
        labkit.show(42)
