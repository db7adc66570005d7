"""What the nodes of an archive tell of themselves: each event's data, and how it reads."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS"]


def _evaluated(event: Any) -> str:
    data = event.data
    said = {
        "win": "its replica is sound",
        "loss": f"outvoted on {len(data.get('lost', ()))} of its blocks, by a landslide",
        "inconclusive": "no landslide either way",
        "inquorate": "too few votes",
    }.get(data.get("outcome", ""), "?")
    return f"{event.node} counts {data.get('votes')} votes on {data.get('unit')}: {said}"


def _received(event: Any) -> str:
    data = event.data
    said = "agrees" if not data.get("against") else f"differs on {len(data['against'])}"
    return f"{event.node} has the vote of {data.get('voter')} ({data.get('circle')} circle): it {said}"


EVENTS = Events(
    "lockss",
    collected=quiet("{node} has collected {unit} from the publisher"),
    collected_nothing=trouble(
        "{node} has no {unit}, and the publisher is gone: its next polls must repair it"
    ),
    opened=quiet("{node} knows {refs:peer} for {unit}"),
    # a poll, at its poller
    poll_called=quiet("{node} calls poll {number} on {unit}"),
    refused=quiet("{voter} does not vote for {node}: {reason}"),
    vote_received=quiet(_received),
    vote_invalid=trouble("{node} throws the vote of {voter} away: {why}"),
    nonsense=trouble("{node} cannot use what {peer} answers to {method}: {error}"),
    poll_evaluated=quiet(_evaluated),
    repaired=repair(
        "{node} repairs {url} from {source}", "mended {unit}", "{total:block} of {unit} repaired"
    ),
    repair_rejected=trouble("{node} does not take {url} from {source}: the votes are against it, too"),
    alarm=trouble("ALARM at {node}: the poll on {unit} has no landslide, a person must look"),
    poll_finished=quiet("{node} ends poll {number} on {unit}: {outcome}"),
    # at a voter
    voted=quiet("{node} seals its vote for {poller}"),
    turned_away=quiet("{node} turns {poller} away: {reason}"),
    receipt=quiet("{node} hears that its vote for {poller} was counted"),
    # nature and the adversary
    damaged=fault("a bit of {url} flips at {node}", "rot {unit}", "{total:block} of {unit} went bad"),
    rot_changed=plain("bits rot at another rate: {rate:.2g} blocks a year in a replica"),
    struck=fault("the adversary strikes: {minions:minion} among the voters of {poller}"),
)
