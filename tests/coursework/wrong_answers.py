"""Answers that students write and that are wrong, for `test_wrong_answers.py`."""

from __future__ import annotations

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
    ("cost-estimate", "seconds", "seconds"): [
        "def seconds(measured, cores): pass",
        "def seconds(measured, cores): return measured",
        "def seconds(measured, cores): return float('nan')",
        "def seconds(measured, cores): return 0",
        "def seconds(measured, cores): return measured.pop(2) / cores",
        "def seconds(measured, cores): return measured[cores]",
        "def seconds(measured, cores): return measured[4]",
        "def seconds(measured, cores): return -measured[2] / cores",
    ],
    ("cost-estimate", "cost", "cost"): [
        "def cost(claim): pass",
        "def cost(claim): return 2",
        "def cost(claim): return claim.most",
        "def cost(claim): return True",
        "def cost(claim): return 'unbounded'",
        "def cost(claim): return 4.0",
        "def cost(claim): return 2 if claim.measured[2] < claim.one_thread else None",
    ],
    ("pregel-sssp", "distances", "compute"): [
        "def compute(vertex, messages): pass",
        "def compute(vertex, messages): return 0.0, [], True",
        "def compute(vertex, messages): return vertex.value, [], 1",
        "def compute(vertex, messages): return vertex.value, vertex.edges[:1], True",
        "def compute(vertex, messages): return vertex.value, [('a', 1.0)], True",
        "def compute(vertex, messages): return float('nan'), [], True",
        "def compute(vertex, messages): return min(messages)",
    ],
    ("pregel-sssp", "messages", "compute"): [
        "def compute(vertex, messages): pass",
        "def compute(vertex, messages): return 1.0, [(t, 1.0) for t, _ in vertex.edges], False",
    ],
    ("pregel-sssp", "combiner", "combine"): [
        "def combine(one, other): pass",
        "def combine(one, other): return (one, other)",
        "def combine(one, other): return other",
        "def combine(one, other): return (one + other) / 2",
        "def combine(one, other): return 0.0",
    ],
    ("powergraph-cut", "cases", "candidates"): [
        "def candidates(of_u, of_v, left_u, left_v, machines): return of_u | of_v or set(range(machines))",
        "def candidates(of_u, of_v, left_u, left_v, machines): return of_u & of_v",
        "def candidates(of_u, of_v, left_u, left_v, machines): pass",
        "def candidates(of_u, of_v, left_u, left_v, machines):\n"
        "    return of_u & of_v or of_u or of_v or set(range(machines))",
        "def candidates(of_u, of_v, left_u, left_v, machines): return 0",
    ],
    ("powergraph-cut", "replicas", "cut"): [
        "def cut(edges, machines): pass",
        "def cut(edges, machines): return [u % machines for u, v in edges]",
        "def cut(edges, machines): return [(u * v) % machines for u, v in edges]",
        "def cut(edges, machines): return {edge: 0 for edge in edges}",
        "def cut(edges, machines): return [0] * (len(edges) - 1)",
    ],
    ("powergraph-cut", "balance", "cut"): [
        "def cut(edges, machines): return [machines - 1] * len(edges)",
        "def cut(edges, machines): return [-1] * len(edges)",
        "def cut(edges, machines): return [number // 1000 for number, _ in enumerate(edges)]",
    ],
    ("lockss-tally", "vote", "vote"): [
        "def vote(poller_nonce, voter_nonce, content): return hashlib.sha256(content).hexdigest()",
        "def vote(poller_nonce, voter_nonce, content):\n"
        "    return hashlib.sha256(f'{voter_nonce} {poller_nonce} '.encode() + content).hexdigest()",
        "def vote(poller_nonce, voter_nonce, content):\n"
        "    return hashlib.sha256(f'{poller_nonce} {voter_nonce} '.encode() + content).digest()",
        "def vote(poller_nonce, voter_nonce, content): pass",
    ],
    ("lockss-tally", "verdict", "verdict"): [
        "def verdict(agree, votes, quorum, minority): pass",
        "def verdict(agree, votes, quorum, minority): return agree > votes / 2",
        "def verdict(agree, votes, quorum, minority):\n"
        "    if votes <= quorum: return 'inquorate'\n"
        "    return 'win' if votes - agree <= minority else 'loss' if agree <= minority else 'inconclusive'",
        "def verdict(agree, votes, quorum, minority):\n"
        "    if votes < quorum: return 'inquorate'\n"
        "    return 'win' if votes - agree <= minority else 'loss'",
        "def verdict(agree, votes, quorum, minority):\n"
        "    if agree < quorum: return 'inquorate'\n"
        "    return 'win' if votes - agree <= minority else 'loss' if agree <= minority else 'inconclusive'",
    ],
    ("lockss-tally", "poll", "poll"): [
        "def poll(mine, votes, quorum, minority): pass",
        "def poll(mine, votes, quorum, minority): return 'win', mine",
        "def poll(mine, votes, quorum, minority):\n"
        "    inner = [each.version for each in votes if each.circle == 'inner']\n"
        "    return verdict(inner.count(mine), len(inner), quorum, minority), mine",
    ],
    ("gnutella-flooding", "flood", "on_query"): [
        "def on_query(n, source, guid, ttl, hops): pass",
        "def on_query(n, source, guid, ttl, hops): return n.neighbours",
        "def on_query(n, source, guid, ttl, hops): return [('peer-99', ttl - 1, hops + 1)]",
        "def on_query(n, source, guid, ttl, hops): return []",
        "def on_query(n, source, guid, ttl, hops):\n    n.seen = None\n    return []",
        "def on_query(n, source, guid, ttl, hops):\n"
        "    return [(other, ttl - 1, hops) for other in n.neighbours if other != source]",
    ],
    ("gnutella-flooding", "back", "on_hit"): [
        "def on_hit(n, guid): pass",
        "def on_hit(n, guid): return n.seen[guid]",
        "def on_hit(n, guid): return n.neighbours[0]",
    ],
    ("gnutella-flooding", "tight", "on_query_tight"): [
        "def on_query_tight(n, source, guid, ttl, hops): pass",
        "def on_query_tight(n, source, guid, ttl, hops): return []",
        "def on_query_tight(n, source, guid, ttl, hops): return [(source, ttl - 1, hops + 1)]",
    ],
}
