"""The widgets that reach the browser: a `Stage` that draws scenes and a `Part` for everything around it.

Both are thin: their traits are plain data made by pure functions, and the module beside each draws them.
Panels set traits from one thread only, and only when they changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from .direct import Line
from .looks import script, style_sheet

_HERE = Path(__file__).parent


def _source(*names: str) -> str:
    """Several files as one ES module.

    The browser is given text, so an import between them could not be resolved.
    """
    return "\n".join((_HERE / name).read_text(encoding="utf8") for name in names)


class Stage(anywidget.AnyWidget):
    """A scene, with messages that move along it."""

    _esm = "\n".join([script(), _source("looks.js", "movers.js", "stage.js")])
    _css = "\n".join([_source("stage.css"), style_sheet()])

    scene = t.Dict().tag(sync=True)
    #: `{"epoch": n, "items": [...]}`: a new epoch (another position) makes what still moves vanish.
    pulses = t.Dict({"epoch": 0, "items": []}).tag(sync=True)
    #: A lookup to replay hop by hop; empty for none.
    route = t.Dict().tag(sync=True)
    caption = t.Unicode("").tag(sync=True)
    #: The mark that the person chose, "" for none: the one trait that the browser writes.
    selected = t.Unicode("").tag(sync=True)


class Part(anywidget.AnyWidget):
    """A piece of a panel's frame: the top with machines and clock, the numbers, the events, a form.

    Each shows the error of its own controls.
    """

    _esm = "\n".join([script(), _source("looks.js", "top.js", "controls.js", "parts.js")])
    _css = _source("parts.css")

    #: `parts.js`, `top.js` and `controls.js` have a function for each.
    kind = t.Enum(
        ("top", "numbers", "events", "network", "steps", "checks", "ask", "cost", "choice", "note")
    ).tag(sync=True)
    head = t.Dict().tag(sync=True)
    machines: Any = t.List().tag(sync=True)
    clock = t.Dict().tag(sync=True)
    #: Faults and repairs on the time line.
    marks: Any = t.List().tag(sync=True)
    #: What one can go back to: `{"label": "Lookups", "items": [[seconds, words], …]}`, newest first.
    runs = t.Dict().tag(sync=True)
    #: What is read aloud: `{"n": number, "text": words}`.
    said = t.Dict().tag(sync=True)
    numbers: Any = t.List().tag(sync=True)
    lines: Any = t.List().tag(sync=True)
    network = t.Dict().tag(sync=True)
    steps = t.Dict().tag(sync=True)
    checks: Any = t.List().tag(sync=True)
    cost = t.Dict().tag(sync=True)
    #: What went wrong when a control of this part was used; "" for nothing.
    error = t.Unicode("").tag(sync=True)
    code = t.Unicode("").tag(sync=True)
    #: Where the page says what the person does, if not by a widget's message; see `direct`.
    line = t.Unicode("").tag(sync=True)
    _line: Line | None = None

    def on_action(self, act: Callable[..., None]) -> None:
        """Call `act(action, **data)` for everything the person does in this part."""

        def hear(content: dict[str, Any]) -> None:
            act(content.pop("action"), **content)

        self._line = Line(hear)
        self.line = self._line.name
        self.on_msg(lambda _widget, content, _buffers: hear(content))

    def close(self) -> None:
        """End it, in the page too."""
        if self._line is not None:
            self._line.close()
        super().close()


def update(widget: Any, **values: Any) -> None:
    """Set the traits that changed, in one message."""
    changed = {name: value for name, value in values.items() if getattr(widget, name) != value}
    if changed and widget.comm is not None:
        with widget.hold_sync():
            for name, value in changed.items():
                setattr(widget, name, value)
