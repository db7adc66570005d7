"""Random small histories, and what trying every order says of them: the oracle of the checkers' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from random import Random
from typing import Any

from labkit.explore.histories import Model, Operation

Draw = Callable[[Random], tuple[str, Any, Any]]


def before(a: Operation, b: Operation, listed: list[Operation], real_time: bool) -> bool:
    """Whether ``a`` has to come before ``b``."""
    if not a.answered:
        return False
    if a.client == b.client and a.end == b.invoked:
        return listed.index(a) < listed.index(b)
    return a.end < b.invoked and (real_time or a.client == b.client)


def has_order(history: list[Operation], model: Model, real_time: bool) -> bool:
    """Whether some order of all that was answered, and of some of the rest, gives what was returned."""
    sure = [each for each in history if each.answered]
    rest = [each for each in history if not each.answered]
    return any(
        fits(list(order), model)
        for count in range(len(rest) + 1)
        for some in combinations(rest, count)
        for order in orders([*sure, *some], history, real_time)
    )


def orders(
    some: list[Operation], listed: list[Operation], real_time: bool
) -> Iterator[tuple[Operation, ...]]:
    for order in permutations(some):
        if not any(before(b, a, listed, real_time) for a, b in combinations(order, 2)):
            yield order


def fits(order: list[Operation], model: Model) -> bool:
    """Whether the model allows it: all of its states are followed."""
    states = {model.initial}
    for each in order:
        states = {after for state in states for after in model.step(state, each)}
    return bool(states)


def random_history(random: Random, draw: Draw, most: int = 6, ties: bool = True) -> list[Operation]:
    """Up to ``most`` operations of up to three clients; some overlap, some are never answered, few values."""
    found = []
    clock = (lambda: float(random.randrange(6))) if ties else random.random
    for _ in range(random.randint(1, most)):
        call, argument, result = draw(random)
        begin, end = sorted((clock(), clock()))
        lost = random.random() < 0.2
        client = random.choice("abc")
        found.append(
            Operation(client, call, argument, None if lost else result, begin, None if lost else end)
        )
    return sorted(found, key=lambda each: each.invoked)


def of_register(random: Random) -> tuple[str, Any, Any]:
    if random.random() < 0.45:
        return "read", None, random.choice((None, 1, 2))
    if random.random() < 0.3:
        return "cas", (random.choice((None, 1, 2)), random.choice((1, 2))), random.random() < 0.7
    return "write", random.choice((1, 2)), None


def of_queue(random: Random) -> tuple[str, Any, Any]:
    if random.random() < 0.5:
        return "enqueue", random.choice((1, 2)), None
    return "dequeue", None, random.choice((None, 1, 2))


def of_set(random: Random) -> tuple[str, Any, Any]:
    call = random.choice(("add", "remove", "contains", "read"))
    if call == "read":
        return call, None, tuple(random.sample((1, 2), random.randint(0, 2)))
    return call, random.choice((1, 2)), random.random() < 0.5 if call == "contains" else None


def of_lock(random: Random) -> tuple[str, Any, Any]:
    return random.choice(("acquire", "release")), None, random.random() < 0.7


def of_file(random: Random) -> tuple[str, Any, Any]:
    call = random.choice(("read", "write", "append", "truncate", "size"))
    arguments = {"write": (random.randrange(2), b"ab"), "append": b"c", "truncate": random.randrange(3)}
    results = {"read": random.choice((b"", b"ab", b"c", b"abc")), "size": random.randrange(4)}
    return call, arguments.get(call), results.get(call)
