"""Buffers that travel through memory of two processes: here both are this one, or one is a child."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.runtime import shared_memory
from labkit.runtime.shared_memory import HEAD, LEND_FROM, Incoming, Outgoing, OutOfReach

pytestmark = pytest.mark.skipif(not Outgoing().available, reason="no anonymous files on this system")

LARGE = LEND_FROM + 1000


@pytest.fixture
def sender() -> Iterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    outgoing.close()


def view(size: int, fill: int = 7) -> memoryview:
    return memoryview(bytes([fill]) * size)


def files() -> int:
    """How many segments this process has open."""
    own = [os.stat(each) for each in Path("/proc/self/fd").iterdir() if _is_segment(each)]
    return len({each.st_ino for each in own})


def _is_segment(descriptor: Path) -> bool:
    try:
        return "memfd:labkit" in os.readlink(descriptor)
    except OSError:  # the one that reads the folder
        return False


def segments(outgoing: Outgoing) -> list[Any]:
    return [*outgoing._free, *outgoing._lent]


def test_large_and_small_buffers_arrive_as_they_were(sender: Outgoing) -> None:
    contents = [
        np.random.default_rng(n).bytes(size) for n, size in enumerate([5, 70_000, LARGE, 0, 64, LARGE])
    ]
    packed = sender.pack([(memoryview(each), n % 2 == 0) for n, each in enumerate(contents)])
    assert packed is not None
    received = Incoming().unpack(packed[0])
    assert [bytes(each) for each in received] == contents
    assert [memoryview(each).readonly for each in received] == [n % 2 == 1 for n in range(6)]
    assert len(packed[1]) == 3  # one for all that is small


def test_a_segment_is_used_again_when_the_last_array_in_it_is_gone(sender: Outgoing) -> None:
    receiver = Incoming()
    arrays = []
    for fill in (1, 2, 3):
        packed = sender.pack([(view(LARGE, fill), True)])
        assert packed is not None
        arrays.append(np.frombuffer(receiver.unpack(packed[0])[0], np.uint8)[10:20])
    assert [each.tolist() for each in arrays] == [[fill] * 10 for fill in (1, 2, 3)]
    assert len(segments(sender)) == 3
    arrays.pop(1)
    packed = sender.pack([(view(LARGE, 4), True)])
    assert packed is not None
    assert receiver.unpack(packed[0])[0][0] == 4
    assert len(segments(sender)) == 3
    assert [each.tolist() for each in arrays] == [[1] * 10, [3] * 10]


def test_small_buffers_do_not_hold_their_segment(sender: Outgoing) -> None:
    receiver, kept = Incoming(), []
    for fill in range(20):
        packed = sender.pack([(view(5000, fill), False)])
        assert packed is not None
        kept += receiver.unpack(packed[0])
    assert len(segments(sender)) == 1
    assert [each[0] for each in kept] == list(range(20))


def test_what_the_receiver_writes_is_its_own(sender: Outgoing) -> None:
    source = np.zeros(LARGE, np.uint8)
    packed = sender.pack([(memoryview(source), True)])
    assert packed is not None
    (lent,) = Incoming().unpack(packed[0])
    lent[:] = 9
    assert source.max() == 0


def test_idle_segments_and_maps_are_given_back(sender: Outgoing, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver, before = Incoming(), files()
    packed = sender.pack([(view(LARGE), False), (view(10), False)])
    assert packed is not None
    kept = receiver.unpack(packed[0])
    sender.delivered(packed[1])
    assert files() == before + 2
    monkeypatch.setattr(shared_memory, "IDLE", -1.0)
    assert receiver.trim()
    assert sender.trim()
    assert files() == before + 1  # one is lent
    monkeypatch.setattr(shared_memory, "KEPT", -1.0)
    assert not sender.trim()  # the sender forgets it, and the receiver still has it
    assert bytes(kept[0]) == bytes(view(LARGE))
    del kept
    gc.collect()
    assert not receiver.trim()
    assert files() == before


def test_a_receiver_that_keeps_very_many_copies_the_rest(
    sender: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "MOST_KEPT", 2)
    receiver, kept = Incoming(), []
    for fill in range(5):
        packed = sender.pack([(view(LARGE, fill), True)])
        assert packed is not None
        kept += receiver.unpack(packed[0])
    assert [each[0] for each in kept] == list(range(5))
    assert len(segments(sender)) == 3  # two are lent, the third serves all others


def test_what_was_not_received_is_not_forgotten(sender: Outgoing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "KEPT", -1.0)
    packed = sender.pack([(view(LARGE), False)])
    assert packed is not None
    assert sender.trim()
    assert bytes(Incoming().unpack(packed[0])[0]) == bytes(view(LARGE))


def test_out_of_reach(sender: Outgoing) -> None:
    packed = sender.pack([(view(LARGE), False)])
    assert packed is not None
    parcel = packed[0]
    descriptor, token = parcel.segments[0]
    with pytest.raises(OutOfReach, match="another host"):
        Incoming().unpack(parcel._replace(host="elsewhere"))
    with pytest.raises(OutOfReach, match="another file"):
        Incoming().unpack(parcel._replace(segments=((descriptor, bytes(8)),)))
    with pytest.raises(OutOfReach, match="cannot be mapped"):
        Incoming().unpack(parcel._replace(segments=((9999, token),)))
    sender.lost(packed[1])
    with pytest.raises(OutOfReach):
        Incoming().unpack(parcel)


def test_a_loan_that_has_come_back_is_not_lost(sender: Outgoing) -> None:
    """The receiver died after it had taken the buffers out; the segment is another's by now."""
    receiver = Incoming()
    first = sender.pack([(view(10, 1), False)])
    assert first is not None
    receiver.unpack(first[0])
    second = sender.pack([(view(10, 2), False)])
    assert second is not None
    assert second[0].segments == first[0].segments
    sender.lost(first[1])
    sender.delivered(first[1])
    assert not second[1][0].segment.received
    assert bytes(receiver.unpack(second[0])[0]) == bytes(view(10, 2))
    sender.close()
    sender.lost(second[1])


def test_no_more_than_so_many_are_lent(sender: Outgoing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "MOST_LENT", 2)
    assert sender.pack([(view(LARGE), False)] * 3) is None
    assert not segments(sender)  # those that were made for it are closed
    assert sender.pack([(view(LARGE), False)] * 2) is not None


def test_where_there_is_no_memory_nothing_is_left(sender: Outgoing, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files()

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "ftruncate", full)
    assert sender.pack([(view(LARGE), False)]) is None
    monkeypatch.setattr(os, "memfd_create", full)
    assert sender.pack([(view(LARGE), False)]) is None
    gc.collect()
    assert files() == before


def test_a_killed_sender_leaves_what_was_received() -> None:
    program = (
        "import pickle, sys, time; from labkit.runtime.shared_memory import Outgoing\n"
        f"packed = Outgoing().pack([(memoryview(bytes([5]) * {LARGE}), False)])\n"
        "sys.stdout.buffer.write(pickle.dumps(packed[0])); sys.stdout.flush(); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            parcel = pickle.load(child.stdout)
            (lent,) = Incoming().unpack(parcel)
        finally:
            child.send_signal(signal.SIGKILL)
    assert bytes(lent) == bytes([5]) * LARGE
    with pytest.raises(OutOfReach):
        Incoming().unpack(parcel)


def test_content_begins_where_arrays_may_begin(sender: Outgoing) -> None:
    packed = sender.pack([(view(3), True), (view(LARGE), True), (view(24), True)])
    assert packed is not None
    starts = [HEAD + piece.start for piece in packed[0].pieces]
    assert all(start % 64 == 0 for start in starts)
