"""Vectors: what names keys, what is refused, and that NumPy and SciPy go in and come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labkit.systems.paramserver import AdaGrad, Sum
from labkit.systems.paramserver.store import Contents, new_store
from labkit.systems.paramserver.vectors import Recycled, VectorSpec, as_keys, as_push

from .conftest import MakePs

DENSE = VectorSpec("w", 100)
SPARSE = VectorSpec("s", 1000, sparse=True)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (None, (0, 100)),
        (slice(10, 20), (10, 20)),
        (slice(-10, None), (90, 100)),
        (range(5, 8), (5, 8)),
        ([3, 7, 9], [3, 7, 9]),
        ([9, 3, 9], [3, 9]),
        (4, [4]),
        ([], []),
    ],
    ids=repr,
)
def test_keys(keys: Any, expected: Any) -> None:
    wanted, _ = as_keys(DENSE, keys)
    assert (wanted if isinstance(wanted, tuple) else wanted.tolist()) == expected


def test_values_come_back_in_the_order_and_shape_asked_for() -> None:
    wanted, in_order = as_keys(DENSE, [[9, 3], [9, 5]])
    assert in_order(10.0 * wanted).tolist() == [[90.0, 30.0], [90.0, 50.0]]
    wanted, in_order = as_keys(DENSE, 7)
    assert in_order(10.0 * wanted) == 70.0


def test_a_key_that_is_pushed_twice_counts_twice() -> None:
    keys, values = as_push(DENSE, [5, 2, 5], [1.0, 10.0, 2.0])
    assert keys.tolist() == [2, 5]
    assert values.tolist() == [10.0, 3.0]


@pytest.mark.parametrize(
    ("keys", "error", "match"),
    [
        ([1, 100], IndexError, "has keys 0 to 99, not 100"),
        ([-1], IndexError, "has keys 0 to 99, not -1"),
        ([0.5], TypeError, "are whole numbers, not"),
        (slice(0, 10, 2), TypeError, "has step 1, not 2"),
    ],
)
def test_bad_keys(keys: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        as_keys(DENSE, keys)


def test_a_sparse_vector_has_no_end() -> None:
    with pytest.raises(TypeError, match="name its keys, or read all there are with"):
        as_keys(SPARSE, None)


def test_values_must_fit() -> None:
    with pytest.raises(ValueError, match=r"3 keys need values of shape \(3,\), not \(2,\)"):
        as_push(DENSE, [1, 2, 3], [1.0, 2.0])


def test_scipy_in_and_out(sim_ps: MakePs) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    s = sim_ps().vector("s", 1000, sparse=True)
    row = sparse.csr_array(([1.0, 2.0, 3.0], ([0, 0, 0], [5, 500, 900])), shape=(1, 1000))
    s.push(None, row).result()
    s.push(None, row.T).result()
    assert (s.to_scipy() != 2 * row).nnz == 0
    assert s.dot(row) == 2 * (1 + 4 + 9)
    assert s[[900, 5, 6]].tolist() == [6.0, 2.0, 0.0]
    with pytest.raises(TypeError, match="a sparse matrix names its keys itself"):
        s.push([1], row)
    with pytest.raises(ValueError, match="one sparse row or column"):
        s.push(None, sparse.eye_array(3))


def test_a_vector_is_an_array_and_has_algebra(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w = ps.vector("w", 1000)
    values = np.arange(1000.0)
    w.push(None, values).result()
    assert np.asarray(w).tolist() == values.tolist()
    assert w[10:13].tolist() == [10.0, 11.0, 12.0]
    assert w[999] == 999.0
    assert w.norm() == pytest.approx(float(np.linalg.norm(values)))
    assert w.dot(w) == pytest.approx(float(values @ values))
    assert w.dot(np.ones(1000)) == pytest.approx(float(values.sum()))
    assert len(w) == 1000


def test_futures_and_what_waits_for_them(sim_ps: MakePs) -> None:
    """Execute-after: a pull that names a push sees it, whatever the network does to their order."""
    ps = sim_ps()
    w = ps.vector("w", 100)
    push = w.push(None, 1.0)
    pull = w.pull(after=push)
    assert not push.done
    assert not pull.done
    assert pull.result().tolist() == [1.0] * 100
    assert push.done
    again = w.push(None, 1.0, after=[pull, push])
    assert w.pull(slice(0, 3), after=again).result().tolist() == [2.0] * 3


def test_a_push_to_one_server_only(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w = ps.vector("w", 1000)
    w.push(None, 1.0, dest="server-1").result()
    own = np.zeros(1000)
    for range_ in ps.view.ranges:
        if range_.head == "server-1":
            own[slice(*w.spec.keys_in(range_.lo, range_.hi))] = 1.0
    assert 0 < own.sum() < 1000
    assert w[:].tolist() == own.tolist()


def test_names(sim_ps: MakePs) -> None:
    ps = sim_ps()
    model = ps.namespace("model")
    w = model.vector("w", 10)
    assert w.name == "model/w"
    assert model.namespace("deep").vector("w", 5).name == "model/deep/w"
    assert ps.vector("w", 20) is not w
    assert ps.vector("model/w") is w
    with pytest.raises(ValueError, match="there is another vector 'w' already"):
        ps.vector("w", 21)
    with pytest.raises(ValueError, match="a dense vector needs its size"):
        ps.vector("new", sparse=False)
    with pytest.raises(ValueError, match="the number of keys, 1 to"):
        ps.vector("new", 0)


@pytest.mark.parametrize(
    "vector", [VectorSpec("d", 50), VectorSpec("s", 50, sparse=True)], ids=["dense", "sparse"]
)
def test_a_store_is_an_array_with_zeros(vector: VectorSpec) -> None:
    """Whatever was pushed, in whatever pieces, a store reads as one array."""
    random = np.random.default_rng(3)
    store, expected = new_store(vector, 10, 40), np.zeros(50)
    for _ in range(50):
        keys = np.sort(random.choice(np.arange(10, 40), random.integers(1, 9), replace=False))
        if random.random() < 0.3:
            first = int(random.integers(10, 35))
            keys = (first, first + 5)
        values = random.random(5 if isinstance(keys, tuple) else len(keys))
        store.apply(keys, values, 1.0)
        expected[slice(*keys) if isinstance(keys, tuple) else keys] += values
    assert store.read((10, 40)).tolist() == expected[10:40].tolist()
    other = new_store(vector, 10, 40)
    other.put(store.all())
    assert other.read((10, 40)).tolist() == expected[10:40].tolist()


def test_extras_follow_the_values() -> None:
    vector = VectorSpec("s", 50, sparse=True, update=AdaGrad(0.1))
    store = new_store(vector, 0, 50)
    store.apply(np.array([3, 9]), np.array([1.0, 2.0]), 1.0)
    store.apply(np.array([5]), np.array([4.0]), 1.0)
    entries = store.all()
    assert entries.keys.tolist() == [3, 5, 9]
    assert entries.extras["squares"].tolist() == [1.0, 16.0, 4.0]


def test_a_large_read_is_lent_and_stays_as_it_is() -> None:
    store = new_store(VectorSpec("d", 100_000), 0, 100_000)
    held = store.read((0, 50_000))
    assert np.shares_memory(held, store.values)
    store.apply((0, 100_000), np.ones(100_000), 1.0)  # somebody holds the array: a copy is written
    assert held.sum() == 0.0
    assert not np.shares_memory(held, store.values)
    memory = store.values.ctypes.data
    assert store.read((0, 100_000)).sum() == 100_000.0
    store.apply((0, 100_000), np.ones(100_000), 1.0)  # nobody does: no copy
    assert store.values.ctypes.data == memory
    assert store.read((0, 3)).tolist() == [2.0, 2.0, 2.0]


def test_what_a_store_gives_away_does_not_change() -> None:
    store = new_store(VectorSpec("d", 10, update=Sum()), 0, 10)
    before, taken = store.read((0, 10)), store.take((2, 5))
    store.apply((0, 10), np.ones(10), 1.0)
    assert before.sum() == 0.0
    assert isinstance(taken, Contents)
    assert taken.values.sum() == 0.0
    assert not before.flags.writeable


def test_room_is_used_again_when_nothing_of_the_array_is_left() -> None:
    room, size = Recycled(), Recycled.LARGE
    first = room.empty(size)
    first[:] = 1.0
    part = first[10:20]
    del first
    second = room.empty(size)
    second[:] = 2.0
    assert part.tolist() == [1.0] * 10  # a view keeps its room
    place = part.__array_interface__["data"][0] - 80
    del part
    assert room.empty(size).__array_interface__["data"][0] == place
    assert len(room.empty(10)) == 10
    many = [room.empty(size) for _ in range(9)]
    for number, array in enumerate(many):
        array[:] = number
    assert [array.max() for array in many] == [array.min() for array in many] == list(range(9))
    assert len(room._rooms) == Recycled.KEPT
    assert second.max() == 2.0


def test_no_keys_have_the_shape_that_was_asked_for() -> None:
    for shape in ((0,), (0, 3)):
        keys, in_order = as_keys(VectorSpec("w", 10), np.zeros(shape, np.int64))
        assert in_order(np.zeros(len(keys))).shape == shape
