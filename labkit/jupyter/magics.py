"""The magics: a lab by hand, one line each.

    %load_ext labkit
    %lab                    the clusters of this notebook; %lab NAME chooses one
    %kill m2                %restart m2    %pause m2    %resume m2    %slow m2 10
    %partition m1,m2 m3     and %heal
    %step 5                 %run_for 2.5
    %trace 20               the last events, as a DataFrame; %trace killed, %trace m2
    %why                    what led to the last timeout or crash; %why 17
    %seed 7                 %engine sim    for the clusters that are made from now on

Each says in a line what it did. What a magic does is what the method of the same name does, so a run made
by hand is in ``cluster.schedule`` and can be played again.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

import pandas
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class

from labkit.runtime.cluster import Cluster, clusters, defaults
from labkit.runtime.errors import LabError
from labkit.trace.event import Event

__all__ = ["LabMagics", "load", "unload"]

ENGINES = ("sim", "ray")
#: Magics whose words are names of machines, and the states in which a machine may be named.
ON_MACHINES = {
    "kill": ("alive", "slow", "paused"),
    "restart": ("dead",),
    "pause": ("alive", "slow"),
    "resume": ("paused",),
    "slow": ("alive", "slow"),
    "partition": ("alive", "slow", "paused", "dead"),
}
#: What `%why` explains if it is not told what.
SYMPTOMS = ("crash", "timed_out", "dropped", "machine_died")


@magics_class
class LabMagics(Magics):
    """See the module's text."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._chosen: weakref.ref[Cluster] | None = None

    @property
    def cluster(self) -> Cluster:
        """The one that was chosen, else the newest that is open."""
        chosen = self._chosen() if self._chosen is not None else None
        if chosen is not None and not chosen.closed:
            return chosen
        found = clusters()
        if not found:
            raise UsageError("no cluster is open; make one first: cluster = Cluster(machines=4)")
        return found[-1]

    # looking ------------------------------------------------------------

    @line_magic
    def lab(self, line: str) -> Any:
        """The clusters of this notebook, oldest first, and which of them the magics act on.

        ``%lab NAME`` has them act on that one; otherwise they act on the newest.
        """
        name = line.strip()
        found = clusters()
        if name:
            named = [each for each in found if each.name == name]
            if not named:
                open_ones = ", ".join(each.name for each in found) or "none"
                raise UsageError(f"no open cluster is called {name!r}; there are: {open_ones}")
            self._chosen = weakref.ref(named[-1])
            print(f"the magics act on {named[-1]!r}")
            return None
        if not found:
            print("no cluster is open; make one: cluster = Cluster(machines=4)")
            return None
        rows = [_row(each, each is self.cluster) for each in found]
        return pandas.DataFrame(rows).set_index("cluster")

    @line_magic
    def trace(self, line: str) -> Any:
        """The last events as a DataFrame: ``%trace`` (20 of them), ``%trace 100``.

        With words only the events that they name: a kind, a node, a machine, as in ``%trace killed``,
        ``%trace m2 50``.
        """
        words = line.split()
        count = next((int(word) for word in words if word.isdecimal()), 20)
        wanted = [word for word in words if not word.isdecimal()]
        events = self.cluster.trace.sorted()
        for word in wanted:
            events = [each for each in events if word in (each.kind, each.node, each.machine)]
        if wanted and not events:
            kinds = ", ".join(sorted({each.kind for each in self.cluster.trace}))
            raise UsageError(f"no event is of {' and '.join(map(repr, wanted))}; the kinds so far: {kinds}")
        rows = [
            {
                "time": each.time,
                "seq": each.seq,
                "machine": each.machine,
                "node": each.node,
                "kind": each.kind,
            }
            | {"data": ", ".join(f"{key}={value}" for key, value in each.data.items())}
            for each in events[-count:]
        ]
        return pandas.DataFrame(rows, columns=["time", "seq", "machine", "node", "kind", "data"])

    @line_magic
    def why(self, line: str) -> Any:
        """What led to an event, back to the fault that began it.

        ``%why SEQ`` for the event of that number (see ``%trace``); ``%why`` for the last crash, timeout or
        lost message.
        """
        trace = self.cluster.trace
        word = line.strip()
        if word:
            return self._do(lambda: trace.why(_whole(word, "%why 17, with a seq from %trace")))
        event: Event | None = next((each for each in reversed(trace.sorted()) if each.kind in SYMPTOMS), None)
        if event is None:
            print("nothing crashed, timed out or was lost so far; %why SEQ explains any event of %trace")
            return None
        return trace.why(event)

    # faults ------------------------------------------------------------

    @line_magic
    def kill(self, line: str) -> None:
        """The machines die: ``%kill m2``, ``%kill m2 m3``. On Ray their processes are gone afterwards."""
        self._on_machines("kill", line, self.cluster.kill)

    @line_magic
    def restart(self, line: str) -> None:
        """Dead machines start again, on what their disks kept: ``%restart m2``."""
        self._on_machines("restart", line, self.cluster.restart)

    @line_magic
    def pause(self, line: str) -> None:
        """The machines stand still; nobody is told: ``%pause m2``."""
        self._on_machines("pause", line, self.cluster.pause)

    @line_magic
    def resume(self, line: str) -> None:
        """Paused machines go on: ``%resume m2``."""
        self._on_machines("resume", line, self.cluster.resume)

    @line_magic
    def slow(self, line: str) -> None:
        """Machines become that many times slower: ``%slow m2 10``; ``%slow m2 1`` makes it normal."""
        words = line.split()
        factor = 10.0
        if words and re.fullmatch(r"\d+(\.\d*)?", words[-1]):
            factor = float(words.pop())
        self._on_machines("slow", " ".join(words), lambda name: self.cluster.slow(name, factor))

    @line_magic
    def partition(self, line: str) -> None:
        """No message passes between two groups: ``%partition m1,m2 m3,m4``; ``%partition m1`` cuts it off
        from all other machines (not from you). ``%heal`` ends it."""
        groups = [_names(word) for word in re.sub(r"\s*,\s*", ",", line).split()]
        if len(groups) not in (1, 2):
            raise UsageError("two groups of machines, as in: %partition m1,m2 m3,m4")
        a = groups[0]
        b = groups[1] if len(groups) == 2 else [m.name for m in self.cluster.machines if m.name not in a]
        self._do(lambda: self.cluster.partition(a, b))
        print(f"nothing passes between {', '.join(a)} and {', '.join(b)}; %heal ends it")

    @line_magic
    def heal(self, line: str) -> None:
        """All partitions end."""
        self._do(self.cluster.heal)
        print("every machine reaches every other")

    def _on_machines(self, verb: str, line: str, method: Callable[[str], Any]) -> None:
        names = _names(line)
        if not names:
            usable = _usable(self.cluster, verb)
            raise UsageError(f"which machine? %{verb} {usable[0] if usable else 'm1'}")
        for name in names:
            self._do(lambda name=name: method(name))
            print(repr(self.cluster.machine(name)))

    # time ------------------------------------------------------------

    @line_magic
    def step(self, line: str) -> Any:
        """Simulator: let things happen until there are this many more events, and show them: ``%step 5``."""
        events = _whole(line.strip() or "1", "%step 5")
        before = self.cluster.trace.count
        self._do(lambda: self.cluster.step(events))
        new = self.cluster.trace.since(before)
        print("\n".join(map(str, new)) or "nothing is left to happen")

    @line_magic
    def run_for(self, line: str) -> None:
        """Let that many seconds pass, virtual in the simulator and real on Ray: ``%run_for 2.5``."""
        try:
            seconds = float(line)
        except ValueError:
            raise UsageError(f"seconds, as in: %run_for 2.5 (not {line.strip()!r})") from None
        before = self.cluster.trace.count
        self._do(lambda: self.cluster.run(seconds))
        print(f"now {self.cluster.now:.2f} s, {self.cluster.trace.count - before} events more")

    # what new clusters are ------------------------------------------------------------

    @line_magic
    def seed(self, line: str) -> None:
        """The seed of clusters that are made from now on without one: ``%seed 7``; ``%seed`` tells it."""
        if line.strip():
            defaults.seed = _whole(line.strip(), "%seed 7")
        print(f"new clusters have seed {defaults.seed}")

    @line_magic
    def engine(self, line: str) -> None:
        """The engine of clusters that are made from now on without one: ``%engine sim``, ``%engine ray``."""
        engine = line.strip()
        if engine and engine not in ENGINES:
            raise UsageError(f"the engines are {' and '.join(ENGINES)}, not {engine!r}")
        defaults.engine = engine or defaults.engine
        print(f"new clusters are on {defaults.engine}")

    def _do(self, action: Callable[[], Any]) -> Any:
        """What goes wrong by a wrong word is said in a line, without a traceback."""
        try:
            return action()
        except (LabError, ValueError) as error:
            raise UsageError(str(error)) from None


def _row(cluster: Cluster, chosen: bool) -> dict[str, Any]:
    states = [machine.state for machine in cluster.machines]
    return {
        "cluster": cluster.name,
        "": "*" if chosen else "",
        "engine": cluster.engine,
        "seed": cluster.seed,
        "machines": len(states),
        "dead": states.count("dead"),
        "nodes": len(cluster.nodes),
        "seconds": round(cluster.now, 2),
        "events": cluster.trace.count,
        "faults": len(cluster.schedule),
    }


def _names(line: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", line) if word]


def _whole(text: str, example: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise UsageError(f"a whole number, as in: {example} (not {text!r})")
    return int(text)


def _usable(cluster: Cluster, verb: str) -> list[str]:
    return [machine.name for machine in cluster.machines if machine.state in ON_MACHINES[verb]]


# completion ------------------------------------------------------------


def _complete(shell: Any, event: Any) -> list[str]:
    """The words that may follow: machines in a state that allows it, clusters, engines, kinds of events."""
    verb = event.command.lstrip("%")
    magics: LabMagics = shell.magics_manager.registry["LabMagics"]
    if verb == "engine":
        return list(ENGINES)
    if verb == "lab":
        return [cluster.name for cluster in clusters()]
    try:
        cluster = magics.cluster
    except UsageError:
        return []
    if verb == "trace":
        return sorted({each.kind for each in cluster.trace} | set(cluster.nodes)) + _machines(cluster)
    given = _names(event.line)[1:]
    return [name for name in _usable(cluster, verb) if name not in given or name == event.symbol]


def _machines(cluster: Cluster) -> list[str]:
    return [machine.name for machine in cluster.machines]


_COMPLETED = ("lab", "engine", "trace", *ON_MACHINES)


def load(shell: Any) -> None:
    """Have the magics in this shell. Loading twice changes nothing."""
    if "LabMagics" in shell.magics_manager.registry:
        return
    shell.register_magics(LabMagics)
    for name in _COMPLETED:
        shell.set_hook("complete_command", _complete, str_key=f"%{name}")


def unload(shell: Any) -> None:
    """Take them away again."""
    manager = shell.magics_manager
    magics = manager.registry.pop("LabMagics", None)
    for name, method in list(manager.magics["line"].items()):
        if getattr(method, "__self__", None) is magics and magics is not None:
            del manager.magics["line"][name]
    for name in _COMPLETED:
        shell.strdispatchers["complete_command"].strs.pop(f"%{name}", None)
