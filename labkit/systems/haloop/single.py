"""The same loop on one thread: plain Python, no caches. The oracle of the tests, and the COST baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.parts.store.paths import matcher, normal
from labkit.runtime.copying import copy_value
from labkit.systems.mapreduce.model import not_emitted
from labkit.systems.mapreduce.readers import Pairs, Piece

from .model import Step, total_distance
from .options import Body

__all__ = ["LocalLoop", "run_locally"]

Rows = list[tuple[Any, Any]]


@dataclass
class LocalLoop:
    """What ``run_locally`` returns."""

    outputs: list[Rows] = field(default_factory=list)  #: of each iteration, by key
    distances: list[float | None] = field(default_factory=list)

    @property
    def pairs(self) -> Rows:
        """The last iteration's."""
        return self.outputs[-1]


def run_locally(body: Body, steps: list[Step], files: Mapping[str, bytes | str]) -> LocalLoop:
    """Repeat the body until it ends as the loop does; raises what its functions raise. An input of a step
    that is named by its iteration is looked for among the outputs, whatever the folder before it is."""
    done = LocalLoop()
    while True:
        iteration = len(done.outputs) + 1
        rows: Rows = []
        for number, step in enumerate(steps, start=1):
            changing = rows if number > 1 else _first(body, files, done, iteration)
            for function, reader in body.step_inputs:
                if (pattern := function(number, iteration)) is not None:
                    changing = changing + _read(pattern, reader, files, done, body.steps)
            tables = {t.pattern: _read(t.pattern, t.reader, files) for t in body.tables if t.step == number}
            rows = _step(step, iteration, changing, tables)
        before = done.outputs[-1] if done.outputs else None
        distance = (
            total_distance(before, rows, body.distance) if body.measured and before is not None else None
        )
        done.outputs.append(rows)
        done.distances.append(distance)
        if body.over(iteration, distance):
            return done


def _first(body: Body, files: Mapping[str, bytes | str], done: LocalLoop, iteration: int) -> Rows:
    if body.iteration_input is not None:
        return _read(body.iteration_input(iteration), body.reader, files, done, body.steps)
    return _read(body.input, body.reader, files) if iteration == 1 else done.outputs[-1]


def _read(
    pattern: str, reader: Any, files: Mapping[str, bytes | str], done: LocalLoop | None = None, steps: int = 0
) -> Rows:
    rows: Rows = []
    fits = matcher(normal(pattern)).fullmatch
    for path, data in sorted(files.items()):
        if fits(path):
            content = data.encode() if isinstance(data, str) else data
            rows += reader.pairs(Piece(path, 0, content))
    for number, output in enumerate(done.outputs if done else [], start=1):
        if fits(f"{pattern.split('/')[0]}/{number:03}/step-{steps}/part-00000"):
            rows += output
    return rows


def _step(step: Step, iteration: int, changing: Rows, tables: Mapping[str, Rows]) -> Rows:
    program = copy_value(step)
    program._counts, program._side_files, program.iteration = {}, {}, iteration
    fixed: dict[Any, list[Any]] = {}
    moving: dict[Any, list[Any]] = {}
    for table, rows in [*tables.items(), ("", changing)]:
        into = fixed if table else moving
        program.table = table
        program._emit_intermediate = lambda key, value, into=into: into.setdefault(
            copy_value(key), []
        ).append(copy_value(value))
        for key, value in rows:
            if (returned := program.map(key, value)) is not None:
                raise not_emitted("map", returned)
    program._emit_intermediate = None
    made: Rows = []
    for key in sorted(moving):
        program._emit = lambda value, key=key: made.append((key, copy_value(value)))
        if (returned := program.reduce(key, iter(moving[key]), fixed.get(key, []))) is not None:
            raise not_emitted("reduce", returned)
    # What the files say is what the next step reads.
    lines = "".join(Pairs().line(key, value) for key, value in made).encode()
    return list(Pairs().pairs(Piece("", 0, lines)))
