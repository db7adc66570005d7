"""Controls before a start make the cluster and the system that they show as code, and one run at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.chord import Chord
from labkit.systems.paramserver import SSP, Async, ParameterServer
from labkit.systems.spark import SparkContext
from labkit_widgets import setup as controls
from tests.engines import wait_until


def test_start_makes_what_the_code_says() -> None:
    with Chord.setup(machines=3, seed=5, nodes=12, then=lambda ring: ring.update(a=1)) as setup:
        assert setup.code.splitlines() == [
            "cluster = Cluster(machines=3, engine='sim', seed=5)",
            "ring = Chord(cluster, nodes=12)",
            "ring.panel()",
        ]
        ring = setup.start()
        assert (len(ring.nodes), len(setup.cluster.machines), setup.cluster.seed) == (12, 3, 5)
        assert ring["a"] == 1
        assert setup.panel.ring is ring
        scope: dict[str, Any] = {"Cluster": Cluster, "Chord": Chord}
        exec(setup.code, scope)
        assert [node.name for node in scope["ring"].nodes] == [node.name for node in ring.nodes]
        scope["cluster"].close()
        cluster = setup.cluster
    assert cluster.closed
    setup.close()


def test_another_start_replaces_the_run_and_one_that_fails_leaves_it() -> None:
    with Chord.setup(nodes=6, replicas=2) as setup:
        first, panel = setup.start(), setup.panel
        setup["replicas"] = 9
        with pytest.raises(ValueError, match="replicas=9"):
            setup.start()
        assert setup.system is first
        assert not first.cluster.closed
        setup["replicas"], setup["maintenance"] = 2, "sigcomm2001"
        second = setup.start()
        assert first.cluster.closed
        assert panel._closed
        assert second.maintenance == "sigcomm2001"


def test_few_nodes_have_what_so_few_can_have() -> None:
    with Chord.setup() as setup:
        setup["nodes"] = 3
        assert setup.start().settings.successors == 2


def test_the_button_starts_beside_everything_else_and_says_what_is_wrong() -> None:
    with Chord.setup(nodes=6) as setup:
        setup["replicas"] = 16
        setup._button.click()
        wait_until(lambda: not setup._button.disabled)
        assert "replicas=16: copies go to the owner" in setup._said.value
        setup["replicas"] = 2
        setup._button.click()
        wait_until(lambda: setup.system is not None and not setup._button.disabled)
        assert setup._said.value == ""
        assert setup.cluster.pace == 1.0, "who looks at it sees time pass"


@pytest.mark.parametrize("system", [ParameterServer, SparkContext])
def test_every_system_has_one(system: Any) -> None:
    with system.setup() as setup:
        assert isinstance(setup.start(), system)
        assert type(setup.panel).__name__ in ("StalenessPanel", "LineagePanel")


def test_a_value_that_is_no_whole_number_has_its_words() -> None:
    with ParameterServer.setup(consistency=SSP(7)) as setup:
        assert "consistency=SSP(staleness=7)" in setup.code or "consistency=SSP(7)" in setup.code
        setup["consistency"] = Async()
        assert "consistency=Async()" in setup.code
        assert setup.start().consistency == Async()


def test_a_cell_that_is_run_again_closes_what_it_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def cell(name: str, run: str) -> Callable[[], tuple[str, str]]:
        return lambda: (name, run)

    monkeypatch.setattr(controls, "current_cell", cell("a", "1"))
    first = Chord.setup(nodes=4)
    cluster = first.start().cluster
    monkeypatch.setattr(controls, "current_cell", cell("b", "2"))
    beside = Chord.setup(nodes=4)
    assert not cluster.closed, "two cells, two setups"
    monkeypatch.setattr(controls, "current_cell", cell("a", "3"))
    again = Chord.setup(nodes=4)
    assert cluster.closed
    again.close()
    beside.close()
