"""`LockssPanel`: libraries and their replicas, a poll's votes as they come, reference lists and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from labkit.systems.lockss.adversaries import Attrition, Nuisance, Stealth
from labkit.systems.lockss.prediction import circles, damaged_share
from labkit.systems.lockss.tally import INCONCLUSIVE, LOSS
from labkit.systems.lockss.view import ArchiveReducer, ArchiveState, PeerView, PollView
from labkit.trace.machines import EventLine, MachineView
from labkit.trace.words import many

from ..charts import Iterations
from ..layouts.circle import HEIGHT, Spot, Way, circle, crowded, summary
from ..looks import indexes
from ..numbers import Number
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Told, story
from ..scene import Label, Pulse, Scene
from ..setup import OneOf, Whole

ROTS = tuple((f"{rate:g} a year", rate) for rate in (0.0, 0.2, 0.5, 1.0, 2.0, 5.0))
ATTACKS = (("nobody", None), ("stealth, a third", Stealth(0.33)), ("nuisance, a fifth", Nuisance(0.2)),
           ("attrition, a fifth", Attrition(0.2, rate=1.0)))  # fmt: skip
OUTCOMES = {
    "win": "the replica is sound",
    "loss": "a landslide against it",
    "inconclusive": "no landslide: ALARM",
    "inquorate": "too few votes",
    "": "under way",
}
HINT = "Choose a library to see its last poll"


class Frame(NamedTuple):
    """An archive at a position."""

    run: ArchiveState
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float
    archive: Any

    @property
    def years(self) -> float:
        """Of the archive."""
        spec = self.archive.spec
        return float(max(0.0, self.time - spec.began) / spec.options.year)

    @property
    def foothold(self) -> float:
        """Share of minions in the lists of loyal libraries."""
        return self.run.foothold[-1][1] if self.run.foothold else 0.0


class LockssPanel(Panel):
    """Libraries that preserve documents."""

    title: ClassVar[str] = "LOCKSS"
    named = "archive"
    archive: Any
    fold = lambda panel, known: ArchiveReducer(panel.archive.name, known)  # noqa: E731
    figures = staticmethod(lambda frame: numbers(frame))
    parameters = (
        Whole("libraries", "Libraries", 24, 12, 100),
        OneOf("adversary", "Adversary", ATTACKS),
    )
    side = (
        Form((
            Choice("rot", "Rot", ROTS, lambda panel: panel.now_rot, "rot",
                   set=lambda panel, rate: setattr(panel.archive, "rot", rate)),
            Button("flip_button", "flip", "Flip a bit", "In the first document of the selected library",
                   lambda panel: panel.flip(), off=lambda panel, _frame: not panel.stage.selected),
        )),
        Told("steps", "steps", lambda panel, frame: told(frame, panel.stage.selected)),
        Chart(Iterations, lambda _panel, frame: by_year(frame, "damage"), "damage",
              ("Damaged replicas at the end of each year", "~g")),
        Chart(Iterations, lambda _panel, frame: by_year(frame, "foothold"), "foothold",
              ("Per cent of reference lists: minions", "~g")),
        Chart(Iterations, lambda _panel, frame: by_year(frame, "alarms"), "alarms",
              ("Alarms of each year", "~g")),
    )  # fmt: skip

    @property
    def now_rot(self) -> float:
        """As it is now; the nearest that can be chosen."""
        return min((rate for _, rate in ROTS), key=lambda rate: abs(rate - self.archive.rot))

    def frame(self, position: float | None) -> Frame:
        """The archive at a position."""
        run: ArchiveState = self.history.at(position)
        return Frame(run, *self.seen(run.lab, position), self.archive)

    def scene(self, frame: Frame) -> Scene:
        """A circle of libraries, and the votes of a poll."""
        return scene(frame, self.stage.selected)

    def about(self, frame: Frame) -> str:
        """Its years."""
        return f"year {frame.years:.1f} · {many(len(frame.run.good), 'unit')}"

    def news(self, frame: Frame) -> str:
        """Alarms and losses."""
        lost = len(frame.run.lost())
        alarms = many(len(frame.run.alarms), "alarm") if frame.run.alarms else ""
        return f"{many(lost, 'document')} lost" if lost else alarms

    def flights(self, frame: Frame) -> Iterator[tuple[float, Pulse]]:
        """Votes on their way to the poller."""
        for poll in frame.run.polls.values():
            for vote in poll.votes:
                kind = "lost" if vote.against else "reply"
                yield vote.time, Pulse(vote.seq, vote.voter, poll.poller, kind, f"vote of {vote.voter}")

    def caption(self, frame: Frame, left_out: int) -> str:
        """How to read it."""
        minions = "; dashed rings: the adversary's" if frame.run.malign else ""
        return f"lines: votes; dashed red: against; pale: of the outer circle, which do not count{minions}"

    def flip(self) -> None:
        """Damage the selected library's first document."""
        peer = self.archive.view().peers[self.stage.selected]
        self.archive.damage(peer.number, next(iter(next(iter(self.archive.spec.units.values())))))


# -- the stage ------------------------------------------------------------


def poll_of(frame: Frame, selected: str) -> PollView | None:
    """The selected library's last poll; else the latest of all."""
    chosen = [poll for (name, _), poll in frame.run.polls.items() if name == selected]
    if chosen:
        return max(chosen, key=lambda poll: poll.began)
    return frame.run.polls.get(frame.run.latest) if frame.run.latest and not selected else None


def scene(frame: Frame, selected: str) -> Scene:
    """Libraries in a circle: red rings have a bad replica, the adversary's are marked."""
    run, colours = frame.run, indexes([machine.name for machine in frame.machines])
    states = {machine.name: machine.state for machine in frame.machines}
    peers = sorted(run.peers.values(), key=lambda peer: peer.number)
    spots = [
        Spot(
            peer.name,
            k / max(1, len(peers)),
            colours.get(peer.machine, -1),
            states.get(peer.machine, "alive"),
            tip(run, peer.name),
            relation(run, peer, selected),
            (("copies", bad(run, peer.name)),),
            f"{many(bad(run, peer.name), 'bad block')}",
        )
        for k, peer in enumerate(peers)
    ]
    title = f"{many(len(peers), 'library')}, {run.bad_loyal} with a damaged replica"
    if crowded(spots):
        return summary(spots, f"{run.bad_loyal} damaged of {run.loyal}", "too many to draw each", title)
    poll = poll_of(frame, selected)
    return circle(spots, ways(poll), title, heads=heads(frame, poll))


def ways(poll: PollView | None) -> Iterator[Way]:
    """The votes of a poll, towards the poller."""
    for vote in poll.votes if poll is not None else ():
        cls = "link" if vote.circle == "outer" else "finger stale" if vote.against else "finger"
        said = f"differs on {many(len(vote.against), 'block')}" if vote.against else "agrees"
        tip = f"{vote.voter} ({vote.circle} circle) {said}"
        yield Way(f"v:{vote.voter}", vote.voter, poll.poller if poll else "", cls, 0.5, tip)


def heads(frame: Frame, poll: PollView | None) -> Iterator[Label]:
    """How all is, and the poll that is drawn."""
    run, lost = frame.run, frame.run.lost()
    if lost:
        yield Label(12, 20, f"✕ {many(len(lost), 'document')} lost", "bad", "start")
    else:
        words = (
            f"! {many(run.bad_loyal, 'replica')} damaged" if run.bad_loyal else "✓ all replicas as published"
        )
        yield Label(12, 20, words, "bad" if run.bad_loyal else "good", "start")
    if poll is not None:
        inner = [vote for vote in poll.votes if vote.circle == "inner"]
        agree = sum(not vote.against for vote in inner)
        tone = "bad" if poll.outcome in (LOSS, INCONCLUSIVE) else "note"
        yield Label(
            12,
            HEIGHT - 10,
            f"{poll.poller}: {agree} of {len(inner)} agree, {OUTCOMES[poll.outcome]}",
            tone,
            "start",
        )


def bad(run: ArchiveState, name: str) -> int:
    """Bad blocks in all replicas of a library."""
    return sum(count for (peer, _), count in run.bad.items() if peer == name)


def relation(run: ArchiveState, peer: PeerView, selected: str) -> str:
    """Selected, damaged, malign: the classes of a mark."""
    words = "fault" if bad(run, peer.name) else "", "predecessor" if peer.malign else ""
    return " ".join(filter(None, ("selected" if peer.name == selected else "", *words)))


def tip(run: ArchiveState, name: str) -> str:
    """A library in one sentence."""
    peer = run.peers[name]
    malign = ", one of the adversary's" if peer.malign else ""
    return f"{name} on {peer.machine}{malign}; {many(bad(run, name), 'bad block')}"


# -- beside it ------------------------------------------------------------


def numbers(frame: Frame) -> tuple[Number, ...]:
    """Damage, alarms, the adversary's foothold and what it can win with it; beside what theory expects."""
    run, options = frame.run, frame.archive.options
    share = run.bad_loyal / run.loyal if run.loyal else 0.0
    theory = f"{damaged_share(options, frame.archive.rot):.1%} at a time: rot × interval / 2"
    alarms = len(run.alarms)
    polls = sum(run.outcomes.values())
    found = [
        Number(
            "Replicas damaged",
            f"{run.bad_loyal} of {run.loyal}",
            "",
            "bad" if share > 0.5 else "plain",
            theory,
        ),
        Number("Repaired", f"{run.repairs:,}", f"after {many(run.damages, 'damage')}"),
        Number("Alarms", f"{alarms:,}", f"in {many(polls, 'poll')}", "bad" if alarms else "good"),
    ]
    if run.malign:
        chance = circles(frame.foothold, options)
        found += [
            Number(
                "Adversary's foothold",
                f"{frame.foothold:.0%}",
                f"{len(run.malign)} of {len(run.peers)} libraries",
            ),
            Number("Strikes", f"{len(run.strikes):,}", theory=f"it wins {chance[LOSS]:.1%} of circles"),
        ]
    return tuple(found)


def by_year(frame: Frame, what: str) -> tuple[list[int], list[float]]:
    """A quantity at the end of each year, or in each."""
    spec, run = frame.archive.spec, frame.run
    years = list(range(1, int(frame.years) + 2))
    ends = [spec.began + year * spec.options.year for year in years]
    if what == "alarms":
        times = [time for time, _, _ in run.alarms]
        return years, [sum(end - spec.options.year < time <= end for time in times) for end in ends]
    points = [(at, 100 * share) for at, share in run.foothold] if what == "foothold" else run.damage
    values, last, k = [], 0.0, 0
    for end in ends:
        while k < len(points) and points[k][0] <= end:
            last, k = float(points[k][1]), k + 1
        values.append(round(last, 1))
    return years, values


def told(frame: Frame | None, selected: str) -> dict[str, Any]:
    """The selected library's last poll, vote by vote; without one, the latest."""
    if frame is None:
        return {}
    poll, run = poll_of(frame, selected), frame.run
    if selected not in run.peers and poll is None:
        return story("", HINT, [])
    name = selected or (poll.poller if poll else "")
    lines = []
    if selected:
        lines = [("■", f"{run.peers[name].machine}, {many(bad(run, name), 'bad block')}")]
        lines += [
            ("○", f"knows {many(len(refs), 'peer')}") for (peer, _), refs in run.refs.items() if peer == name
        ]
    for vote in poll.votes if poll is not None else ():
        said = "agrees" if not vote.against else f"differs on {many(len(vote.against), 'block')}"
        note = "" if vote.circle == "inner" else " (outer circle: does not count)"
        lines.append(("✓" if not vote.against else "✕", f"{vote.voter} {said}{note}"))
    if poll is not None and poll.repaired:
        lines.append(("↻", f"{many(poll.repaired, 'block')} repaired, and tallied again"))
    what = f"poll {poll.number}: {OUTCOMES[poll.outcome]}" if poll is not None else "calls no polls"
    return story(selected, f"{name}, {what}", lines)
