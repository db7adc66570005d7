"""Programs whose classes and functions a notebook or a script defines: on other machines there are none."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

SYSTEMS = ("MapReduce", "HaLoop", "Dryad", "Pregel", "PowerGraph", "GraphLab")

#: Each part prints what it finds. ``Word`` goes as a value from process to process, too.
PROGRAM = """
    from dataclasses import dataclass
    from labkit import Cluster
    from labkit.parts.graphs import generate
    from labkit.parts.store import FileSystem
    from labkit.systems.dryad import Dryad, vertex
    from labkit.systems.graphlab import DataGraph, GraphLab, Program
    from labkit.systems.haloop import HaLoop, file_of
    from labkit.systems.mapreduce import MapReduce
    from labkit.systems.powergraph import PowerGraph, VertexProgram
    from labkit.systems.pregel import Pregel, Vertex

    @dataclass(frozen=True)
    class Word:
        letters: str

    class Lengths(MapReduce):
        def map(self, key, value):
            for word in value.split():
                self.emit_intermediate(len(word), Word(word))

        def reduce(self, key, values):
            self.emit(max(each.letters for each in values))

    def give(task, key, value):
        task.emit_intermediate(key, Word(value + "!"))

    def take(task, key, values, invariant):
        for each in values:
            task.emit(each.letters)

    @vertex
    async def words(readers, writers):
        async for item in readers[0]:
            await writers[0].write(Word(str(item)))

    @vertex
    async def count(readers, writers):
        found = [item.letters async for item in readers[0]]
        await writers[0].write(len(found))

    class Longest(Vertex):
        def compute(self, messages):
            if self.superstep == 0:
                self.value = Word(self.vertex_id)
            best = max([self.value, *messages], key=lambda word: len(word.letters))
            if self.superstep == 0 or best != self.value:
                self.value = best
                self.send_message_to_all_neighbors(best)
            self.vote_to_halt()

    class Gather(Program):
        def data(self, graph):
            return DataGraph(graph, lambda v: Word("abc"[v]))

        def update(self, v, scope):
            scope.value = max([scope.value, *(scope[u] for u in scope.neighbours)], key=lambda w: w.letters)
            return [u for u in scope.neighbours if scope[u].letters < scope.value.letters]

    class Greatest(VertexProgram):
        gather_nbrs = scatter_nbrs = "all"

        def initial(self, vertex):
            return Word("abc"[vertex.id])

        def gather(self, D_u, D_uv, D_v):
            return D_v

        def sum(self, a, b):
            return max(a, b, key=lambda word: word.letters)

        def apply(self, D_u, acc):
            return self.sum(D_u, acc)

        def scatter(self, D_u, D_uv, D_v):
            if D_u != D_v:
                self.activate()
            return D_uv, None

    with Cluster(machines=2, engine={engine!r}) as cluster:
        fs = FileSystem(cluster, replicas=1)
        fs.put("text", b"a bb cc a ddd")
        job = Lengths(cluster, fs).run("text", "lengths", M=2, R=2)
        print("MapReduce", job.output().sort_values("key").values.tolist())

        fs.put("words", {{"part": file_of([(1, "x"), (2, "y")])}})
        loop = HaLoop(cluster, fs)
        loop.add_map(give, 1)
        loop.add_reduce(take, 1)
        loop.set_input("words/*")
        loop.set_max_num_of_iterations(3)
        print("HaLoop", sorted(loop.run("loop", M=1, R=1).output().value))

        dryad = Dryad(cluster, fs)
        found = dryad.submit((dryad.input("text") >= words) >> count).output()
        print("Dryad", found)

        ranks = Pregel(cluster, fs).run(Longest, {{"a": ["b"], "bb": ["a"], "c": []}}, "longest").output()
        print("Pregel", [each.letters for each in ranks])

        graph = generate.grid(1, 3)
        found = PowerGraph(cluster, graph, Greatest(), fs).run().values()
        print("PowerGraph", [each.letters for each in found.values()])

        run = GraphLab(cluster, fs).run(Gather(), generate.grid(1, 3))
        print("GraphLab", [each.letters for each in run.values()])
"""


@pytest.mark.parametrize("engine", ["sim", pytest.param("ray", marks=pytest.mark.ray)])
def test_they_go_to_the_machines(engine: str) -> None:
    program = textwrap.dedent(PROGRAM).format(engine=engine)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=1000, check=False
    )
    found = [line for line in ran.stdout.splitlines() if line.split()[0] in SYSTEMS]
    assert found == [
        "MapReduce [[1, 'a'], [2, 'cc'], [3, 'ddd']]",
        "HaLoop ['x!!!', 'y!!!']",
        "Dryad [[1]]",
        "Pregel ['bb', 'bb', 'bb', 'c']",
        "PowerGraph ['c', 'c', 'c']",
        "GraphLab ['c', 'c', 'c']",
    ], ran.stderr[-3000:]
