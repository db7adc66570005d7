"""Random schedules of faults, determinism, and planted mistakes."""

from __future__ import annotations

import os
from typing import Any

import pytest

from labkit import Cluster
from labkit.runtime.node import rpc
from labkit.systems.lockss import Nuisance, Stealth
from labkit.systems.lockss.effort import Proof
from labkit.systems.lockss.mistakes import MISTAKES
from labkit.systems.lockss.nodes import Library, Minion
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import right, small

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 40


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_keeps_the_rules_and_the_documents(seed: int) -> None:
    with Cluster(machines=4, engine="sim", seed=seed, trace_limit=500_000) as cluster:
        adversary = [None, Stealth(0.2), Nuisance(0.2)][seed % 3]
        archive = small(cluster, adversary=adversary, rot=1.0, year=4.0)
        began = cluster.now
        cluster.play([(began + at, fault) for at, fault in disturbances(seed)])
        archive.run(4)
        right(archive)
        assert archive.lost() == []


def digest(seed: int = 5) -> str:
    with Cluster(machines=4, engine="sim", seed=seed, trace="messages", trace_limit=500_000) as cluster:
        archive = small(cluster, adversary=Stealth(0.4), rot=2.0, year=4.0)
        cluster.play([(cluster.now + at, fault) for at, fault in disturbances(seed)])
        archive.run(1.5)
        return str(cluster.trace.digest())


def test_twice_in_one_process_and_whatever_the_hash_seed() -> None:
    assert digest() == digest() != digest(6)
    assert digest_elsewhere(__name__) == digest()


CAUGHT_BY = {
    "outer votes count": "OuterNeverDecides",
    "repairs without a landslide": "OnlyByRepair",
    "repairs are not tallied again": "RepairByMajority",
    "votes without effort": "ValidVotes",
    "the same nonce again": "ValidVotes",
    "polls without a rate limit": "RateLimit",
    "no alarm": "AlarmOnce",
    "two alarms": "AlarmOnce",
    "lost blocks stay": "RepairedInOnePoll",
    "a replica edited by hand": "OnlyByRepair",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str) -> None:
    adversary = Nuisance(0.25) if "alarm" in mistake or "repairs" in mistake else None
    years = 0.3 if "rate" in mistake else 1.5
    with Cluster(machines=3, engine="sim", seed=1, trace_limit=500_000) as cluster:
        roles = (MISTAKES[mistake], Minion)
        archive = small(cluster, adversary=adversary, rot=3.0, roles=roles).run(years)
        assert CAUGHT_BY[mistake] in {violation.what for violation in archive.check().violations}


def test_without_a_mistake_nothing_is_found() -> None:
    with Cluster(machines=3, engine="sim", seed=1, trace_limit=500_000) as cluster:
        right(small(cluster, adversary=Nuisance(0.25), rot=3.0).run(1.5))


class Babbler(Minion):
    """Answers anything, each minion in its own way."""

    @property
    def kind(self) -> int:
        return self.minions.index(self.number) % 8

    @rpc
    async def poll(self, poll: Any, proof: Any) -> Any:
        return 7 if self.kind == 0 else await super().poll(poll, proof)

    @rpc
    async def poll_proof(self, poll: Any, nonce: int, proof: Any) -> Any:
        told = await super().poll_proof(poll, nonce, proof)
        nobody = (10**9, -3, "x", None, 2.5, [])
        return 3 if self.kind == 1 else (nobody, told[1]) if self.kind == 2 else told

    @rpc
    def vote_request(self, poll: Any) -> Any:
        if self.kind == 3:
            raise RuntimeError("no vote today")
        vote = self.sessions[poll].vote
        spoilt = {4: "vote", 5: (1, None, (), vote.proof), 6: vote._replace(proof=Proof("many", ""))}
        return spoilt.get(self.kind, vote)

    @rpc
    async def repair_request(self, poll: Any, block: int, proof: Any) -> Any:
        return [(), "block", (3.5,), None][self.kind % 4]


def test_no_answer_of_a_peer_makes_a_library_fail() -> None:
    with Cluster(machines=2, engine="sim", seed=1, trace_limit=500_000) as cluster:
        roles = (Library, Babbler)
        archive = small(cluster, libraries=20, adversary=Nuisance(0.4), rot=1.0, roles=roles).run(1)
        right(archive)
        methods = {event.data["method"] for event in cluster.trace.filter("nonsense")}
        assert methods == {"poll", "poll_proof", "vote_request", "repair_request"}
        assert archive.view().repairs > 0
        callers = [event.node for event in cluster.trace.filter("poll_called")]
        assert min(callers.count(name) for name in set(callers)) >= 3, "everybody goes on polling"


def test_a_bit_that_flips_while_a_repair_is_under_way_stays_flipped() -> None:
    """A rejected repair must not put back what the library had when it asked for it."""

    class Slow(Minion):
        @rpc
        async def repair_request(self, poll: Any, block: int, proof: Any) -> Any:
            self.send(self.spec.peer(poll[0]), "damage", 0, block)
            await self.sleep(0.01)
            return await super().repair_request(poll, block, proof)

    with Cluster(machines=2, engine="sim", seed=1, trace_limit=500_000) as cluster:
        archive = small(cluster, adversary=Nuisance(0.3), rot=1.0, roles=(Library, Slow)).run(3)
        assert archive.view().rejected
        right(archive)


def test_a_disk_lost_after_the_first_poll_of_a_library_makes_no_nonce_twice() -> None:
    with Cluster(machines=4, engine="sim", seed=1, trace_limit=500_000) as cluster:
        often = {"interval": 0.2, "retry": 0.1, "refractory": 0.0, "drop": 0.0, "patience": 0.01}
        archive = small(cluster, year=1000.0, **often).run(0.5 / 365)
        cluster.kill("m2")
        cluster.disk_loss("m2")
        cluster.restart("m2")
        right(archive.run(1 / 365))


def test_repairs_that_are_left_for_the_next_poll_are_no_broken_rule() -> None:
    with Cluster(machines=4, engine="sim", seed=1, trace_limit=500_000) as cluster:
        archive = small(cluster, rot=0.0, max_repairs=3)
        cluster.kill("m2")
        cluster.disk_loss("m2")
        cluster.restart("m2")
        archive.run(1)
        right(archive)
        assert archive.view().repairs > 3


@pytest.mark.parametrize("rule", ["landslide", "v3"])
def test_what_nobody_has_any_more_is_not_called_sound(rule: str) -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        archive = small(cluster, rot=0.0, rule=rule)
        for machine in ("m1", "m2"):
            cluster.kill(machine)
            cluster.disk_loss(machine)
        cluster.restart("m1")
        cluster.restart("m2")
        archive.run(0.5)
        right(archive)
        assert archive.view().outcomes["win"] == 0
        assert archive.alarms()
        assert len(archive.lost()) == 8
