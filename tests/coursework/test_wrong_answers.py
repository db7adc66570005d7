"""Wrong answers that students write: each loses its task, at the latest in the hidden cases.

Beside the planted wrong solutions of an exercise (its ``.toml``), which must lose just their own tasks, these
are judged by the task that they are about only, and so cost little.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

from labkit.coursework.answers import Local
from labkit.coursework.exercises import find_tasks
from labkit.coursework.generate import copies, wrong_solutions
from labkit.coursework.handout import Handout
from labkit.coursework.taken import ANSWER, CHECK, grade_id
from labkit.coursework.tasks import hidden_seeds, judge
from tests.coursework.common import ROOT, SECRET

#: Exercise, task, and the answer that is wrong: what is there instead.
WRONG: dict[tuple[str, str, str], list[str]] = {
    ("chord-routing", "closest", "closest"): [
        "def closest_preceding_finger(n, key): return n.fingers[-1]",
        "def closest_preceding_finger(n, key): return n.peer",
        "def closest_preceding_finger(n, key): return n.successor",
        "def closest_preceding_finger(n, key):\n"
        "    return next((f for f in reversed(n.fingers) if in_half_open(n.id, f.id, key)), n.peer)",
        "def closest_preceding_finger(n, key):\n"
        "    return min(n.fingers, key=lambda f: distance(f.id, key, n.bits))",
        "def closest_preceding_finger(n, key):\n"
        "    return next((f for f in reversed(n.fingers) if between(n.id, f.id, key)), None)",
        "def closest_preceding_finger(n, key):\n"
        "    return next((f.id for f in reversed(n.fingers) if between(n.id, f.id, key)), n.id)",
    ],
    ("chord-routing", "lookup", "lookup"): [
        "async def find_successor(n, key): return n.successor",
        "async def find_successor(n, key): return closest_preceding_finger(n, key)",
        "async def find_successor(n, key):\n"
        "    if in_half_open(n.id, key, n.successor.id): return n.successor\n"
        "    return n.call(closest_preceding_finger(n, key), 'find_successor', key)",
        "async def find_successor(n, key):\n"
        "    if in_half_open(n.id, key, n.successor.id): return n.peer\n"
        "    return await n.call(closest_preceding_finger(n, key), 'find_successor', key)",
        "async def find_successor(n, key):\n"
        "    return await n.call(closest_preceding_finger(n, key), 'find_successor', key)",
        "async def find_successor(n, key):\n"
        "    if key <= n.successor.id: return n.successor\n"
        "    return await n.call(closest_preceding_finger(n, key), 'find_successor', key)",
    ],
    ("chord-routing", "detour", "detour"): [
        "async def find_live_successor(n, key): return await n.call(n.successor, 'find_successor', key)",
        "async def find_live_successor(n, key):\n"
        "    for p in n.successors:\n"
        "        if await n.ping(p): return p",
        "async def find_live_successor(n, key):\n"
        "    for p in reversed(n.successors):\n"
        "        if in_half_open(n.id, key, p.id) and await n.ping(p): return p\n"
        "    for p in reversed(n.fingers):\n"
        "        if between(n.id, p.id, key) and await n.ping(p):\n"
        "            return await n.call(p, 'find_live_successor', key)",
        "async def find_live_successor(n, key):\n"
        "    for p in n.successors:\n"
        "        if in_half_open(n.id, key, p.id) and await n.ping(p): return p\n"
        "    for p in (*n.fingers, *n.successors):\n"
        "        if between(n.id, p.id, key) and await n.ping(p):\n"
        "            return await n.call(p, 'find_live_successor', key)",
        "async def find_live_successor(n, key):\n"
        "    for p in n.successors:\n"
        "        if between(n.id, key, p.id) and await n.ping(p): return p\n"
        "    for p in reversed(n.fingers):\n"
        "        if between(n.id, p.id, key) and await n.ping(p):\n"
        "            return await n.call(p, 'find_live_successor', key)",
    ],
    ("chord-repair", "list", "list"): [
        "def make_list(n, first, rest): return rest[: n.length]",
        "def make_list(n, first, rest): return [first, *rest][: n.length - 1]",
        "def make_list(n, first, rest): return [first, *[p for p in rest if p != n.peer]][: n.length]",
        "def make_list(n, first, rest): return [*rest, first][: n.length]",
        "def make_list(n, first, rest): return [first, *rest[: rest.index(n.peer)]][: n.length]",
        "def make_list(n, first, rest): return sorted([first, *rest])[: n.length]",
    ],
    ("chord-repair", "rectify", "rectify"): [
        "async def rectify(n, notifier): n.predecessor = notifier",
        "async def rectify(n, notifier): pass",
        "async def rectify(n, notifier):\n    if n.predecessor is None: n.predecessor = notifier",
        "async def rectify(n, notifier):\n"
        "    if n.predecessor is None or n.predecessor.id < notifier.id < n.id: n.predecessor = notifier",
        "async def rectify(n, notifier):\n"
        "    if n.predecessor is None or not await n.ping(n.predecessor): n.predecessor = notifier",
        "async def rectify(n, notifier):\n"
        "    if between(n.predecessor.id, notifier.id, n.id): n.predecessor = notifier",
        "async def rectify(n, notifier):\n"
        "    if n.predecessor is None or between(n.predecessor.id, notifier.id, n.id) "
        "or not n.ping(n.predecessor):\n        n.predecessor = notifier",
    ],
    ("chord-repair", "stabilize", "stabilize"): [
        "async def stabilize(n): pass",
        "async def stabilize(n): n.send(n.successors[0], 'notify', n.peer)",
        "async def stabilize(n):\n"
        "    newcomer, successors = await n.ask(n.successors[0])\n"
        "    n.successors = make_list(n, newcomer, successors)",
        "async def stabilize(n):\n"
        "    try:\n        _, successors = await n.ask(n.successors[0])\n"
        "        n.successors = make_list(n, n.successors[0], successors)\n"
        "    except Timeout: n.successors = n.successors[1:]\n"
        "    n.send(n.successors[0], 'notify', n.peer)",
        "async def stabilize(n):\n"
        "    try: await n.ask(n.successors[0])\n"
        "    except Timeout: n.successors = n.successors[1:]\n"
        "    n.send(n.successors[0], 'notify', n.peer)",
    ],
    ("chord-break", "alive", "alive"): [
        "def everybody_knows_somebody(members):\n"
        "    return all(members[id].successors[0] in members for id in members)",
        "def everybody_knows_somebody(members): return all(members[id].successors for id in members)",
        "def everybody_knows_somebody(members):\n"
        "    return any(best_successor(members, id) is not None for id in members)",
        "def everybody_knows_somebody(members):\n"
        "    return all(members[id].predecessor in members for id in members)",
        "def everybody_knows_somebody(members):\n"
        "    known = {e for id in members for e in members[id].successors}\n"
        "    return all(id in known for id in members)",
        "def everybody_knows_somebody(members): return best_successor(members, min(members)) is not None",
    ],
    ("chord-break", "one", "one"): [
        "def one_ring(members): return False",
        "def one_ring(members): return len({best_successor(members, id) for id in members}) == len(members)",
        "def one_ring(members):\n"
        "    here, seen = min(members), set()\n"
        "    while here not in seen:\n        seen.add(here)\n        here = best_successor(members, here)\n"
        "    return len(seen) == len(members)",
        "def one_ring(members): return sum(best_successor(members, id) <= id for id in members) == 1",
        "def one_ring(members):\n"
        "    here, seen = max(members), set()\n"
        "    while here not in seen:\n        seen.add(here)\n        here = best_successor(members, here)\n"
        "    return len(seen) > len(members) / 2",
        "def one_ring(members):\n    return all(members[id].predecessor in members for id in members)",
    ],
    ("chord-break", "ordered", "one"): [
        "def one_ring(members):\n"
        "    here, seen = min(members), set()\n"
        "    while here not in seen:\n        seen.add(here)\n        here = best_successor(members, here)\n"
        "    return len(seen) >= len(members) - 1",
        "def one_ring(members): return sum(best_successor(members, id) <= id for id in members) <= 2",
        "def one_ring(members): return sum(best_successor(members, id) <= id for id in members) == 1",
        "def one_ring(members): return all(best_successor(members, id) is not None for id in members)",
        "def one_ring(members):\n"
        "    return all(members[id].successors[0] > id for id in members if id != max(members))",
    ],
    ("chord-break", "schedule", "schedule"): [
        "schedule = [(1.0, 'm99')]",
        "schedule = [('1.5', 'm3', 'm4')]",
        "schedule = {1.5: 'm3'}",
        "schedule = [(float('nan'), 'm3')]",
        "schedule = [(-1.0, 'm3'), (1.0, 'm4')]",
        "schedule = 'm3'",
    ],
    ("spark-mapreduce", "words", "words"): [
        "def word_count(lines): return lines.flatMap(str.split).map(lambda w: (w, 1))",
        "def word_count(lines): return lines.map(str.split).map(lambda w: (w, 1)).reduceByKey(add)",
        "def word_count(lines): return lines.flatMap(str.split).distinct().map(lambda w: (w, 1))",
        "def word_count(lines):\n"
        "    return lines.flatMap(str.split).map(lambda w: (w, 1)).groupByKey().mapValues(list)",
        "def word_count(lines):\n    lines.flatMap(str.split).map(lambda w: (w, 1)).reduceByKey(add)",
        "def word_count(lines):\n"
        "    return lines.flatMap(str.split).map(lambda w: (w, float('nan'))).reduceByKey(add)",
        "def word_count(lines): return lines.flatMap(str.split).map(lambda w: (w, 1)).reduceByKey(max)",
    ],
    ("spark-mapreduce", "index", "index"): [
        "def inverted_index(documents): return documents.groupByKey().mapValues(sorted)",
        "def inverted_index(documents):\n"
        "    return documents.flatMap(lambda p: [(w, p[0]) for w in set(p[1].split())]).groupByKey()"
        ".mapValues(lambda names: sorted(names, reverse=True))",
        "def inverted_index(documents):\n"
        "    return documents.flatMap(lambda p: [(w, p[0]) for w in set(p[1].split())]).groupByKey()"
        ".mapValues(len)",
        "def inverted_index(documents):\n"
        "    return documents.flatMap(lambda p: [(p[0], w) for w in set(p[1].split())]).groupByKey()"
        ".mapValues(sorted)",
        "def inverted_index(documents):\n"
        "    return documents.flatMap(lambda p: [(w, p[0]) for w in set(p[1].split())]).reduceByKey(min)",
        "def inverted_index(documents):\n"
        "    return documents.flatMap(lambda p: [(w, p[0]) for w in set(p[1].split())]).reduceByKey(add)",
    ],
    ("spark-mapreduce", "join", "join"): [
        "def revenue(orders, customers): return orders.reduceByKey(add)",
        "def revenue(orders, customers): return orders.join(customers).values().reduceByKey(add)",
        "def revenue(orders, customers):\n"
        "    return orders.join(customers).map(lambda f: (f[1][1], 1)).reduceByKey(add)",
        "def revenue(orders, customers):\n"
        "    return orders.reduceByKey(max).join(customers).map(lambda f: f[1][::-1]).reduceByKey(add)",
        "def revenue(orders, customers):\n"
        "    return customers.leftOuterJoin(orders.reduceByKey(add))"
        ".map(lambda f: (f[1][0], f[1][1] or 0)).reduceByKey(max)",
        "def revenue(orders, customers): return customers.join(orders).values().groupByKey()",
    ],
    ("spark-mapreduce", "bytes", "words"): [
        "def word_count(lines): return lines",
        "def word_count(lines): return lines.filter(lambda line: False)",
        "def word_count(lines): return lines.map(lambda line: (line, 1))",
        "def word_count(lines): return lines.flatMap(str.split).groupBy(lambda w: w).mapValues(len)",
        "def word_count(lines):\n"
        "    return lines.flatMap(str.split).sortBy(lambda w: w).map(lambda w: (w, 1)).reduceByKey(add)",
    ],
    ("spark-lineage", "narrow", "narrow"): [
        "def recomputed(chain, cached, partitions, lost): return set()",
        "def recomputed(chain, cached, partitions, lost): return {(n, p) for n in chain for p in lost}",
        "def recomputed(chain, cached, partitions, lost): return {(cached, p) for p in lost}",
        "def recomputed(chain, cached, partitions, lost):\n"
        "    return {(n, p) for n in chain[: chain.index(cached) + 1 if cached else 9] for p in "
        "(lost if cached else range(partitions))}",
        "def recomputed(chain, cached, partitions, lost):\n"
        "    return {(n, p) for p in range(partitions) for n in chain[chain.index(cached or chain[0]) :]}",
        "def recomputed(chain, cached, partitions, lost):\n"
        "    return [(n, p + 0.5) for n in chain for p in range(partitions)]",
    ],
    ("spark-lineage", "wide", "wide"): [
        "def maps_again(machine_of_map, dead): return []",
        "def maps_again(machine_of_map, dead): return [t for t, m in machine_of_map.items() if m != dead]",
        "def maps_again(machine_of_map, dead): return machine_of_map[0]",
        "def maps_again(machine_of_map, dead): return len([m for m in machine_of_map.values() if m == dead])",
        "def maps_again(machine_of_map, dead): return [m for m in machine_of_map.values() if m == dead]",
        "def maps_again(machine_of_map, dead):\n"
        "    import numpy as np\n"
        "    return [np.array([t]) for t, m in machine_of_map.items() if m == dead]",
    ],
    ("paramserver-ssp", "condition", "condition"): [
        "def may_start(clock, slowest, bound): return clock <= bound",
        "def may_start(clock, slowest, bound): return slowest - clock <= bound",
        "def may_start(clock, slowest, bound): return clock - slowest == bound",
        "def may_start(clock, slowest, bound): return clock - slowest - 1 <= bound",
        "def may_start(clock, slowest, bound): return int(clock - slowest <= bound)",
        "def may_start(clock, slowest, bound): return clock == slowest",
    ],
    ("paramserver-ssp", "training", "condition"): [
        "def may_start(clock, slowest, bound): return clock == slowest",
        "def may_start(clock, slowest, bound): return clock - slowest < bound or bound == 0",
        "def may_start(clock, slowest, bound): return False",
        "def may_start(clock, slowest, bound): return clock - slowest <= 2 * bound + 1",
        "def may_start(clock, slowest, bound): return clock <= bound",
    ],
    ("paramserver-ssp", "guarantee", "guarantee"): [
        "def surely_seen(clock, bound): return clock - 1",
        "def surely_seen(clock, bound): return clock + bound - 1",
        "def surely_seen(clock, bound): return max(0, clock - bound - 1)",
        "def surely_seen(clock, bound): return bound",
        "def surely_seen(clock, bound): return float('nan')",
        "def surely_seen(clock, bound):\n    import numpy as np\n    return np.array([clock - bound - 1])",
    ],
    ("paramserver-consistency", "measured", "measured"): [
        "seconds = {0: exercise.run(student=student, bound=0)[0]}",
        "seconds = [exercise.run(student=student, bound=0)[0]] * 4",
        "seconds = dict.fromkeys(bounds, float('nan'))",
        "seconds = dict.fromkeys(bounds, '0.8')",
        "seconds = {s: exercise.run(student=student, bound=s) for s in bounds}",
        "seconds = {str(s): exercise.run(student=student, bound=s)[0] for s in bounds}",
    ],
    ("paramserver-consistency", "waiting", "measured"): [
        "waited = {s: exercise.run(student=student, bound=s)[0] for s in bounds}",
        "waited = {s: 100 * exercise.run(student=student, bound=s)[1] for s in bounds}",
        "waited = dict.fromkeys(bounds, float('nan'))",
        "waited = dict.fromkeys(bounds, 0)",
        "waited = {}",
    ],
    ("paramserver-consistency", "chosen", "chosen"): [
        "bound = None",
        "bound = 3",
        "bound = float('nan')",
        "bound = [0, 1]",
        "bound = True",
        "import numpy as np\nbound = np.array([1, 2])",
    ],
    ("mapreduce-backup", "late", "late"): [
        "def is_late(seconds, done): return seconds >= 1.3 * max(done)",
        "def is_late(seconds, done): return seconds >= median(done)",
        "def is_late(seconds, done): return seconds > 1.3 * median(done)",
        "def is_late(seconds, done): return seconds >= 1.3 * sorted(done)[0]",
        "def is_late(seconds, done): return True",
        "def is_late(seconds, done): return seconds - 1.3 * median(done)",
        "def is_late(seconds, done): return seconds >= 1.3 * done[len(done) // 2]",
    ],
    ("mapreduce-backup", "makespan", "choose"): [
        "def choose(remaining, seconds, total, free): pass",
        "def choose(remaining, seconds, total, free): return [each.worker for each in remaining]",
        "def choose(remaining, seconds, total, free): return [each.seconds for each in remaining]",
        "def choose(remaining, seconds, total, free): return len(remaining)",
        "def choose(remaining, seconds, total, free): return [each.task for each in remaining][free:]",
        "def choose(remaining, seconds, total, free):\n"
        "    return [each.task for each in remaining] if not seconds else []",
    ],
    ("mapreduce-backup", "waste", "choose"): [
        "def choose(remaining, seconds, total, free): return [each.task for each in remaining]",
        "def choose(remaining, seconds, total, free):\n"
        "    return [each.task for each in remaining if each.seconds >= 0.5 * median(seconds)]",
        "def choose(remaining, seconds, total, free):\n"
        "    return [min(remaining, key=lambda each: each.seconds).task]",
        "def choose(remaining, seconds, total, free): return [remaining[0].task]",
        "def choose(remaining, seconds, total, free): return remaining",
    ],
    ("dryad-refinement", "racks", "racks"): [
        "def by_rack(outputs): return {each.rack: [each] for each in outputs}",
        "def by_rack(outputs): return {each.rack: each.vertex for each in outputs}",
        "def by_rack(outputs): return [[each.vertex for each in outputs]]",
        "def by_rack(outputs): pass",
    ],
    ("dryad-refinement", "bytes", "choose"): [
        "def choose(waiting, left): pass",
        "def choose(waiting, left): return [each.vertex for each in waiting]",
        "def choose(waiting, left): return [[99, 100]]",
        "def choose(waiting, left): return [[waiting[0].vertex] * 2]",
        "def choose(waiting, left): return list(by_rack(waiting)) if not left else []",
    ],
    ("dryad-refinement", "thrift", "choose"): [
        "def choose(waiting, left):\n"
        "    return [[each.vertex for each in waiting][:2]] if len(waiting) > 1 else []",
        "def choose(waiting, left): return waiting",
    ],
    ("haloop-caching", "right", "tables"): [
        "def cached_tables(loop): pass",
        "def cached_tables(loop): return {table.name for table in loop.tables if table.step == 1}",
        "def cached_tables(loop): return {table.name for table in loop.tables if table.step == 2}",
        "def cached_tables(loop): return 'A'",
        "def cached_tables(loop): return {'Z'}",
        "def cached_tables(loop): return list(loop.tables)",
        "def cached_tables(loop): return {1, 2}",
        "def cached_tables(loop): return {table.files[0] for table in loop.tables}",
    ],
    ("haloop-caching", "bytes", "tables"): [
        "def cached_tables(loop): return []",
        "def cached_tables(loop): return None",
        "def cached_tables(loop): return {t.name for t in loop.tables if len(set(t.files)) > 2}",
    ],
    ("haloop-caching", "distance", "output"): [
        "def caches_output(loop): pass",
        "def caches_output(loop): return 1",
        "def caches_output(loop): return 'key' in loop.partition[2]",
        "def caches_output(loop): return 'iteration' in loop.partition[2]",
        "def caches_output(loop): return loop.partition[2]",
    ],
}

#: Predictions that are none.
NO_NUMBERS = [None, True, float("nan"), float("inf"), "3", [], [3], {}, -1, 10**30]


@cache
def parts(name: str) -> tuple[Handout, dict[str, str]]:
    """An exercise's handout, and the right answers."""
    student, solved = copies(ROOT / f"{name}.py")
    found = [(grade_id(cell), cell.source) for cell in solved.cells if grade_id(cell).startswith(ANSWER)]
    return Handout.of(name, student), {id.removeprefix(ANSWER): source for id, source in found}


def names_of(name: str, answers: dict[str, str], *needed: str) -> dict[str, Any]:
    """What a solved notebook defines, with these answers, and of the others only the needed ones."""
    handout, own = parts(name)
    names: dict[str, Any] = {"__name__": "__main__"}
    left_out = {answer for answer in own if answer not in (*needed, *answers)}
    for cell in handout.assembled({**own, **answers})["cells"]:
        id = grade_id(cell)
        if not id.startswith(CHECK) and id.removeprefix(ANSWER) not in left_out:
            exec(compile(cell["source"], "cell", "exec"), names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("about", WRONG, ids="/".join)
def test_a_wrong_answer_loses(about: tuple[str, str, str]) -> None:
    name, task, answer = about
    tasks = find_tasks(name)
    seeds = [*tasks[task].visible, *hidden_seeds(SECRET, tasks.drawn, "eve", task, tasks[task].hidden)]
    also = ("student", "list", "closest", "late", "join", "words")
    for source in WRONG[about]:
        answers = Local(names_of(name, {answer: source}, *also))
        assert not judge(tasks.drawn, tasks[task], answers, seeds).passed, source


@pytest.mark.parametrize("name", sorted({about[0] for about in WRONG}))
def test_a_prediction_is_a_number(name: str) -> None:
    tasks = find_tasks(name)
    (variable,) = _predicted(name)
    for guess in NO_NUMBERS:
        answers = Local({"student": "ada", variable: guess})
        assert not judge(tasks.drawn, tasks["predict"], answers, [0]).passed, guess


def _predicted(name: str) -> list[str]:
    return [each for each in names_of(name, {}, "student", "predict") if each.startswith("predicted_")]


def test_each_task_has_five() -> None:
    count = Counter({(name, task): len(sources) for (name, task, _), sources in WRONG.items()})
    for name in {name for name, _, _ in WRONG}:
        for planted in wrong_solutions(ROOT / f"{name}.py"):
            count.update((name, task) for task in planted.loses)
        assert [task for task in find_tasks(name) if task != "predict" and count[name, task] < 5] == []
