"""A file server's tree and its clients' caches as data for the stage. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labkit.systems.nfs.view import ROOT, FilesState, FileView
from labkit.trace.machines import EventLine, MachineView
from labkit.trace.words import many, size

from ..layouts import layers
from ..looks import indexes, outline
from ..scene import Field, Mark, Scene, scene_of

#: States of a block as the stage draws them, and what they are called.
LOOKS = {"fresh": "memory", "dirty": "running", "stale": "lost", "old": "passed"}
LEGEND = (
    ("memory", "on the disk; cached"), ("passed", "newer in a client"), ("running", "not yet written"),
    ("lost", "stale"),
)  # fmt: skip
#: More files than this have no row, and more blocks no square.
ROWS, BLOCKS = 14, 24


class FilesFrame(NamedTuple):
    """Server and clients at a position."""

    state: FilesState
    server: str
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float


def files_scene(frame: FilesFrame, selected: str = "") -> Scene:
    """The tree, a row for each file; the blocks of each on the server's disk and in each client."""
    state = frame.state
    found = list(tree(state))
    shown = found[:ROWS]
    rows = [_row(frame, fileid, name, depth, selected) for fileid, name, depth, _ in shown]
    ids = {fileid for fileid, *_ in shown}
    edges = [
        layers.Edge(f"file:{parent}", f"file:{fileid}", "narrow", f"{name} is in it")
        for fileid, name, _, parent in shown
        if parent in ids and parent != fileid
    ]
    dead = frame.state.lab.places.get(frame.server) in {m.name for m in frame.machines if m.state == "dead"}
    head = "The server is down" if dead else f"{many(len(state.files), 'file')} on the server's disk"
    bands = [layers.Band(head, "failed" if dead else "", "the server's directory tree", rows)]
    colours = indexes([each.name for each in frame.machines])
    hidden = f"{len(found) - ROWS} more files" if len(found) > ROWS else ""
    field = layers.layers(bands, edges, frame.machines, colours, hidden=hidden, legend=LEGEND, todo="")
    nodes = Field(marks=list(_nodes(frame, colours)), bottom=0.0)
    return scene_of(layers.WIDTH, field, nodes, title=f"{len(found)} names", rows=True)


def tree(state: FilesState) -> Iterator[tuple[int, str, int, int]]:
    """(fileid, name, depth, directory) of every name, a directory before what is in it."""
    inside: dict[int, list[tuple[str, int]]] = {}
    for (parent, name), fileid in state.names.items():
        inside.setdefault(parent, []).append((name, fileid))
    todo = [(ROOT, "/", 0, ROOT)]
    seen = set()
    while todo:
        fileid, name, depth, parent = todo.pop()
        if fileid in seen:
            continue  # a second name of a file: it has one row
        seen.add(fileid)
        yield fileid, name, depth, parent
        todo += [
            (each, name, depth + 1, fileid) for name, each in sorted(inside.get(fileid, ()), reverse=True)
        ]


def blocks_of(state: FilesState, file: FileView) -> int:
    """How many blocks a file has, with those that wait in clients."""
    known = [key[3] + 1 for key in state.cached if key[1:3] == (file.fileid, file.generation)]
    return max([-(-file.size // state.block), *known]) if file.kind == "file" else 0


def _row(frame: FilesFrame, fileid: int, name: str, depth: int, selected: str) -> layers.Row:
    state, row = frame.state, f"file:{fileid}"
    file = state.files.get(fileid, FileView(fileid, 0, "directory"))
    pieces = list(_pieces(frame, file)) if file.kind == "file" else []
    shape = {"directory": "square", "link": "diamond"}.get(file.kind, "circle")
    users = sorted(client for client, each in state.opened if each == fileid)
    note = f"open: {many(len(users), 'client')}" if users else ""
    tip = f"{state.path(fileid)}: {file.kind}, {size(file.size)}, change {file.change}"
    return layers.Row(
        row, name, note, tip, shape, min(BLOCKS, blocks_of(state, file)), indent=9.0 * depth,
        kept=file.kind == "directory", selected=row == selected, pieces=pieces,
    )  # fmt: skip


def _pieces(frame: FilesFrame, file: FileView) -> Iterator[layers.Piece]:
    state, places = frame.state, frame.state.lab.places
    home = places.get(frame.server, "")
    dirty = {
        k[3] for k, each in state.cached.items() if each.dirty and k[1:3] == (file.fileid, file.generation)
    }
    for block in range(min(BLOCKS, blocks_of(state, file))):
        newer = block in dirty
        if block * state.block < file.size:
            words = "older than what a client has not yet written" if newer else "on the disk"
            look = LOOKS["old" if newer else "fresh"]
            yield layers.Piece(f"disk:{file.fileid}:{block}", home, look, f"block {block}: {words}")
        for client in state.clients:
            seen = state.look(client, file.fileid, file.generation, block)
            if seen != "none":
                tip = f"block {block} in {client}'s cache: {seen}"
                piece = f"cache:{client}:{file.fileid}:{block}"
                yield layers.Piece(piece, places.get(client, ""), LOOKS[seen], tip)


def _nodes(frame: FilesFrame, colours: dict[str, int]) -> Iterator[Mark]:
    """Server and clients, at the head of their machines' columns."""
    step = (layers.WIDTH - layers.GRID - layers.EDGE) / max(1, len(frame.machines))
    for k, machine in enumerate(frame.machines):
        here = [node for node in machine.nodes if node == frame.server or node in frame.state.clients]
        for n, node in enumerate(here):
            x = layers.GRID + k * step + (step - 5) * (n + 1) / (len(here) + 1)
            state = "dead" if machine.state == "dead" else "alive"
            colour = colours[machine.name]
            what = "the server" if node == frame.server else f"client {node}"
            waits = ", waiting for the server" if frame.state.waiting.get(node) else ""
            yield Mark(
                node, x, 33.0, 5.5, outline(colour), colour, state, tip=f"{what} on {machine.name}{waits}"
            )
