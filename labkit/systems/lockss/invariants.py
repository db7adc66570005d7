"""What must hold of every run, judged on its trace, on both engines (SYSTEMS.md §3(f)).

==================  =====================================================================================
OnlyByRepair        a loyal replica changes by rot, or by a repair within a poll that lost that block by a
                    landslide: nothing else, and it votes with what it has
RepairByMajority    a repaired block equals the block of at least Q - D voters of that poll's inner circle
ValidVotes          a vote counts only if it was sealed, effort was proved for it, and its nonces are fresh
OuterNeverDecides   the votes of the inner circle alone give the outcome
RateLimit           a library's polls on a unit are at least ``retry`` days apart
AlarmOnce           every inconclusive poll rings exactly one alarm, and nothing else rings one
RepairedInOnePoll   with loyal peers only, a block lost by a landslide is repaired before the poll ends
                    (``max_repairs`` of them), or an alarm tells that nobody could send it
==================  =====================================================================================

What a dead machine could not tell any more is not judged: a poll that never ended has no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labkit.parts.checks import Findings, whole
from labkit.runtime.cluster import Cluster

from .effort import Proof, proves
from .options import Spec
from .tally import INCONCLUSIVE, INQUORATE, LOSS, WIN

__all__ = ["Replay", "Report", "check"]

#: Seconds by which clocks may differ.
SLACK = 1e-6


@dataclass
class Report(Findings):
    """What replaying a run found."""

    polls: int = 0
    votes: int = 0
    repairs: int = 0

    def __str__(self) -> str:
        return "\n".join(self.lines({"poll": self.polls, "vote": self.votes, "repair": self.repairs}))


@dataclass
class Going:
    """A poll under way."""

    node: str
    unit: str
    nonce: int
    votes: dict[str, tuple[str, frozenset[int]]] = field(default_factory=dict)  #: voter: circle, against
    lost: frozenset[int] = frozenset()
    outcome: str = ""
    alarms: int = 0
    repaired: set[int] = field(default_factory=set)
    rejected: bool = False


class Replay:
    """Judges the events of one archive, in their order."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.options, self.prefix = spec, spec.options, f"{spec.name}-"
        self.report = Report()
        self.versions: dict[tuple[str, str], list[str]] = {}
        self.malign: set[str] = set()
        self.polls: dict[Any, Going] = {}
        self.called: dict[tuple[str, str], float] = {}
        self.votes: dict[tuple[Any, str], tuple[str, ...]] = {}  #: (poll, voter): versions
        self.nonces: set[tuple[str, int]] = set()

    def apply(self, event: Any) -> None:
        """Judge one event."""
        handler = getattr(self, f"on_{event.kind}", None)
        if handler is not None and event.node is not None and event.node.startswith(self.prefix):
            handler(event, event.data)

    def on_opened(self, event: Any, data: Any) -> None:
        replica = event.node, data["unit"]
        if data["malign"]:
            self.malign.add(event.node)
        before, now = self.versions.get(replica), list(data["versions"])
        if before is not None and any(a and a != b for a, b in zip(now, before, strict=True)):
            self._broken(event, "OnlyByRepair", "its replica changed while it was away")
        self.versions[replica] = now
        for poll in [poll for poll, going in self.polls.items() if going.node == event.node]:
            del self.polls[poll]  # it died in the middle

    def on_damaged(self, event: Any, data: Any) -> None:
        if (versions := self.versions.get((event.node, data["unit"]))) is not None:
            versions[data["block"]] = data["version"]

    def on_poll_called(self, event: Any, data: Any) -> None:
        replica, options = (event.node, data["unit"]), self.options
        before = self.called.get(replica)
        if before is not None and event.time - before < options.retry * options.day - SLACK:
            days = (event.time - before) / options.day
            self._broken(event, "RateLimit", f"{event.node} called two polls within {days:.2f} days")
        self.called[replica] = event.time
        if (event.node, data["nonce"]) in self.nonces:
            self._broken(event, "ValidVotes", f"{event.node} uses a nonce again")
        self.nonces.add((event.node, data["nonce"]))
        self.polls[tuple(data["poll"])] = Going(event.node, data["unit"], data["nonce"])
        self.report.polls += 1

    def on_voted(self, event: Any, data: Any) -> None:
        versions = tuple(data["versions"])
        self.votes[tuple(data["poll"]), event.node] = versions
        if event.node in self.malign:
            return
        have = self.versions.get((event.node, data["unit"]))
        if have is not None and list(versions) != have:
            self._broken(event, "OnlyByRepair", f"{event.node} has another replica than it should have")

    def on_vote_received(self, event: Any, data: Any) -> None:
        going = self.polls.get(tuple(data["poll"]))
        if going is None:
            return
        self.report.votes += 1
        going.votes[data["voter"]] = (data["circle"], frozenset(data["against"]))
        voter = f"{event.node} counts a vote of {data['voter']}"
        challenge = (tuple(data["poll"]), going.nonce, data["nonce"])
        if not data["sealed"]:
            self._broken(event, "ValidVotes", f"{voter} that was not sealed")
        elif not proves(Proof(*data["proof"]), challenge, 1.0):
            self._broken(event, "ValidVotes", f"{voter} without effort")
        elif (data["voter"], data["nonce"]) in self.nonces:
            self._broken(event, "ValidVotes", f"{data['voter']} votes with a nonce that it used before")
        self.nonces.add((data["voter"], data["nonce"]))

    def on_poll_evaluated(self, event: Any, data: Any) -> None:
        going = self.polls.get(tuple(data["poll"]))
        if going is None:
            return
        going.outcome, going.lost = data["outcome"], frozenset(data["lost"])
        inner = [against for circle, against in going.votes.values() if circle == "inner"]
        have = self.versions.get((going.node, going.unit), ())
        missing = {block for block, version in enumerate(have) if not version}
        expected = self._verdict(inner, missing)
        if expected is not None and expected != data["outcome"]:
            told = f"{event.node}: {len(inner)} inner votes give {expected}, not {data['outcome']}"
            self._broken(event, "OuterNeverDecides", told)

    def _verdict(self, inner: list[frozenset[int]], missing: set[int]) -> str | None:
        """By the landslide alone; None: the daemon's rule looks at missing blocks too."""
        options = self.options
        if options.rule != "landslide":
            return None
        if len(inner) < options.quorum:
            return INQUORATE
        verdicts = {WIN}
        for block in missing.union(*inner):
            verdict = options.verdict(sum(block not in against for against in inner), len(inner))
            verdicts.add(INCONCLUSIVE if verdict == WIN and block in missing else verdict)
        return next(each for each in (INCONCLUSIVE, LOSS, WIN) if each in verdicts)

    def on_repaired(self, event: Any, data: Any) -> None:
        poll, block, replica = tuple(data["poll"]), data["block"], (event.node, data["unit"])
        going = self.polls.get(poll)
        self.report.repairs += 1
        if (versions := self.versions.get(replica)) is not None:
            versions[block] = data["version"]
        if going is None or block not in going.lost:
            told = f"{event.node} overwrote {data['url']}, though no landslide was against it"
            self._broken(event, "OnlyByRepair", told)
            return
        going.repaired.add(block)
        inner = [voter for voter, (circle, _) in going.votes.items() if circle == "inner"]
        shown = [self.votes[poll, voter][block] for voter in inner if (poll, voter) in self.votes]
        same = shown.count(data["version"])
        least = self.options.quorum - self.options.minority
        if same < least:
            told = f"{event.node} took {data['url']} that {same} of {len(inner)} voters have, not {least}"
            self._broken(event, "RepairByMajority", told)

    def on_repair_rejected(self, event: Any, data: Any) -> None:
        if (going := self.polls.get(tuple(data["poll"]))) is not None:
            going.rejected = True

    def on_alarm(self, event: Any, data: Any) -> None:
        going = self.polls.get(tuple(data["poll"]))
        if going is None or going.alarms:
            self._broken(event, "AlarmOnce", f"{event.node} rings an alarm twice, or for no poll")
        else:
            going.alarms = 1

    def on_poll_finished(self, event: Any, data: Any) -> None:
        going = self.polls.pop(tuple(data["poll"]), None)
        if going is None:
            return
        wanted = int(data["outcome"] == INCONCLUSIVE)
        if going.alarms != wanted:
            told = f"{event.node} ends a poll as {data['outcome']} after {going.alarms} alarms"
            self._broken(event, "AlarmOnce", told)
        left = going.lost - going.repaired
        if (
            len(left) > max(0, len(going.lost) - self.options.max_repairs)
            and data["outcome"] == LOSS
            and not self.malign
        ):
            self._broken(event, "RepairedInOnePoll", f"{event.node} leaves {len(left)} lost blocks")

    def _broken(self, event: Any, what: str, detail: str) -> None:
        self.report.broken(event, what, detail)


def check(cluster: Cluster, spec: Spec) -> Report:
    """The report on an archive. Raises ``LabError`` if the trace has forgotten its beginning."""
    replay = Replay(spec)
    for event in whole(cluster):
        replay.apply(event)
    return replay.report
