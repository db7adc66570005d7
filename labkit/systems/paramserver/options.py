"""Bad input to ``ParameterServer(...)``: each refused with the value given and what to write instead."""

from __future__ import annotations

import inspect
from typing import Any

from labkit.runtime.errors import MachineDead, NameTaken

from .consistency import Consistency

__all__ = [
    "ON_WORKER_DEATH",
    "check_consistency",
    "check_options",
    "check_place",
    "check_run",
    "no_program",
]

ON_WORKER_DEATH = ("reassign", "ignore")
READ_AT = ("tail", "head")


def check_options(
    servers: Any, workers: Any, replicas: Any, virtual_servers: Any, timeout: Any, death: Any, machines: int
) -> None:
    """Refuse what cannot work, and say what would."""
    if not machines:
        raise MachineDead.of_all()
    for name, value, least in (
        ("servers", servers, 1),
        ("workers", workers, 1),
        ("replicas", replicas, 0),
        ("virtual_servers", virtual_servers, 1),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name}={value!r}: a whole number >= {least}; write {name}={max(least, 1)}")
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
    if (
        not isinstance(timeout, (int, float))
        or isinstance(timeout, bool)
        or not 0.01 <= timeout < float("inf")
    ):
        raise ValueError(f"timeout={timeout!r}: seconds of silence, 0.01 or more; write timeout=2.0")
    if death not in ON_WORKER_DEATH:
        raise ValueError(f'on_worker_death={death!r}: write "reassign" or "ignore"')


def check_place(name: Any, read_at: Any, nodes: Any) -> None:
    """The name can stand before the nodes' names, and does not yet; reads go somewhere."""
    if not (isinstance(name, str) and name.isprintable()):
        raise ValueError(f'name={name!r}: put before the nodes\' names; write name="second", or leave it out')
    if (f"{name}-manager" if name else "manager") in nodes:
        called, another = (f" {name!r}", f"{name}2") if name else ("", "second")
        raise NameTaken(
            f"there is a parameter server{called} on this cluster already: go on with it, end it with "
            f"close(), or write ParameterServer(cluster, name={another!r})"
        )
    if read_at not in READ_AT:
        raise ValueError(f'read_at={read_at!r}: write read_at="tail"')


def check_consistency(consistency: Any) -> None:
    """It must be a consistency model."""
    if not isinstance(consistency, Consistency):
        raise TypeError(f"consistency is BSP(), SSP(s), Async() or Bounded(tau), not {consistency!r}")


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
    if not isinstance(iterations, int) or iterations < 1:
        raise ValueError(f"iterations={iterations!r}: a whole number >= 1")
    if data is not None and not len(data):
        raise ValueError("data=[]: give the data of at least one shard, or None")
