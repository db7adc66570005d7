"""What must hold of every run, judged on its trace (SYSTEMS.md §4(f)); on both engines.

================  ==============================================================================
HandledOnce       no node handles a GUID twice
NeverBack         a query is never sent back to its sender
TTLPlusHops       TTL + hops stays what the origin chose, and no hop is left out
WithinTTL         nobody handles a query that has come over more hops than its TTL
ReversePath       a QueryHit only goes over edges that its query came over
ReallyShared      who answers shares it then; an index, what its owner had told it
Intact            a file that was loaded is the one that was asked for
================  ==============================================================================

What a machine that was killed could not tell any more is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.parts.checks import Findings, whole
from labkit.runtime.cluster import Cluster

from .options import nodes_of

__all__ = ["Replay", "Report", "check_sharing"]


@dataclass
class Report(Findings):
    """What replaying a run found."""

    queries: int = 0
    copies: int = 0
    answers: int = 0
    downloads: int = 0

    def __str__(self) -> str:
        judged = {
            "query": self.queries,
            "copy of them": self.copies,
            "answer": self.answers,
            "download": self.downloads,
        }
        return "\n".join(self.lines(judged))


class Replay:
    """Judges the events of one system, in their order."""

    def __init__(self, name: str) -> None:
        self.own = nodes_of(name)
        self.report = Report()
        self.handled: dict[tuple[str, str, int], str] = {}  #: (node, GUID, life): from whom
        self.ttls: dict[str, set[int]] = {}  #: of a GUID at its origin
        self.origins: dict[str, str] = {}
        self.away: dict[tuple[str, str], int] = {}  #: (node, GUID): hops over which it has come, at least
        self.shared: dict[str, set[str]] = {}
        self.ever: dict[str, set[str]] = {}
        self.roles: dict[str, str] = {}
        self.lives: dict[str, int] = {}
        self.asked: set[tuple[str, str]] = set()  #: (leaf, GUID) that an ultrapeer handed on

    def apply(self, event: Any) -> None:
        if event.node is not None and self.own.fullmatch(event.node):
            handler = getattr(self, f"on_{event.kind}", None)
            if handler is not None:
                handler(event, event.data)

    def on_node_started(self, event: Any, data: Any) -> None:
        self.lives[event.node] = self.lives.get(event.node, 0) + 1
        self.shared[event.node] = set()

    def on_peer_online(self, event: Any, data: Any) -> None:
        self.roles[event.node] = data["role"]

    on_role_changed = on_peer_online

    def on_shared(self, event: Any, data: Any) -> None:
        self.shared.setdefault(event.node, set()).update(data["roots"])
        self.ever.setdefault(event.node, set()).update(data["roots"])

    def on_unshared(self, event: Any, data: Any) -> None:
        self.shared[event.node].difference_update(data["roots"])

    def on_search_started(self, event: Any, data: Any) -> None:
        self.report.queries += 1
        self.report.copies += len(data["to"])
        self.ttls.setdefault(data["query"], set()).add(data["ttl"])
        if data["strategy"] == "dynamic query":
            self.ttls[data["query"]] |= set(range(1, data["ttl"] + 1))
        self.origins[data["query"]] = event.node
        self.away[event.node, data["query"]] = 0
        self.handled[event.node, data["query"], self.lives.get(event.node, 0)] = ""

    def on_query_widened(self, event: Any, data: Any) -> None:
        self.report.copies += len(data["to"])

    def on_leaves_asked(self, event: Any, data: Any) -> None:
        self.report.copies += len(data["to"])
        self.asked.update((leaf, data["query"]) for leaf in data["to"])

    def on_query_received(self, event: Any, data: Any) -> None:
        query, report = data["query"], self.report
        key = (event.node, query, self.lives.get(event.node, 0))
        if key in self.handled and event.node in self.roles:  # a server may be asked twice: it only answers
            report.broken(
                event, "HandledOnce", f"{event.node} handles {query} from {data['source']} once more"
            )
        self.handled[key] = data["source"]
        self._way(event, data)

    def on_query_dropped(self, event: Any, data: Any) -> None:
        self._way(event, data)

    def _way(self, event: Any, data: Any) -> None:
        query, report = data["query"], self.report
        report.copies += len(data["to"])
        if data["source"] in data["to"]:
            report.broken(event, "NeverBack", f"{event.node} sends {query} back to {data['source']}")
        ttls = self.ttls.get(query)
        if ttls is None or (event.node, query) in self.asked:
            return
        if data["ttl"] + data["hops"] not in ttls:
            report.broken(
                event, "TTLPlusHops",
                f"{query}: TTL {data['ttl']}, {data['hops']} hops at {event.node}; it began with {max(ttls)}",
            )  # fmt: skip
        hops = data["hops"]
        if (before := self.away.get((data["source"], query))) is not None:
            hops = before + 1  # whatever its header says
            self.away[event.node, query] = min(hops, self.away.get((event.node, query), hops))
            if data["hops"] < hops:
                report.broken(
                    event, "TTLPlusHops",
                    f"{query} says {data['hops']} hops at {event.node}; it has come over {hops}",
                )  # fmt: skip
        if max(hops, data["hops"]) > max(ttls):
            report.broken(
                event, "WithinTTL", f"{query} came to {event.node} after {hops} of {max(ttls)} hops"
            )

    def on_hits_made(self, event: Any, data: Any) -> None:
        self.report.answers += 1
        for name, root, owner in zip(data["names"], data["roots"], data["owners"], strict=True):
            # What others have told an index is as old as their last word.
            there = self.shared if owner == event.node else self.ever
            if owner in there and root not in there[owner]:
                self.report.broken(event, "ReallyShared", f"{event.node} answers with {name!r} of {owner}")
        self._back(event, data)

    def on_hits_passed(self, event: Any, data: Any) -> None:
        self._back(event, data)

    def _back(self, event: Any, data: Any) -> None:
        query = data["query"]
        if self.origins.get(query) == event.node:
            return
        source = self.handled.get((event.node, query, self.lives.get(event.node, 0)))
        if source is not None and source != data["to"]:
            self.report.broken(
                event, "ReversePath", f"hits of {query} go from {event.node} to {data['to']}, not to {source}"
            )

    def on_download_finished(self, event: Any, data: Any) -> None:
        self.report.downloads += 1
        if not data["right"]:
            self.report.broken(event, "Intact", f"{event.node} has loaded {data['file']} with another hash")


def check_sharing(cluster: Cluster, name: str) -> Report:
    """The report on a run. Raises ``LabError`` if the trace has forgotten its beginning."""
    replay = Replay(name)
    for event in whole(cluster):
        replay.apply(event)
    return replay.report
