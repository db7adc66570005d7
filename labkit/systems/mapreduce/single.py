"""Local execution (§4.7): "an alternative implementation of the MapReduce library that sequentially executes
all of the work for a MapReduce operation on the local machine". The oracle of the tests, and easy to debug.

No splits, no combiner, no files beside the result: each pair is mapped, then each key is reduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.parts.options import whole
from labkit.runtime.copying import copy_value

from .counters import AUTOMATIC
from .model import Program, not_emitted, region_of
from .readers import Piece
from .records import ordered, unordered

__all__ = ["LocalJob", "run_locally"]


@dataclass
class LocalJob:
    """What ``run_locally`` returns: as a job, but its files are here."""

    files: dict[str, bytes]  #: part files and side files, by name
    counters: dict[str, int]
    writer: Any

    def output(self) -> Any:
        """The pairs of all part files as a DataFrame."""
        return self.writer.frame(
            data for name, data in sorted(self.files.items()) if name.startswith("part-")
        )


def run_locally(program: Program, inputs: Mapping[str, bytes | str], R: int = 1) -> LocalJob:
    """Execute a program on files by name, sequentially; raises what its functions raise."""
    R = whole(1, write=4)("R", R)
    program = copy_value(program)
    counts = program._counts = dict.fromkeys(AUTOMATIC, 0)
    program._side_files = {}
    values: dict[Any, list[Any]] = {}

    def emit_intermediate(key: Any, value: Any) -> None:
        counts["map_output_pairs"] += 1
        values.setdefault(copy_value(key), []).append(copy_value(value))

    program._emit_intermediate = emit_intermediate
    for path, data in inputs.items():
        program.input_file = path
        content = data.encode() if isinstance(data, str) else data
        for key, value in program.reader.pairs(Piece(path, 0, content)):
            counts["map_input_pairs"] += 1
            if (returned := program.map(key, value)) is not None:
                raise not_emitted("map", returned)
    program._emit_intermediate = None
    parts: list[list[str]] = [[] for _ in range(R)]
    try:
        keys = sorted(values)
    except TypeError as error:
        raise unordered(values, error) from None
    for (key,) in ordered((key,) for key in keys):
        part = parts[region_of(program, key, R)]

        def emit(value: Any, key: Any = key, part: list[str] = part) -> None:
            counts["reduce_output_pairs"] += 1
            part.append(program.writer.line(key, value))

        program._emit = emit
        counts["reduce_input_keys"] += 1
        if (returned := program.reduce(key, iter(values[key]))) is not None:
            raise not_emitted("reduce", returned)
    files = {f"part-{n:05}": "".join(part).encode("utf8", "surrogatepass") for n, part in enumerate(parts)}
    files |= {name: file.getvalue() for name, file in program._side_files.items()}
    return LocalJob(files, dict(sorted(counts.items())), program.writer)
