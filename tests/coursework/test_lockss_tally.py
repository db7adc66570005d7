"""What the exercise `lockss-tally` asks of its experiment."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.coursework.exercises.lockss_tally import run


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rule": "mine"}, 'rule=\'mine\': write rule="yours" or rule="labkit\'s"'),
        ({"subverted": 1.0, "rule": "labkit's"}, "no library is loyal"),
        ({"years": -1, "rule": "labkit's"}, "years=-1: a number >= 0"),
    ],
)
def test_a_wrong_experiment_says_what_to_write(given: dict[str, Any], says: str) -> None:
    nobody: Any = None
    with pytest.raises(ValueError, match=says):
        run(nobody, **given)
