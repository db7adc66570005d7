"""The part of a history that cannot be explained, as small as it gets.

Leaving out any operation will not do: without its write, a correct read looks wrong. Only what leaves a
correct history correct may go:

* an operation that changes nothing;
* all operations that concern some values, with those they are tied to by an operation on both (a ``cas``);
* all that had returned before some moment, if no state that they could have led to explains the rest.

So what remains is wrong by itself, whatever was left out. ``fewest`` tries which of these can go.

It also works the other way round: what is wrong with a history is mostly wrong with one or two of its values,
and that is quickly tried. For a register whose values are all different, two always suffice (Gibbons and
Korach, SIAM J. Comput. 1997).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import combinations

from labkit.explore.fewest import fewest

from .models import Model
from .operations import Operation
from .search import Search

__all__ = ["smallest", "wrong_values"]

#: Configurations for one question, and for all of them: then the part is as small as it got.
EACH, ALL = 20_000, 300_000
#: The same for one or two values; and operations looked at in all.
FEW, OPERATIONS = 500, 100_000

#: So many states are tried as the beginning of a history's end, and so few operations need no such beginning.
STATES, SHORT = 12, 4
#: So many operations that were under way then are left out or not, in every combination.
UNDER_WAY = 4


def smallest(
    operations: list[Operation], model: Model, real_time: bool, stuck: Sequence[Operation] = ()
) -> tuple[list[Operation], str]:
    """A part of a history without an order that has none by itself, as it was given; and words, if that is so
    whatever was before. ``stuck``: where the search stood when it got farthest, which is where to look first.
    """
    left = ALL
    starts, before = [model], set[int]()
    place = {id(each.original): number for number, each in enumerate(operations)}

    def in_order(some: list[Operation]) -> list[Operation]:
        return sorted(some, key=lambda each: place[id(each.original)])

    def fails(part: list[Operation]) -> bool:
        return all(_fails(some, start) for start in starts for some in _with_or_without(part, before))

    def _fails(part: list[Operation], start: Model) -> bool:
        nonlocal left
        if left <= 0:
            return False
        search = Search(part, start, real_time)
        found = search.run(min(EACH, left))
        left -= search.tried + 1
        return found is False

    def lean(part: list[Operation]) -> list[Operation]:
        part = _few_values(part, model, fails, stuck)
        others = [each for each in part if not model.observes(each)]
        reads = [each for each in part if model.observes(each)]
        return in_order([*others, *fewest(reads, lambda some: fails(in_order([*others, *some])))])

    part = lean(operations)
    if real_time and len(part) > SHORT:
        least, most, everything = 1, len(part), part
        while least < most:
            count = (least + most) // 2
            shortest = part, starts, before
            part, starts, before = _end(everything, count, model)
            if starts and fails(part):
                most = count
            else:
                part, starts, before = shortest
                least = count + 1
        part = lean(part)
    words = ", whatever was there before" if len(starts) > 1 else ""
    return [each.original or each for each in part], words


def _end(
    operations: list[Operation], count: int, model: Model
) -> tuple[list[Operation], list[Model], set[int]]:
    """The end of a history, from one of its last beginnings on; the states in which it may begin, as models
    (none: too many); and which of its operations may have happened before.
    """
    start = operations[-count].invoked
    earlier = [each for each in operations if each.invoked < start]
    states = model.states(earlier) or set()
    models = []
    for state in sorted(states, key=repr) if len(states) <= STATES else []:
        models.append(copy(model))
        models[-1].initial = state
    under_way = [each for each in earlier if each.end >= start and not model.observes(each)]
    before = {id(each.original) for each in under_way if each.answered}
    return [*under_way, *operations[len(earlier) :]], models, before


def _with_or_without(part: list[Operation], before: set[int]) -> Iterator[list[Operation]]:
    """The part with any of what may have happened before; of too many, each at any time or never."""
    some = [each for each in part if id(each.original) in before]
    if len(some) > UNDER_WAY:
        yield [replace(each, returned=None) if id(each.original) in before else each for each in part]
        return
    for count in range(len(some) + 1):
        for gone in combinations(some, count):
            yield [each for each in part if not any(each is other for other in gone)]


def wrong_values(operations: list[Operation], model: Model, real_time: bool) -> list[Operation] | None:
    """The operations on one value, or two, that have no order; None: nothing was found so."""
    values = _of_some_values(operations, model)
    if values is None:
        return None
    groups = _Groups(values, model)
    looked_at = 0
    for some in groups.one_or_two(real_time):
        part = groups.of(some)
        looked_at += len(part)
        if looked_at > OPERATIONS:
            return None
        if Search(part, model, real_time).run(FEW) is False:
            return part
    return None


def _few_values(
    operations: list[Operation],
    model: Model,
    fails: Callable[[list[Operation]], bool],
    stuck: Sequence[Operation],
) -> list[Operation]:
    """The operations on few values, if they alone fail."""
    some = _of_some_values(operations, model)
    if some is None or (len(some) < len(operations) and not fails(some)):
        return operations
    groups = _Groups(some, model)
    ranked = groups.ranked(stuck)
    # What is wrong is mostly near to where the search stood: a few values first, then twice as many.
    count = 1
    while count < len(ranked) and not fails(groups.of(ranked[:count])):
        count *= 2
    return groups.of(fewest(ranked[:count], lambda few: fails(groups.of(few))))


def _of_some_values(operations: list[Operation], model: Model) -> list[Operation] | None:
    """Without what concerns all values; None if that may not go."""
    of_all = [each for each in operations if model.values(each) is None]
    if not all(model.observes(each) for each in of_all):
        return None
    return [each for each in operations if model.values(each) is not None]


class _Groups:
    """A history's operations by the values that they concern."""

    def __init__(self, operations: list[Operation], model: Model) -> None:
        self.operations, self.model = operations, model
        self.of_value = _groups(operations, model)
        #: Places of each group's operations, and of those that concern no value.
        self.members: dict[int, list[int]] = {group: [] for group in self.of_value.values()}
        self.always: list[int] = []
        for place, each in enumerate(operations):
            groups = {self.of_value[value] for value in model.values(each) or ()}
            for group in groups:
                self.members[group].append(place)
            if not groups:
                self.always.append(place)

    def of(self, groups: Sequence[int]) -> list[Operation]:
        """What remains of the history with these groups alone."""
        places = sorted([*self.always, *(place for group in groups for place in self.members[group])])
        gone = _Gone(self.of_value, groups)
        return [self.model.narrowed(self.operations[place], gone) for place in places]

    def ranked(self, stuck: Sequence[Operation]) -> list[int]:
        """The groups: first those of the operations given, then the latest."""
        values = [value for each in stuck for value in self.model.values(each) or ()]
        first = {self.of_value[value] for value in values if value in self.of_value}
        return sorted(self.members, key=lambda group: (group not in first, -self.members[group][-1]))

    def one_or_two(self, real_time: bool) -> Iterator[tuple[int, ...]]:
        """Each group, then each two whose operations were under way at the same time."""
        of_group = {group: [self.operations[n] for n in places] for group, places in self.members.items()}
        begin = {group: theirs[0].invoked for group, theirs in of_group.items()}
        end = {group: max(each.end for each in theirs) for group, theirs in of_group.items()}
        order = sorted(self.members, key=begin.__getitem__)
        for group in order:
            yield (group,)
        for number, group in enumerate(order):
            for other in order[number + 1 :]:
                if real_time and begin[other] > end[group]:
                    break
                yield group, other


class _Gone(Container[Hashable]):
    """The values of all groups but some."""

    def __init__(self, of_value: dict[Hashable, int], kept: Sequence[int]) -> None:
        self.of_value, self.kept = of_value, kept

    def __contains__(self, value: object) -> bool:
        return value in self.of_value and self.of_value[value] not in self.kept


def _groups(operations: list[Operation], model: Model) -> dict[Hashable, int]:
    """A number for each value, the same for those that an operation ties together."""
    group_of: dict[Hashable, int] = {}
    members: dict[int, list[Hashable]] = {}
    for each in operations:
        values = list(model.values(each) or ())
        for value in values:
            if value not in group_of:
                group_of[value] = len(group_of)
                members[group_of[value]] = [value]
        for value in values[1:]:
            one, other = group_of[values[0]], group_of[value]
            if one != other:
                members[one] += members[other]
                group_of.update(dict.fromkeys(members.pop(other), one))
    return group_of
