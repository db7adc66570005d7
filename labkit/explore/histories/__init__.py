"""Is what clients were told consistent? Checkers of histories, whichever system they are from.

from labkit.explore.histories import Operation, Register, linearizable

history = [
    Operation("a", "write", 1, None, 0.0, 1.0),
    Operation("b", "read", None, None, 2.0, 3.0),      # reads nothing, though the write has returned
]
print(linearizable(history, Register()))               # BROKEN, and which operations show it
"""

from labkit.explore.histories.checking import LIMIT, linearizable, sequential
from labkit.explore.histories.jepsen import from_edn, from_jsonl
from labkit.explore.histories.models import (
    ANY,
    DONE,
    File,
    KeyValue,
    Lock,
    Model,
    Queue,
    Register,
    Set,
    UnorderedQueue,
)
from labkit.explore.histories.operations import Operation
from labkit.explore.histories.recording import Recorder, from_trace
from labkit.explore.histories.sessions import (
    monotonic_reads,
    monotonic_writes,
    read_your_writes,
    writes_follow_reads,
)
from labkit.explore.histories.verdict import Verdict

__all__ = [
    "ANY",
    "DONE",
    "LIMIT",
    "File",
    "KeyValue",
    "Lock",
    "Model",
    "Operation",
    "Queue",
    "Recorder",
    "Register",
    "Set",
    "UnorderedQueue",
    "Verdict",
    "from_edn",
    "from_jsonl",
    "from_trace",
    "linearizable",
    "monotonic_reads",
    "monotonic_writes",
    "read_your_writes",
    "sequential",
    "writes_follow_reads",
]
