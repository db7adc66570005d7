"""The Ray engine's processes: where each machine's begins, that it is gone when it was killed, how it pauses.

A kill is ``ray.kill``, and returns when the process is gone. A pause is SIGSTOP where a signal reaches the
process, so that its peers see what they would see in life: silence. On another host the machine freezes its
own loop instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import Any

from labkit.runtime.copying import seed_of_life
from labkit.runtime.errors import (
    LabError,
)
from labkit.runtime.faults import Pause, Resume
from labkit.runtime.host import HostProcess, host_identity
from labkit.runtime.message import NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.packing import pack
from labkit.runtime.ray_lines import Actor, RayLines, as_coroutine
from labkit.runtime.ray_machine import is_gone
from labkit.runtime.ray_process import Config, Me
from labkit.runtime.surroundings import Surroundings

__all__ = ["START_WITHIN", "RayLives"]

#: Each process numbers its events from a multiple of this, so that numbers are unique in a cluster.
SEQ_SPAN = 1 << 40
#: Seconds that a process may take to be gone after it was killed.
GONE_WITHIN = 10.0
#: Seconds in which the last report of a killed machine comes, or that there will be none.
LAST_REPORT_WITHIN = 2.0
#: Seconds that machines' processes may take to start: a busy host needs minutes, and a stuck one never does.
START_WITHIN = 600.0


class RayLives(RayLines):
    """A process for every life of a machine."""

    seed: int
    network: Network
    directory: dict[str, str]
    specs: dict[str, dict[str, NodeSpec]]
    incarnations: dict[str, int]
    epoch: float
    cpus_per_machine: float
    _surroundings: Surroundings
    _processes: int
    _hosts: list[str]
    _ray: Any
    _remote: Any

    def _create(self, name: str) -> None:
        """Ask Ray for the process; it starts while we go on."""
        incarnation = self.incarnations[name] = self.incarnations.get(name, 0) + 1
        self._processes += 1
        config = Config(
            name,
            seed_of_life(self.seed, incarnation),
            self.network,
            self.trace.level,
            self.trace.limit,
            self._processes * SEQ_SPAN,
            incarnation,
            str(self._disks),
            self._surroundings,
        )
        options = self._remote.options(
            num_cpus=self.cpus_per_machine,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1000,
            enable_task_events=False,  # Ray would keep a record of each batch: 200 MB after some minutes
            scheduling_strategy=self._place(name),
        )
        self.actors[name] = Actor(name, options.remote(config), incarnation)

    def _place(self, name: str) -> Any:
        """On which host: each in turn, since Ray's own SPREAD is a mere preference. A machine that starts
        again does so where its disk is, if that host is still there."""
        before = self.actors.get(name)
        if before is not None:
            host = before.ray_node
        elif self.cpus_per_machine or len(self._hosts) == 1:
            host = ""  # there is no choice, or Ray knows better where CPUs are free
        else:
            host = self._hosts[len(self.actors) % len(self._hosts)]
        if not host:
            return "SPREAD"
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(host, soft=False)

    async def _begin(self, name: str) -> None:
        """Wait for the process, make it and the others known to each other, and begin to poll it."""
        actor = self.actors[name]
        handles = {other: one.handle for other, one in self.actors.items() if other != name and not one.over}
        asked = self.now
        self.trace.expect(name, asked)
        beginning = actor.handle.begin.remote(handles, dict(self.directory), self.epoch)
        actor.begun = True
        me = Me(*await beginning)
        actor.pid, actor.ray_node = me.pid, me.ray_node
        if me.host == host_identity():
            actor.process = HostProcess.of(me.pid)
        else:  # its clock is another: it stood at me.clock half way between question and answer
            self.trace.expect(name, asked, own_clock=True, offset=(asked + self.now) / 2 - me.clock)
        self.client_machine.peers[name] = actor.handle
        actor.poller = asyncio.get_running_loop().create_task(self._poll(name, actor))

    def _restart(self, name: str) -> None:
        try:
            self._await_machines([name], self._start_again(name))
        except BaseException:
            self._kill_process(self.actors[name])  # a machine starts with all its nodes, or not at all
            raise

    async def _start_again(self, name: str) -> None:
        try:
            self._create(name)
            await asyncio.wait_for(self._begin(name), START_WITHIN)
        except Exception as error:
            if not is_gone(error):
                raise
            # Its host is lost, which Ray has found out only now: anywhere else, then.
            self.actors[name].ray_node = ""
            self._create(name)
            await asyncio.wait_for(self._begin(name), START_WITHIN)
        actor = self.actors[name]
        await self._tell("connect", {name: actor.handle}, but=name)
        specs = list(self.specs[name].values())
        if specs:
            failure = await actor.handle.spawn.remote(*pack([tuple(spec) for spec in specs]))
            if failure is not None:
                raise failure.to_exception()

    def _kill_process(self, actor: Actor) -> None:
        actor.over = True
        self.trace.died(actor.name)
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(actor.handle, no_restart=True)
        if actor.process is not None and actor.stopped:  # a stopped process cannot do what Ray asks of it
            actor.process.signal(signal.SIGKILL)

    async def _last_events(self, name: str, actor: Actor) -> None:
        """After a kill, in the client's thread: first what is on its way to us, then what never left."""
        if actor.poller is not None:
            await asyncio.wait([actor.poller], timeout=LAST_REPORT_WITHIN)
        self._recover(name, actor)

    def _wait_gone(self, actor: Actor) -> None:
        """Killed means gone: Ray returns before."""
        begun = time.monotonic()
        insisted = False
        while (waited := time.monotonic() - begun) < GONE_WITHIN:
            if actor.process is None:
                if actor.poller is None or actor.poller.done():
                    return
            elif not actor.process.exists(
                zombie=waited < 1.0
            ):  # Ray takes note of its dead at once, if it is well
                return
            elif waited > 1.0 and not insisted:
                insisted = True
                actor.process.signal(signal.SIGKILL)
            time.sleep(0.005)
        raise LabError(f"process {actor.pid} was killed and is still there after {GONE_WITHIN:.0f} s")

    def _pause(self, actor: Actor) -> None:
        if actor.process is not None:
            actor.process.signal(signal.SIGSTOP)
        else:
            self._await(as_coroutine(actor.handle.apply.remote(Pause(""))))
        actor.stopped = True
        self.trace.forget(actor.name)

    def _resume(self, actor: Actor) -> None:
        actor.stopped = False
        self.trace.goes_on(actor.name, self.now)
        if actor.process is not None:
            actor.process.signal(signal.SIGCONT)
        else:
            self._await(as_coroutine(actor.handle.apply.remote(Resume(""))))
