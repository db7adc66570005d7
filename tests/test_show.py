"""`labkit.show` shows the code that runs."""

import pytest

import labkit
from labkit.systems.chord.correct import CorrectChordNode


def test_shows_the_source_as_it_runs():
    shown = labkit.show(CorrectChordNode.stabilize)
    assert repr(shown).startswith(("@every", "async def stabilize", "def stabilize"))
    assert shown._repr_markdown_().startswith("```python\n")


def test_says_what_to_give_instead():
    with pytest.raises(TypeError, match="42 has no Python source to show; give a class"):
        labkit.show(42)
