"""The Ray engine: a process for every machine, and real time.

The client's side. A background thread runs an asyncio loop, which drives the client's own ``Machine`` and keeps one poll waiting at each machine's
actor. Nothing here knows about nodes' classes; what happens inside a machine is in ``ray_machine.py``.

A kill is ``ray.kill``, and returns when the process is gone. A pause is SIGSTOP where a signal reaches the process, so that its peers see what they would see in life:
silence. On another host the machine freezes its own loop instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labkit.runtime import ray_start, watchdog
from labkit.runtime.engine import CLIENT, Client, Engine
from labkit.runtime.errors import BlockingHandler, ClusterClosed, EngineUnavailable, LabError, MachineDead
from labkit.runtime.faults import DiskLoss, Fault, Kill, Pause, Restart, Resume, Slow, change_network
from labkit.runtime.loop import Future
from labkit.runtime.machine import Failure, NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.ray_machine import Config, MachineProcess, RayMachine, RealLoop, Report, host_identity, pack, unpack
from labkit.runtime.sim import blocking_text, hash_seed
from labkit.runtime.trace import Trace

__all__ = ["RayEngine", "SharedTrace"]

#: Each process numbers its events from a multiple of this, so that numbers are unique in a cluster.
SEQ_SPAN = 1 << 40
#: Seconds that a process may take to be gone after it was killed.
GONE_WITHIN = 10.0
#: Seconds that a machine's process may take to start, on a slow host.
START_WITHIN = 120.0


class SharedTrace(Trace):
    """A trace that several threads write."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._writing = threading.RLock()

    def record(self, *row: Any) -> int:
        """See ``Trace.record``."""
        with self._writing:
            return super().record(*row)

    def extend(self, rows: Any) -> None:
        """See ``Trace.extend``."""
        with self._writing:
            super().extend(rows)


class _Actor:
    """What the client knows of a machine's process."""

    def __init__(self, handle: Any, incarnation: int) -> None:
        self.handle = handle
        self.incarnation = incarnation
        self.pid = 0
        self.here = False  #: a signal reaches it
        self.stopped = False  #: it is paused
        self.expected_to_die = False
        self.poller: asyncio.Task[None] | None = None


class RayEngine(Engine):
    """See the module's text. Options: ``cpus_per_machine``, the share of a CPU that Ray reserves for each (0: none)."""

    kind = "ray"

    def __init__(
        self,
        seed: int,
        network: Network,
        trace: Trace,
        name: str,
        address: str | None,
        lost: Callable[[], Callable[[str], None] | None],
        cpus_per_machine: float = 0.0,
    ) -> None:
        self.seed = seed
        self.network = network
        self.trace = trace
        self.name = name
        self.address = address
        self.cpus_per_machine = cpus_per_machine
        self.directory: dict[str, str] = {}
        self.specs: dict[str, dict[str, NodeSpec]] = {}
        self.actors: dict[str, _Actor] = {}
        self.incarnations: dict[str, int] = {}
        self.crashes: list[tuple[str, BaseException]] = []
        self.blocked: list[tuple[float, str]] = []
        self.closed = False
        self.epoch = time.time()
        self.loop = RealLoop(self.epoch)
        self._lost = lost
        self._processes = 0
        self._striking = threading.RLock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="labkit-faults")
        self._aio: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._disks: Path | None = None
        self._ray: Any = None
        self._watched = watchdog.watch(self.loop, lambda seconds, where: self.blocked.append((seconds, where)))

    # beginning and end -----------------------------------------------------------------------------------------

    def start(self, machines: list[str]) -> None:
        """Attach to Ray or start one, then start the machines' processes, all at once."""
        self._ray = ray_start.attach(self.address)
        self._disks = Path(tempfile.mkdtemp(prefix=f"labkit-{_safe(self.name)}-"))
        self._begin_thread()
        try:
            self._await(self._start(machines), START_WITHIN)
        except BaseException as error:
            self.close()
            if isinstance(error, (LabError, KeyboardInterrupt)):
                raise
            raise EngineUnavailable(
                f"Ray is there, but the machines' processes did not start: {type(error).__name__}: {error}. "
                'Is there memory for them (about 60 MB each)? Cluster(engine="sim") needs none.'
            ) from error

    def _begin_thread(self) -> None:
        ready = threading.Event()

        def serve() -> None:
            aio = asyncio.new_event_loop()
            asyncio.set_event_loop(aio)
            self._aio = aio
            self.loop.bind(aio)
            self._watched.thread = threading.get_ident()
            aio.call_soon(ready.set)
            aio.run_forever()
            aio.close()

        self._thread = threading.Thread(target=serve, name=f"labkit-client-{self.name}", daemon=True)
        self._thread.start()
        ready.wait()

    async def _start(self, machines: list[str]) -> None:
        assert self._disks is not None
        for name in machines:
            self.specs[name] = {}
            self._create(name)
        await asyncio.gather(*(self.actors[name].handle.ready.remote() for name in machines))
        self.epoch = self.loop.epoch = time.time()  # the cluster begins when its machines are there
        self.client_machine = RayMachine(
            CLIENT, self.loop, self.network, self.trace, self.directory, self.seed, self._disks
        )
        self.client_machine.crashes = self.crashes
        self.directory[CLIENT] = CLIENT
        self.client = self.client_machine.start_node(NodeSpec(CLIENT, Client, (), {}))
        self.loop.pump()
        await asyncio.gather(*(self._begin(name) for name in machines))

    def _create(self, name: str) -> None:
        """Ask Ray for the process; it starts while we go on."""
        incarnation = self.incarnations[name] = self.incarnations.get(name, 0) + 1
        self._processes += 1
        config = Config(
            name,
            self.seed if incarnation == 1 else hash_seed(self.seed, incarnation),
            self.network,
            self.trace.level,
            self.trace.limit,
            self._processes * SEQ_SPAN,
            incarnation,
            str(self._disks),
            dict(self.directory),
        )
        remote = self._ray.remote(
            num_cpus=self.cpus_per_machine,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1000,
            scheduling_strategy="SPREAD",
        )(MachineProcess)
        self.actors[name] = _Actor(remote.remote(config), incarnation)

    async def _begin(self, name: str) -> None:
        """Wait for the process, make it and the others known to each other, and begin to poll it."""
        actor = self.actors[name]
        handles = {other: one.handle for other, one in self.actors.items() if other != name and not one.expected_to_die}
        actor.pid, host = await actor.handle.begin.remote(handles, self.epoch)
        actor.here = host == host_identity()
        self.client_machine.peers[name] = actor.handle
        actor.poller = asyncio.get_running_loop().create_task(self._poll(name, actor))

    def close(self) -> None:
        """End every process, the thread, and the disks."""
        if self.closed:
            return
        self.closed = True
        watchdog.unwatch(self._watched)
        self._worker.shutdown(wait=False, cancel_futures=True)
        if self._aio is not None and self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(Exception):
                self._await(self._last_words(), 3.0)
            for actor in self.actors.values():
                actor.expected_to_die = True
            with self._striking:
                for actor in self.actors.values():
                    self._kill_process(actor)
                for actor in self.actors.values():
                    with contextlib.suppress(LabError):
                        self._wait_gone(actor)
            self._aio.call_soon_threadsafe(self._end_thread)
            if threading.current_thread() is not self._thread:
                self._thread.join(timeout=5)
        self.loop.shut()
        if self._disks is not None:
            shutil.rmtree(self._disks, ignore_errors=True)

    async def _last_words(self) -> None:
        """The events that the machines have not yet told."""

        async def flush(actor: _Actor) -> None:
            with contextlib.suppress(Exception):
                self.trace.extend(unpack(await asyncio.wait_for(actor.handle.flush.remote(), 1.0)))

        alive = [actor for actor in self.actors.values() if not actor.expected_to_die and not actor.stopped]
        await asyncio.gather(*(flush(actor) for actor in alive))

    def _end_thread(self) -> None:
        self.client_machine.die()
        for call in list(self._waiting):
            call.set_error(ClusterClosed(f"the cluster {self.name!r} was closed while this was under way"))
        self.loop.run(budget=10_000)
        assert self._aio is not None
        for task in asyncio.all_tasks(self._aio):
            task.cancel()
        self._aio.call_soon(self._aio.stop)

    # talking to the machines -----------------------------------------------------------------------------------

    def _await(self, coro: Coroutine[Any, Any, Any], timeout: float | None = None) -> Any:
        """Run a coroutine in the client's thread and wait for it."""
        assert self._aio is not None
        if threading.current_thread() is self._thread:
            coro.close()
            raise LabError("a client program waits with await, not with the cluster's own methods: use client.call(...)")
        future: ThreadFuture[Any] = asyncio.run_coroutine_threadsafe(coro, self._aio)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    async def _poll(self, name: str, actor: _Actor) -> None:
        """Take what the machine has for us, again and again, until it dies."""
        while not self.closed:
            try:
                report = Report(*unpack(await actor.handle.poll.remote()))
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._gone(name, actor, error)
                return
            if report.events:
                self.trace.extend(report.events)
            for node, failure in report.crashes:
                self.crashes.append((node, failure.to_exception()))
            for seconds, where in report.blocked:
                self.blocked.append((seconds, where))
                self.record(name, None, "blocked", None, {"seconds": round(seconds, 1), "where": where})
            if report.messages:
                self.client_machine.receive(report.messages)

    def _gone(self, name: str, actor: _Actor, error: Exception) -> None:
        """A machine's process ended that nobody killed: its host failed, or memory ran out."""
        self.client_machine.peers.pop(name, None)
        if actor.expected_to_die or self.closed or self.actors.get(name) is not actor:
            return
        actor.expected_to_die = True
        lost = self._lost()
        if lost is not None:
            lost(name)
        reason = str(error).strip().split("\n")[0][:200]
        self.record(name, None, "machine_died", None, {"pid": actor.pid, "reason": f"{type(error).__name__}: {reason}"})

    def record(self, machine: str, node: str | None, kind: str, span: int | None, data: dict[str, Any]) -> int:
        """One event of the client's."""
        if not self.trace.on:
            return 0
        return self.trace.record(self.now, machine, node, kind, span, None, data)

    def _reachable(self) -> list[_Actor]:
        return [actor for actor in self.actors.values() if not actor.expected_to_die and actor.pid]

    async def _tell(self, method: str, *args: Any, but: str = "") -> None:
        """Call a method of every machine; wait for those that are not paused (a paused one hears of it in time)."""
        refs = []
        for name, actor in self.actors.items():
            if name != but and not actor.expected_to_die and actor.pid:
                ref = getattr(actor.handle, method).remote(*args)
                if not actor.stopped:
                    refs.append(ref)
        await asyncio.gather(*refs, return_exceptions=True)

    # Engine ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the cluster began."""
        return max(self.loop.now, self.loop.clock())

    def pid(self, machine: str) -> int | None:
        """The process of the machine's present life."""
        actor = self.actors.get(machine)
        return actor.pid if actor is not None and not actor.expected_to_die else None

    def spawn(self, batches: dict[str, list[NodeSpec]]) -> None:
        """Start nodes; every machine knows their names first."""
        names = {spec.name: machine for machine, specs in batches.items() for spec in specs}
        packed = {
            machine: pack([tuple(spec) for spec in specs], by_value=True) for machine, specs in batches.items()
        }

        async def run() -> list[Failure | None]:
            self.directory.update(names)
            await self._tell("learn", names)
            starting = [self.actors[machine].handle.spawn.remote(*data) for machine, data in packed.items()]
            return await asyncio.gather(*starting)

        for failure in self._await_machine(" or ".join(batches), run()):
            if failure is not None:
                raise failure.to_exception()
        for machine, specs in batches.items():
            for spec in specs:
                self.specs[machine][spec.name] = spec

    def _await_machine(self, machine: str, coro: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self._await(coro)
        except (LabError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise MachineDead(f"{machine} died meanwhile: {type(error).__name__}") from error

    def remove(self, machine: str, node: str) -> None:
        """Stop one node."""
        self.specs[machine].pop(node, None)

        async def run() -> None:
            await self.actors[machine].handle.remove.remote(node)

        self._await_machine(machine, run())

    def state(self, machine: str, node: str, attributes: tuple[str, ...]) -> dict[str, Any]:
        """Copies of attributes."""

        async def run() -> Any:
            return await self.actors[machine].handle.state.remote(node, attributes)

        found = self._await_machine(machine, run())
        if isinstance(found, Failure):
            raise found.to_exception()
        return unpack(found)  # type: ignore[no-any-return]

    def at(self, time: float, callback: Callable[[], None]) -> None:
        """A timer of the client's loop; the callback runs in a thread of its own, since a fault takes a while."""
        self.do(lambda: self.loop.call_at(time, lambda _: self._submit(callback)))

    def soon(self, callback: Callable[[], None]) -> None:
        """In the thread for faults."""
        self._submit(callback)

    def _submit(self, callback: Callable[[], None]) -> None:
        def run() -> None:
            try:
                callback()
            except Exception as error:
                if not self.closed:
                    self.crashes.append((CLIENT, error))

        with contextlib.suppress(RuntimeError):  # the engine was closed
            self._worker.submit(run)

    def do(self, action: Callable[[], Any]) -> Any:
        """In the client's thread."""
        if threading.current_thread() is self._thread:
            return action()

        async def run() -> Any:
            self.loop.refresh()
            try:
                return action()
            finally:
                self.loop.pump()

        return self._await(run())

    def exclusively(self, action: Callable[[], Any]) -> Any:
        """One fault at a time, in the caller's thread."""
        with self._striking:
            return action()

    @property
    def _waiting(self) -> list[Future]:
        return self.__dict__.setdefault("_waiting_list", [])  # type: ignore[no-any-return]

    def wait(self, future: Future) -> None:
        """Until it is resolved."""
        if threading.current_thread() is self._thread:
            raise LabError("a client program waits with await: use client.call(...) instead of cluster.call(...)")
        over = threading.Event()

        def ask() -> None:
            self._waiting.append(future)
            future.add_done(lambda _: over.set())

        self.do(ask)
        try:
            while not over.wait(0.5):
                self._warn_blocked()
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)
        self._warn_blocked()

    def run(self, seconds: float) -> None:
        """Sleep."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self._warn_blocked()

    def step(self, events: int) -> None:
        """Not for real processes."""
        raise LabError('step is for virtual time: real processes cannot be stepped; use Cluster(engine="sim")')

    def _warn_blocked(self) -> None:
        while self.blocked:
            seconds, where = self.blocked.pop(0)
            warnings.warn(blocking_text(seconds, where), BlockingHandler, stacklevel=5)

    def take_crashes(self) -> list[tuple[str, BaseException]]:
        """Hand them over."""
        taken = list(self.crashes)
        del self.crashes[: len(taken)]
        return taken

    # faults ----------------------------------------------------------------------------------------------------

    def apply(self, fault: Fault) -> None:
        """Make it real."""
        match fault:
            case Kill(name):
                actor = self.actors[name]
                actor.expected_to_die = True
                self._kill_process(actor)
                self._wait_gone(actor)
                self.client_machine.peers.pop(name, None)
            case Restart(name):
                self._await_machine(name, self._restart(name))
            case Pause(name):
                self._pause(self.actors[name])
            case Resume(name):
                self._resume(self.actors[name])
            case Slow(name):
                self._await_machine(name, _as_coroutine(self.actors[name].handle.apply.remote(fault)))
            case DiskLoss(name):
                assert self._disks is not None
                shutil.rmtree(self._disks / name, ignore_errors=True)
            case _:
                change_network(self.network, fault)
                self._await(self._tell("apply", fault))

    def struck(self, fault: Fault) -> None:
        """After a kill is in the trace: that the process was seen to be gone."""
        if isinstance(fault, Kill):
            pid = self.actors[fault.machine].pid
            self.record(fault.machine, None, "machine_died", None, {"pid": pid, "reason": "killed"})

    async def _restart(self, name: str) -> None:
        self._create(name)
        await self._begin(name)
        actor = self.actors[name]
        await self._tell("connect", {name: actor.handle}, but=name)
        specs = list(self.specs[name].values())
        if specs:
            failure = await actor.handle.spawn.remote(*pack([tuple(spec) for spec in specs], by_value=True))
            if failure is not None:
                raise failure.to_exception()

    def _kill_process(self, actor: _Actor) -> None:
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(actor.handle, no_restart=True)
        if actor.here and actor.pid and actor.stopped:  # a stopped process cannot do what Ray asks of it
            with contextlib.suppress(ProcessLookupError):
                os.kill(actor.pid, signal.SIGKILL)

    def _wait_gone(self, actor: _Actor) -> None:
        """Killed means gone: Ray returns before."""
        begun = time.monotonic()
        insisted = False
        while time.monotonic() - begun < GONE_WITHIN:
            if not actor.here or not actor.pid:
                if actor.poller is None or actor.poller.done():
                    return
            elif not process_exists(actor.pid, zombie=time.monotonic() - begun < 1.0):
                return
            elif not insisted and time.monotonic() - begun > 1.0:
                insisted = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(actor.pid, signal.SIGKILL)
            time.sleep(0.005)
        raise LabError(f"process {actor.pid} was killed and is still there after {GONE_WITHIN:.0f} s")

    def _pause(self, actor: _Actor) -> None:
        actor.stopped = True
        if actor.here:
            os.kill(actor.pid, signal.SIGSTOP)
        else:
            self._await(_as_coroutine(actor.handle.apply.remote(Pause(""))))

    def _resume(self, actor: _Actor) -> None:
        if actor.here:
            os.kill(actor.pid, signal.SIGCONT)
        else:
            self._await(_as_coroutine(actor.handle.apply.remote(Resume(""))))
        actor.stopped = False


async def _as_coroutine(ref: Any) -> Any:
    return await ref


def process_exists(pid: int, zombie: bool = False) -> bool:
    """Whether the process runs (or is stopped). One that has ended and waits for Ray to take note of it counts if ``zombie``."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return zombie or file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)[:40]
