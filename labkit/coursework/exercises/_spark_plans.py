"""A student's Spark program, without running it here: what its function does to RDDs, as a plan of plain
data.

The function is called in the student's process with *recorded* RDDs. Each transformation becomes a step of
the plan, and each function that is passed to one stays there and gets a number. The judge builds the plan
with real RDDs on its own cluster; when a task needs one of the functions, it asks for it by its number. So
lineage, stages and shuffled bytes are the judge's, and a student's function sees only the records it is
given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, MappingView
from itertools import count
from typing import Any

from labkit.systems.spark.pairs import ResultIterable

from ..answers import Answers, Gone, Stepper, Wrong
from ..nodes import failed_with

__all__ = ["OPERATIONS", "QUESTIONS", "Recorded", "Recorder", "build"]

#: The transformations that a plan may have.
OPERATIONS = (
    *(
        "map",
        "flatMap",
        "filter",
        "mapValues",
        "flatMapValues",
        "keyBy",
        "keys",
        "values",
        "distinct",
        "union",
    ),
    *("reduceByKey", "groupByKey", "aggregateByKey", "combineByKey", "foldByKey", "sortBy", "sortByKey"),
    *("join", "leftOuterJoin", "rightOuterJoin", "cogroup", "subtractByKey", "partitionBy", "coalesce"),
    *("groupBy", "fullOuterJoin", "intersection", "subtract", "repartition", "mapPartitions", "glom"),
    *("cache", "persist", "setName"),
)

#: Steps of one plan.
MOST_STEPS = 100

#: Whose functions a running plan asks for: answers by token. A function in a plan travels as token and
#: number.
_asked: dict[int, Answers] = {}
_tokens = count(1)


# --- in the student's process ---------------------------------------------------------------------------


class Recorder:
    """What a student's function did to its RDDs."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        #: By number; and whether its argument is a partition, through which it goes once.
        self.functions: list[tuple[Callable[..., Any], bool]] = []
        self._numbers = count()

    def input(self) -> Recorded:
        """One more RDD that was there before."""
        return Recorded(self, next(self._numbers))

    def add(self, operation: str, source: int, args: tuple[Any, ...], options: dict[str, Any]) -> Recorded:
        """One more step."""
        partition = operation == "mapPartitions"
        told = [self._told(each, partition) for each in args]
        named = {name: self._told(each, partition) for name, each in options.items()}
        made = Recorded(self, next(self._numbers))
        step = {"do": operation, "of": source, "args": told, "options": named, "makes": made.number}
        self.steps.append(step)
        return made

    def _told(self, value: Any, partition: bool) -> dict[str, Any]:
        if isinstance(value, Recorded):
            return {"rdd": value.number, "value": None}
        if callable(value):
            self.functions.append((value, partition))
            return {"function": len(self.functions) - 1, "value": None}
        return {"plain": True, "value": value}

    def apply(self, number: int, args: list[Any]) -> Any:
        """What one of the functions makes of its arguments; a list, if it is something to iterate."""
        function, partition = self.functions[number]
        made = function(*map(iter, args)) if partition else function(*args)
        return list(made) if isinstance(made, (Iterator, MappingView, range, deque)) else made


class Recorded:
    """An RDD whose transformations are written down."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self.number = number

    def __getattr__(self, name: str) -> Callable[..., Recorded]:
        if name not in OPERATIONS:
            raise AttributeError(
                f"an RDD of this exercise has no {name!r}: return an RDD made with {', '.join(OPERATIONS)}"
            )
        return lambda *args, **options: self._recorder.add(name, self.number, args, options)


def _record(stepper: Stepper, question: dict[str, Any]) -> dict[str, Any]:
    """The plan of a student's function."""
    recorder = stepper.kept["recorder"] = Recorder()
    made = stepper.find(question["name"])(*[recorder.input() for _ in range(question["inputs"])])
    if not isinstance(made, Recorded):
        raise TypeError(f"{question['name']} must return an RDD, not {made!r:.80}")
    return {"steps": recorder.steps, "output": made.number}


def _apply(stepper: Stepper, question: dict[str, Any]) -> Any:
    """What a function of the last plan makes of its arguments."""
    return stepper.kept["recorder"].apply(question["number"], question["args"])


#: What a judge of plans asks: for the ``questions`` of ``Tasks``.
QUESTIONS = {"plan": _record, "apply": _apply}


# --- in the judge's process -----------------------------------------------------------------------------


class Asked:
    """A student's function, asked for."""

    def __init__(self, token: int, number: int) -> None:
        self.token = token
        self.number = number

    def __call__(self, *args: Any) -> Any:
        answers = _asked[self.token]
        try:
            return answers.ask(
                "apply", "a function of yours", number=self.number, args=tuple(map(_plain, args))
            )
        except (Wrong, Gone) as failed:
            raise failed_with(answers, failed) from None

    def __reduce__(self) -> Any:
        return Asked, (self.token, self.number)


def _plain(value: Any) -> Any:
    """A record as it travels: what Spark groups, as a list."""
    if isinstance(value, (ResultIterable, Iterator)):
        return list(value)
    return tuple(map(_plain, value)) if type(value) is tuple else value


def build(answers: Answers, function: str, *inputs: Any) -> Any:
    """The RDD that a student's function makes of these. Raises ``Wrong``."""
    found = answers.ask("plan", function, inputs=len(inputs))
    if not isinstance(found, dict):
        raise Wrong(f"{function} must return an RDD")
    token = next(_tokens)
    _asked.clear()  # one plan runs at a time
    _asked[token] = answers
    rdds = dict(enumerate(inputs))
    try:
        for step in found["steps"][:MOST_STEPS]:
            if step["do"] not in OPERATIONS:
                raise Wrong(
                    f"{function} uses {step['do']!r:.40}, which is no transformation of this exercise"
                )
            args = [_real(each, rdds, token) for each in step["args"]]
            options = {str(name): _real(each, rdds, token) for name, each in step["options"].items()}
            rdds[step["makes"]] = getattr(rdds[step["of"]], step["do"])(*args, **options)
        return rdds[found["output"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Wrong(f"{function} makes no RDD: {type(error).__name__}: {error}") from None


def _real(told: Any, rdds: dict[int, Any], token: int) -> Any:
    if "rdd" in told:
        return rdds[told["rdd"]]
    if "function" in told:
        return Asked(token, int(told["function"]))
    return told["value"]
