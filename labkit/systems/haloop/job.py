"""The user program (Figure 16): it says what the loop's body is, begins it, and waits for its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labkit.parts.jobs import waited_for
from labkit.parts.options import number, switch, whole
from labkit.parts.store import FileSystem
from labkit.runtime.again import arguments, call, changed
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, Unpicklable
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named
from labkit.runtime.script import Made, options_of, variable
from labkit.systems.mapreduce.job import Job, MapReduce, place_of
from labkit.systems.mapreduce.nodes import Master, Worker
from labkit.systems.mapreduce.readers import Pairs, TextLines, parts_of
from labkit.trace.words import many

from .invariants import Report, check_loop
from .model import CombiningStep, Step
from .nodes import LoopMaster, LoopWorker
from .options import MAPPER_INPUT, REDUCER_INPUT, REDUCER_OUTPUT, Body, LoopSpec, Table, chosen
from .single import LocalLoop, run_locally
from .view import LoopReducer, LoopState

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HaLoop", "LoopJob"]


class HaLoop:
    """A loop, and where it runs. See ``model.py``; the paper's names stand in the methods' texts."""

    def __init__(self, cluster: Cluster | None = None, fs: FileSystem | None = None) -> None:
        MapReduce(cluster, fs)  # says what is wrong with them
        self.cluster, self.fs = cluster, fs
        self._maps: dict[int, tuple[Any, Any]] = {}
        self._reduces: dict[int, Any] = {}
        self._partitions: dict[int, Any] = {}
        self._tables: list[Table] = []
        self._step_inputs: list[tuple[Callable[[int, int], str | None], Any]] = []
        self._input, self._reader = "", TextLines()
        self._iteration_input: Callable[[int], str] | None = None
        self._distance: Callable[[Any, list[Any], list[Any]], float] | None = None
        self._threshold: float | None = None
        self._most: int | None = None
        self._caches: set[str] = set()

    # Figure 16 ------------------------------------------------------------

    def add_map(self, function: Callable[..., Any] | None, step: int = 1, combine: Any = None) -> None:
        """``AddMap``: the map function of a step of the body; None hands pairs on. combine: a combiner."""
        self._maps[whole(1, write=1)("step", step)] = (
            _function("add_map", function),
            _function("add_map", combine),
        )

    def add_reduce(self, function: Callable[..., Any] | None, step: int = 1) -> None:
        """``AddReduce``: the reduce function of a step; None hands values on."""
        self._reduces[whole(1, write=1)("step", step)] = _function("add_reduce", function)

    def set_partition(self, function: Callable[[Any, Any, int], int], step: int = 1) -> None:
        """``function(task, key, R)``: the reduce task of a key, 0 to R-1; unless given, a hash of the key.
        With caches it must be deterministic, and see nothing but the key (§4)."""
        self._partitions[whole(1, write=1)("step", step)] = _function("set_partition", function)

    def set_input(self, pattern: str, reader: TextLines | None = None) -> None:
        """``SetInput``: the files of R0, read by the first step of the first iteration; as ``Pairs`` unless
        another reader is given."""
        self._input, self._reader = pattern, reader or Pairs()

    def set_iteration_input(self, function: Callable[[int], str]) -> None:
        """``SetIterationInput``: ``function(iteration)`` is the pattern of what an iteration reads; by
        default the first reads R0, and each later one the output of the one before."""
        self._iteration_input = _function("set_iteration_input", function)

    def add_step_input(
        self, function: Callable[[int, int], str | None], reader: TextLines | None = None
    ) -> None:
        """``AddStepInput``: ``function(step, iteration)`` is the pattern of what a step reads beside its
        input, or None. An iteration's output is in
        ``f"{output}/{iteration:03}/step-{steps}"``."""
        self._step_inputs.append((_function("add_step_input", function), reader or Pairs()))

    def add_invariant_table(self, pattern: str, step: int = 1, reader: TextLines | None = None) -> None:
        """``AddInvariantTable``: files that are the same in every iteration; the map tasks of this step read
        them."""
        self._tables.append(Table(pattern, whole(1, write=1)("step", step), reader or Pairs()))

    def set_distance_measure(self, function: Callable[[Any, list[Any], list[Any]], float]) -> None:
        """``SetDistanceMeasure``, ``ResultDistance``: ``function(key, before, now)`` of a key's values in the
        iteration before and in this one (a list each, empty if it has none); summed over all keys. By default
        the number of keys whose values differ."""
        self._distance = _function("set_distance_measure", function)

    def set_fixed_point_threshold(self, threshold: float) -> None:
        """``SetFixedPointThreshold``: the loop ends when the distance is not larger."""
        self._threshold = 0.0 if threshold == 0 else number(0, write=0.01)("threshold", threshold)

    def set_max_num_of_iterations(self, most: int) -> None:
        """``SetMaxNumOfIterations``."""
        self._most = whole(1, write=10)("most", most)

    def set_reducer_input_cache(self, on: bool = True) -> None:
        """``SetReducerInputCache`` (§4.1): invariant tables are shuffled in the first iteration only."""
        self._cache(REDUCER_INPUT, on)

    def set_reducer_output_cache(self, on: bool = True) -> None:
        """``SetReducerOutputCache`` (§4.2): distances are computed from local files."""
        self._cache(REDUCER_OUTPUT, on)

    def set_mapper_input_cache(self, on: bool = True) -> None:
        """``SetMapperInputCache`` (§4.3): what is not on a worker's machine is read from others once."""
        self._cache(MAPPER_INPUT, on)

    def _cache(self, name: str, on: bool) -> None:
        (self._caches.add if switch("on", on) else self._caches.discard)(name)

    # running ------------------------------------------------------------

    def run(self, output: str, **options: Any) -> LoopJob:
        """Run it and wait: ``start(...).result()``; Ctrl-C cancels it."""
        return waited_for(self.start(output, **options))

    def start(
        self, output: str, *, master: str | None = None,
        roles: tuple[type[Master], type[Worker]] = (LoopMaster, LoopWorker), **options: Any,
    ) -> LoopJob:  # fmt: skip
        """Begin the loop. output: a folder for the outputs of all iterations. options: as MapReduce's."""
        body, steps = self.body()
        cluster, fs = place_of(self)
        files = MapReduce(cluster, fs)
        asked, found = cluster.now, chosen(options)
        folder = output.strip("/") if isinstance(output, str) else output
        if not folder or not isinstance(folder, str) or fs._list(folder):
            raise FileExistsError(
                f"{output!r} must be a folder that is not there; fs.rm({output!r}, recursive=True)"
            )
        for table in body.tables:
            files._named(table.pattern)
        first = body.input or (body.iteration_input or str)(1)
        sizes = [(path, fs.du(path)) for path in files._named(first)]
        return LoopJob(self, cluster, fs, sizes, folder, master, roles, found, first, asked, body, steps)

    def run_locally(self, files: Any = None) -> LocalLoop:
        """The same loop on one thread. files: by name, unless those of the file system."""
        body, steps = self.body()
        if files is None:
            if self.fs is None:
                raise LabError("give files by name, or HaLoop(cluster, fs)")
            files = {path: self.fs.cat(path) for path in self.fs.given}
        return run_locally(body, steps, files)

    def on(self, cluster: Cluster, fs: FileSystem) -> HaLoop:
        """The same loop on another cluster."""
        other = HaLoop(cluster, fs)
        vars(other).update(vars(self), cluster=cluster, fs=fs, _caches=set(self._caches))
        return other

    def body(self) -> tuple[Body, list[Step]]:
        """What was said so far, if that is a loop. Raises ``ValueError``."""
        count = max([*self._maps, *self._reduces], default=0)
        missing = [
            step for step in range(1, count + 1) if step not in self._maps or step not in self._reduces
        ]
        if not count or missing:
            what = f"step {missing[0]} has no " if missing else "the loop has no step: no "
            lacks = "map" if not count or missing[0] not in self._maps else "reduce"
            raise ValueError(f"{what}{lacks}: add_{lacks}(function, step={missing[0] if missing else 1})")
        if not self._input and self._iteration_input is None:
            raise ValueError('the loop has no input: set_input("ranks/*")')
        if wrong := [table for table in self._tables if table.step > count]:
            raise ValueError(f"add_invariant_table(step={wrong[0].step}): there are {count} steps")
        if beyond := [step for step in self._partitions if step > count]:
            raise ValueError(f"set_partition(step={beyond[0]}): there are {count} steps")
        steps = []
        for step in range(1, count + 1):
            (function, combine), reduce = self._maps[step], self._reduces[step]
            kind = Step if combine is None else CombiningStep
            steps.append(kind(function, reduce, combine, self._partitions.get(step)))
        body = Body(
            count, self._reader, self._input, tuple(self._tables), self._iteration_input,
            tuple(self._step_inputs),
            self._distance, self._threshold, self._most, frozenset(self._caches),
        )  # fmt: skip
        return body, steps


def _function(where: str, given: Any) -> Any:
    if given is not None and not callable(given):
        raise TypeError(f"{where}({given!r:.40}): give a function")
    return given


def _pickled(value: Any) -> bytes:
    try:
        return dumps(value)
    except Exception as error:
        raise Unpicklable(
            f"the loop cannot be sent to the workers: {named(error)}. What its functions use may "
            "not be a lock, an open file, a cluster or file system"
        ) from error


class LoopJob(Job):
    """A loop under way, or over."""

    panel_class = "HaLoopPanel"
    advice = "run the loop again"
    fold = LoopReducer

    def __init__(
        self, program: Any, cluster: Cluster, fs: FileSystem, files: Any, output: str,
        master: str | None, roles: Any,
        options: Any, inputs: str, asked: float, body: Body, steps: list[Step],
    ) -> None:  # fmt: skip
        self.body, self.steps = body, steps
        self._known: list[float | None] | None = None  #: the distances, when it is over
        super().__init__(program, cluster, fs, files, output, master, roles, options, inputs, asked)

    def _spec(self, options: Any, splits: Any, output: str, workers: int) -> LoopSpec:
        steps = tuple(_pickled(step) for step in self.steps)
        return LoopSpec(
            self.name,
            options,
            self.fs.settings,
            len(splits),
            splits,
            output,
            _pickled(self.body),
            workers,
            steps,
        )

    def view(self, position: float | None = None) -> LoopState:
        """What the trace tells of it, now or at a position in seconds."""
        state: LoopState = self._history.read(position)
        return state

    @property
    def distances(self) -> list[float | None]:
        """Of each completed iteration to the one before; None where it was not measured."""
        if self._known is None:
            try:
                found = list(self.cluster.call(self.spec.master, "iterations"))
            except LabError:  # it is dead; what its events said is left
                return [each.distance for each in self.view().iterations if each.end is not None]
            if not self.done:
                return found
            self._known = found
        return list(self._known)

    @property
    def files(self) -> list[str]:
        """The names of the output files of the last completed iteration."""
        return self.files_of(len(self.distances))

    def files_of(self, iteration: int) -> list[str]:
        """The names of the output files of one."""
        assert isinstance(self.spec, LoopSpec)
        return parts_of(self.spec.folder(iteration, self.body.steps), self.spec.options.R)

    def output(self, iteration: int | None = None) -> pd.DataFrame:
        """The pairs of the last iteration, or of another one, as a DataFrame."""
        paths = self.files if iteration is None else self.files_of(iteration)
        return Pairs().frame(self.fs.cat(path) for path in paths)

    def iterations(self) -> pd.DataFrame:
        """A row for each iteration: seconds, bytes that were shuffled (and of them invariant), distance,
        and what was read from caches and loaded again."""
        import pandas as pd

        rows = [each.row() for each in self.view().iterations]
        return pd.DataFrame(rows).set_index("iteration") if rows else pd.DataFrame()

    def check(self) -> Report:
        """The invariants, judged on the trace and on the outputs of all iterations."""

        def output_of(iteration: int) -> bytes:
            return b"".join(self.fs.cat(path) for path in self.files_of(iteration))

        return check_loop(self.cluster, self.name, self.fs.settings.master, self.body, output_of)

    def made(self) -> Made:
        """The file system as code, what is in it, and how the loop is begun."""
        given, name = arguments(self), variable(self, "job")
        options = {"master": given["master"]} if given["master"] else {}
        options |= changed(self.spec.options)
        files = (repr(given["output"]),)
        then = (
            f"fs_again.put_all_of({name}.fs)",
            f"again.run(max(0.0, {given['asked']!r} - again.now))",
            f"job_again = {call(f'{name}.program.on(again, fs_again).start', options, *files)}",
        )
        lacks = f"the loop's functions and your files; {name} is the job in this notebook"
        return Made("labkit.parts.store", "fs_again", "FileSystem", options_of(self.fs), lacks, (), then)

    def _in_short(self) -> str:
        view = self.view()
        return f"loop {self.name}: {view.result or 'under way'}, {many(len(view.iterations), 'iteration')}"
