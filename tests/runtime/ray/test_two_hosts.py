"""A Ray of two hosts (two raylets on this one), of which one is lost with all machines on it."""

from __future__ import annotations

import pytest

from tests.runtime.ray.conftest import Program

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PROGRAM = """
import os, secrets, time
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from labkit.runtime import ray_servers
os.environ |= ray_servers.REPORT_WITHIN
from ray.cluster_utils import Cluster as Hosts

from labkit import *

class Counter(Node):
    def start(self):
        self.count = self.disk.get("count", 0)
    @rpc
    def add(self):
        self.disk["count"] = self.count = self.count + 1
        self.disk.sync()
        return self.count
    @rpc
    async def ask(self, other, timeout=60.0):
        return await self.call(other, "add", timeout=timeout)

def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, condition
        time.sleep(0.05)

small = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
with ray_servers.waiting_for_servers(set()):
    hosts = Hosts(initialize_head=True, head_node_args=small)
with ray_servers.waiting_for_servers(set()):
    second = hosts.add_node(num_cpus=1, object_store_memory=100 * 2**20)
try:
    with Cluster(machines=4, address=hosts.address) as cluster:
        nodes = {m.name: cluster.spawn(Counter, machine=m) for m in cluster.machines}
        at = {name: actor.ray_node for name, actor in cluster._engine.actors.items()}
        lost = [name for name in at if at[name] == second.node_id]
        kept = [name for name in at if name not in lost]
        assert len(lost) == 2, at
        print("> spread over both")
        for name in at:
            assert cluster.call(nodes[name], "add") == 1

        cluster.kill(lost[0]); cluster.restart(lost[0])
        assert cluster._engine.actors[lost[0]].ray_node == second.node_id
        assert cluster.call(nodes[lost[0]], "add") == 2
        print("> started again where its disk is")

        hosts.remove_node(second, allow_graceful=False)
        until(lambda: all(cluster.machine(name).state == "dead" for name in lost))
        for name in lost:
            (died,) = cluster.trace.filter(kind="machine_died", machine=name)[-1:]
            assert died.data["reason"] != "killed", died
            try: cluster.call(nodes[name], "add")
            except MachineDead: pass
            else: raise AssertionError
        print("> the machines of the lost host died, and the trace says so")

        one, other = kept
        assert cluster.call(nodes[one], "ask", nodes[other]) == 2
        try: cluster.call(nodes[one], "ask", nodes[lost[0]], 1.0, timeout=60.0)
        except Timeout: pass
        else: raise AssertionError
        print("> the others go on")

        cluster.restart(lost[0])
        assert cluster.call(nodes[one], "ask", nodes[lost[0]]) >= 1
        print("> and one starts again on the host that is left")
finally:
    import ray
    ray.shutdown()
    hosts.shutdown()
"""


def test_two_raylets_one_removed(program: Program) -> None:
    process = program(PROGRAM)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, f"{out}\n{err}"
    # Ray prints there too, about its lost host.
    assert [line[2:] for line in out.splitlines() if line.startswith("> ")] == [
        "spread over both",
        "started again where its disk is",
        "the machines of the lost host died, and the trace says so",
        "the others go on",
        "and one starts again on the host that is left",
    ]
