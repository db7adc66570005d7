"""The programming model: libraries that keep documents. There is no read and no write for clients; a library
collects from a publisher once, and from then on looks after its replica.

    archive = Lockss(cluster, {"stdlib": {"this": "The Zen of Python", "abc": "…"}}, rot=0.5)
    archive.run(years=10)
    archive.damaged(), archive.alarms()

What the user is promised is a probability, not a guarantee: as long as the loyal libraries are a landslide of
most inner circles, a damaged block is repaired at its library's next poll, and who would change a document
everywhere must win many landslides, or will ring alarms.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from labkit.data import standard_library
from labkit.parts import options as rules
from labkit.parts.retry import insist
from labkit.parts.system import System
from labkit.runtime.again import arguments, literal
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, MachineDead
from labkit.runtime.node import Node
from labkit.runtime.script import Made, variable
from labkit.runtime.sync import gather
from labkit.trace.fold import History
from labkit.trace.words import many

from .adversaries import Adversary, loyal_remain, minions_of
from .invariants import Report, check
from .nodes import Library, Mind, Minion, Publisher
from .options import Options, Spec, given
from .prediction import circles, damaged_share
from .replicas import Content
from .view import ArchiveReducer, ArchiveState

__all__ = ["Lockss", "modules"]

#: Small modules of the standard library: an archive to begin with.
SMALL = ("abc", "bisect", "colorsys", "keyword", "sched", "stat", "this", "token")
#: Real or virtual seconds until every library has collected.
FOUNDED_WITHIN = 60.0


def modules(names: tuple[str, ...] = SMALL) -> dict[str, dict[str, str]]:
    """An archive of one unit: modules of Python's standard library, by name."""
    library = standard_library()
    return {"stdlib": {name: library[name] for name in names if name in library}}


class Lockss(System):
    """Libraries on a cluster, and what they preserve.

    cluster: the libraries are dealt to its living machines in turn. archive: archival units by name, each a
    mapping of URLs to text or bytes; some modules of the standard library unless given. adversary: see
    ``adversaries.py``; None: everybody is loyal. options: see ``Options``. roles: other classes for library
    and minion.

    The publisher is gone when this returns: whatever happens from now on, nobody can ask it again.
    """

    panel_class = "LockssPanel"

    def __init__(
        self, cluster: Cluster, archive: Mapping[str, Mapping[str, str | bytes]] | None = None, *,
        adversary: Adversary | None = None,
        roles: tuple[type[Library], type[Minion]] = (Library, Minion), **options: Any,
    ) -> None:  # fmt: skip
        if not isinstance(cluster, Cluster):
            raise TypeError(f"cluster={cluster!r:.80}: write Lockss(cluster, …), the cluster first")
        chosen = given(options)
        loyal_remain(adversary, chosen.libraries)
        documents = _documents(modules() if archive is None else archive)
        machines = [machine.name for machine in cluster.machines if machine.alive]
        if not machines:
            raise MachineDead.of_all()
        self.cluster, self.adversary, self.documents = cluster, adversary, documents
        taken = cluster.nodes
        number = next(i for i in itertools.count(1) if f"lockss-{i}-0" not in taken)
        self.name = f"lockss-{number}"
        seed = cluster.seed + 1_000_003 * (number - 1)  # another archive rots otherwise
        units = {unit: tuple(blocks) for unit, blocks in documents.items()}
        self.spec = spec = Spec(self.name, chosen, seed, units, cluster.now)
        minions = minions_of(adversary, chosen.libraries, seed)
        content: dict[str, tuple[Content, ...]] = {
            unit: tuple(_content(each, chosen) for each in blocks.values())
            for unit, blocks in documents.items()
        }
        malign = tuple(sorted(minions))
        with cluster.all_or_none():
            cluster.spawn(Publisher, spec, content, name=spec.publisher, machine=machines[0])
            if adversary is not None:
                cluster.spawn(Mind, spec, adversary, name=spec.mind, machine=machines[0])
            cluster.spawn_many(
                (
                    roles[1] if peer in minions else roles[0],
                    (spec, peer, malign, adversary) if peer in minions else (spec, peer),
                    {},
                    spec.peer(peer),
                    machines[peer % len(machines)],
                )
                for peer in range(chosen.libraries)
            )
        self._history = History(cluster.trace, ArchiveReducer(self.name))
        self._rot = chosen.rot
        cluster.submit(self._founded).result(FOUNDED_WITHIN)
        cluster.remove(spec.publisher)

    async def _founded(self, client: Node) -> None:
        """Wait until all have collected."""
        waiting = list(range(self.spec.options.libraries))
        while waiting:

            async def ready(peer: int) -> bool:
                return bool(await insist(client, self.spec.peer(peer), "ready", every=2.0, times=15))

            answers = await gather(*[ready(peer) for peer in waiting])
            waiting = [peer for peer, is_ready in zip(waiting, answers, strict=True) if not is_ready]
            if waiting:
                await client.sleep(0.01)

    # time ------------------------------------------------------------

    def run(self, years: float) -> Lockss:
        """Let so many years pass; returns this."""
        years = rules.number(0, write=1.0)("years", years)
        self.cluster.run(years * self.spec.options.year)
        return self

    @property
    def years(self) -> float:
        """Of the archive, so far."""
        return (self.cluster.now - self.spec.began) / self.spec.options.year

    # what is there ------------------------------------------------------------

    @property
    def options(self) -> Options:
        """As they were given."""
        return self.spec.options

    def read(self, library: int, url: str, unit: str | None = None) -> bytes | int | None:
        """A document as a library has it, good or not; None if it has none. Raises ``KeyError`` for a
        document that nobody has."""
        unit, block = self._block(url, unit)
        node = self._library(library)
        found = self.cluster.call(node, "read", list(self.spec.units).index(unit), block)
        content: bytes | int | None = found[0]
        return content

    def damaged(self) -> dict[str, list[str]]:
        """Loyal libraries whose replica is not as published, with the URLs of the bad blocks."""
        view = self.view()
        found: dict[str, list[str]] = {}
        for (name, unit), versions in view.versions.items():
            pairs = zip(self.spec.units[unit], versions, view.good.get(unit, versions), strict=True)
            wrong = [url for url, version, good in pairs if version != good]
            if wrong and not view.peers[name].malign:
                found.setdefault(name, []).extend(wrong)
        return dict(sorted(found.items(), key=lambda pair: view.peers[pair[0]].number))

    def alarms(self) -> list[tuple[float, str]]:
        """(year, library) of every alarm so far."""
        return [(self._year(time), name) for time, name, _ in self.view().alarms]

    def lost(self) -> list[str]:
        """URLs that half of the loyal libraries, or more, have not as published any more."""
        return [self.spec.units[unit][block] for unit, block in self.view().lost()]

    def predicted(self) -> dict[str, float]:
        """What theory expects: the share of damaged replicas; and of inner circles drawn from lists with the
        adversary's present foothold, how many give the poller a loss or an alarm."""
        view = self.view()
        foothold = view.foothold[-1][1] if view.foothold else 0.0
        chances = circles(foothold, self.options)
        return {"damaged": damaged_share(self.options, self._rot), "foothold": foothold, **chances}

    def timeline(self) -> Any:
        """By quarter, as a DataFrame: share of damaged loyal replicas, of minions in reference lists, alarms
        so far."""
        import pandas as pd

        view, every = self.view(), 0.25
        count = int(self.years / every) + 1
        rows = [self._row(view, self.spec.began + k * every * self.options.year) for k in range(count)]
        index = pd.Index([k * every for k in range(count)], name="year")
        return pd.DataFrame(rows, index=index, columns=["damaged", "foothold", "alarms"])

    def _row(self, view: ArchiveState, time: float) -> tuple[float, float, int]:
        damage = [bad for at, bad in view.damage if at <= time]
        share = [each for at, each in view.foothold if at <= time]
        alarms = sum(at <= time for at, _, _ in view.alarms)
        return (damage[-1] / view.loyal if damage else 0.0), (share[-1] if share else 0.0), alarms

    # changing it while it runs ------------------------------------------------------------

    @property
    def rot(self) -> float:
        """Blocks that go bad in a year, in one replica."""
        return self._rot

    @rot.setter
    def rot(self, rate: float) -> None:
        rate = float(rules.number(0, write=0.2)("rot", rate))
        cluster, nodes = self.cluster, [self.spec.peer(peer) for peer in range(self.options.libraries)]

        async def tell(client: Node) -> int:
            async def one(node: str) -> bool:
                try:
                    await client.call(node, "set_rot", rate, timeout=5.0)
                except LabError:
                    return False
                return True

            client.emit("rot_changed", archive=self.name, rate=rate)
            return sum(await gather(*[one(node) for node in nodes]))

        if not cluster.submit(tell).result():
            raise MachineDead.of_all()
        self._rot = rate

    def damage(self, library: int, url: str, unit: str | None = None) -> None:
        """Flip a bit of a document in one library, now."""
        unit, block = self._block(url, unit)
        self.cluster.call(self._library(library), "damage", list(self.spec.units).index(unit), block)

    # looking at it ------------------------------------------------------------

    def view(self, position: float | None = None) -> ArchiveState:
        """What the trace tells of it, now or at a position in seconds of the cluster."""
        state: ArchiveState = self._history.read(position)
        return state

    def check(self) -> Report:
        """The invariants, judged on the trace."""
        return check(self.cluster, self.spec)

    def made(self) -> Made:
        """How it was made, as code."""
        options = arguments(self)
        name = variable(self, "archive")
        given = {key: value for key, value in options.items() if key not in ("cluster", "archive", "roles")}
        from_archive = "" if options.get("archive") is None else f"the documents of {name}"
        lacks = from_archive or "nothing"
        told = "".join(f", {key}={literal(value)}" for key, value in given.items())
        documents = f", {name}.documents" if from_archive else ""
        notes = (f"rot was set to {self._rot:g} while it ran.",) if self._rot != self.options.rot else ()
        return Made(
            "labkit.systems.lockss", "archive_again", "", {}, lacks, notes,
            (f"archive_again = Lockss(again{documents}{told})",),
        )  # fmt: skip

    def _in_short(self) -> str:
        view = self.view()
        bad, alarms = view.bad_loyal, len(view.alarms)
        return (
            f"Lockss {self.name}: {self.options.libraries} libraries, {self.years:.1f} years, "
            f"{bad} of {view.loyal} replicas damaged, {many(alarms, 'alarm')}"
        )

    # helpers ------------------------------------------------------------

    def _year(self, time: float) -> float:
        return (time - self.spec.began) / self.options.year

    def _library(self, library: int) -> str:
        whole = isinstance(library, int) and not isinstance(library, bool)
        if not whole or not 0 <= library < self.options.libraries:
            raise ValueError(f"library={library!r}: write a number from 0 to {self.options.libraries - 1}")
        return self.spec.peer(library)

    def _block(self, url: str, unit: str | None) -> tuple[str, int]:
        for each, blocks in self.spec.units.items():
            if url in blocks and unit in (None, each):
                return each, blocks.index(url)
        where = f"unit {unit!r}" if unit is not None else "the archive"
        known = [url for blocks in self.spec.units.values() for url in blocks]
        raise KeyError(f"{url!r:.80} is not in {where}; there is {', '.join(known[:8])}")


def _documents(archive: Any) -> dict[str, dict[str, str | bytes]]:
    """The archive, checked; raises ``TypeError`` or ``ValueError`` that says what to write."""
    write = 'write {"unit": {"url": "text"}}'
    if not isinstance(archive, Mapping):
        raise TypeError(f"archive={archive!r:.80}: {write}")
    if not archive:
        raise ValueError(f"archive={archive!r}: an archive needs a unit; {write}")
    found: dict[str, dict[str, str | bytes]] = {}
    for unit, blocks in archive.items():
        if not isinstance(unit, str) or not isinstance(blocks, Mapping):
            raise TypeError(f"archive has {unit!r:.40}: {blocks!r:.40}; {write}")
        if not blocks:
            raise ValueError(f"archive has a unit {unit!r:.40} without documents; {write}")
        for url, content in blocks.items():
            if not isinstance(url, str) or not isinstance(content, (str, bytes)):
                raise TypeError(f"unit {unit!r:.40} has {url!r:.40}: {content!r:.40}; {write}")
        found[unit] = dict(blocks)
    return found


def _content(document: str | bytes, options: Options) -> Content:
    if options.content == "model":
        return 0
    return document.encode("utf8", "surrogatepass") if isinstance(document, str) else document
