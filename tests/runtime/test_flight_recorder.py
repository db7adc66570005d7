"""The file that keeps a machine's events when its process is killed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from labkit.runtime.flight_recorder import FlightRecorder, life, recorded, rows_of
from labkit.trace.trace import Row, Trace

NAME = life("m1", 2)


def happen(trace: Trace, *numbers: int) -> None:
    for number in numbers:
        trace.record(float(number), "m1", "node", "counted", None, None, {"number": number})


def numbers(rows: list[Row]) -> list[int]:
    return [row[7]["number"] for row in rows]


def told(records: list[bytes]) -> list[int]:
    return [number for record in records for number in numbers(rows_of(record))]


def test_what_was_saved_is_there_after_the_end_and_what_was_told_twice_ago_is_not(tmp_path: Path) -> None:
    trace = Trace()
    recorder = FlightRecorder(trace, tmp_path / "folder", NAME)
    assert recorder.empty
    happen(trace, 1, 2)
    recorder.save()
    happen(trace, 3)
    assert not recorder.empty
    assert told(recorder.take()) == [1, 2, 3]
    happen(trace, 4)
    recorder.save()
    assert told(recorder.take()) == [4], "1 to 3 have arrived"
    happen(trace, 5)
    recorder.save()
    happen(trace, 6)  # nothing has left since: nobody can know of it
    assert sorted(told(recorded(tmp_path / "folder", NAME))) == [4, 5], "4 may still be on its way"
    assert list((tmp_path / "folder").iterdir()) == []
    assert recorded(tmp_path / "folder", NAME) == []


def test_a_record_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    trace = Trace()
    recorder = FlightRecorder(trace, tmp_path, NAME)
    for number in (1, 2):
        happen(trace, number)
        recorder.save()
    file = tmp_path / f"{NAME}.0"
    os.truncate(file, file.stat().st_size - 1)
    assert told(recorded(tmp_path, NAME)) == [1]


def test_without_a_place_for_files_it_tells_as_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    trace = Trace()
    recorder = FlightRecorder(trace, tmp_path / "file", NAME)
    happen(trace, 1)
    assert told(recorder.take()) == [1]
    assert recorded(tmp_path / "file", NAME) == []


def test_a_client_that_does_not_ask_costs_no_more_than_the_traces_limit(tmp_path: Path) -> None:
    trace = Trace(limit=10)
    recorder = FlightRecorder(trace, tmp_path, NAME)
    for number in range(100):
        happen(trace, number)
        recorder.save()
    assert told(recorder.take()) == list(range(90, 100))


def size_of_all(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_nor_does_it_fill_the_disk(tmp_path: Path) -> None:
    trace = Trace(limit=10)
    recorder = FlightRecorder(trace, tmp_path, NAME)
    most = 0
    for number in range(1000):
        happen(trace, number)
        recorder.save()
        most = max(most, size_of_all(tmp_path))
        if number == 30:
            at_first = most
    assert most < 1.2 * at_first
    kept = sorted(told(recorded(tmp_path, NAME)))
    assert kept[-10:] == list(range(990, 1000))
    assert kept == list(range(kept[0], 1000))


def test_what_cannot_be_pickled_takes_nothing_along(tmp_path: Path) -> None:
    trace = Trace()
    recorder = FlightRecorder(trace, tmp_path, NAME)
    happen(trace, 1)
    trace.record(2.0, "m1", "node", "counted", None, None, {"number": 2, "lock": threading.Lock()})
    happen(trace, 3)
    recorder.save()
    records = recorder.take()
    assert told(records) == [1, 2, 3]
    assert "lock" in rows_of(records[0])[1][7]["lock"]
    assert records == recorded(tmp_path, NAME)


def test_on_a_full_disk_there_is_nothing_behind_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace()
    recorder = FlightRecorder(trace, tmp_path, NAME)
    write = os.write

    def save(number: int) -> None:
        happen(trace, number)
        recorder.save()

    save(1)
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    save(2)
    monkeypatch.setattr(os, "write", write)
    save(3)
    assert told(recorded(tmp_path, NAME)) == [1]
    assert told(recorder.take()) == [1, 2, 3]


def test_a_folder_that_may_not_be_changed_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace()
    recorder = FlightRecorder(trace, tmp_path, NAME)
    happen(trace, 1)
    recorder.save()

    def refuse(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert told(recorded(tmp_path, NAME)) == [1]
