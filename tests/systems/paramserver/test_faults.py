"""The fault table of SYSTEMS.md, row by row: what happens, and that the run's promises hold all the same."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import Cluster, Timeout
from labkit.runtime import Constant, Network
from labkit.runtime.errors import MachineDead
from labkit.systems.paramserver import BSP, SSP, ParameterServer, TrainingFailed

from .conftest import FEATURES, SHARED, MakePs, build, descend, descend_alone, keep_books, regression

ITERATIONS = 30


def train(ps: ParameterServer) -> Any:
    """Start the regression, and wait until it is well under way."""
    data, _ = regression(3)
    ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=ITERATIONS, data=data)
    ps.cluster.run_until(
        lambda: len(ps.cluster.trace.filter(kind="iteration_finished")) > 9, timeout=300, every=0.02
    )
    return operation


def finish(ps: ParameterServer, operation: Any) -> None:
    """The run ends, and its weights are those of one thread, bit for bit."""
    data, _ = regression(3)
    operation.result()
    assert ps.vector("w")[:].tobytes() == descend_alone(data, ITERATIONS).tobytes()


def chains(ps: ParameterServer) -> list[tuple[str, ...]]:
    return [range_.chain for range_ in ps.view.ranges]


# servers ----------------------------------------------------------------------------------------------


def test_a_server_joins(make_ps: MakePs) -> None:
    """It gets its ranges, values and clocks, as master and as replica, while training goes on."""
    ps = make_ps(machines=6, timeout=20.0)
    operation = train(ps)
    name = ps.add_server("m6", timeout=300)
    assert {server for chain in chains(ps) for server in chain} == {"server-0", "server-1", name}
    assert any(chain[0] == name for chain in chains(ps))
    assert any(name in chain[1:] for chain in chains(ps))
    assert all(len(chain) == 2 for chain in chains(ps))
    finish(ps, operation)
    assert ps.cluster.trace.filter(kind="range_copied")


def test_a_server_leaves(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=6, servers=3)
    operation = train(ps)
    ps.remove_server("server-1")
    assert ps.servers == ["server-0", "server-2"]
    assert all(len(chain) == 2 and "server-1" not in chain for chain in chains(ps))
    finish(ps, operation)


def test_a_dead_server_is_replaced_and_copied_anew(sim_ps: MakePs) -> None:
    """Its ranges go to the next of their chains; then a new replica is filled."""
    ps = sim_ps(machines=6, servers=3)
    operation = train(ps)
    before = {(r.lo, r.hi): r.chain for r in ps.view.ranges}
    ps.cluster.kill("m1")
    ps.cluster.run_until(
        lambda: "server-0" not in ps.servers and all("server-0" not in c for c in chains(ps))
    )
    for range_ in ps.view.ranges:
        chain = before.get((range_.lo, range_.hi))
        if chain is not None and chain[0] == "server-0":
            assert range_.head == chain[1]
    ps.settle()
    assert all(len(chain) == 2 for chain in chains(ps))
    finish(ps, operation)


@pytest.mark.parametrize("victim", [0, 1, 2], ids=["head", "middle", "tail"])
def test_any_of_a_chain_dies(sim_ps: MakePs, victim: int) -> None:
    """A chain of three; all ranges have another order, so the victim is chosen by its place in the first."""
    ps = sim_ps(machines=6, servers=3, replicas=2)
    operation = train(ps)
    ps.cluster.kill(ps.machine_of(chains(ps)[0][victim]))
    finish(ps, operation)


@pytest.mark.slow
def test_two_servers_die_one_after_the_other(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=7, servers=4)
    operation = train(ps)
    ps.cluster.kill("m1")
    ps.cluster.run_until(lambda: "server-0" not in ps.servers)
    ps.settle()
    ps.cluster.kill("m3")
    finish(ps, operation)
    assert ps.servers == ["server-1", "server-3"]


@pytest.mark.slow
def test_two_deaths_at_once_are_survived_with_two_replicas(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=7, servers=4, replicas=2)
    operation = train(ps)
    ps.cluster.kill("m1")
    ps.cluster.kill("m2")
    finish(ps, operation)


def test_more_deaths_than_copies_end_the_run_and_say_so(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=5, servers=2)
    operation = train(ps)
    ps.cluster.kill("m1")
    ps.cluster.kill("m2")
    with pytest.raises(TrainingFailed, match="are lost: every server that had them"):
        operation.result()


def test_a_restarted_server_joins_again(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=5)
    operation = train(ps)
    ps.cluster.kill("m1")
    ps.cluster.run(0.05)
    ps.cluster.restart("m1")  # before anybody could miss it: its new life gives it away
    finish(ps, operation)
    ps.settle()
    assert ps.servers == ["server-0", "server-1"]
    assert all(len(chain) == 2 for chain in chains(ps))


def test_servers_that_restart_one_after_the_other_lose_nothing(sim_ps: MakePs) -> None:
    """A new life holds nothing: what the manager believes of the one before is not for it."""
    ps = sim_ps(machines=6, servers=3, virtual_servers=8, timeout=2.0, seed=3)
    w = ps.vector("w", 4)
    w.push(None, 1.0).result()
    for machine in ("m1", "m2", "m3"):
        ps.cluster.kill(machine)
        ps.cluster.restart(machine)
        ps.settle()
        assert w[:].tolist() == [1.0] * 4


def test_who_is_about_to_be_no_tail_any_more_acknowledges_nothing(sim_ps: MakePs) -> None:
    """The view in which its chain is longer is on its way to the tail: the new tail would miss the change."""
    ps = sim_ps()
    w = ps.vector("w", 4)
    view = ps.view
    tail = view.ranges[0].tail
    assert tail is not None
    life = ps.cluster.peek(tail).incarnation
    longer = [range_._replace(chain=(*range_.chain, "server-9")) for range_ in view.ranges]
    ps.cluster.call(tail, "fence", view._replace(number=view.number + 1, ranges=tuple(longer)), life)
    push = w.push(0, 1.0)
    ps.cluster.run(0.4)
    assert not push.done
    ps.cluster.call(tail, "adopt", view._replace(number=view.number + 1), life)
    push.result()


def test_settled_is_what_no_longer_counts_on_the_dead(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=6, servers=3)
    ps.vector("w", 4).push(None, 1.0).result()
    ps.cluster.kill("m1")
    ps.settle()
    assert ps.servers == ["server-1", "server-2"]
    ps.cluster.kill("m2")
    ps.settle()
    assert ps.vector("w")[:].tolist() == [1.0] * 4
    ps.cluster.kill("m3")
    with pytest.raises(Timeout, match="every range has all its copies"):
        ps.settle(5.0)


def test_a_slow_server_delays_and_is_not_replaced(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=5)
    operation = train(ps)
    ps.cluster.slow("m1", 20)
    finish(ps, operation)
    assert not ps.cluster.trace.filter(kind="server_failed")


def test_a_short_pause_delays_and_a_long_one_replaces(make_ps: MakePs) -> None:
    """A server that comes back after it was replaced finds out, forgets what it had, and joins anew."""
    ps = make_ps(machines=5, timeout=10.0)
    operation = train(ps)
    ps.cluster.pause("m1")
    ps.cluster.run(0.4 * ps.settings.timeout)
    ps.cluster.resume("m1")
    ps.cluster.run(0.2 * ps.settings.timeout)
    assert not ps.cluster.trace.filter(kind="server_failed")
    ps.cluster.pause("m1")
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="server_failed")), timeout=300)
    ps.cluster.resume("m1")
    finish(ps, operation)
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="replaced", node="server-0")), timeout=300)
    ps.settle(timeout=300)


def test_a_replaced_server_shows_nothing_old(sim_ps: MakePs) -> None:
    """Cut off from manager and successor, but not from a client that has the old view: its lease is over."""
    ps = sim_ps(machines=4, workers=1, virtual_servers=1)
    w = ps.vector("w", 10)
    w.push(None, 1.0).result()
    old = next(range_ for range_ in ps.view.ranges if range_.tail == "server-0")
    ps.cluster.partition(["m1"], ["client", "m2"])
    ps.cluster.run_until(lambda: ps.servers == ["server-1"])
    w.push(None, 1.0).result()

    copy = ps.cluster.peek("server-0")
    assert copy.view.find(old.lo, old.hi).tail == "server-0"  # it does not know
    assert not copy.may_serve
    ps.cluster.heal()
    assert w[:].tolist() == [2.0] * 10


# workers ----------------------------------------------------------------------------------------------


def test_a_dead_worker_may_be_ignored(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=5, on_worker_death="ignore", consistency=BSP())
    operation = train(ps)
    ps.cluster.kill(ps.machine_of("worker-2"))
    results = operation.result()
    assert len(results) == 3
    assert not ps.cluster.trace.filter(kind="shard_reassigned")
    finished = ps.cluster.trace.filter(kind="iteration_finished", shard=2)
    assert finished[-1].data["iterations"] < ITERATIONS


def test_a_paused_worker_whose_shard_is_elsewhere_stops(sim_ps: MakePs) -> None:
    """What it still pushes in the round is not part of it: the oracle is met."""
    ps = sim_ps(machines=5)
    operation = train(ps)
    ps.cluster.pause("m4")
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="shard_reassigned")))
    ps.cluster.resume("m4")
    finish(ps, operation)
    assert ps.workers == ["worker-0", "worker-1", "worker-2"]


def test_a_worker_that_joins_takes_a_shard_from_one_that_has_two(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=6)
    operation = train(ps)
    ps.cluster.kill("m3")
    ps.cluster.run_until(lambda: bool(ps.cluster.trace.filter(kind="shard_reassigned")))
    name = ps.add_worker("m6")
    finish(ps, operation)
    assert ps.cluster.trace.filter(kind="shard_reassigned", to=name)
    assert ps.cluster.trace.filter(kind="worker_joined", worker=name)


def test_the_last_worker_dies_and_another_goes_on(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=4, workers=1)
    data, _ = regression(1)
    w = ps.vector("w", FEATURES)
    operation = ps.start(descend, iterations=20, data=data)
    ps.cluster.run(0.1)
    ps.cluster.kill("m3")
    ps.cluster.run_until(lambda: not ps.workers)
    ps.add_worker("m4")
    operation.result()
    assert w[:].tobytes() == descend_alone(data, 20).tobytes()


# messages ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_lost_and_duplicated_messages_change_nothing(sim_ps: MakePs) -> None:
    """Every push that was repeated, by the network or by its worker, was rejected the second time."""
    ps = sim_ps(machines=5, network=Network(loss=0.1, duplicate=0.3), consistency=SSP(1))
    books = ps.vector("books", sparse=True)
    results = ps.run(keep_books, iterations=20)
    keys, values = books.items()
    held = dict(zip(keys.tolist(), values.tolist(), strict=True))
    assert all(held[key] == 1.0 for written in results for key in written)
    assert sum(held[key] for key in SHARED) == 60
    assert ps.cluster.trace.filter(kind="duplicate_rejected")
    assert ps.cluster.trace.filter(kind="push_resent")


def test_replication_after_aggregation_sends_one_record_for_many_pushes(sim_ps: MakePs) -> None:
    """While a record is on its way, further pushes to the same keys go into the next one."""
    ps = sim_ps(machines=6, workers=4, virtual_servers=1, network=Network(latency=Constant(0.005)))
    w = ps.vector("w", 100)
    for push in [w.push(None, 1.0) for _ in range(40)]:
        push.result()
    assert w[:].tolist() == [40.0] * 100
    applied = ps.cluster.trace.filter(kind="applied")
    records = ps.cluster.trace.filter(kind="forwarded")
    assert sum(record.data["pushes"] for record in records) == len(applied)
    assert len(records) < len(applied) / 2


@pytest.mark.slow
def test_a_run_survives_that_its_cluster_is_full_of_trouble(sim_ps: MakePs) -> None:
    """A server and a worker die at the same moment, in bad weather."""
    ps = sim_ps(machines=6, servers=3, network=Network(loss=0.05, duplicate=0.1))
    operation = train(ps)
    ps.cluster.kill("m2")
    ps.cluster.kill("m5")
    finish(ps, operation)


def test_a_program_that_fails_ends_the_run_with_its_own_error(make_ps: MakePs) -> None:
    async def stumble(worker: Any) -> None:
        if worker.rank == 1:
            raise ZeroDivisionError("shard 1 is empty")
        for _ in worker.rounds():
            await worker.clock()

    ps = make_ps()
    with pytest.raises(ZeroDivisionError, match="shard 1 is empty"):
        ps.run(stumble, iterations=5)

    async def fine(worker: Any) -> int:
        for _ in worker.rounds():
            await worker.clock()
        return int(worker.rank)

    assert ps.run(fine, iterations=3) == [0, 1, 2]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trace() -> None:
    digests = []
    for _ in range(2):
        with Cluster(machines=6, engine="sim", seed=5, network=Network(loss=0.05)) as cluster:
            ps = ParameterServer(cluster, servers=3, workers=3, timeout=0.5, consistency=SSP(1))
            data, _ = regression(3)
            ps.vector("w", FEATURES)
            operation = ps.start(descend, iterations=15, data=data)
            cluster.run(0.1)
            cluster.kill("m1")
            operation.result()
            digests.append(cluster.trace.digest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("node", "method"), [("scheduler", "_close_round"), ("scheduler", "check"), ("manager", "_improve")]
)
def test_a_bug_in_scheduler_or_manager_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, node: str, method: str
) -> None:
    """Their failure is not survived, but nobody waits for ever."""

    async def bug(*_: Any) -> bool:
        raise ZeroDivisionError("a bug")

    with Cluster(machines=5, engine="sim") as cluster:
        ps = build(cluster)
        operation = train(ps)
        monkeypatch.setattr(type(getattr(ps, node)), method, bug)
        cluster.kill("m2")
        with pytest.raises(Exception, match="a bug"):
            operation.result()


@pytest.mark.parametrize("replicas", [0, 1])
def test_when_no_server_is_left_its_user_is_told(sim_ps: MakePs, replicas: int) -> None:
    """Nothing waits for ever, nothing lost is silently 0, and the check blames nobody."""
    ps = sim_ps(machines=5, servers=2, workers=3, replicas=replicas)
    w = ps.vector("w", 8)
    w.push(None, 1.0).result()
    cluster, told = ps.cluster, r"every server is dead: m1, m2; restart one: cluster.restart\('m1'\)"
    cluster.kill("m1")
    cluster.kill("m2")
    for call in (lambda: w[:], lambda: w.push(None, 1.0), w.items, lambda: ps.run(nothing)):
        with pytest.raises(MachineDead, match=told):
            call()
    assert "every copy of a range was lost" in ps.check().suspended
    cluster.restart("m1")
    cluster.restart("m2")
    cluster.run(4 * ps.settings.timeout)
    with pytest.warns(UserWarning, match=r"of the ring were lost.*they begin at 0 again; ps.restore"):
        assert w[:].sum() == 0.0
    w.push(None, 1.0).result()
    assert w[:].sum() == 8.0, "and it is told once"


def test_what_is_lost_without_copies_is_told(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=5, servers=2, workers=3, replicas=0)
    w = ps.vector("w", 8)
    w.push(None, 1.0).result()
    ps.cluster.kill("m1")
    ps.cluster.run(4 * ps.settings.timeout)
    with pytest.warns(UserWarning, match="were lost"):
        assert 0 < w[:].sum() < 8


def test_workers_that_are_all_dead_begin_no_run(sim_ps: MakePs) -> None:
    ps = sim_ps(machines=5, servers=2, workers=3)
    for machine in ("m3", "m4", "m5"):
        ps.cluster.kill(machine)
    with pytest.raises(MachineDead, match="every worker is dead: m3, m4, m5"):
        ps.run(nothing)
    ps.cluster.restart("m4")
    assert len(ps.run(nothing)) == 3


def test_a_vector_has_its_length_in_a_program_too(sim_ps: MakePs) -> None:
    ps = sim_ps()
    w = ps.vector("w", 8)

    async def size(worker: Any) -> int:
        return len(w)

    assert ps.run(size) == [len(w)] * ps.shards


async def nothing(worker: Any) -> None:
    """A program."""
