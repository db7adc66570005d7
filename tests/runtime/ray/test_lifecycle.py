"""Whatever becomes of a cluster, or of its program: nothing stays behind, and what can go on goes on."""

from __future__ import annotations

import gc
import json
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit import Cluster, ClusterClosed, Kill, LabError, Node, rpc
from tests.engines import Head, MakeCluster, leftovers, wait_until
from tests.runtime.ray.conftest import PROGRAM_WITHIN, Program, complaints, output

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Greeter(Node):
    waits = False

    @rpc
    def greet(self) -> str:
        return "hello"

    @rpc
    async def wait(self, seconds: float) -> str:
        self.waits = True
        await self.sleep(seconds)
        return "awake"


@pytest.fixture(autouse=True)
def _here(ray_head: Head) -> Iterator[None]:
    """Connected to Ray; nothing is left afterwards."""
    before = leftovers(ray_head)
    yield
    wait_until(lambda: leftovers(ray_head) <= before, what="nothing is left")


def test_closed_means_closed(make: MakeCluster) -> None:
    cluster = make(machines=1)
    node = cluster.spawn(Greeter)
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            cluster.call(node, "wait", 60.0, timeout=60.0)
        except BaseException as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: cluster.state(node, "waits")["waits"], what="the call under way")
    cluster.close()
    waiting.join(300)
    assert [type(failure) for failure in failures] == [ClusterClosed]
    now = cluster.now
    cluster.close()  # again: harmless
    with pytest.raises(ClusterClosed, match=r"is closed \(close\(\) was called\)"):
        cluster.call(node, "greet")
    with pytest.raises(ClusterClosed, match="is closed"):
        cluster.kill("m1")
    assert cluster.now == now, "its time stands still"
    assert [e.kind for e in cluster.trace.filter(machine="m1")] == ["machine_started", "node_started"]


def test_a_cluster_replaces_the_older_of_its_name_and_running_a_cell_again_leaks_nothing(
    ray_head: Head,
) -> None:
    process = psutil.Process()

    def counts() -> tuple[int, ...]:
        disks = list(Path(tempfile.gettempdir()).glob("labkit-again-*"))
        machines = len(ray_head.machine_processes())
        return machines, threading.active_count(), len(disks), process.num_fds()

    def as_before() -> bool:
        return all(count <= first for count, first in zip(counts(), second_run, strict=True))

    pids: list[int] = []
    older: Cluster | None = None
    for number in range(4):
        cluster = Cluster(machines=1, name="again")
        wait_until(lambda: not any(map(psutil.pid_exists, pids)), what="the older machine is gone")  # noqa: B023
        if older is not None:
            with pytest.raises(ClusterClosed, match="replaced by a newer cluster of the same name"):
                older.run(1)
        older = cluster
        assert cluster.call(cluster.spawn(Greeter), "greet") == "hello"
        pids = [machine.pid or 0 for machine in cluster.machines]
        assert (counts()[0], counts()[2]) == (1, 1)
        if number == 1:  # the first run may have opened what stays open for all
            second_run = counts()
        elif number > 1:  # Ray closes its connections to the dead in its own time
            wait_until(as_before, what="no process, thread, folder or file is open that was not before")
    cluster.close()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), what="the last machine is gone")


def test_a_cluster_that_is_forgotten_is_released(ray_head: Head) -> None:
    cluster = Cluster(machines=1, name="forgotten", schedule=[(1000.0, Kill("m1"))])
    pid = cluster.machines[0].pid or 0
    cluster.call(cluster.spawn(Greeter), "greet")
    del cluster
    gc.collect()
    wait_until(lambda: not psutil.pid_exists(pid), what="its process is gone")


def test_a_cluster_that_cannot_begin_leaves_nothing(ray_head: Head) -> None:
    before = threading.active_count()
    with pytest.raises(LabError, match="no machine 'm7'"):
        Cluster(machines=1, name="bad", schedule=[(1.0, Kill("m7"))])
    with pytest.raises(LabError, match="real processes run at their own speed"):
        Cluster(machines=1, name="bad", pace=1.0)
    wait_until(lambda: threading.active_count() <= before, what="no thread more")


def test_a_broken_machine_process_is_said_to_be_that(ray_head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.runtime.ray_engine.START_WITHIN", 1.0)
    with pytest.raises(LabError, match=r"not there after 1 s.*share of 1000 CPU.*engine=\"sim\""):
        Cluster(machines=1, name="bad", cpus_per_machine=1000)


INTERRUPTED = """
from labkit import *
class Sleeper(Node):
    @rpc
    async def wait(self, seconds):
        await self.sleep(seconds)
        return "awake"
cluster = Cluster(machines=2)
node = cluster.spawn(Sleeper)
for attempt in range(2):
    try:
        print("waiting", flush=True)
        cluster.call(node, "wait", 100.0, timeout=None)
    except KeyboardInterrupt:
        print("interrupted", cluster.call(node, "wait", 0.01), flush=True)
try:
    print("waiting", flush=True)
    cluster.run(100)
except KeyboardInterrupt:
    print("interrupted", flush=True)
async def forever(client):
    await client.sleep(1000)
try:
    operation = cluster.submit(forever)
    print("waiting", flush=True)
    operation.result()
except KeyboardInterrupt:
    cluster.run_until(lambda: operation.done)
    print("interrupted", operation, cluster.call(node, "wait", 0.01), flush=True)
"""


def test_ctrl_c_cancels_the_call_and_leaves_the_cluster_usable(ray_head: Head, program: Program) -> None:
    process = program(INTERRUPTED, ray_head.environment)
    assert process.stdout is not None
    for expected in ("awake", "awake", "", "<operation done> awake"):
        assert process.stdout.readline() == "waiting\n"
        # Only now is it inside the call: let it get there.
        wait_until(lambda: _sleeps(process.pid), what="it waits")
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == f"interrupted {expected}".strip() + "\n"
    assert output(process) == ""


def _sleeps(pid: int) -> bool:
    """Whether a process's first thread sleeps, twice in a row."""
    states = []
    for _ in range(2):
        states.append(Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        threading.Event().wait(0.2)
    return states == ["S", "S"]


UNCLOSED = """
import json, os, sys
from labkit import *
class Greeter(Node):
    @rpc
    def greet(self): return "hello"
cluster = Cluster(machines=2, name="unclosed")
node = cluster.spawn(Greeter)
assert cluster.call(node, "greet") == "hello"
print(json.dumps([[machine.pid for machine in cluster.machines], str(cluster._engine._disks)]), flush=True)
END
"""


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)"])
def test_a_program_that_ends_without_closing_leaves_no_machine(
    ray_head: Head, program: Program, end: str
) -> None:
    process = program(UNCLOSED.replace("END", end), ray_head.environment)
    assert process.stdout is not None
    pids, disks = json.loads(process.stdout.readline())
    _, err = process.communicate(timeout=PROGRAM_WITHIN)
    assert not complaints(err), err
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), what="its machines are gone")
    if end == "pass":
        assert process.returncode == 0
        assert not Path(disks).exists()
    else:
        shutil.rmtree(disks)  # a killed program cannot


OWN_RAY = """
import os, tempfile
tempfile.tempdir = os.getcwd()
from labkit import *
class Greeter(Node):
    @rpc
    def greet(self): return "hello"
def main():
    cluster = Cluster(machines=1)
    print(cluster.call(cluster.spawn(Greeter), "greet"), flush=True)
    cluster = Cluster(machines=1)  # finds the Ray of the first
    print(cluster.call(cluster.spawn(Greeter), "greet"), flush=True)
    import psutil
    from pathlib import Path
    token = next(Path(tempfile.tempdir).glob("labkit-ray-*/token"))
    print(oct(token.stat().st_mode & 0o777), token.read_text(), flush=True)
    print([each.pid for each in psutil.Process().children(recursive=True)], flush=True)
    END
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)"])
def test_a_ray_of_ones_own_ends_with_the_program(program: Program, tmp_path: Path, end: str) -> None:
    # Short: the path of a Unix socket must stay under 108 characters.
    with tempfile.TemporaryDirectory(prefix="lk") as place:
        process = program(OWN_RAY.replace("END", end).replace("os.getcwd()", repr(place)))
        assert process.stdout is not None
        assert process.stdout.readline() == "hello\n"
        assert process.stdout.readline() == "hello\n"
        assert re.fullmatch(r"0o600 [0-9a-f]{64}\n", process.stdout.readline())
        children = json.loads(process.stdout.readline())
        assert len(children) >= 4
        _, err = process.communicate(timeout=PROGRAM_WITHIN)
        assert not complaints(err), err
        wait_until(lambda: not any(map(psutil.pid_exists, children)), what="all of Ray is gone")
        wait_until(lambda: list(Path(place).iterdir()) == [], what="its files are gone")
