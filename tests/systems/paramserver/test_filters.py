"""Filters as they are, without a network: what arrives, what it weighs, what is held back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.systems.paramserver.filters import (
    KKT,
    Filter,
    Filters,
    KeyCaching,
    Receiver,
    SignificantlyModified,
    UnknownKeys,
    ZeroCompression,
    decode_values,
    encode_values,
    raw_bytes,
)
from labkit.systems.paramserver.updates import Proximal

KEYS = np.array([3, 7, 8, 40], dtype=np.int64)


def keys(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=float)


# -- key caching ------------------------------------------------------------


def test_the_second_time_only_the_signature_travels() -> None:
    sender, receiver = Filters([KeyCaching()]), Receiver()
    sizes = []
    for step in range(3):
        wire = sender.encode("server-0", KEYS, values(1, 2, 3, 4) + step)
        sizes.append(wire.bytes)
        got, numbers = receiver.decode(wire)
        assert got.tolist() == KEYS.tolist()
        assert numbers.tolist() == [1 + step, 2 + step, 3 + step, 4 + step]
    assert sizes == [8 + 4 * 8 + 4 * 8, 8 + 4 * 8, 8 + 4 * 8]
    assert Filters().encode("server-0", KEYS, values(1, 2, 3, 4)).bytes == raw_bytes(KEYS, values(1, 2, 3, 4))


def test_another_server_and_other_keys_need_the_list() -> None:
    sender = Filters([KeyCaching()])
    sender.encode("server-0", KEYS)
    assert sender.encode("server-0", KEYS).keys is None
    assert sender.encode("server-1", KEYS).keys is not None
    assert sender.encode("server-0", KEYS[:3]).keys is not None


def test_a_server_that_never_got_the_list_says_so() -> None:
    sender, receiver = Filters([KeyCaching()]), Receiver()
    sender.encode("server-0", KEYS, values(1, 2, 3, 4))  # lost on its way
    wire = sender.encode("server-0", KEYS, values(1, 2, 3, 4))
    with pytest.raises(UnknownKeys, match="send the list"):
        receiver.decode(wire)
    got, _ = receiver.decode(sender.encode("server-0", KEYS, values(1, 2, 3, 4), full=True))
    assert got.tolist() == KEYS.tolist()
    assert receiver.decode(sender.encode("server-0", KEYS))[1] is None


def test_a_receiver_forgets_what_is_long_unused() -> None:
    sender, receiver = Filters([KeyCaching()]), Receiver()
    first = sender.encode("s", keys(0))
    receiver.decode(first)
    for number in range(1, 65):
        receiver.decode(sender.encode("s", keys(number)))
    assert sender.encode("s", keys(0)).keys is not None, "the sender forgets in the same order"
    with pytest.raises(UnknownKeys, match="no list of keys has the signature"):
        receiver.decode(type(first)(first.signature, None, None))


def test_a_range_needs_no_list() -> None:
    sender, receiver = Filters([KeyCaching(), ZeroCompression()]), Receiver()
    wire = sender.encode("server-0", (10, 14), values(1, 2, 3, 4))
    assert wire.bytes == 16 + 32
    got, numbers = receiver.decode(wire)
    assert (got, numbers.tolist()) == ((10, 14), [1, 2, 3, 4])


# -- zero-value compression ------------------------------------------------------------


def test_zeros_cost_a_bit() -> None:
    sparse = np.zeros(800)
    sparse[::100] = 1.5
    coded = encode_values(sparse, compress=True)
    assert coded.bytes == 800 // 8 + 8 * 8
    assert np.array_equal(decode_values(coded), sparse)
    assert encode_values(sparse, compress=False).bytes == 6400
    assert encode_values(np.ones(800), compress=True).bytes == 6400, "where nothing is zero, it costs nothing"


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -2.5, 1e-300]), max_size=40), st.booleans())
def test_compression_is_exact(numbers: list[float], wide: bool) -> None:
    array = np.array(numbers * 2).reshape(-1, 2) if wide else np.array(numbers)
    again = decode_values(encode_values(array, compress=True))
    assert again.shape == array.shape
    assert np.array_equal(again, array)


# -- what the user chooses ------------------------------------------------------------


def test_small_changes_gather_until_they_are_significant() -> None:
    sender = Filters([SignificantlyModified(0.5)])
    rounds = [sender.select(keys(1, 2), values(0.2, 0.9)) for _ in range(3)]
    assert [chosen.tolist() for chosen, _ in rounds] == [[2], [2], [1, 2]]
    assert rounds[2][1].tolist() == pytest.approx([0.6, 0.9])


@pytest.mark.slow
@given(
    st.lists(
        st.dictionaries(st.integers(0, 9), st.sampled_from([-1.0, -0.25, 0.125, 0.5, 2.0]), min_size=1),
        max_size=20,
    )
)
def test_never_further_off_than_the_threshold(pushes: list[dict[int, float]]) -> None:
    sender, sent, wanted = Filters([SignificantlyModified(0.75)]), np.zeros(10), np.zeros(10)
    for push in pushes:
        chosen = keys(*sorted(push))
        numbers = values(*(push[key] for key in sorted(push)))
        wanted[chosen] += numbers
        got, out = sender.select(chosen, numbers)
        assert np.all(np.abs(out) > 0.75)
        sent[got] += out
        assert np.all(np.abs(wanted - sent) <= 0.75)


def test_an_entry_of_two_columns_counts_by_its_largest() -> None:
    chosen, _ = Filters([SignificantlyModified(1.0)]).select(
        keys(4, 5, 6), np.array([[0.0, 2.0], [0.5, 0.5], [-3.0, 0.0]])
    )
    assert chosen.tolist() == [4, 6]


def test_kkt_leaves_out_weights_that_stay_zero() -> None:
    sender = Filters([KKT(margin=0.2)])
    sender.pulled(keys(1, 2, 3), values(0.0, 0.0, -0.5))
    # 0.7 <= 0.8 · 1 stays zero; 0.9 > 0.8 might not; key 3 is not zero; key 9 was never pulled: zero.
    entries = np.array([[0.7, 1.0], [-0.9, 1.0], [0.0, 1.0], [0.1, 1.0]])
    chosen, _ = sender.select(keys(1, 2, 3, 9), entries)
    assert chosen.tolist() == [2, 3]
    sender.pulled(keys(3), values(0.0))
    assert sender.select(keys(3), np.array([[0.0, 1.0]]))[0].tolist() == []


def test_kkt_without_margin_never_changes_an_exact_step() -> None:
    """What every worker leaves out would not have moved: the parts are below the parts of the threshold."""
    random = np.random.default_rng(3)
    w = np.where(random.random(500) < 0.8, 0.0, random.normal(size=500))
    push = np.column_stack([1.5 * random.normal(size=500), random.uniform(0.5, 2, 500)])
    sender = Filters([KKT()])
    sender.pulled(np.arange(500), w)
    chosen, entries = sender.select(np.arange(500), push)
    assert 100 < len(chosen) < 450
    all_of_it, some = w.copy(), w.copy()
    Proximal().apply(all_of_it, push, {})
    part = some[chosen]
    Proximal().apply(part, entries, {})
    some[chosen] = part
    assert np.array_equal(some, all_of_it)


def test_with_caching_and_compression_what_is_left_out_is_a_zero() -> None:
    chosen, out = Filters([KeyCaching(), ZeroCompression(), KKT()]).select(
        keys(4, 7, 9), np.array([[2.0, 1.0], [0.5, 1.0], [-3.0, 1.0]])
    )
    assert chosen.tolist() == [4, 7, 9], "the list stays the same, so its signature is enough"
    assert out.tolist() == [[2.0, 1.0], [0.0, 0.0], [-3.0, 1.0]]
    sender = Filters([ZeroCompression(), SignificantlyModified(0.5), KeyCaching()])
    chosen, out = sender.select((5, 8), values(1, 0.25, 2))
    assert (chosen, out.tolist()) == ((5, 8), [1, 0, 2])


def test_a_range_stays_a_range_unless_something_is_left_out() -> None:
    assert Filters([KeyCaching()]).select((5, 8), values(1, 0, 2))[0] == (5, 8)
    chosen, _ = Filters([SignificantlyModified(0.5)]).select((5, 8), values(1, 0, 2))
    assert chosen.tolist() == [5, 7]
    plain: Filter = ZeroCompression()
    assert plain.select(None, KEYS, values(1, 2, 3, 4))[0] is KEYS


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="the threshold is a number > 0"):
        SignificantlyModified(0.0)
    with pytest.raises(ValueError, match="0 <= margin <= 1"):
        KKT(margin=1.5)
    with pytest.raises(TypeError, match="pushes of two columns"):
        Filters([KKT()]).select(keys(1), values(0.5))
