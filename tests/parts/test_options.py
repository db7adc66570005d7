"""Field rules: what fits is used as it is meant, and the rest is refused in words that help."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from labkit.parts.options import (
    Rule,
    anything,
    checked,
    instance,
    number,
    one_of,
    probability,
    seconds,
    switch,
    text,
    whole,
)

NAN, ENDLESS = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("rule", "fits", "refused"),
    [
        (whole(), [0, -3, 10**30], [1.0, "1", None, True, np.bool_(True), NAN]),
        (whole(1, 4), [1, 4], [0, 5, -1]),
        (number(0), [0, 0.0, 2.5], [-1e-9, NAN, ENDLESS, "1", None, True, 1j]),
        (number(above=0), [1e-9, 3], [0, 0.0, -1, NAN, ENDLESS]),
        (seconds(), [0.5, 1], [0, None, True, ENDLESS]),
        (seconds(0).or_none(), [0, None], [-1, ENDLESS]),
        (probability(), [0, 1, 0.5], [-0.1, 1.1, NAN, "half"]),
        (one_of(("tail", "head")), ["tail", "head"], ["middle", None, ["tail"], np.arange(3)]),
        (instance(Rule, says="a rule", write=switch), [switch], [Rule, None, 3]),
        (switch, [True, False], [1, 0, None, "yes", np.bool_(True)]),
        (text(says="a name", write="second"), ["a", "two words"], ["", "two\nlines", None, b"a"]),
        (text(says="a name", write="second", empty=True), [""], ["\n"]),
        (anything, [None, 3, "x"], []),
    ],
)
def test_what_fits_and_what_does_not(rule: Rule, fits: list[Any], refused: list[Any]) -> None:
    for value in fits:
        assert rule("it", value) is value
    for value in refused:
        with pytest.raises((ValueError, TypeError), match=re.escape(f"it={value!r}: ") + ".*write it="):
            rule("it", value)


@pytest.mark.parametrize(
    ("rule", "given", "used"),
    [
        (whole(1), np.int64(3), 3),
        (number(0), np.float32(0.5), 0.5),
        (number(0), np.float64(0.1), 0.1),
        (number(0), np.uint8(7), 7.0),
        (probability(), Fraction(1, 4), 0.25),
    ],
)
def test_numbers_of_others_become_plain_ones(rule: Rule, given: Any, used: Any) -> None:
    """What nodes are told travels, and is written into traces."""
    taken = rule("it", given)
    assert taken == used
    assert type(taken) is type(used)


@pytest.mark.parametrize(
    ("rule", "value", "words"),
    [
        (whole(1), 0, "it=0: a whole number >= 1; write it=1"),
        (whole(0, 9), "ten", "it='ten': a whole number from 0 to 9; write it=1"),
        (whole(most=3), 4, "it=4: a whole number <= 3; write it=1"),
        (whole(says="at least one node", write=24), None, "it=None: at least one node; write it=24"),
        (number(above=0, write=0.1), 0, "it=0: a number > 0; write it=0.1"),
        (seconds(0.01), -1, "it=-1: seconds, 0.01 or more; write it=1.0"),
        (seconds(), 0, "it=0: seconds must be positive; write it=1.0"),
        (probability(), 2, "it=2: a probability from 0 to 1; write it=0.5"),
        (one_of(("a", "b")), "c", 'it=\'c\': write it="a" or it="b"'),
        (
            one_of(("a", "b"), says="the tail is newest", write=("b",)),
            1,
            'it=1: the tail is newest; write it="b"',
        ),
        (switch, 1, "it=1: write it=True or it=False"),
    ],
)
def test_the_error_says_the_value_the_rule_and_what_to_write(rule: Rule, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        rule("it", value)


def test_the_error_says_to_what_it_was_given() -> None:
    with pytest.raises(ValueError, match=re.escape("SGD(rate=0): a number > 0; write SGD(rate=0.1)")):
        number(above=0, write=0.1)("rate", 0, of="SGD")
    words = "vector('{w}', size=0): a whole number >= 1; write vector('{w}', size=1)"
    with pytest.raises(ValueError, match=re.escape(words)):
        whole(1)("size", 0, of="vector('{w}', ")


def test_a_value_is_shown_as_far_as_a_cell_has_room() -> None:
    with pytest.raises(ValueError, match=r"^it=\[0, 1, .{70,80}: a whole number; write it=1$"):
        whole()("it", list(range(10_000)))


def test_several_at_once() -> None:
    rules = {"nodes": whole(1), "sampling": switch, "ids": anything}
    assert checked("Chord", {"nodes": np.int32(4), "ids": "all"}, rules) == {"nodes": 4, "ids": "all"}
    with pytest.raises(TypeError, match="Chord has no option 'node'; its options are nodes, sampling, ids"):
        checked("Chord", {"node": 4}, rules)
    with pytest.raises(ValueError, match="nodes=0"):
        checked("Chord", {"sampling": True, "nodes": 0}, rules)
