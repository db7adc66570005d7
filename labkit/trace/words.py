"""Events in plain words: what a first-year student reads in the event list, in a story and in ``why``.

A system says what each of its events means in one table, and its nodes carry it::

    class Greeter(Node):
        events = Events(
            "greetings",
            greeted=plain("{node} greets {friend}"),
            refused=trouble("{friend} does not greet back"),
            heard=quiet("{node} heard of {friend}"),
        )

A text is a template over the event's data, ``{node}`` and ``{machine}``; ``{count:key}`` is "1 key" or
"5 keys", ``{size:bytes}`` is "1.5 MB", a list is joined by commas. Where a template does not do, a function
of the event makes the text.

The table is found by the node's class (its ``node_started`` event names it), so two systems, or a system and
a student's own node, may use the same kind of event for different things.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "RUNTIME", "Events", "Says", "Tables", "describe", "explain", "fault", "many", "names", "plain", "quiet",
    "repair", "size", "summary", "tone", "trouble",
]  # fmt: skip

#: A template, or a function of the event (and, for several in one line, of their ``total``).
Text = str | Callable[..., str]


# numbers for people ------------------------------------------------------------


def many(number: Any, noun: str) -> str:
    """``1 task``, ``2,000 tasks``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural(noun)}"


def plural(noun: str) -> str:
    """``keys``, ``copies``, ``matches``, ``vertices``, ``runs of vertices``."""
    noun, of, whole = noun.partition(" of ")
    return _plural(noun) + of + whole


def _plural(noun: str) -> str:
    if noun.endswith("ex"):
        return noun[:-2] + "ices"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def size(count: float) -> str:
    """Bytes for people: ``950 B``, ``1.5 MB``, ``32 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def names(value: Any) -> str:
    """One name, or several joined by commas."""
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class _Template(string.Formatter):
    """``str.format`` with nouns: ``{count:key}``; what an event does not have reads ``?``."""

    def get_value(self, key: Any, args: Any, data: Any) -> Any:
        return data.get(key, "?")

    def get_field(self, field_name: str, args: Any, data: Any) -> tuple[Any, str]:
        return self.get_value(field_name, args, data), field_name

    def format_field(self, value: Any, noun: str) -> str:
        if noun == "bytes":
            return size(value) if isinstance(value, (int, float)) else str(value)
        if noun == "%":
            return f"{float(value):.0%}"
        if noun.replace(" ", "").isalpha():
            number = len(value) if isinstance(value, (list, tuple, set, frozenset, dict)) else value
            return many(number, noun) if isinstance(number, (int, float)) else f"{number} {plural(noun)}"
        if noun:
            return format(value, noun) if isinstance(value, (int, float)) else str(value)
        return names(value)


_TEMPLATE = _Template()


def filled(text: Text, event: Any, **more: Any) -> str:
    """The text of an event."""
    if callable(text):
        return text(event, **more)
    return _TEMPLATE.vformat(text, (), {"node": event.node, "machine": event.machine, **event.data, **more})


# tables ------------------------------------------------------------


class Says(NamedTuple):
    """How one kind of event reads.

    tone: fault, repair, trouble or plain: decides colour and sign.
    listed: whether it has a line in the event list; the others would hide the rest by their number.
    about: lines with the same subject, close in time, become one; then ``together`` is its text, in which
        ``{total}`` is what ``adds`` (a datum's name, or 1 for each event) came to.
    """

    text: Text
    tone: str = "plain"
    listed: bool = True
    about: str = ""
    together: Text = ""
    adds: str | int = 1

    def total(self, event: Any) -> int:
        """What the event adds to the total of its line."""
        return self.adds if isinstance(self.adds, int) else int(event.data.get(self.adds) or 0)


def plain(text: Text, about: str = "", together: Text = "", adds: str | int = 1) -> Says:
    """A line of no particular colour."""
    return Says(text, "plain", True, about, together, adds)


def fault(text: Text, about: str = "", together: Text = "", adds: str | int = 1) -> Says:
    """Something was done to the system."""
    return Says(text, "fault", True, about, together, adds)


def repair(text: Text, about: str = "", together: Text = "", adds: str | int = 1) -> Says:
    """The system mends itself."""
    return Says(text, "repair", True, about, together, adds)


def trouble(text: Text, about: str = "", together: Text = "", adds: str | int = 1) -> Says:
    """The system suffers."""
    return Says(text, "trouble", True, about, together, adds)


def quiet(text: Text, tone: str = "plain") -> Says:
    """Words for ``why``, stories and diagrams; no line in the event list."""
    return Says(text, tone, False)


class Events(dict[str, Says]):
    """The events of one system, or of one class of nodes, by kind."""

    #: Every table there is in this process, by name; of two with one name the later one holds, so that a cell
    #: that defines a table may be run again.
    known: dict[str, Events] = {}  # noqa: RUF012

    def __init__(self, name: str, /, **kinds: Says) -> None:
        wrong = [kind for kind, words in kinds.items() if not isinstance(words, Says)]
        if wrong:
            raise TypeError(
                f"Events({name!r}, {wrong[0]}={kinds[wrong[0]]!r}): write {wrong[0]}=plain('{{node}} …'); "
                "or quiet, repair, trouble, fault"
            )
        super().__init__(kinds)
        self.name = name
        Events.known[name] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _events, (self.name, dict(self))


def _events(name: str, kinds: Mapping[str, Says]) -> Events:
    return Events(name, **kinds)


def _silent(event: Any) -> str:
    to = event.data.get("to") or event.data.get("peer")
    return f"{event.node} got no answer from {to} ({event.data.get('method')})"


def _slowed(event: Any) -> str:
    factor = event.data.get("factor", 1)
    if factor == 1:
        return f"{event.machine} runs at full speed again"
    return f"{event.machine} became {factor:g}× slower"


def _partitioned(event: Any) -> str:
    arrow = "cannot send to" if event.data.get("oneway") else "is cut off from"
    return f"Network: {names(event.data.get('a', ()))} {arrow} {names(event.data.get('b', ()))}"


def _crash(event: Any) -> str:
    return f"{event.node or event.machine} crashed: {first_line(event.data.get('error'))}"


def first_line(text: Any) -> str:
    """The first line of an error's text."""
    return (str(text or "?").splitlines() or ["?"])[0]


def _stopped(event: Any) -> str:
    reason = event.data.get("reason")
    return f"{event.node} stopped" + (f" ({reason})" if reason else "")


def _latency(event: Any) -> str:
    return f"Network: latency is now {event.data.get('latency') or event.data.get('fault') or 'different'}"


def _dropped(event: Any) -> str:
    reason = event.data.get("reason") or "network"
    return f"a message from {event.node} to {event.data.get('to')} was lost ({reason})"


def _skipped(event: Any) -> str:
    return f"a planned fault could not strike: {event.data.get('reason')}"


def _printed(event: Any) -> str:
    return f"{event.node or event.machine} says: {str(event.data.get('text', '')).rstrip()}"


def _span(verb: str) -> Callable[[Any], str]:
    return lambda event: f"{event.node or event.machine} {verb} {event.data.get('name', 'an operation')}"


def _asks(event: Any) -> str:
    key = event.data.get("key")
    argument = event.data.get("argument")
    about = ("" if key is None else f" {_short(repr(key))}") + (
        "" if argument is None else f"({_short(repr(argument))})"
    )
    return f"{event.data.get('client')} asks: {event.data.get('call')}{about}"


def _told(event: Any) -> str:
    return f"{event.data.get('client')} is told: {_short(repr(event.data.get('result')))}"


#: What every lab has: machines, network, nodes, messages, operations.
RUNTIME = Events(
    "runtime",
    machine_started=repair("{machine} started"),
    machine_died=fault("{machine} was seen to be gone"),
    killed=fault("{machine} was killed"),
    restarted=repair("{machine} was restarted with an empty memory and its old disk"),
    paused=fault("{machine} was paused: it looks dead to the others"),
    resumed=repair("{machine} goes on"),
    slowed=fault(_slowed),
    partitioned=fault(_partitioned),
    healed=repair("Network: everybody can reach everybody again"),
    loss_changed=fault("Network: {probability:%} of the messages are lost"),
    latency_changed=fault(_latency),
    duplicate_changed=fault("Network: {probability:%} of the messages arrive twice"),
    disk_lost=fault("{machine} lost its disk"),
    fault_skipped=plain(_skipped),
    crash=trouble(_crash),
    printed=plain(_printed),
    timed_out=trouble(_silent, "silent {to}", "{to} does not answer: {total:call} to it timed out"),
    node_started=quiet("{node} started on {machine}"),
    node_stopped=plain(_stopped),
    sent=quiet("{node} sends {method} ({what}) to {to}"),
    delivered=quiet("{node} receives {method} ({what}) from {from}"),
    dropped=quiet(_dropped, "trouble"),
    span_started=quiet(_span("starts")),
    span_finished=quiet(_span("finished")),
    operation_invoked=quiet(_asks),
    operation_returned=quiet(_told),
    operation_failed=quiet("{client} is told that it did not happen"),
)


# which table an event is read by ------------------------------------------------------------


@dataclass
class Tables:
    """Which table each node's events are read by, learned from the trace itself."""

    of_node: dict[str, str] = field(default_factory=dict)  #: node to its table's name, "" if it has none
    seen: dict[str, None] = field(default_factory=dict)  #: names of tables, in the order of their first node

    @classmethod
    def of(cls, events: Iterable[Any]) -> Tables:
        """Learned from these events."""
        tables = cls()
        for event in events:
            tables.learn(event)
        return tables

    def learn(self, event: Any) -> None:
        """A node that starts says which table it has."""
        if event.kind == "node_started":
            name = str(event.data.get("events", ""))
            self.of_node[event.node] = name
            if name:
                self.seen[name] = None

    def words(self, event: Any) -> Says | None:
        """How the event reads; None if nobody said so.

        What the runtime itself records has the runtime's words. What a client's program emits has no class:
        the first system that knows the kind has the word.
        """
        found = RUNTIME.get(event.kind)
        if found is not None:
            return found
        own = self.of_node.get(event.node)
        if own is not None:
            return Events.known.get(own, {}).get(event.kind)
        for name in self.seen:
            if event.kind in Events.known.get(name, {}):
                return Events.known[name][event.kind]
        return None


def explain(event: Any, words: Says | None) -> str:
    """One event in words, of any kind."""
    if words is not None:
        return filled(words.text, event)
    details = ", ".join(f"{key}={_short(value)}" for key, value in event.data.items())
    head = f"{event.node or event.machine}: {event.kind.replace('_', ' ')}"
    return f"{head} ({details})" if details else head


def describe(event: Any, words: Says | None) -> str:
    """The line of the event list, or "" for events that have none. A kind that nobody explains is shown."""
    return "" if words is not None and not words.listed else explain(event, words)


def summary(event: Any, words: Says, total: int) -> str:
    """The line of several events about the same thing, of which this is the latest."""
    return filled(words.together, event, total=max(1, total)) if words.together else explain(event, words)


def tone(words: Says | None) -> str:
    """fault, repair, trouble or plain."""
    return "plain" if words is None else words.tone


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"
