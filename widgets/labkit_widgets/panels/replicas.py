"""A graph's partitions and a loop's iterations as data for the stage. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labkit.systems.graphx.view import GraphXState, Iteration
from labkit.trace.machines import EventLine, MachineView
from labkit.trace.words import many, size

from ..layouts import layers
from ..looks import indexes
from ..scene import Label, Scene, scene_of

LEGEND = (
    ("todo", "not kept yet"), ("memory", "kept; index used"), ("passed", "all scanned"),
    ("lost", "lost"), ("memory again", "computed again"),
)  # fmt: skip
#: So many iterations have a row of their own, the last ones; more partitions than this are counted.
ROWS, DRAWN = 5, 40


class GraphFrame(NamedTuple):
    """Graphs and loops at a position."""

    state: GraphXState
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float


def graph_scene(frame: GraphFrame, selected: str = "") -> Scene:
    """Two rows of partitions, and a row for each iteration."""
    state, width = frame.state, layers.WIDTH
    run, cut = state.run, state.cut
    if run is None or not run.iterations:
        words = "no loop has run yet: graph.pageRank(0.01), or another, begins one"
        return Scene(width, 140.0, labels=(Label(width / 2, 70, words, "hint"),), title="No loop yet")
    parts = max([1, *(len(each.by_part) for each in run.iterations), len(cut.edge_parts) if cut else 0])
    head = f"{run.name}"
    if cut is not None:
        head = f"{many(cut.vertices, 'vertex')}, {many(cut.edges, 'edge')}, cut: {cut.strategy}"
    names = (("vertices", "vertices"), ("edges", "edges"))
    rows = [_kept(frame, which, *each, parts, selected) for which, each in enumerate(names)]
    last = run.iterations[-ROWS:]
    bands = [
        layers.Band(head, "" if run.end is not None else "running", "kept partitions of the graph", rows),
        layers.Band("What each iteration shipped, and where its edges were", "", "edge partitions",
                    [_iteration(each, parts, selected) for each in last]),
    ]  # fmt: skip
    edge = layers.Edge(
        "row:vertices", "row:edges", "wide", "attributes are shipped to the edges, messages come back"
    )
    field = layers.layers(
        bands, [edge], frame.machines, indexes([each.name for each in frame.machines]), legend=LEGEND
    )
    return scene_of(width, field, title=f"{run.name}, iteration {len(run.iterations)}", rows=True)


def _kept(frame: GraphFrame, which: int, kind: str, name: str, parts: int, selected: str) -> layers.Row:
    """The partitions of the iteration that is computed; of the one before, where these are not kept yet."""
    state = frame.state
    planned = [each[which] for each in state.run.planned] if state.run else []
    pieces = [_piece(state, planned[:-3:-1], kind, part, selected) for part in range(parts)]
    copies = [state.spark.blocks[rdd, p] for rdd, p in state.spark.blocks if rdd in planned[-1:]]
    held = size(sum(each[0].bytes for each in copies)) if copies else ""
    tip = f"{kind}: RDD {planned[-1]}" if planned else kind
    row = layers.Row(f"row:{kind}", name, held, tip, "circle", parts, kept=True)
    return row._replace(pieces=pieces) if parts <= DRAWN else row._replace(counts=list(_counts(pieces)))


def _piece(state: GraphXState, rdds: list[int], kind: str, part: int, selected: str) -> layers.Piece:
    name, what = f"{kind}:{part}", f"partition {part} of the {kind}"
    cls = "selected" if name == selected else ""
    for rdd in rdds:
        piece, copies = ("block", rdd, part), state.spark.blocks.get((rdd, part), ())
        if copies:
            again = piece in state.spark.again
            tip = f"{what}: {size(copies[0].bytes)} on {copies[0].machine}" + ", computed again" * again
            return layers.Piece(name, copies[0].machine, "memory", tip, cls + " again" * again)
        if piece in state.spark.lost:
            where = state.spark.lost[piece][0]
            return layers.Piece(name, where, "lost", f"{what}: lost with {where}", cls)
    return layers.Piece(name, "", "todo", f"{what}: not kept yet", cls)


def _counts(pieces: list[layers.Piece]) -> Iterator[layers.Count]:
    for machine, state in sorted({(each.machine, each.state) for each in pieces}):
        number = sum((each.machine, each.state) == (machine, state) for each in pieces)
        yield layers.Count(machine, state, number, f"{many(number, 'partition')}: {state} {machine}")


def _iteration(each: Iteration, parts: int, selected: str) -> layers.Row:
    moved = size(each.vertex_bytes + each.message_bytes)
    pieces = [
        layers.Piece(
            f"scan:{each.number}:{part}", where, "memory" if each.by_part[part][0] else "passed",
            f"iteration {each.number}, edge partition {part}: {did(each, part)}",
            "selected" if selected in (f"edges:{part}", f"scan:{each.number}:{part}") else "",
        )
        for part, where in enumerate(each.places)
    ]  # fmt: skip
    again = f"; {size(each.again_bytes)} once more after a loss" if each.again_bytes else ""
    tip = f"iteration {each.number}: {moved} shipped{again}"
    row = layers.Row(
        f"it:{each.number}", f"{each.number}: {moved}", "", tip, "circle", parts, again=bool(each.again_bytes)
    )
    return row._replace(pieces=pieces) if parts <= DRAWN else row._replace(counts=list(_counts(pieces)))


def did(each: Iteration, part: int) -> str:
    by_index, touched, received, sent = each.by_part[part]
    how = "found by the index" if by_index else "scanned"
    return f"{many(received, 'attribute')} came, {many(touched, 'edge')} {how}, {many(sent, 'message')} sent"
