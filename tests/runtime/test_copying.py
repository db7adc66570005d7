"""Copies, stable hashes and random streams; and what the package offers."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
import labkit.runtime
from labkit import Unpicklable
from labkit.runtime.copying import copy_value, event_value, stable_hash, stream


@dataclass
class Point:
    """Something to send."""

    x: int
    more: list[int]


class Colour(enum.Enum):
    """Members stay themselves."""

    RED = 1


@pytest.mark.parametrize("value", [None, True, 1, 1.5, 2j, "text", b"bytes", (1, "a", None)])
def test_what_cannot_change_passes_as_it_is(value: Any) -> None:
    assert copy_value(value) is value


@given(
    st.recursive(
        st.one_of(st.integers(), st.text(), st.builds(Point, st.integers(), st.lists(st.integers()))),
        lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner)),
        max_leaves=5,
    )
)
def test_copies_are_equal_and_of_the_same_type(value: Any) -> None:
    copy = copy_value(value)
    assert copy == value
    assert type(copy) is type(value)
    if isinstance(value, (list, dict)):
        assert copy is not value


def test_objects_arrays_members_and_functions() -> None:
    import numpy

    point = Point(1, [2])
    copy = copy_value(point)
    point.more.append(3)
    assert copy == Point(1, [2])
    array = numpy.arange(3)
    other = copy_value(array)
    array[0] = 9
    assert list(other) == [0, 1, 2]
    assert copy_value(Colour.RED) is Colour.RED
    assert copy_value(lambda x: x + 1)(1) == 2

    class Local:
        x = 5

    assert type(copy_value(Local())) is Local  # by value, and yet the same class in the same process


@pytest.mark.parametrize("length", [10, 100_000], ids=["small", "large"])
def test_read_only_arrays_stay_read_only_and_large_ones_are_shared(length: int) -> None:
    import numpy

    array = numpy.arange(length)
    for value in (array, array[1:]):
        other = copy_value([value])[0]
        assert not numpy.shares_memory(other, array)
        other[0] = 7  # the receiver's own
    view = array[1:]
    view.flags.writeable = False
    assert not numpy.shares_memory(copy_value(view), array), "somebody can still write through the array"
    array.flags.writeable = False
    for value in (array, array[1:]):
        other = copy_value([value])[0]
        assert (other == value).all()
        assert not other.flags.writeable
        assert numpy.shares_memory(other, array) == (length > 10)


def test_what_cannot_be_sent() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise ValueError

        def __reduce__(self) -> Any:
            raise TypeError("stays here")

    with pytest.raises(
        Unpicklable, match=r"a Shy without a repr of type .*Shy cannot be sent: TypeError: stays here"
    ):
        copy_value(Shy())
    with pytest.raises(Unpicklable, match=r"\[\[0, 1, .*… of type builtins\.list cannot be sent"):
        copy_value([list(range(50)), (x for x in "ab")])


def test_event_values_have_no_sets_in_them() -> None:
    assert event_value({"a": {3, 1}, "b": [frozenset("xa")], "c": ({2},)}) == {
        "a": [1, 3],
        "b": [["a", "x"]],
        "c": ([2],),
    }
    point = Point(1, [])
    assert event_value(point) == point
    assert event_value(point) is not point


class TestHashes:
    def test_they_are_the_same_everywhere(self) -> None:
        program = "from labkit.runtime.copying import stable_hash as h; print(h('key'), h(1, 'a', bits=32))"
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert told.stdout.split() == [str(stable_hash("key")), str(stable_hash(1, "a", bits=32))]

    @given(st.lists(st.one_of(st.integers(), st.text()), min_size=1), st.integers(1, 160))
    def test_they_have_as_many_bits_as_asked_for(self, parts: list[Any], bits: int) -> None:
        assert 0 <= stable_hash(*parts, bits=bits) < 2**bits

    def test_types_and_borders_count(self) -> None:
        assert len({stable_hash(*parts) for parts in [(1,), ("1",), (1.0,), ("a", "b"), ("ab",)]}) == 5

    def test_streams_differ_by_purpose(self) -> None:
        draws = [
            stream(1, "node", "a").random(),
            stream(1, "node", "b").random(),
            stream(2, "node", "a").random(),
        ]
        assert len(set(draws)) == 3
        assert stream(1, "node", "a").random() == draws[0]


MODULES = [each.name for each in pkgutil.iter_modules(labkit.runtime.__path__, "labkit.runtime.")]


class TestPackage:
    @pytest.mark.parametrize("name", ["labkit", "labkit.runtime", *MODULES])
    def test_all_names_exist(self, name: str) -> None:
        if "ray" in name or name.endswith(".host"):
            pytest.importorskip("ray")
        module = importlib.import_module(name)
        names = module.__all__
        assert len(set(names)) == len(names)
        missing = [each for each in names if not hasattr(module, each)]
        assert missing == []

    @pytest.mark.slow
    def test_importing_labkit_needs_no_ray_and_no_pandas(self) -> None:
        heavy = ("ray", "pandas", "numpy", "pyarrow", "IPython")
        program = (
            "import sys, labkit; c = labkit.Cluster(2, engine='sim'); c.run(1); c.close(); "
            f"print([name for name in {heavy} if name in sys.modules])"
        )
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert told.stdout == "[]\n"


def test_large_arrays_beside_what_only_cloudpickle_takes_keep_their_places() -> None:
    import numpy as np

    first, function, second = copy_value([np.zeros(20_000), lambda: 1, np.ones(20_000)])
    assert (first[0], function(), second[0]) == (0.0, 1, 1.0)
