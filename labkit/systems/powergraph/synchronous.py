"""The synchronous engine (§4.3.1): "executes the gather, apply, and scatter phases in order. Each phase,
called a minor-step, is run synchronously on all active vertices with a barrier at the end."

======== =======================================  =============================================
minor    what a machine tells the others          what it does with what it has heard
======== =======================================  =============================================
begin    how many of its masters are active;      if nobody is active, or something was ordered,
         of whom it wants partials                all stop here
gather   partial accumulators, to the masters     the masters apply the sum
apply    new values, to the mirrors               all replicas take them, then scatter
scatter  who is activated, and Δa, to the masters the masters note it
======== =======================================  =============================================

"Changes made to the vertex data and edge data are committed at the end of each minor-step and are visible in
the subsequent minor-step."
"""

from __future__ import annotations

from typing import Any

from .gas import Told

__all__ = ["Synchronous"]


class Synchronous:
    """One machine's part. ``machine``: the node, with its channels and replicas."""

    def __init__(self, machine: Any) -> None:
        self.machine, self.replicas = machine, machine.replicas
        self.log = machine.log
        self.replicas.versions = False  # what is serializable is asked of the asynchronous engines
        self.ranks = range(len(machine.plan.members))

    async def run(self) -> list[Any]:
        """Supersteps until nobody is active; then []; or until something is ordered: the orders."""
        machine, replicas = self.machine, self.replicas
        while True:
            active = [u for u in replicas.partition.mastered.tolist() if replicas.active[u]]
            orders = machine.take_orders()
            said = [(len(active), wanted, orders) for wanted in self._wanted(active)]
            heard = await machine.exchange("begin", said)
            if (orders := heard[0].what[2]) or not sum(item.what[0] for item in heard):
                return list(orders)
            for u in active:
                replicas.active[u] = False
            machine.begin_superstep([replicas.gid[u] for u in active])
            partials = await machine.work(self._gather, [item.what[1] for item in heard])
            heard = await machine.exchange("gather", partials)
            values = await machine.work(self._apply, active, heard)
            heard = await machine.exchange("apply", values)
            told = await machine.work(self._scatter, heard)
            heard = await machine.exchange("scatter", told)
            self._commit(heard)
            machine.end_superstep()

    def _wanted(self, active: list[int]) -> list[list[int]]:
        """By rank the vertices of which partials are wanted: those whose accumulator is empty."""
        wanted: list[list[int]] = [[] for _ in self.ranks]
        for u in active:
            if u not in self.replicas.cache:
                for rank in self.replicas.holders[u]:
                    wanted[rank].append(self.replicas.gid[u])
        return wanted

    def _gather(self, wanted: list[list[int]]) -> list[dict[int, Any]]:
        number, partial = self.replicas.number, self.replicas.partial
        return [{gid: partial(number[gid])[0] for gid in gids} for gids in wanted]

    def _apply(self, active: list[int], heard: list[Any]) -> list[dict[int, Any]]:
        replicas = self.replicas
        values: list[dict[int, Any]] = [{} for _ in self.ranks]
        for u in active:
            gid = replicas.gid[u]
            if u in replicas.cache:
                acc = replicas.cache[u]
            else:
                acc = None
                for rank in sorted(replicas.holders[u]):
                    acc = replicas.added(acc, heard[rank].what[gid])
                if replicas.caching:
                    replicas.cache[u] = acc
            value, version = replicas.apply(u, acc), replicas.version[u] + 1
            for rank in replicas.holders[u]:
                values[rank][gid] = (value, version)
            self.log("vertex_applied", vertex=gid, value=replicas.program.result(value), version=version)
        return values

    def _scatter(self, heard: list[Any]) -> list[dict[int, Told]]:
        """All take the new values before anybody scatters."""
        replicas = self.replicas
        ran = [
            (replicas.number[gid], value, version)
            for item in heard
            for gid, (value, version) in item.what.items()
        ]
        for u, value, version in ran:
            replicas.take(u, value, version)
            self.log.mirror(self.replicas, u)
        told: list[dict[int, Told]] = [{} for _ in self.ranks]
        for u, _, _ in ran:
            for v, what in replicas.scatter(u).items():
                gid, to = replicas.gid[v], told[replicas.master[v]]
                to[gid] = to[gid].and_then(what, replicas.program) if gid in to else what
        return told

    def _commit(self, heard: list[Any]) -> None:
        for item in heard:
            for gid, told in item.what.items():
                u = self.replicas.number[gid]
                self.replicas.hear(u, told)
                self.replicas.active[u] |= told.activated
