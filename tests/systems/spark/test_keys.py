"""Keys that are equal belong together, in every process."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import ipaddress
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from operator import add
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pandas
import pytest

from labkit.systems.spark import UnstableKey, portable_hash
from tests.systems.spark.conftest import MakeContext


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass(frozen=True)
class Key:
    name: str
    number: int


class Text(str):
    """A string with a class of its own."""

    def __str__(self) -> str:
        return "something else"


class Switch(str, enum.Enum):  # noqa: UP042  (its str() is not its value)
    """Members that are strings, and print otherwise."""

    ON = "on"


class Label(enum.StrEnum):
    """Members that are strings."""

    ON = "on"


class Bit(enum.IntEnum):
    """Members that are numbers."""

    ON = 1


class Single(tuple, enum.Enum):
    """A member that is a tuple."""

    ONE = (1,)


class Loud(str):
    """A string that is equal to itself in capitals."""

    def __eq__(self, other: object) -> bool:
        return str(self).upper() == str(other).upper()

    def __hash__(self) -> int:
        return hash(str(self).upper())


STABLE: list[Any] = [
    None,
    0,
    -1,
    2**70,
    1.5,
    float("nan"),
    True,
    "word",
    "\udcff",
    b"bytes",
    ("a", 1, None),
    frozenset(["x", "y", "z"]),
    Colour.RED,
    Key("k", 1),
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 12, 30),
    datetime.timedelta(1, 2, 3),
    Decimal("1.50"),
    np.int64(7),
    np.str_("word"),
    np.float32(0.5),
    Switch.ON,
    datetime.time(12, 30),
    datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=5))),
    PurePosixPath("a/b"),
    ipaddress.ip_address("::1"),
    ipaddress.ip_interface("10.0.0.1/8"),
    np.datetime64("2024-02-29"),
    Decimal("nan"),
    complex("nan"),
    pandas.NaT,
    np.datetime64("NaT"),
    np.longdouble("nan"),
]


def test_hashes_are_the_same_in_every_process() -> None:
    program = (
        "from tests.systems.spark.test_keys import STABLE, portable_hash\n"
        "print([portable_hash(key) for key in STABLE])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert outputs == {str([portable_hash(key) for key in STABLE])}


def test_equal_keys_have_equal_hashes() -> None:
    noon = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    there = noon.astimezone(datetime.timezone(datetime.timedelta(hours=5)))
    zone = datetime.timezone(datetime.timedelta(hours=2))
    for same in (
        [
            1,
            1.0,
            True,
            np.int64(1),
            np.bool_(True),
            np.longdouble(1),
            Decimal("1.0"),
            Fraction(1),
            1 + 0j,
            Bit.ON,
        ],
        ["on", Text("on"), Switch.ON, Label.ON, np.str_("on")],
        [b"on", np.bytes_(b"on")],
        [(1,), (1.0,), Single.ONE],
        [frozenset([1, "a"]), frozenset(["a", 1.0])],
        [noon, there, pandas.Timestamp(noon)],
        [datetime.datetime(2024, 1, 1), np.datetime64("2024-01-01", "s"), pandas.Timestamp("2024-01-01")],
        [np.datetime64("2024-01-01"), np.datetime64("2024-01-01", "ns")],
        [
            datetime.timedelta(minutes=1),
            np.timedelta64(60, "s"),
            np.timedelta64(1, "m"),
            pandas.Timedelta("60s"),
        ],
        [datetime.time(1, 30, tzinfo=datetime.UTC), datetime.time(3, 30, tzinfo=zone)],
        [PurePosixPath("a/b"), Path("a//b")],
        [PureWindowsPath("A/b"), PureWindowsPath("a\\B")],
        [ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address(0x0A000001)],
        [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network((0x0A000000, 8))],
    ):
        assert len(set(same)) == 1, same
        assert len({portable_hash(key) for key in same}) == 1, same
    assert portable_hash((1, 2)) != portable_hash((2, 1))
    for nothing in (
        float("nan"),
        Decimal("nan"),
        Decimal("snan"),
        np.float32("nan"),
        pandas.NaT,
        np.datetime64("NaT"),
    ):
        assert portable_hash(nothing) == 0
    # As PySpark's for what its documentation shows.
    assert portable_hash(None) == 0
    assert portable_hash((None, 1)) & 0xFFFFFFFF == 219750521


def test_equal_keys_of_different_types_are_one_key(make_context: MakeContext) -> None:
    sc = make_context(machines=2)
    texts = sc.parallelize([(key, 1) for key in ("on", Text("on"), Switch.ON, Label.ON, np.str_("on"))], 5)
    assert [count for _, count in texts.reduceByKey(add, 3).collect()] == [5]
    numbers = sc.parallelize([(key, 1) for key in (1, 1.0, True, Decimal(1), np.int64(1), Bit.ON)], 6)
    assert [count for _, count in numbers.reduceByKey(add, 3).collect()] == [6]


@pytest.mark.parametrize("key", [Loud("a"), pandas.Period("2024"), pandas.NA, str], ids=repr)
def test_a_hash_that_nobody_knows_is_refused(key: Any) -> None:
    with pytest.raises(UnstableKey, match="differs from process to process"):
        portable_hash(key)


@pytest.mark.parametrize("key", [np.zeros(2), np.zeros(1, dtype="i4,i4")[0], {1}], ids=repr)
def test_what_cannot_be_hashed_is_refused(key: Any) -> None:
    with pytest.raises(UnstableKey, match="must be hashable"):
        portable_hash(key)
