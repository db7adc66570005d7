"""The magics: each does what the cluster's method does, says so in a line, and explains a wrong word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from labkit import Cluster, Node, every, rpc
from labkit.runtime.cluster import clusters, defaults


class Pinger(Node):
    """Asks its friend every second, and gives up after half of one."""

    def __init__(self, friend: str) -> None:
        self.friend = friend

    @every(seconds=1.0)
    async def ping(self) -> None:
        try:
            await self.call(self.friend, "pong", timeout=0.5)
        except TimeoutError:
            self.emit("gave_up")
        except Exception:
            self.emit("silence")

    @rpc
    def pong(self) -> str:
        return "pong"


Run = Callable[[str], Any]


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A shell with the extension loaded; the defaults are put back."""
    before = (defaults.engine, defaults.seed)
    one = InteractiveShell(warn_venv=False)
    one.run_line_magic("load_ext", "labkit")
    yield one
    one.run_line_magic("unload_ext", "labkit")
    defaults.engine, defaults.seed = before
    one.history_manager.end_session() if one.history_manager else None
    InteractiveShell.clear_instance()


@pytest.fixture
def run(shell: InteractiveShell) -> Run:
    """`run("kill m2")`"""
    return lambda line: shell.run_line_magic(*(line.split(" ", 1) if " " in line else (line, "")))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three simulated machines, two of which talk."""
    with Cluster(machines=3, engine="sim", seed=3, name="magical", trace="messages") as one:
        one.spawn(Pinger, "b", name="a", machine="m1")
        one.spawn(Pinger, "a", name="b", machine="m2")
        yield one


def states(cluster: Cluster) -> list[str]:
    return [machine.state for machine in cluster.machines]


def test_a_lab_by_hand(run: Run, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    run("run_for 1.5")
    assert cluster.now == pytest.approx(1.5)
    run("kill m2")
    assert states(cluster) == ["alive", "dead", "alive"]
    assert "<machine m2: dead" in capsys.readouterr().out
    run("run_for 3")
    chain = run("why")
    assert chain.fault.kind == "killed", "the last timeout is explained by the kill"
    assert run(f"why {chain.events[-1].seq}").events == chain.events
    run("restart m2")
    run("pause m1 m3")
    assert states(cluster) == ["paused", "alive", "paused"]
    run("resume m1, m3")
    run("slow m1 4")
    assert (states(cluster)[0], cluster.machine("m1").factor) == ("slow", 4.0)
    run("slow m1 1")
    assert states(cluster) == ["alive"] * 3
    assert len(cluster.schedule) == 8, "what was done by hand is a schedule that can be played"


def test_partitions(run: Run, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    run("partition m1, m3 m2")
    event = cluster.trace.filter(kind="partitioned")[-1]
    assert (event.data["a"], event.data["b"]) == (["m1", "m3"], ["m2"])
    run("heal")
    run("partition m1")
    event = cluster.trace.filter(kind="partitioned")[-1]
    assert (event.data["a"], event.data["b"]) == (["m1"], ["m2", "m3"])
    assert "nothing passes between m1 and m2, m3; %heal ends it" in capsys.readouterr().out


def test_step_shows_the_events_that_happened(
    run: Run, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cluster.trace.count
    run("step 3")
    shown = capsys.readouterr().out.splitlines()
    assert shown == [str(event) for event in cluster.trace.since(before)]
    assert len(shown) == 3


def test_trace_is_a_frame_of_the_events_that_the_words_name(run: Run, cluster: Cluster) -> None:
    run("run_for 4")
    assert len(run("trace")) == 20
    assert len(run("trace 5")) == 5
    run("kill m2")
    assert list(run("trace killed").machine) == ["m2"]
    found = run("trace a sent 2")
    assert (set(found.node), set(found.kind), len(found)) == ({"a"}, {"sent"}, 2)
    with pytest.raises(UsageError, match=r"the kinds so far: .*killed"):
        run("trace nonsense")


def test_lab_lists_the_open_clusters_and_chooses_one(run: Run, cluster: Cluster) -> None:
    with Cluster(machines=2, engine="sim", name="newer") as newer:
        frame = run("lab")
        assert list(frame.index) == ["magical", "newer"]
        assert list(frame[""]) == ["", "*"]
        assert list(frame.machines) == [3, 2]
        run("kill m1")
        assert (states(newer)[0], states(cluster)[0]) == ("dead", "alive")
        run("lab magical")
        run("kill m1")
        assert states(cluster)[0] == "dead"
        with pytest.raises(UsageError, match=r"no open cluster is called 'x'; there are: magical, newer"):
            run("lab x")
    assert [each.name for each in clusters()] == ["magical"]


def test_seed_and_engine_are_for_new_clusters(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("engine sim")
    run("seed 11")
    with Cluster(machines=1) as cluster:
        assert (cluster.engine, cluster.seed) == ("sim", 11)
    with Cluster(machines=1, seed=12) as cluster:
        assert cluster.seed == 12
    run("seed")
    run("engine")
    out = capsys.readouterr().out
    assert out.count("new clusters have seed 11") == 2
    assert out.count("new clusters are on sim") == 2
    with pytest.raises(UsageError, match="the engines are sim and ray, not 'dask'"):
        run("engine dask")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kill m9", "there is no machine 'm9'; the machines are: m1, m2, m3"),
        ("restart m1", "m1 is alive"),
        ("kill", "which machine"),
        ("slow m1 0.5", "a number >= 1"),
        ("partition m1 m2 m3", "two groups"),
        ("step five", "a whole number, as in: %step 5"),
        ("run_for ever", "seconds, as in: %run_for 2.5"),
        ("why 999999", "no event with seq 999999"),
        ("seed -1", "a whole number"),
    ],
)
def test_a_wrong_word_is_explained_in_a_line(run: Run, cluster: Cluster, line: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run(line)
    assert states(cluster) == ["alive"] * 3


def test_without_a_cluster_it_says_how_to_make_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"make one first: cluster = Cluster\(machines=4\)"):
        run("kill m1")
    run("lab")
    assert "no cluster is open" in capsys.readouterr().out


def test_completion_offers_what_is_possible(shell: InteractiveShell, run: Run, cluster: Cluster) -> None:
    def completed(line: str) -> list[str]:
        with provisionalcompleter():
            found = shell.Completer.completions(line, len(line))
            return sorted(each.text for each in found)

    assert completed("%kill m") == ["m1", "m2", "m3"]
    run("kill m2")
    assert completed("%kill m") == ["m1", "m3"]
    assert completed("%restart m") == ["m2"]
    assert completed("%kill m1 m") == ["m3"]
    assert set(completed("%engine ")) >= {"ray", "sim"}  # beside them Jedi's guesses
    assert completed("%engine s") == ["sim"]
    assert completed("%lab mag") == ["magical"]
    assert "killed" in completed("%trace ki")


def test_help_says_what_a_magic_does(shell: InteractiveShell) -> None:
    for name in ("lab", "kill", "restart", "partition", "slow", "step", "run_for", "trace", "why", "seed"):
        found = shell.object_inspect(f"%{name}")
        assert found["found"]
        assert "%" + name in found["docstring"] or "machines" in found["docstring"]


def test_unloading_takes_every_magic_away(cluster: Cluster) -> None:
    shell = InteractiveShell(warn_venv=False)
    before = set(shell.magics_manager.magics["line"])
    for _ in range(2):
        shell.run_line_magic("reload_ext", "labkit")
    assert "kill" in shell.magics_manager.magics["line"]
    shell.run_line_magic("unload_ext", "labkit")
    assert set(shell.magics_manager.magics["line"]) == before
