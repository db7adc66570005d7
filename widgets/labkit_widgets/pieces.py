"""What stands around a stage, as data: words, controls and charts that a panel's class lists.

A piece is made once for each panel: `make(panel)` returns its widgets, and what shows a frame in them (or
None). A `name` makes its widget an attribute of the panel. What a control is used for is an action:
`on_<action>` of the panel, or what the piece itself says is to be run in a worker thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from .stage import update

#: Widgets from top to bottom, and what shows a frame in them.
Made = tuple[list[ipywidgets.Widget], Callable[[Any], None] | None]
#: Nothing is asked for: None is a value like others.
_NOTHING = object()
#: What a piece asks of a panel and its frame.
Of = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Told:
    """A part of the page with plain data: `kind`: its function in the browser, `trait`: what carries them."""

    name: str
    kind: str
    says: Of  # asked for what stands there before the first frame too (None), if the trait is "head"
    trait: str = ""
    actions: tuple[str, ...] = ()

    def make(self, panel: Any) -> Made:
        """The part."""
        trait = self.trait or self.kind
        part = panel.part(self.kind, *self.actions, **{trait: self.says(panel, None)} if self.trait else {})
        setattr(panel, self.name, part)
        return [part], lambda frame: update(part, **{trait: self.says(panel, frame)})


@dataclass(frozen=True)
class Button:
    """Does something. `words` may follow the frame; `off` says when it cannot be pressed, beside the past."""

    name: str
    action: str
    words: str | Of
    tip: str = ""
    run: Callable[[Any], Any] | None = None
    send: Callable[[Any], dict[str, Any]] = lambda _panel: {}
    off: Of = lambda _panel, _frame: False

    def make(self, panel: Any) -> Made:
        """The button."""
        still = isinstance(self.words, str)
        button = ipywidgets.Button(description=self.words if still else self.words(panel, None))
        button.tooltip = self.tip
        button.on_click(lambda _button: panel.act(self.action, **self.send(panel)))
        setattr(panel, self.name, button)
        if self.run is not None:
            panel.doing[self.action] = lambda: panel.later(self.action, lambda: self.run(panel))

        def show(frame: Any) -> None:
            words = {} if still else {"description": self.words(panel, frame)}
            off = panel.off or panel.busy(self.action) or bool(self.off(panel, frame))
            update(button, disabled=off, **words)

        return [button], show


@dataclass(frozen=True)
class Choice:
    """One of several. `value` is what holds now; `set` makes it another, in a worker thread. Without an
    action it waits for a button."""

    name: str
    label: str
    options: Sequence[Any]
    value: Callable[[Any], Any] | None = None
    action: str = ""
    off: Of | None = None
    set: Of | None = None

    def make(self, panel: Any) -> Made:
        """The select."""
        first = {} if self.value is None else {"value": self.value(panel)}
        box = ipywidgets.Dropdown(options=self.options, description=self.label, **first)
        box.style.description_width = "initial"
        showing: set[int] = set()  # threads in which the box follows what holds: nobody has chosen that here

        def chosen(change: Any) -> None:
            if threading.get_ident() not in showing:
                panel.act(self.action, change["new"])

        if self.action:
            box.observe(chosen, "value")
        if self.set is not None:
            panel.doing[self.action] = lambda new: panel.later(self.action, lambda: self.set(panel, new))
        setattr(panel, self.name, box)

        def show(frame: Any) -> None:
            if self.value is not None and not panel.busy(self.action):
                showing.add(threading.get_ident())
                try:
                    update(box, value=self.value(panel))
                finally:
                    showing.discard(threading.get_ident())
            if self.off is not None:
                update(box, disabled=bool(self.off(panel, frame)))

        return [box], show


@dataclass(frozen=True)
class Form:
    """Controls side by side, and below them what went wrong with them."""

    controls: Sequence[Button | Choice]

    def make(self, panel: Any) -> Made:
        """The row."""
        made = [control.make(panel) for control in self.controls]
        row = ipywidgets.Box([widget for widgets, _ in made for widget in widgets])
        row.add_class("labkit-form")
        note = panel.part("note", *{each.action: None for each in self.controls if each.action})

        def show(frame: Any) -> None:
            for _, each in made:
                if each is not None:
                    each(frame)

        return [ipywidgets.VBox([row, note])], show


@dataclass(frozen=True)
class Chart:
    """A chart: made by `cls(*given)`, and shown what `data` takes from the frame."""

    cls: Callable[..., Any]
    data: Of
    name: str = ""
    given: tuple[Any, ...] = ()

    def make(self, panel: Any) -> Made:
        """Its heading and figure."""
        chart = self.cls(*self.given)
        if self.name:
            setattr(panel, self.name, chart)
        return chart.widgets, lambda frame: chart.show(*self.data(panel, frame))


@dataclass(frozen=True)
class Plain:
    """A widget that never changes."""

    cls: Callable[[], ipywidgets.Widget]

    def make(self, panel: Any) -> Made:
        """The widget."""
        return [self.cls()], None


@dataclass(frozen=True)
class Slide:
    """A control with places in a row, whose change takes the system a while.

    It follows the run: what the trace says, not what was asked for; that stands there as pending.
    """

    name: str
    label: str
    action: str
    places: Callable[[Any], Sequence[Any]]  # of a value, which has a place too
    called: Callable[[Any], str]
    words: Callable[[Any], str]
    now: Of  # what holds at the frame: its value, and what it is called
    get: Callable[[Any], Any]  # of the panel: what the system is set to
    set: Callable[[Any, Any], None]

    def make(self, panel: Any) -> Made:
        """The control."""
        part = panel.part("choice", self.action, head=self._head(self.get(panel)))
        setattr(panel, self.name, part)
        panel.doing[self.action] = lambda bound: self.change(panel, bound)
        wanted = panel.wanted

        def show(frame: Any) -> None:
            value, called = self.now(panel, frame)
            if wanted.get(self.action, _NOTHING) == value:
                wanted.pop(self.action, None)
            asked = wanted.get(self.action, _NOTHING)
            if asked is not _NOTHING and panel.position.live:
                update(part, head=self._head(asked, pending=True))
            else:
                update(part, head=self._head(value, called, off=panel.off))

        return [part], show

    def _head(self, value: Any, called: str = "", off: bool = False, pending: bool = False) -> dict[str, Any]:
        places, words = list(self.places(value)), self.words(value)
        return {
            "label": self.label,
            "action": self.action,
            "places": [called if called and each == value else self.called(each) for each in places],
            "bounds": places,
            "place": places.index(value),
            "words": words[:1].upper() + words[1:],
            "off": off,
            "pending": pending,
        }

    def change(self, panel: Any, value: Any) -> None:
        """Until the last wish is granted: the hand may have moved on while one was."""
        if not panel.position.live:
            raise ValueError("this is the past; go back to live first")
        wanted = panel.wanted
        wanted[self.action] = value

        def grant() -> None:
            while (asked := wanted.get(self.action, _NOTHING)) not in (_NOTHING, self.get(panel)):
                try:
                    self.set(panel, asked)
                except Exception:
                    wanted.pop(self.action, None)
                    raise

        panel.later(self.action, grant)


def made(pieces: Sequence[Any], panel: Any) -> list[ipywidgets.Widget]:
    """The widgets of these pieces, from top to bottom; the panel shows its frames in them."""
    found: list[ipywidgets.Widget] = []
    for piece in pieces:
        widgets, show = piece.make(panel)
        found += widgets
        if show is not None:
            panel.shows.append(show)
    return found


def story(selected: str, title: str, lines: list[tuple[str, str]]) -> dict[str, Any]:
    """A title and lines with a sign each, as the browser's list of steps takes them."""
    items = [
        {"number": n, "sign": sign, "text": text, "tone": "trouble" if sign == "✕" else "plain"}
        for n, (sign, text) in enumerate(lines)
    ]
    return {"id": selected, "title": title, "items": items, "again": False}
