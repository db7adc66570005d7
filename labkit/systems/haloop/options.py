"""What can be chosen for a loop, and what its nodes are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.systems.mapreduce.options import JobSpec, Options, given

__all__ = [
    "CACHES",
    "MAPPER_INPUT",
    "REDUCER_INPUT",
    "REDUCER_OUTPUT",
    "Body",
    "LoopSpec",
    "Plan",
    "Table",
    "chosen",
]

#: The three caches (§4).
REDUCER_INPUT, REDUCER_OUTPUT, MAPPER_INPUT = "reducer input", "reducer output", "mapper input"
CACHES = (REDUCER_INPUT, REDUCER_OUTPUT, MAPPER_INPUT)

#: What map tasks read that is no invariant table: the iteration's own input, and an input of one step.
LOOP, STEP = -1, -2


class Table(NamedTuple):
    """An invariant table: it is the same in every iteration."""

    pattern: str  #: of its files
    step: int  #: whose map tasks read it
    reader: Any


@dataclass(frozen=True)
class Body:
    """The loop: everything of it but the functions of its steps."""

    steps: int
    reader: Any  #: of the initial input
    input: str  #: R0: a pattern of files
    tables: tuple[Table, ...] = ()
    iteration_input: Callable[[int], str] | None = None
    step_inputs: tuple[tuple[Callable[[int, int], str | None], Any], ...] = ()  #: with their readers
    distance: Callable[[Any, list[Any], list[Any]], float] | None = None
    threshold: float | None = None
    most: int | None = None  #: iterations
    caches: frozenset[str] = frozenset()

    @property
    def measured(self) -> bool:
        """Whether distances decide the end."""
        return self.threshold is not None or self.most is None

    def over(self, iteration: int, distance: float | None) -> str:
        """Why this iteration is the last one; "": it is not."""
        if distance is not None and distance <= (self.threshold or 0.0):
            return "fix point" if distance == 0 else "threshold"
        return "maximum" if iteration == self.most else ""


@dataclass(frozen=True)
class LoopSpec(JobSpec):
    """One for all nodes of a loop. ``program``: its body, pickled."""

    steps: tuple[bytes, ...] = ()  #: each step's program, pickled

    def folder(self, iteration: int, step: int) -> str:
        """Where the output of a step is."""
        return f"{self.output}/{iteration:03}/step-{step}"


class Plan(NamedTuple):
    """What an order says of its stage: one step of one iteration."""

    iteration: int
    step: int
    #: Of each map task what it reads: the number of an invariant table, ``LOOP``, ``STEP`` or less.
    tables: tuple[int, ...]

    @property
    def invariant(self) -> int:
        """How many map tasks, the first ones, read invariant tables."""
        return sum(table >= 0 for table in self.tables)


def chosen(options: dict[str, Any]) -> Options:
    """MapReduce's options, with others where a loop wants them. Raises as ``given`` does."""
    # A task waits for the worker that has its cache; a backup execution elsewhere would have none.
    found = given("HaLoop", {"locality_wait": 1.0, "backup": False, **options})
    if found.checkpoint_every is not None:
        raise ValueError("checkpoint_every: the master of a loop writes no checkpoints; leave it out")
    return found
