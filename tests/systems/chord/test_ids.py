"""The identifier circle."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.systems.chord.ids import between, distance, finger_start, identifier, in_half_open

BITS = 6
point = st.integers(0, 2**BITS - 1)


def walk(a: int, b: int) -> list[int]:
    """The points strictly between a and b, found by walking; from a to a it is once round."""
    points, here = [], (a + 1) % 2**BITS
    while here != b:
        points.append(here)
        here = (here + 1) % 2**BITS
    return points


def test_identifier_is_the_first_bits_of_sha1() -> None:
    digest = int(hashlib.sha1(b"lecture").hexdigest(), 16)
    assert identifier("lecture", 160) == digest
    assert identifier("lecture", 32) == digest >> 128
    assert identifier(b"lecture", 8) == identifier("lecture", 8)


@pytest.mark.parametrize("bits", [0, 161])
def test_identifier_refuses_what_sha1_cannot_give(bits: int) -> None:
    with pytest.raises(ValueError, match="SHA-1 gives identifiers of 1 to 160 bits"):
        identifier("lecture", bits)


@given(point, point, point)
def test_between_is_what_walking_finds(a: int, x: int, b: int) -> None:
    assert between(a, x, b) == (x in walk(a, b))


@given(point, point, point)
def test_half_open_adds_the_end(a: int, x: int, b: int) -> None:
    assert in_half_open(a, x, b) == (x == b or x in walk(a, b))


@given(point, point)
def test_distances_there_and_back_make_one_round(a: int, b: int) -> None:
    assert (distance(a, b, BITS) + distance(b, a, BITS)) % 2**BITS == 0
    assert (a + distance(a, b, BITS)) % 2**BITS == b


def test_finger_starts_of_figure_3() -> None:
    assert [finger_start(1, k, 3) for k in (1, 2, 3)] == [2, 3, 5]
    assert [finger_start(3, k, 3) for k in (1, 2, 3)] == [4, 5, 7]
