"""The options of ``ParameterServer(...)``: what each means, and what it must be."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from labkit.parts.options import checked, instance, one_of, seconds, text, whole
from labkit.runtime.errors import MachineDead, NameTaken

from .consistency import BSP, Consistency
from .settings import Settings
from .updates import SGD, Update
from .vectors import SPARSE_SIZE

__all__ = ["ON_WORKER_DEATH", "RULES", "Options", "check_run", "no_program"]

ON_WORKER_DEATH = ("reassign", "ignore")
READ_AT = ("tail", "head")

#: What each must be by itself.
RULES = {
    "servers": whole(1),
    "workers": whole(1),
    "replicas": whole(0),
    "virtual_servers": whole(1),
    "timeout": seconds(0.01, says="seconds of silence, 0.01 or more", write=2.0),
    "on_worker_death": one_of(ON_WORKER_DEATH),
    "consistency": instance(Consistency, says="one of BSP(), SSP(s), Async() or Bounded(tau)", write=BSP()),
    "read_at": one_of(READ_AT, write=READ_AT[:1]),  # "head" is a bug to be caught
    "name": text(says="put before the nodes' names, or left out", write="second", empty=True),
}

#: What a vector has.
NAME = text(says="a vector is called by its name", write="w")
KEYS = whole(1, SPARSE_SIZE, says="the number of keys, 1 to 2**62", write=1000).or_none()
UPDATE = instance(Update, says="an Update, such as SGD(0.1)", write=SGD(0.1))


class Options(NamedTuple):
    """What the user of a parameter server chooses."""

    servers: int  #: on the first machines
    workers: int  #: on those that follow
    replicas: int  #: copies of each range beside the master's: 0 to ``servers`` - 1
    virtual_servers: int  #: points of the ring for each server
    timeout: float  #: seconds of silence after which a server or a worker is taken for dead
    on_worker_death: str  #: "reassign" its shard to another, or "ignore" it
    consistency: Consistency  #: as it begins
    name: str  #: put before the nodes' names
    read_at: str  #: of a range's chain

    @classmethod
    def of(cls, machines: int, nodes: Any, given: dict[str, Any]) -> Options:
        """The options as they were given, checked, for a cluster with these living machines and nodes."""
        if not machines:
            raise MachineDead.of_all()
        chosen = cls(**checked("ParameterServer", given, RULES))
        check_together(chosen.servers, chosen.replicas, machines)
        check_place(chosen.name, nodes)
        return chosen

    @property
    def prefix(self) -> str:
        """What the names of the nodes begin with."""
        return f"{self.name}-" if self.name else ""

    @property
    def settings(self) -> Settings:
        """What the nodes are told."""
        return Settings(
            manager=f"{self.prefix}manager",
            scheduler=f"{self.prefix}scheduler",
            replicas=self.replicas,
            virtual_servers=self.virtual_servers,
            heartbeat_every=self.timeout / 10,
            timeout=self.timeout,
            resend_after=self.timeout / 2,
            retry_after=self.timeout / 40,
            read_at=self.read_at,
        )


def check_together(servers: int, replicas: int, machines: int) -> None:
    """Refuse what cannot work together, and say what would."""
    if replicas >= servers:
        raise ValueError(
            f"replicas={replicas} with servers={servers}: a range's master and its copies are on different "
            f"servers; write replicas={servers - 1} or servers={replicas + 1}"
        )
    if replicas and servers > machines:
        raise ValueError(
            f"servers={servers} with replicas={replicas} on {machines} machines: two copies would share a "
            f"machine and die with it; write servers={machines}, or give the cluster {servers} machines"
        )


def check_place(name: str, nodes: Any) -> None:
    """There is no parameter server of this name yet."""
    if (f"{name}-manager" if name else "manager") in nodes:
        called, another = (f" {name!r}", f"{name}2") if name else ("", "second")
        raise NameTaken(
            f"there is a parameter server{called} on this cluster already: go on with it, end it with "
            f"close(), or write ParameterServer(cluster, name={another!r})"
        )


def no_program(function: Any) -> TypeError:
    """It cannot be run by workers."""
    return TypeError(
        f"a program is an async function of a worker, not {function!r}; "
        "write: async def program(worker): ... (without yield)"
    )


def check_run(function: Any, iterations: Any, data: Any) -> None:
    """A program, a number and something for each shard."""
    if not callable(function):
        raise no_program(function)
    code = function if inspect.isroutine(function) else type(function).__call__
    generates = inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code)
    if isinstance(function, type) or generates:
        raise no_program(function)
    whole(1)("iterations", iterations)
    if data is None:
        return
    if not hasattr(data, "__len__"):
        raise TypeError(f"data={data!r}: the data of each shard, in a list; write data=list(...)")
    if not len(data):
        raise ValueError("data=[]: give the data of at least one shard, or None")
