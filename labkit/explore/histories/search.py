"""The search for one order of all operations (Wing and Gong, JPDC 1993).

Choose an operation that may come next, see whether the model lets it return what it did, go on; take the
choice back if that leads nowhere. Three things make it quick:

* a *configuration*, which operations are placed and what state that gave, is tried once (Lowe, CPE 2017), nor
  again with more of the operations that may not have happened;
* a state that nothing can bring back is kept while others have to find it (a value that is yet to be read);
* an operation that changes no state is placed as soon as it fits, and that is never taken back: in any order
  in which it comes later, it may be moved here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from math import inf
from operator import getitem, le

from .models import ANY, Model
from .operations import Operation, of_clients

__all__ = ["Search"]


@dataclass
class _Lane:
    """Operations of which each may be placed only after the one before."""

    operations: list[Operation] = field(default_factory=list)
    #: For each: whether it changes nothing; and positions that other lanes, of its client, must have reached.
    observes: list[bool] = field(default_factory=list)
    #: For each: the state that it needs to find, and the one that it leaves; ``ANY``: not known.
    finds: list[Hashable] = field(default_factory=list)
    leaves: list[Hashable] = field(default_factory=list)
    needs: list[list[tuple[int, int]]] = field(default_factory=list)


class Search:
    """Wing and Gong's search. How far each lane has got, and the state, is a configuration."""

    def __init__(self, operations: list[Operation], model: Model, real_time: bool) -> None:
        self.operations, self.model, self.real_time = operations, model, real_time
        # What was never answered and changes nothing is no evidence of anything.
        useful = [each for each in operations if each.answered or not model.observes(each)]
        self.lanes = _lanes(useful, real_time, model.personal)
        for lane in self.lanes:
            lane.observes = [model.observes(each) for each in lane.operations]
            lane.finds = [model.finds(each) if each.answered else ANY for each in lane.operations]
            lane.leaves = [model.leaves(each) for each in lane.operations]
        #: How many of the operations that are left have to find a state, and how many can leave it.
        self._wanted = Counter(state for lane in self.lanes for state in lane.finds)
        self._makers = Counter(state for lane in self.lanes for state in lane.leaves)
        #: Whether a choice was left out for what comes later.
        self.foresaw = False
        #: Lanes of operations that must have happened; the others are of those that may have.
        self.required = sum(lane.operations[0].answered for lane in self.lanes)
        #: For each of the first: when its operations return, and infinity after the last.
        self._ends = [[*(each.end for each in lane.operations), inf] for lane in self.lanes[: self.required]]
        self.tried = 0
        #: The latest instant by which all that had returned could be placed, and what returned then and could
        #: not; or, where real time does not count, what came next where most was placed.
        self.reached: float = -inf
        self.stuck: list[Operation] = []
        self._placed: list[tuple[int, Operation]] = []
        #: For what must have happened, and the state: with how much of the rest that was tried.
        self._seen: dict[tuple[tuple[int, ...], Hashable], list[tuple[int, ...]]] = {}

    def run(self, limit: int) -> bool | None:
        """Whether there is an order; None: nobody knows after ``limit`` configurations."""
        at = [0] * len(self.lanes)
        #: For each choice: what else could be chosen, and how many operations were placed before it.
        choices: list[tuple[list[tuple[int, Hashable]], int]] = []
        state: Hashable = self.model.initial
        while True:
            self._place_what_changes_nothing(at, state)
            options: list[tuple[int, Hashable]] = []
            if self._is_new(at, state):
                if self._due(at) == inf:
                    return True
                if self.tried >= limit:
                    return None
                self.tried += 1
                options = self._options(at, state)
            choices.append((options, len(self._placed)))
            while not choices[-1][0]:
                choices.pop()
                if not choices:
                    return False
                self._take_back(at, choices[-1][1])
            lane, state = choices[-1][0].pop()
            self._place(at, lane)

    def _is_new(self, at: list[int], state: Hashable) -> bool:
        """Whether this was not tried yet, nor with less of what may not have happened: that was no worse."""
        rest = tuple(at[self.required :])
        tried = self._seen.setdefault((tuple(at[: self.required]), state), [])
        if any(all(map(le, other, rest)) for other in tried):
            return False
        tried.append(rest)
        return True

    def _place(self, at: list[int], lane: int) -> None:
        here, of = at[lane], self.lanes[lane]
        self._placed.append((lane, of.operations[here]))
        self._wanted[of.finds[here]] -= 1
        self._makers[of.leaves[here]] -= 1
        at[lane] = here + 1

    def _take_back(self, at: list[int], count: int) -> None:
        while len(self._placed) > count:
            lane = self._placed.pop()[0]
            at[lane] = here = at[lane] - 1
            self._wanted[self.lanes[lane].finds[here]] += 1
            self._makers[self.lanes[lane].leaves[here]] += 1

    def _next(self, at: list[int], lanes: range) -> Iterator[tuple[int, Operation]]:
        """What may come next in these lanes: it was invoked before any other that is left returned."""
        # At the due instant itself both are under way; of one client's two, the lane says which is first.
        due = self._due(at) if self.real_time else inf
        for number in lanes:
            lane, here = self.lanes[number], at[number]
            if here < len(lane.operations) and lane.operations[here].invoked <= due:
                needs = lane.needs[here]
                if not needs or all(at[other] >= least for other, least in needs):
                    yield number, lane.operations[here]

    def _due(self, at: list[int]) -> float:
        """When the first of what is left, and must have happened, returned; infinity: nothing is left."""
        return min(map(getitem, self._ends, at), default=inf)

    def _place_what_changes_nothing(self, at: list[int], state: Hashable) -> None:
        again = True
        while again:
            again = False
            for number, each in self._next(at, range(self.required)):
                if self.lanes[number].observes[at[number]] and self.model.step(state, each):
                    self._place(at, number)
                    again = True

    def _options(self, at: list[int], state: Hashable) -> list[tuple[int, Hashable]]:
        """Lanes whose next operation can be placed, with the state it gives; the best is last."""
        following = list(self._next(at, range(len(self.lanes))))
        self._remember(at, following)
        found = [
            (each.end, each.invoked, number, after)
            for number, each in following
            for after in self.model.step(state, each)
            if after == state or not self._loses(state, number, at[number])
        ]
        found.sort(key=lambda option: option[:3], reverse=True)
        return [(number, after) for _, _, number, after in found]

    def _loses(self, state: Hashable, lane: int, here: int) -> bool:
        """Whether an operation ends a state that others still have to find, and that none can bring back."""
        of = self.lanes[lane]
        wanted = self._wanted[state] - (of.finds[here] == state)
        if wanted <= 0 or self._makers[state] > 0:
            return False
        self.foresaw = True
        return True

    def _remember(self, at: list[int], following: list[tuple[int, Operation]]) -> None:
        reached = self._due(at) if self.real_time else len(self._placed)
        if reached > self.reached:
            self.reached, self.stuck = reached, [each for _, each in following if each.answered]

    def order(self) -> list[Operation]:
        """The order found."""
        return [each for _, each in self._placed]

    def prefix(self) -> list[Operation]:
        """After a failure: the history until the first return at which there was no order any more."""
        if self.foresaw or not self.real_time:
            return self.operations  # what is wrong may come later than the search has got
        return [
            each if each.end <= self.reached else replace(each, returned=None)
            for each in self.operations
            if each.invoked <= self.reached
        ]


def _lanes(operations: list[Operation], real_time: bool, personal: bool) -> list[_Lane]:
    """As few lanes as the clients need; first those of answered operations."""
    answered: list[_Lane] = []
    place = {id(each): number for number, each in enumerate(operations)}
    owners: list[Hashable] = []
    for client, theirs in of_clients(each for each in operations if each.answered).items():
        own: list[int] = []
        for each in theirs:
            free = [n for n in own if answered[n].operations[-1].end <= each.invoked]
            if not free:
                answered.append(_Lane())
                owners.append(client)
                own.append(len(answered) - 1)
                free = own[-1:]
            answered[free[0]].operations.append(each)
    of_client: dict[Hashable, list[int]] = {}
    for number, owner in enumerate(owners):
        of_client.setdefault(owner, []).append(number)

    def needs(each: Operation, but: int | None) -> list[tuple[int, int]]:
        """What its client had been told when it invoked this, in other lanes."""
        found = []
        for number in of_client.get(each.client, ()):
            done = sum(
                other.end <= each.invoked and place[id(other)] < place[id(each)]
                for other in answered[number].operations
            )
            # Where real time counts it says so itself, unless both were at the same instant.
            tie = done and answered[number].operations[done - 1].end == each.invoked
            if number != but and (tie if real_time else done):
                found.append((number, done))
        return found

    for number, lane in enumerate(answered):
        alone = len(of_client[owners[number]]) == 1
        lane.needs = [[] if alone else needs(each, number) for each in lane.operations]
    return answered + _open_lanes(
        [each for each in operations if not each.answered], needs, real_time, personal
    )


def _open_lanes(
    operations: list[Operation],
    needs: Callable[[Operation, int | None], list[tuple[int, int]]],
    real_time: bool,
    personal: bool,
) -> list[_Lane]:
    """Lanes of unanswered operations. Of several that are the same, the earliest may as well come first."""
    same: dict[Hashable, _Lane] = {}
    for number, each in enumerate(operations):
        first = needs(each, None)
        alike = real_time and not first  # else others of its client tell it apart
        client = each.client if personal else None
        lane = same.setdefault((client, each.call, each.argument, each.key) if alike else number, _Lane())
        lane.operations.append(each)
        lane.needs.append(first)
    return list(same.values())
