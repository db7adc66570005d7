"""Counters (§4.9): "a counter facility to count occurrences of various events".

A task counts for itself. Its numbers travel to the master with the answer to a ping, while it runs, and with
its completion. "The master eliminates the effects of duplicate executions of the same map or reduce task to
avoid double counting": it keeps the numbers of one execution of each task.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

__all__ = ["AUTOMATIC", "Counter", "Tally", "total"]

#: "Some counter values are automatically maintained by the MapReduce library."
AUTOMATIC = ("map_input_pairs", "map_output_pairs", "reduce_input_keys", "reduce_output_pairs")

Counts = dict[str, int]


class Counter:
    """One counter, as a program holds it: ``self.counter("uppercase").increment()``."""

    __slots__ = ("_counts", "_name")

    def __init__(self, counts: Counts, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a counter has text for a name, not {name!r}: write counter({str(name)!r})")
        self._counts, self._name = counts, name

    def increment(self, by: int = 1) -> None:
        """Count ``by`` more."""
        self._counts[self._name] = self._counts.get(self._name, 0) + by


def total(parts: Iterable[Mapping[str, int]]) -> Counts:
    """The sums, by name, sorted."""
    found: Counts = {}
    for counts in parts:
        for name, count in counts.items():
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items()))


class Tally:
    """The master's: of each completed task the numbers of one execution, of running ones the latest news."""

    def __init__(self) -> None:
        self.completed: dict[Hashable, Counts] = {}
        self.running: dict[Hashable, dict[int, Counts]] = {}

    def heard(self, task: Hashable, attempt: int, counts: Counts) -> None:
        """A running attempt's numbers so far."""
        self.running.setdefault(task, {})[attempt] = counts

    def ended(self, task: Hashable, attempt: int) -> None:
        """It does not run any more."""
        attempts = self.running.get(task, {})
        attempts.pop(attempt, None)
        if not attempts:
            self.running.pop(task, None)

    def complete(self, task: Hashable, counts: Counts) -> None:
        """An execution counts; of one that is done again, the later."""
        self.completed[task] = counts

    def settle(self) -> None:
        """All tasks so far are over; those to come may have the same names."""
        self.completed, self.running = {("settled",): self.final}, {}

    @property
    def final(self) -> Counts:
        """What "successful map and reduce tasks" have counted."""
        return total(self.completed.values())

    @property
    def current(self) -> Counts:
        """With what runs now; of several attempts at a task the first, of a completed one none."""
        live = [
            next(iter(each.values())) for task, each in self.running.items() if task not in self.completed
        ]
        return total([*self.completed.values(), *live])
