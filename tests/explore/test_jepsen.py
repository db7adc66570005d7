"""Histories from files: Jepsen's EDN and JSON lines, and cases that users of other checkers have reported.

The number beside a case is that of the public issue it is after.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.explore.histories import (
    KeyValue,
    Lock,
    Model,
    Operation,
    Queue,
    Register,
    Set,
    from_edn,
    from_jsonl,
    linearizable,
    monotonic_reads,
    read_your_writes,
    sequential,
)
from labkit.explore.histories.edn import KeyAndValue, parse


def events(text: str) -> list[Operation]:
    """From lines such as ``0 invoke write 1``."""
    lines = []
    for line in filter(None, map(str.strip, text.splitlines())):
        process, kind, call, *value = line.split(maxsplit=3)
        lines.append(f"{{:process {process} :type :{kind} :f :{call} :value {value[0] if value else 'nil'}}}")
    return from_edn("\n".join(lines))


# ── cases that others have met ───────────────────────────────────────────────────────────────────────────

CASES: dict[str, tuple[str, Model, bool]] = {
    "a failed cas did not happen, a timed-out write may have (knossos 5)": (
        """0 invoke cas [0 1]
        0 fail cas [0 1]
        1 invoke write 4
        1 info write :timed-out
        2 invoke write 3
        2 ok write 3
        3 invoke read
        3 ok read 4
        4 invoke read
        4 ok read 3""",
        Register(),
        False,
    ),
    "the timed-out write may also come late (knossos 5)": (
        """1 invoke write 4
        1 info write :timed-out
        2 invoke write 3
        2 ok write 3
        3 invoke read
        3 ok read 3
        4 invoke read
        4 ok read 4""",
        Register(),
        True,
    ),
    "a read that ended before its write was invoked (hedgehog 104)": (
        """1 invoke write 0
        1 ok write 0
        2 invoke read
        2 ok read 1
        1 invoke write 1
        1 ok write 1""",
        Register(),
        False,
    ),
    "the same with the write under way (hedgehog 104)": (
        """1 invoke write 0
        1 ok write 0
        1 invoke write 1
        2 invoke read
        2 ok read 1
        1 ok write 1""",
        Register(),
        True,
    ),
    "a value out of thin air (elle 8)": (
        """0 invoke write 1
        0 ok write 1
        0 invoke read
        0 ok read 2""",
        Register(),
        False,
    ),
    "two clients each read what the other overwrote (elle-cli 47)": (
        """1 invoke read
        2 invoke read
        1 ok read nil
        2 ok read nil
        1 invoke write 100
        2 invoke write 200
        1 ok write 100
        2 ok write 200
        1 invoke read
        1 ok read 200
        2 invoke read
        2 ok read 100""",
        Register(),
        False,
    ),
    "the first read sees a write that comes later (ekv 13)": (
        """1 invoke read
        1 ok read 5
        2 invoke write 5
        2 ok write 5""",
        Register(0),
        False,
    ),
    "what process 0's write of 1 cannot explain any more (jepsen 432)": (
        """0 invoke write 1
        1 invoke read
        1 ok read 1
        4 invoke write 4
        4 ok write 4
        2 invoke read
        2 ok read 4
        0 ok write 1
        3 invoke read
        3 ok read 1""",
        Register(),
        False,
    ),
    "a read completed with its value when it was invoked (knossos, cas-register-bug)": (
        """4 invoke write 2
        4 ok write 2
        6 invoke read
        1 invoke write 4
        1 ok write 4
        14 invoke read 4
        14 ok read 4""",
        Register(),
        True,
    ),
    "two processes hold a lock at once (knossos, mutex)": (
        """0 invoke acquire
        0 ok acquire
        1 invoke acquire
        1 ok acquire
        0 invoke release
        0 ok release""",
        Lock(),
        False,
    ),
    "a queue drained by a process gives out one element twice (jepsen, total-queue)": (
        """0 invoke enqueue 1
        0 ok enqueue 1
        1 invoke dequeue
        1 ok dequeue 1
        0 invoke drain
        0 ok drain [1]""",
        Queue(),
        False,
    ),
    "a queue drained by a process": (
        """0 invoke enqueue 1
        0 ok enqueue 1
        0 invoke enqueue 2
        0 ok enqueue 2
        0 invoke drain
        0 ok drain [1 2]""",
        Queue(),
        True,
    ),
    "a set that lost what it acknowledged": (
        """0 invoke add 1
        0 ok add 1
        1 invoke add 2
        1 info add 2
        0 invoke read
        0 ok read #{2}""",
        Set(),
        False,
    ),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_others_have_met(case: str) -> None:
    text, model, expected = CASES[case]
    verdict = linearizable(events(text), model)
    assert verdict.ok is expected, verdict
    if not expected:
        assert linearizable(verdict.unplaceable, model).ok is False


def test_a_write_of_the_initial_value_is_no_evidence() -> None:
    """Elle 28: who read it cannot be said, so the session guarantees are not judged."""
    history = [
        Operation(0, "write", 2, None, 0.0, 3.0),
        Operation(1, "read", None, 2, 1.0, 2.0),
    ]
    assert read_your_writes(history, initial=2).ok is None
    assert monotonic_reads(history).ok is True


def test_many_writes_that_may_have_happened() -> None:
    """Jepsen 195, blaze 3916: the search must not try all their subsets."""
    lost = [Operation(f"lost {n}", "write", n % 4, None, float(n), None) for n in range(40)]
    reads = [Operation("r", "read", None, n % 3, 50.0 + n, 50.5 + n) for n in range(12)]
    assert linearizable([*lost, *reads], Register()).ok is True
    wrong = linearizable(
        [*lost, *reads, Operation("r", "read", None, 9, 70.0, 71.0)], Register(), limit=5_000
    )
    assert wrong.ok is False


def test_many_adds_at_once() -> None:
    """Blaze 3916: each order of the adds is a state of its own; one or two of them show what is wrong."""
    adds = [Operation(n, "enqueue", n, None, 0.0, 10.0 + n) for n in range(12)]
    wrong = [*adds, Operation("r", "dequeue", None, 99, 31.0, 32.0)]
    verdict = linearizable(wrong, Queue(), limit=2_000)
    assert verdict.unplaceable == wrong[-1:]


# ── EDN ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true false", [True, False]),
        (":read :jepsen/independent", ["read", "jepsen/independent"]),
        ("-3 4N 1.5 2M 1e3", [-3, 4, 1.5, 2.0, 1000.0]),
        (r'"a \"quoted\" \\ line\n" "\u00e9"', ['a "quoted" \\ line\n', "é"]),
        (r"\a \space \u0041", ["a", " ", "A"]),
        ("[1 [2 ()] {}]", (1, (2, ()), {})),
        ("#{1 2}", frozenset({1, 2})),
        ('{:a 1, :b [2] ; a comment with } and "\n :c nil}', {"a": 1, "b": (2,), "c": None}),
        ("[1 #_ 2 3 #_[4 5]] ; the end", (1, 3)),
        ('#inst "2020-01-01" #jepsen.history.Op{:f :read}', ["2020-01-01", {"f": "read"}]),
        ("", []),
        ("{[1 2] 3}", {(1, 2): 3}),
    ],
)
def test_edn(text: str, value: Any) -> None:
    assert parse(text) == (value if isinstance(value, list) else [value])


def test_edn_of_independent_keys() -> None:
    (found,) = parse("#jepsen.independent/tuple [:x 1]")
    assert isinstance(found, KeyAndValue)
    assert found == ("x", 1)


@pytest.mark.parametrize(
    ("text", "line"), [("{:a 1", 1), ("[1]\n(2]", 2), ("{:a}", 1), ("\n\n}", 3), ('"open', 1)]
)
def test_what_is_no_edn(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line} is no EDN"):
        parse(text)


# ── histories ────────────────────────────────────────────────────────────────────────────────────────────

HISTORY = """
{:index 0, :time 1000000000, :type :invoke, :process 0, :f :write, :value [:x 1]}
{:index 1, :time 1500000000, :type :info, :process :nemesis, :f :kill, :value {:n1 :killed}}
{:index 2, :time 2000000000, :type :ok, :process 0, :f :write, :value [:x 1]}
{:index 3, :time 2500000000, :type :invoke, :process 1, :f :read, :value [:x nil]}
{:index 4, :time 3000000000, :type :invoke, :process 0, :f :write, :value [:y 2]}
{:index 5, :time 3500000000, :type :ok, :process 1, :f :read, :value [:x 1]}
{:index 6, :time 4000000000, :type :info, :process 0, :f :write, :value [:y 2], :error :timeout}
{:index 7, :time 4500000000, :type :invoke, :process 5, :f :cas, :value [:x [1 3]]}
{:index 8, :time 5000000000, :type :fail, :process 5, :f :cas, :value [:x [1 3]]}
"""
OPERATIONS = [
    Operation(0, "write", 1, None, 1.0, 2.0, "x"),
    Operation(1, "read", None, 1, 2.5, 3.5, "x"),
    Operation(0, "write", 2, None, 3.0, None, "y"),
]


def test_a_file_of_jepsens(tmp_path: Path) -> None:
    path = tmp_path / "history.edn"
    path.write_text(HISTORY)
    assert from_edn(path, keyed=True) == from_edn(str(path), keyed=True) == OPERATIONS
    assert from_edn(f"[{HISTORY}]", keyed=True) == OPERATIONS
    assert linearizable(OPERATIONS, Register()).ok is True
    assert sequential(OPERATIONS, KeyValue()).ok is True


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in parse(HISTORY)))
    assert from_jsonl(path, keyed=True) == OPERATIONS
    whole = '{"client": "a", "call": "read", "result": [1], "invoked": 0, "returned": 1, "key": "k"}\n\n'
    assert from_jsonl(whole) == [Operation("a", "read", None, [1], 0, 1, "k")]
    assert from_jsonl("") == from_edn("") == []


def test_times_that_go_back_are_not_used() -> None:
    """Jepsen 392: the order of the events counts, and clocks of threads differ by microseconds."""
    history = from_edn(
        """{:process 0 :type :invoke :f :write :value 1 :time 20}
        {:process 0 :type :ok :f :write :value 1 :time 30}
        {:process 1 :type :invoke :f :read :value nil :time 29}
        {:process 1 :type :ok :f :read :value nil :time 40}"""
    )
    assert [(each.invoked, each.returned) for each in history] == [(0, 1), (2, 3)]
    assert linearizable(history, Register()).ok is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 ok read 1", "has invoked nothing"),
        ("0 invoke read\n0 invoke read", "under way"),
        ("0 invoke read\n0 ok write 1", "invoked something else"),
        ("0 begin read", "one of invoke, ok, fail, info"),
        ("0 invoke drain\n0 info drain", "any number of elements"),
    ],
)
def test_histories_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        events(text)


def test_files_that_are_no_histories(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no event of Jepsen's"):
        from_edn("{:a 1}")
    with pytest.raises(ValueError, match="with keyed=True each value is a pair"):
        from_edn("{:process 0 :type :invoke :f :read :value nil}", keyed=True)
    with pytest.raises(ValueError, match="line 2 is no JSON"):
        from_jsonl('{"process": 0, "type": "invoke", "f": "read"}\n{"process"')
    with pytest.raises(ValueError, match="its fields are"):
        from_jsonl('{"call": "read", "who": 1}')
    with pytest.raises(FileNotFoundError):
        from_edn(tmp_path / "none.edn")
    with pytest.raises(ValueError, match="a Register knows"):
        linearizable(events("0 invoke txn [[:r :x nil]]"), Register())
