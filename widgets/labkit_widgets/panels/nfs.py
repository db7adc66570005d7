"""`NfsPanel`: a file server's tree and disk, its clients' caches, and what was done twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.systems.nfs.options import CONSISTENCY
from labkit.systems.nfs.view import FilesReducer, FilesState, Read
from labkit.trace.words import many

from ..charts import Iterations
from ..numbers import Number
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Told, story
from ..scene import Pulse, Scene
from ..setup import OneOf, Whole
from .files import FilesFrame, blocks_of, files_scene

HINT = "Select a file to see who has what of it"
#: What the buttons write and read, unless a file is selected.
NOTES = "/notes"
MODES = tuple((each, each) for each in CONSISTENCY)
ON_OFF = (("off", False), ("on", True))


def _chosen(panel: Any) -> str:
    """The path of the selected file, or that of the notes."""
    kind, _, rest = panel.stage.selected.partition(":")
    fileid = rest.split(":")[-2 if kind == "cache" else 0] if rest else ""
    state: FilesState = panel.history.at(None)
    file = state.files.get(int(fileid)) if fileid.isdigit() else None
    return state.path(file.fileid) if file is not None and file.kind == "file" else NOTES


def _write(panel: Any) -> None:
    """The first client adds a line, and closes the file."""
    with panel.nfs.clients[0].open(_chosen(panel), "a") as file:
        file.write(f"written at {panel.nfs.cluster.now:.2f} s\n")


def _make(panel: Any) -> None:
    """The first client makes a directory."""
    names = panel.nfs.clients[0].listdir("/")
    panel.nfs.clients[0].mkdir(next(f"/d{n}" for n in range(1, len(names) + 2) if f"d{n}" not in names))


def _switch(option: str, label: str, words: Any) -> Choice:
    return Choice(option, label, words, value=lambda panel: getattr(panel.nfs, option), action=option,
                  off=lambda panel, _frame: panel.off,
                  set=lambda panel, new: panel.nfs.set(**{option: new}))  # fmt: skip


class NfsPanel(Panel):
    """A file server and its clients."""

    title: ClassVar[str] = "NFS"
    named = "nfs"
    runs_are: ClassVar[str] = "Stale reads"
    fold = lambda panel, known: FilesReducer(panel.nfs.name, known)  # noqa: E731
    figures = staticmethod(lambda frame: numbers(frame))
    look = "labkit-lineage"  # a wide stage, as Spark's
    parameters = (
        Whole("clients", "Clients", 2, 1, 16),
        OneOf("consistency", "Consistency", tuple(reversed(MODES))),
        OneOf("duplicates", "Duplicate cache", ON_OFF),
    )
    side = (
        Told("steps", "steps", lambda panel, frame: told(frame, panel.stage.selected)),
        Form((_switch("consistency", "Consistency", MODES),)),
        Form((
            _switch("duplicates", "Duplicate cache", ON_OFF),
            _switch("write_behind", "Write behind", ON_OFF),
        )),
        Form((
            Button("write", "write", "Write at the first",
                   "The first client adds a line to the selected file, or to /notes", _write),
            Button("read", "read", "Read at the last", "The last client reads that file",
                   lambda panel: panel.nfs.clients[-1].read_bytes(_chosen(panel))),
            Button("make", "make", "Make a directory", "The first client makes one more", _make),
            Button("lose", "lose", "Lose the next reply to it",
                   "The next mkdir is carried out, and its reply is lost",
                   lambda panel: panel.nfs.lose_reply("mkdir")),
        )),
        Chart(Iterations, lambda _panel, frame: by_client(frame.state), "reads",
              ("Reads of each client: right (grey), stale (orange)", "~g")),
    )  # fmt: skip

    def frame(self, position: float | None) -> FilesFrame:
        """The state at a position."""
        state: FilesState = self.history.at(position)
        return FilesFrame(state, self.nfs.server, *self.seen(state.lab, position))

    def runs(self) -> list[tuple[float, str]]:
        """The stale reads."""
        return [(each.time, _in_words(each)) for each in self.history.at(None).stale_reads]

    def scene(self, frame: FilesFrame) -> Scene:
        """Tree and blocks."""
        return files_scene(frame, self.stage.selected)

    def flights(self, frame: FilesFrame) -> Iterator[tuple[float, Pulse]]:
        """Calls and replies."""
        for call in frame.state.calls:
            ends = (call.client, frame.server) if call.to_server else (frame.server, call.client)
            yield call.time, Pulse(call.seq, *ends, call.kind, f"{ends[0]} to {ends[1]}: {call.words}")

    def about(self, frame: FilesFrame) -> str:
        """How the clients keep their caches."""
        modes = {each.get("consistency") for each in frame.state.clients.values()}
        return ", ".join(sorted(map(str, modes)))

    def news(self, frame: FilesFrame) -> str:
        """The latest stale read, or call that was carried out twice."""
        state = frame.state
        stale = [(each.time, _in_words(each)) for each in state.stale_reads[-1:]]
        twice = [
            (time, f"{name} of {client} was carried out twice") for time, client, name, _ in state.twice[-1:]
        ]
        return max([*stale, *twice], default=(0.0, ""))[1]


def _in_words(read: Read) -> str:
    return f"{read.client} read {many(read.stale, 'old block')} of file {read.fileid}"


# -- numbers, charts, stories ------------------------------------------------------------


def numbers(frame: FilesFrame) -> tuple[Number, ...]:
    """What the server did, what was done twice, what was read that was old, what waits."""
    state = frame.state
    stale, twice = len(state.stale_reads), len(state.twice)
    blocks, cached = (sum(getattr(each, name) for each in state.reads) for name in ("blocks", "cached"))
    refused = sum(status != "OK" for *_, status in state.twice)
    waits = [client for client, waiting in state.waiting.items() if waiting]
    kept = "with" if state.duplicates else "without"
    return (
        Number("Changes", f"{sum(state.executed.values()):,}", f"carried out; {many(state.boots, 'start')}"),
        Number("Done twice", f"{twice}", f"{refused} refused; {kept} a duplicate cache",
               "bad" if twice else "good"),
        Number("Stale reads", f"{stale}", f"of {many(len(state.reads), 'read')}", "bad" if stale else "good"),
        Number("Not yet written", f"{state.dirty}", "blocks, in clients"),
        Number("From caches", f"{cached / blocks:.0%}" if blocks else "none",
               f"of {many(blocks, 'block')} read"),
        Number("Sent again", f"{state.resent}",
               f"{', '.join(waits)}: no answer" if waits else f"{many(state.replies_lost, 'reply')} lost",
               "bad" if waits else "plain"),
    )  # fmt: skip


def by_client(state: FilesState) -> tuple[list[Any], list[float], list[float]]:
    """Of each client its right reads, and the stale ones."""
    stale = [float(sum(bool(e.stale) for e in state.reads if e.client == name)) for name in state.clients]
    every = [float(sum(e.client == name for e in state.reads)) for name in state.clients]
    right = [all_of - old for all_of, old in zip(every, stale, strict=True)]
    return list(state.clients), right, stale


def told(frame: FilesFrame, selected: str) -> dict[str, Any]:
    """Who has which blocks of the selected file, and the latest reads of it."""
    state = frame.state
    kind, _, rest = selected.partition(":")
    fileid = rest.split(":")[-2 if kind == "cache" else 0] if rest else ""
    file = state.files.get(int(fileid)) if fileid.isdigit() else None
    if file is None:
        return story("", HINT, []) if state.files else {}
    lines = [("·", f"{file.kind}, change {file.change}, generation {file.generation}, {file.size:,} bytes")]
    for client in state.clients:
        looks = [state.look(client, file.fileid, file.generation, b) for b in range(blocks_of(state, file))]
        found = [f"{looks.count(look)} {look}" for look in ("fresh", "stale", "dirty") if look in looks]
        if found:
            lines.append(("■", f"{client} has {', '.join(found)}"))
    for read in [each for each in state.reads if each.fileid == file.fileid][-8:]:
        sign = "✕" if read.stale else "✓"
        words = f"{many(read.stale, 'old block')}" if read.stale else "nothing old"
        lines.append((sign, f"{read.time:.2f} s: {read.client} read {words} ({read.mode})"))
    return story(selected, state.path(file.fileid), lines)
