"""A student's code, watched on both engines: the free experiments at the end of the exercises."""

from __future__ import annotations

import re
from typing import Any

import pytest

from labkit import Cluster, rpc
from labkit.coursework.answers import Local
from labkit.coursework.generate import copies
from labkit.coursework.handout import ANSWER, grade_id
from labkit.coursework.nodes import Answering, answered_by
from tests.coursework.common import ROOT

#: The experiments that an engine can be chosen for, and a line that each must print.
EXPERIMENTS = [
    ("chord-routing", {"members": 12, "seed": 1}, r"key 192: (node-\d+ → )+\d+"),
    ("chord-repair", {"seed": 1}, r"n\d+ +predecessor n\d+, successors \['n\d+', 'n\d+'\]"),
    ("spark-mapreduce", {}, r"lineage +11"),
    ("paramserver-ssp", {"bound": 2}, r"worker-\d waited (0\.[1-9]|[1-9])\d*\.?\d* s"),
]


def solved(name: str) -> Any:
    """The exercise object of a solved notebook."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in copies(ROOT / f"{name}.py")[1].cells:
        if cell.cell_type == "code" and ("Exercise(" in cell.source or ANSWER in grade_id(cell)):
            exec(compile(cell.source, "cell", "exec"), names)
    return names["exercise"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sim", pytest.param("ray", marks=pytest.mark.ray)])
@pytest.mark.parametrize(("name", "options", "line"), EXPERIMENTS)
def test_an_experiment_shows_a_run(
    name: str, options: dict[str, Any], line: str, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.getfixturevalue("ray_head")
    lines = solved(name).watch(engine=engine, **options)
    assert [each for each in lines if re.fullmatch(line, each)], lines
    assert not [each for each in lines if "rror" in each or "failed" in each], lines


@pytest.mark.slow
@pytest.mark.ray
def test_the_ring_of_real_processes_is_repaired(ray_head: Any) -> None:
    lines = solved("chord-repair").watch(engine="ray", seed=1, patience=300.0)
    members = [each.split()[0] for each in lines]
    before = {each.split()[0]: each.split()[2].rstrip(",") for each in lines}
    order = sorted(members, key=lambda name: int(name[1:]))
    assert before == {name: order[number - 1] for number, name in enumerate(order)}


def test_an_endless_lookup_is_told_in_a_line() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(ENDLESS, names)
    lines = names["exercise"].watch(members=5)
    for line in lines:
        assert re.fullmatch(r"key +\d+: (node-\d+ → ){6}… → after 100 messages find_succ.* never ends", line)
    assert len(lines) == 8


ENDLESS = """
from labkit.coursework import Exercise

exercise = Exercise("chord-routing")

async def find_successor(n, key):
    return await n.call(n.successor, "find_successor", key)
"""


class Sleeper(Answering):
    """A node with one handler of a student's."""

    def told(self) -> dict[str, Any]:
        return {"name": self.name}

    @rpc
    async def nap(self) -> Any:
        return await self.play("nap")


NAP = """
async def nap(n):
    await n.sleep(1.0)
    return "slept"
"""


def test_a_handler_goes_on_when_its_class_arrives_anew() -> None:
    """On real processes each node brings its class; with it came answers that knew of no handler."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(NAP, names)
    with Cluster(machines=1, engine="sim") as cluster:
        cls = answered_by(Local(names), Sleeper)
        node = cluster.spawn(cls)
        napping = cluster.submit(lambda client: client.call(node, "nap"))
        cluster.run(0.5)
        cls.answers = Local(names)
        assert napping.result() == "slept"
