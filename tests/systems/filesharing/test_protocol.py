"""The bytes and the graphs: what needs no cluster."""

from __future__ import annotations

from random import Random

import pytest

from labkit.systems.filesharing.collection import PIECE, collection, fits, generated, keywords, tree_of
from labkit.systems.filesharing.descriptor import (
    HEADER,
    PING,
    QUERY,
    BadDescriptor,
    Hit,
    Push,
    header,
    hits_of,
    onward,
    payload,
    pong,
    pong_of,
    push,
    push_of,
    query,
    query_hit,
    query_of,
)
from labkit.systems.filesharing.experiments import attacks
from labkit.systems.filesharing.index import Index
from labkit.systems.filesharing.nodes.napster import frame, unframe
from labkit.systems.filesharing.nodes.ultrapeer import horizon
from labkit.systems.filesharing.qrp import hashed, may_have, patches, reset, table_of, updated
from labkit.systems.filesharing.topology import (
    TOPOLOGIES,
    ball,
    components,
    diameter,
    edges,
    flood_messages,
    generate,
    tree_reach,
)


def test_a_header_has_23_bytes_little_endian() -> None:
    guid = bytes(range(16))
    data = header(guid, PING, 7, 0, b"")
    assert HEADER.size == len(data) == 23
    assert data == guid + b"\x00\x07\x00" + b"\x00\x00\x00\x00"
    asked = header(guid, QUERY, 7, 2, query("moon"))
    assert asked[19:23] == (7).to_bytes(4, "little")
    assert asked[23:] == b"\0\0moon\0"
    assert payload(onward(asked)) == (guid, QUERY, 6, 3, query("moon"))


def test_payloads_there_and_back() -> None:
    hits = [Hit(70_000, f"río {n}.mp3", n, bytes([n] * 20), 128, n == 1, bytes(16)) for n in (1, 1)]
    assert hits_of(query_hit(hits)) == hits
    assert pong_of(pong(258, 3, 4)) == (258, 3, 4)
    assert pong(258, 0, 0)[2:6] == bytes([10, 0, 1, 2])  # an IP address is big-endian
    assert push_of(push(b"s" * 16, 2, 9)) == Push(b"s" * 16, 2, 9)
    assert query_of(query("ñ", 0x8001)) == (0x8001, "ñ")
    assert unframe(frame(200, 'FILENAME CONTAINS "a b" 7')) == (200, ["FILENAME", "CONTAINS", "a b", "7"])
    assert frame(3, "ab") == b"\x02\x00\x03\x00ab"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"short", "5 bytes are no descriptor"),
        (header(bytes(16), QUERY, 1, 0, b"xx")[:-1], "the header says 2 bytes of payload, there are 1"),
        (header(bytes(16), 0x99, 1, 0, b""), "0x99 is none of"),
    ],
)
def test_what_is_no_descriptor_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BadDescriptor, match=words):
        payload(data)


def test_broken_payloads_are_refused() -> None:
    good = query_hit([Hit(1, "a", 2, bytes(20), 3, False, bytes(16))])
    for cut in range(len(good)):
        with pytest.raises(BadDescriptor):
            hits_of(good[:cut])
    for load in (b"", b"xx", b"abc"):
        with pytest.raises(BadDescriptor):
            query_of(load)


def test_query_routing_tables_hash_as_the_draft_says() -> None:
    vectors = {"eb": 6791, "ebc": 7082, "ebck": 6698, "ebckl": 3179, "ebcklm": 3235, "ebcklme": 6438}
    assert {word: hashed(word, 13) for word in vectors} == vectors
    assert (hashed("n", 16), hashed("nd", 16), hashed("ndf", 16)) == (65003, 54193, 4953)


def test_a_table_never_lacks_a_word_and_travels_by_patches() -> None:
    random, names = Random(1), [f"w{n} x{n * 7} - y{n}.mp3" for n in range(60)]
    table = bytes(512)
    there: list[str] = []
    for _ in range(4):
        there = random.sample(names, 20)
        fresh = table_of(there)
        for load in (
            [reset(), *patches(bytes(512), fresh)] if random.random() < 0.5 else patches(table, fresh)
        ):
            table = updated(table, load)
        assert table == fresh
    assert all(may_have(table, name) for name in there)
    assert sum(may_have(table, name) for name in names if name not in there) <= 2
    assert not may_have(table, "")
    assert not may_have(b"", "w1")


def test_an_index_finds_what_has_all_words() -> None:
    index, libraries = Index(), collection(3, 40, 60, 3.0, 0.3)
    for peer, library in enumerate(libraries):
        for file in library:
            index.add(peer, file)
    assert len(index) == sum(map(len, libraries))
    for word in ("moon", "Moon RIVER", "mp3", "moon nowhere", "…"):
        wanted = {(p, f.root) for p, library in enumerate(libraries) for f in library if fits(word, f.name)}
        assert {(peer, file.root) for peer, file in index.find(word, 10_000)} == wanted
    for peer in range(40):
        index.drop(peer)
    assert (len(index), index.find("mp3", 9), index._words) == (0, [], {})


def test_the_collection() -> None:
    libraries = collection(1, 200, 100, 5.0, 0.26)
    assert sum(not library for library in libraries) >= 52  # free riders, and those to whom nothing fell
    files = {file.root: file for library in libraries for file in library}
    assert len(files) == 100
    copies = [sum(file in library for library in libraries) for file in files.values()]
    assert max(copies) > 8 * sorted(copies)[50]
    assert libraries == collection(1, 200, 100, 5.0, 0.26) != collection(2, 200, 100, 5.0, 0.26)
    file = next(iter(files.values()))
    tree = tree_of(generated(file.seed, file.size))
    assert (tree.root, len(tree.pieces)) == (file.root, -(-file.size // PIECE))
    assert keywords("Río-Grande 7.mp3") == {"río", "grande", "7", "mp3"}


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_topologies(topology: str) -> None:
    for size in (2, 3, 30, 200):
        graph = generate(topology, size, 4, seed=size)
        assert len(components(graph)) == 1
        assert all(peer not in links and links == sorted(set(links)) for peer, links in enumerate(graph))
        assert all(peer in graph[other] for peer, links in enumerate(graph) for other in links)
        # All of it is reached: 2|E| - (|V| - 1) messages.
        assert flood_messages(graph, 0, size) == 2 * edges(graph) - (size - 1)
        assert ball(graph, 0, diameter(graph)) == set(range(size))


def test_reach_in_a_tree_is_that_of_the_tables() -> None:
    assert [tree_reach(4, 7), tree_reach(8, 7), tree_reach(8, 8)] == [4372, 1_098_056, 7_686_400]
    size = 1 + tree_reach(4, 4)
    graph = generate("tree", size, 4, 0)
    for ttl in range(1, 5):
        assert len(ball(graph, 0, ttl)) - 1 == tree_reach(4, ttl)
    assert horizon(4, 3) == 1 + 3 + 9


def test_an_attack_shatters_what_chance_does_not() -> None:
    """30 % at random leave most in one piece, the best-connected 4 % do not; with 30 links, both do."""
    table = attacks()
    crawl = table["crawled"]
    assert crawl["the best-connected 4%"] < 0.25 < 0.5 < crawl["30% at random"]
    assert (table["ultrapeers"] > 0.999).all()
    assert table["power law"]["the best-connected 10%"] < 0.3 < 0.7 < table["power law"]["30% at random"]
