"""The user program (§4.1): it puts the graph into files, starts a master and workers, and waits."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labkit.parts.jobs import Held, waited_for
from labkit.parts.options import one_of
from labkit.parts.store import Files, FileSystem
from labkit.parts.store.paths import normal
from labkit.parts.system import System
from labkit.runtime.again import arguments, call, changed
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, MachineDead, Unpicklable
from labkit.runtime.node import Node
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named
from labkit.runtime.script import Made, options_of, variable
from labkit.trace.fold import History

from .invariants import Report, check_job
from .model import Vertex, only_class
from .nodes import Master, Worker
from .options import RECOVERIES, JobAborted, JobCancelled, JobFailed, JobSpec, Options, given
from .readers import ArrayPieces, Pieces, Reader, Writer, pieces_of
from .reductions import Aggregator, Combiner
from .single import run_locally
from .statistics import Statistics
from .view import PregelReducer, PregelState

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Job", "Pregel"]

ROLES = (Master, Worker)


def _pickled(what: Any, title: str) -> bytes:
    try:
        return dumps(what)
    except Exception as error:
        raise Unpicklable(
            f"{title} cannot be sent to the workers: {named(error)}. Neither its attributes nor what its "
            "functions use from outside may be a lock, an open file, a cluster or file system"
        ) from error


class Pregel:
    """Where programs run: a cluster, and its file system for input, checkpoints and output."""

    def __init__(self, cluster: Cluster, fs: FileSystem) -> None:
        if not isinstance(cluster, Cluster) or not isinstance(fs, FileSystem):
            raise TypeError(f"Pregel(cluster, fs), in this order; not ({cluster!r:.60}, {fs!r:.60})")
        if fs.cluster is not cluster:
            raise LabError(f"{fs!r} is not on {cluster!r}: make one with FileSystem(cluster)")
        self.cluster, self.fs = cluster, fs

    def run(self, program: type[Vertex], graph: Any, output: str, **options: Any) -> Job:
        """Run a program and wait: ``start(...).result()``; Ctrl-C cancels it."""
        return waited_for(self.start(program, graph, output, **options))

    def start(
        self, program: type[Vertex], graph: Any, output: str, *, reader: Reader | None = None,
        writer: Writer | None = None, master: str | None = None,
        roles: tuple[type[Master], type[Worker]] = ROLES, **options: Any,
    ) -> Job:  # fmt: skip
        """Begin a job. program: a class of vertices. graph: a ``labkit.parts.graphs`` Graph, a mapping
        ``{vertex: [targets]}`` or ``{vertex: {target: edge value}}``, or the pattern of files with a
        ``reader``. output: a folder that is not there. master: its machine; that of the file system's
        master unless given. options: see ``Options``. roles: other classes for the nodes.

        Raises ``FileNotFoundError``, ``FileExistsError``, ``TypeError``, ``ValueError``.
        """
        program = only_class(program)
        _check(program, reader, writer)
        chosen, folder = given(options), normal(output, folder=True)
        if self.fs._list(folder):
            raise FileExistsError(f"{output!r} has files in it: fs.rm({output!r}, recursive=True)")
        arrays = _arrays(program, chosen)
        return Job(self, program, graph, folder, reader, writer or Writer(), master, roles, chosen, arrays)

    def run_locally(self, program: type[Vertex], graph: Any, **more: Any) -> dict[Any, Any]:
        """The same on one thread: by vertex its value."""
        return run_locally(program, graph, **more)


def _check(program: type[Vertex], reader: Any, writer: Any) -> None:
    """Objects, where a class or a function is given easily. Raises ``TypeError``."""
    name = program.__name__
    _is(f"{name}.combiner", program.combiner, Combiner, "combiner = Sum(), or None", True)
    if not isinstance(program.aggregators, Mapping):
        wrong = program.aggregators
        raise TypeError(f"{name}.aggregators is {wrong!r:.60}: write aggregators = {{'total': Sum()}}")
    for each, aggregator in program.aggregators.items():
        _is(f"{name}.aggregators[{each!r}]", aggregator, Aggregator, f"{{{each!r}: Sum()}}")
    _is("reader", reader, Reader, "reader=EdgeText()", True)
    _is("writer", writer, Writer, "writer=TextWriter()", True)


def _is(what: str, given: Any, kind: type, write: str, optional: bool = False) -> None:
    if not isinstance(given, kind) and not (optional and given is None):
        raise TypeError(f"{what} is {given!r:.60}, no object of a class of {kind.__name__}s: write {write}")


def _arrays(program: type[Vertex], options: Options) -> bool:
    one_by_one = program.compute is not Vertex.compute
    whole = hasattr(program, "compute_batch")
    arrays = (whole and not one_by_one) if options.arrays is None else options.arrays
    if not (whole if arrays else one_by_one):
        name = "compute_batch(self, values, messages, out_edges)" if arrays else "compute(self, messages)"
        raise TypeError(f"{program.__name__} has no {name.split('(')[0]}: define {name}")
    given = ("self", "values", "messages", "out_edges") if arrays else ("self", "messages")
    function = program.compute_batch if arrays else program.compute  # type: ignore[attr-defined]
    with suppress(ValueError):  # of what has no signature
        try:
            inspect.signature(function).bind(*given)
        except TypeError as error:
            name = f"{function.__name__}({', '.join(given)})"
            raise TypeError(f"{program.__name__}.{function.__name__}: {error}; define {name}") from None
    return arrays


def _kind(values: list[Any]) -> Any:
    """The type of a column that changes none of them; None: pandas finds it."""
    kinds = {type(each) for each in values}
    return float if not kinds else None if len(kinds) == 1 or kinds <= {int, float} else object


def _index(ids: list[Any]) -> Any:
    import pandas as pd

    return pd.Index(ids, dtype=_kind(ids), tupleize_cols=False)


class Job(Held, System):
    """A job under way, or over."""

    panel_class = "PregelPanel"
    kinds: ClassVar[Mapping[str, type[LabError]]] = {"aborted": JobAborted, "cancelled": JobCancelled}
    failed = JobFailed

    def __init__(
        self, pregel: Pregel, program: type[Vertex], graph: Any, output: str, reader: Reader | None,
        writer: Writer, master: str | None, roles: tuple[type[Master], type[Worker]], options: Options,
        arrays: bool,
    ) -> None:  # fmt: skip
        cluster = self.cluster = pregel.cluster
        self.fs, self.program, self.graph, self.writer = pregel.fs, program, graph, writer
        self.asked = cluster.now
        base, taken = program.__name__.lower(), cluster.nodes
        self.name = next(n for i in itertools.count(1) if f"{(n := f'{base}-{i}')}-master" not in taken)
        machines = [machine.name for machine in cluster.machines if machine.alive]
        if not machines:
            raise MachineDead.of_all()
        if not options.partitions:
            options = Options(**{**vars(options), "partitions": 2 * len(machines)})
        home = master or taken.get(self.fs.settings.master, machines[0])
        pickled = _pickled(program, program.__name__)
        inputs, how = self._input(graph, reader, output, arrays, len(machines))
        self.spec = JobSpec(
            self.name, options, self.fs.settings, pickled, program.__name__, inputs,
            _pickled(how, "the reader"), output, len(machines), arrays, int(graph.n) if arrays else 0,
            cluster.seed,
        )  # fmt: skip
        self._begun_at(cluster.machine(home), self.spec.master, options.call_timeout)
        try:
            with cluster.all_or_none():
                wrote = _pickled(writer, "the writer")
                cluster.spawn(roles[0], self.spec, wrote, name=self.spec.master, machine=home)
                cluster.spawn_many((roles[1], (self.spec,), {}, self.spec.worker(m), m) for m in machines)
        except BaseException:
            with suppress(OSError):
                self.fs.rm(output, recursive=True)
            raise
        self._history = History(cluster.trace, PregelReducer(self.name))
        self._wait()

    def _input(
        self, graph: Any, reader: Reader | None, output: str, arrays: bool, machines: int
    ) -> tuple[tuple[str, ...], Reader]:
        """The files to be read, and how."""
        if isinstance(graph, str):
            if arrays or reader is None:
                what = (
                    "over arrays the input is a Graph"
                    if arrays
                    else "give reader=AdjacencyText() or EdgeText()"
                )
                raise TypeError(f"files {graph!r}: {what}")
            found = self.fs.glob(graph)
            if not found:
                raise FileNotFoundError(f"no file is named as {graph!r}; fs.ls() names what there is")
            with self.fs.open(f"{output}/_temporary/begun", "wb") as file:  # no other job takes the folder
                file.write(self.name.encode())
            return tuple(found), reader
        if reader is not None:
            raise TypeError(
                "a reader is for files: give the pattern of their names instead of a graph in memory"
            )
        pieces = pieces_of(graph, machines, arrays)
        names = [f"{output}/_temporary/input-{number:05}" for number in range(len(pieces))]
        for name, piece in zip(names, pieces, strict=True):
            with self.fs.open(name, "wb") as file:
                file.write(piece)
        return tuple(names), ArrayPieces() if arrays else Pieces()

    async def _lost(self, client: Node) -> Any:
        with suppress(LabError, OSError):
            await Files(client, self.fs.settings).delete(self.spec.temporary, recursive=True)
        raise JobAborted(
            f"{self.name}: the master on {self._home.name} died, and its state with it; run the job again"
        ) from None

    def result(self, timeout: float | None = None) -> Job:
        """Wait for the end; returns the job, which goes on after Ctrl-C. Raises ``JobFailed``
        (``JobCancelled``), ``JobAborted``, ``Timeout``."""
        self._ended(timeout)
        return self

    # while it runs ------------------------------------------------------------

    @property
    def recovery(self) -> str:
        """ "rollback" or "confined"."""
        return self.view().recovery or self.spec.options.recovery

    def set_recovery(self, recovery: str) -> None:
        """From the next superstep on: "rollback", or "confined", which begins with a checkpoint."""
        chosen = one_of(RECOVERIES)("recovery", recovery)
        if not self.done:
            self.cluster.call(self.spec.master, "set_recovery", chosen)

    def checkpoint(self) -> None:
        """Have a checkpoint made before the next superstep."""
        if not self.done:
            self.cluster.call(self.spec.master, "want_checkpoint")

    # what came out ------------------------------------------------------------

    def output(self) -> pd.Series:
        """The value of each vertex, by its id; sorted where the ids can be. Of the job's output files."""
        import pandas as pd

        pairs = [pair for data in self._files() for pair in self.writer.read(data)]
        if not self.spec.arrays:
            with suppress(TypeError):
                pairs.sort(key=lambda pair: pair[0])
            values = [value for _, value in pairs]
            index = _index([vertex_id for vertex_id, _ in pairs])
            return pd.Series(values, index, _kind(values), name="value")
        index = None if self.graph.ids is None else _index(self.graph.ids)
        return pd.Series(self.array(pairs), index, name="value")

    def array(self, pairs: Any = None) -> np.ndarray:
        """The values as an array (n,), by vertex number: of a job over arrays. Raises ``LabError``."""
        if not self.spec.arrays:
            raise LabError("array() is for jobs over arrays; output() has the values by vertex")
        if pairs is None:
            pairs = [pair for data in self._files() for pair in self.writer.read(data)]
        if pairs and not isinstance(pairs[0][0], np.ndarray):  # a text has them one by one
            pairs = [tuple(map(np.array, zip(*pairs, strict=True)))]
        kinds = [values.dtype for ids, values in pairs if len(ids)] or [np.float64]
        array = np.empty(self.spec.n, np.result_type(*kinds))
        for ids, values in pairs:
            array[ids] = values
        return array

    def _files(self) -> list[bytes]:
        self.result()
        return [self.fs.cat(f"{self.spec.output}/part-{n:05}") for n in range(self.spec.options.partitions)]

    def view(self, position: float | None = None) -> PregelState:
        """What the trace tells of it, now or at a position in seconds."""
        state: PregelState = self._history.read(position)
        return state

    def statistics(self) -> Statistics:
        """The statistics page; ``.table`` has a row for each superstep."""
        return Statistics(self.view(), self.cluster.now)

    def check(self) -> Report:
        """The invariants, judged on the trace."""
        return check_job(self.cluster, self.name, self.program.aggregators)

    # again ------------------------------------------------------------

    def made(self) -> Made:
        """The file system as code, and how the job is begun."""
        arguments(self)  # of the job
        options, name, program = changed(self.spec.options), variable(self, "job"), self.program.__name__
        graph = repr(self.graph) if isinstance(self.graph, str) else "graph"
        begun = call("Pregel(again, fs_again).start", options, program, graph, repr(self.spec.output))
        then = (
            f"fs_again.put_all_of({name}.fs)",
            f"again.run(max(0.0, {self.asked!r} - again.now))",
            f"job_again = {begun}",
        )
        lacks = f"the class {self.program.__name__} and the graph; {name} is the job in this notebook"
        return Made("labkit.systems.pregel", "fs_again", "FileSystem", options_of(self.fs), lacks, (), then)

    def reset(self) -> None:
        """The same job once more, on the same cluster begun anew, with what was put into its file system."""
        self.fs.reset()
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]

    def _in_short(self) -> str:
        view = self.view()
        return f"job {self.name}: {view.result or 'under way'}, superstep {max(view.current, 0)}"
