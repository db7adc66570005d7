"""What is on the disks: blocks with their checksums, and the master's log and checkpoint."""

from __future__ import annotations

import pickle

import pytest

from labkit.parts.store.blocks import PIECE, Blocks, Held, Modelled, Rotten, join
from labkit.parts.store.log import CHECKPOINT_AFTER, OperationLog
from labkit.parts.store.namespace import Namespace, NewBlock
from labkit.runtime.disk import Disk, MemoryFiles, MemoryStore

DATA = bytes(range(256)) * 1024  # four pieces


def test_any_part_of_a_block() -> None:
    blocks = Blocks(MemoryFiles())
    assert blocks.write(7, 3, DATA) == Held(3, len(DATA)) == blocks.held(7)
    for start, size in (
        (0, None),
        (5, 10),
        (PIECE - 1, 2),
        (PIECE, PIECE),
        (len(DATA) - 1, 99),
        (len(DATA), 1),
    ):
        end = None if size is None else start + size
        assert blocks.read(7, start, size) == DATA[start:end]
    assert blocks.numbers() == [7]


def test_an_empty_block() -> None:
    blocks = Blocks(MemoryFiles())
    blocks.write(1, 1, b"")
    assert blocks.read(1) == b""


def test_no_byte_of_a_rotten_piece_is_returned() -> None:
    blocks = Blocks(MemoryFiles())
    blocks.write(1, 1, DATA)
    blocks.spoil(1)
    with pytest.raises(Rotten, match="bytes 196608 to 262144"):
        blocks.read(1, len(DATA) - PIECE, 10)
    assert blocks.read(1, 0, PIECE) == DATA[:PIECE]  # the other pieces are good


@pytest.mark.parametrize("at", range(25))
def test_a_rotten_header(at: int) -> None:
    files = MemoryFiles()
    Blocks(files).write(1, 1, DATA)
    raw = bytearray(files.read("1"))
    raw[at] ^= 128
    files.write("1", bytes(raw))
    with pytest.raises(Rotten):
        Blocks(files).held(1)


def test_modelled_data_has_a_size_only() -> None:
    files = MemoryFiles()
    blocks = Blocks(files)
    assert blocks.write(1, 1, Modelled(10**9)) == Held(1, 10**9, True) == blocks.held(1)
    assert blocks.read(1, 10, 20) == Modelled(20)
    assert files.size("1") < 100
    assert join([Modelled(3), Modelled(4)]) == Modelled(7)


def test_a_log_without_a_checkpoint() -> None:
    store = MemoryStore()
    log = OperationLog(Disk(store))
    assert log.recover() == (None, [])
    for record in ("one", "two"):
        log.append(record)
    assert OperationLog(Disk(store)).recover() == (None, ["one", "two"])


def test_a_crash_while_a_checkpoint_is_written() -> None:
    """What is made durable is a prefix of the records that the disk is given: each must be a state."""

    class Torn(MemoryStore):
        left = 10**9

        def append(self, records: list[tuple[object, bytes]]) -> None:
            super().append(records[: self.left])

    for left in range(7):
        store = Torn()
        log = OperationLog(Disk(store))
        log.recover()
        for record in ("one", "two", "three"):
            log.append(record)
        store.left = left
        log.checkpoint("all three")
        found = OperationLog(Disk(store)).recover()
        assert found == ((None, ["one", "two", "three"]) if left == 0 else ("all three", []))
    log.append("four")
    assert OperationLog(Disk(store)).recover() == ("all three", ["four"])


def test_when_a_checkpoint_is_due() -> None:
    log = OperationLog(Disk(MemoryStore()))
    log.recover()
    for number in range(CHECKPOINT_AFTER):
        log.append(number)
    assert log.full(parts=0)
    assert not log.full(parts=1)


def test_a_namespace_is_its_operations_and_its_dump() -> None:
    operations = [
        ("reserve", 1000),
        ("create", "a/b", (NewBlock(1, 10, 7), NewBlock(2, 5, 8)), True),
        ("create", "a/c", (), True),
        ("extend", "log", (NewBlock(3, 4, 9),)),
        ("grant", 3, 2),
        ("grow", 3, 9, 10),
        ("rename", "a", "z", False),
        ("create", "z/c", (NewBlock(4, 1, 1),), True),
        ("rename", "z/c", "z/b", True),
    ]
    space = Namespace()
    answers = [space.apply(*operation) for operation in operations]
    assert answers[3] == 0
    assert answers[5] == 4  # the record begins behind the four bytes that were there
    assert space.freed == [1, 2]
    assert sorted(space.files) == ["log", "z/b"]
    again = Namespace()
    again.load(pickle.loads(pickle.dumps(space.dump())))
    assert again.dump() == space.dump()
    assert again.folders == space.folders == {"z": 1}
    assert again.blocks == space.blocks


def test_what_is_refused_changes_nothing() -> None:
    space = Namespace()
    space.apply("create", "a/b", (NewBlock(1, 10, 7),), False)
    before = space.dump()
    for error, text, operation in (
        (FileExistsError, "there is a file 'a/b' already", ("create", "a/b", (), False)),
        (IsADirectoryError, "'a' is a folder", ("create", "a", (), True)),
        (NotADirectoryError, "'a/b' is a file", ("create", "a/b/c", (), True)),
        (FileNotFoundError, r"there is no file 'x'; ls\(''\)", ("delete", "x", True)),
        (IsADirectoryError, "'a' is a folder", ("delete", "a", False)),
        (FileNotFoundError, "there is no file 'x'", ("rename", "x", "y", True)),
        (FileExistsError, "the folder 'a' cannot become 'a/c'", ("rename", "a", "a/c", True)),
        (FileExistsError, "there already, or in it", ("rename", "a", "a", True)),
        (NotADirectoryError, "'a/b' is a file", ("rename", "a/b", "a/b/c", True)),
    ):
        with pytest.raises(error, match=text):
            space.apply(*operation)
        assert space.dump() == before
        assert space.folders == {"a": 1}
