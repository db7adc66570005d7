"""lockss-tally: a vote that cannot be copied, the landslide rule, and a poll's repair.

The rule is labkit's model of that of the SOSP 2003 paper (``labkit/systems/lockss/tally.py``). A student's
``verdict`` can be tried in a whole archive, with an adversary that knows it.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any, NamedTuple

from labkit.parts.options import one_of
from labkit.runtime.copying import stream
from labkit.systems.lockss.adversaries import Stealth
from labkit.systems.lockss.options import Options
from labkit.systems.lockss.single import Population
from labkit.systems.lockss.tally import INCONCLUSIVE, INQUORATE, LOSS, WIN, Landslide

from ..answers import Answers, Wrong
from ..tasks import Case, Tasks, judge_prediction

#: Verdicts.
VERDICTS = (WIN, LOSS, INCONCLUSIVE, INQUORATE)


class Vote(NamedTuple):
    """A vote, as its poller sees it: what a hash tells of one block."""

    voter: str
    circle: str  #: "inner" or "outer"
    version: str  #: a letter for each version there is


tasks = Tasks("lockss-tally", order=17, records=[Vote])


def right_vote(poller_nonce: int, voter_nonce: int, content: bytes) -> str:
    """As the exercise says."""
    return hashlib.sha256(f"{poller_nonce} {voter_nonce} ".encode() + content).hexdigest()


def right_poll(mine: str, votes: list[Vote], quorum: int, minority: int) -> tuple[str, str]:
    """The verdict, and the version that the poller has afterwards."""
    inner = [vote.version for vote in votes if vote.circle == "inner"]
    rule = Landslide(quorum, minority)
    outcome = rule(inner.count(mine), len(inner))
    if outcome != LOSS:
        return outcome, mine
    for version in sorted(set(inner)):
        if rule(inner.count(version), len(inner)) == WIN:
            return LOSS, version
    return INCONCLUSIVE, mine


def some_votes(random: Random, mine: str) -> list[Vote]:
    """Votes of some versions: often a landslide, sometimes none."""
    other, third = random.sample([letter for letter in "abcd" if letter != mine], 2)
    inner, outer = random.randint(4, 12), random.randint(0, 6)
    shape = random.choice(["agree", "against", "split", "three"])
    found = []
    for number in range(inner + outer):
        chance = random.random()
        version = {
            "agree": mine if chance < 0.9 else other,
            "against": other if chance < 0.9 else mine,
            "split": other if chance < 0.5 else mine,
            "three": other if chance < 0.5 else third,
        }[shape]
        circle = "inner" if number < inner else "outer"
        if circle == "outer":  # they would change the outcome, if they counted
            version = random.choice([mine, other])
        found.append(Vote(f"library-{number}", circle, version))
    random.shuffle(found)
    return found


class Asked(Options):
    """Options whose rule is a student's; each case is asked once."""

    answers: Any
    known: dict[tuple[int, int], str]

    @property
    def verdict(self) -> Any:
        """The student's rule."""

        def rule(agree: int, votes: int, lacking: int = 0, missing: bool = False) -> str:
            if (agree, votes) not in self.known:
                asked = agree, votes, self.quorum, self.minority
                self.known[agree, votes] = checked(self.answers.call("verdict", *asked), *asked)
            return self.known[agree, votes]

        return rule


def checked(got: Any, *asked: int) -> str:
    """A verdict. Raises ``Wrong`` for what is none."""
    if got not in VERDICTS:
        said = ", ".join(map(repr, VERDICTS))
        raise Wrong(f"verdict{asked} gave {got!r:.80}, not one of {said}")
    return str(got)


def run(
    answers: Answers, seed: int = 1, subverted: float = 0.3, rule: str = "yours", years: float = 5.0
) -> str:
    """Sixty libraries with a stealth adversary, judged by a rule: "yours" or "labkit's"."""
    one_of(("yours", "labkit's"))("rule", rule)
    size = {"libraries": 60, "inner": 10, "quorum": 5, "minority": 2, "reference": 15, "rot": 0.5}
    options = Options(**size)
    if rule == "yours":
        options = Asked(**size)
        object.__setattr__(options, "answers", answers)
        object.__setattr__(options, "known", {})
    population = Population(options, Stealth(subverted), seed, 8)
    population.run(years)
    lost = f"lost in year {population.lost_at / 365:.1f}" if population.lost_at is not None else "preserved"
    return (
        f"{lost}; {population.changed} of {len(population.loyal)} loyal replicas are the adversary's, "
        f"{len(population.alarms)} alarms, {len(population.repairs)} repairs, "
        f"{population.damaged_share:.1%} damaged on average"
    )


@tasks.task("vote", visible=(1, 2), hidden=6)
def vote(answers: Answers, case: Case) -> None:
    """A vote with both nonces."""
    random = case.random
    for _ in range(8):
        nonces = random.getrandbits(32), random.getrandbits(32)
        content = bytes(random.randrange(256) for _ in range(random.randint(0, 40)))
        got, wanted = answers.call("vote", *nonces, content), right_vote(*nonces, content)
        if got != wanted:
            raise Wrong(f"vote({nonces[0]}, {nonces[1]}, {content!r:.60}) gave {got!r:.80}, not {wanted!r}")


@tasks.task("verdict", visible=(1, 2), hidden=10)
def verdict(answers: Answers, case: Case) -> None:
    """The landslide rule."""
    random = case.random
    quorum = random.randint(3, 12)
    minority = random.randint(1, (quorum - 1) // 2)
    rule = Landslide(quorum, minority)
    for votes in (quorum - 1, quorum, quorum + random.randint(1, 9)):
        for agree in range(votes + 1):
            asked = agree, votes, quorum, minority
            got, wanted = checked(answers.call("verdict", *asked), *asked), rule(agree, votes)
            if got != wanted:
                raise Wrong(
                    f"verdict(agree={agree}, votes={votes}, quorum={quorum}, minority={minority}) gave "
                    f"{got!r}, not {wanted!r}"
                )


@tasks.task("poll", visible=(1, 2, 3), hidden=12)
def poll(answers: Answers, case: Case) -> None:
    """A poll: who counts, what is repaired, and whether the repair is kept."""
    random = case.random
    for _ in range(12):
        mine = random.choice("abcd")
        votes = some_votes(random, mine)
        quorum = random.randint(3, 6)
        minority = random.randint(1, (quorum - 1) // 2)
        got = answers.call("poll", mine, list(votes), quorum, minority)
        wanted = right_poll(mine, votes, quorum, minority)
        try:
            found = tuple(got)
        except TypeError:
            raise Wrong(f"poll gave {got!r:.80}, not a pair: verdict and version") from None
        if found != wanted:
            inner = "".join(sorted(each.version for each in votes if each.circle == "inner"))
            outer = "".join(sorted(each.version for each in votes if each.circle == "outer"))
            raise Wrong(
                f"with mine={mine!r}, quorum={quorum}, minority={minority}, inner votes {inner!r} and outer "
                f"votes {outer!r} poll gave {found!r:.80}, not {wanted!r}"
            )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of alarms."""
    judge_prediction(answers, "predicted_alarms", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    minority = random.randint(1, 4)
    votes = 2 * minority + random.randint(3, 9)
    found = votes - 2 * minority - 1
    text = (
        f"A poll has {votes} votes of the inner circle, and D = {minority} may differ. For how many of the "
        f"{votes + 1} possible numbers of agreeing votes, 0 to {votes}, does the alarm ring?"
    )
    return text, f"{found}: from {minority + 1} to {votes - minority - 1}", found
