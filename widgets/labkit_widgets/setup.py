"""What a run is made of, as controls before its start: machines, engine, seed and the options of the system.

::

    setup = Chord.setup(nodes=12)     # controls; *Start* makes cluster and ring, and shows the panel
    setup
    setup.system["lecture"] = "P2"    # the ring, as if a cell had made it

*Start* again closes that run and begins another. What it does is shown as the code of a cell.
"""

from __future__ import annotations

import html
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from labkit.runtime.again import call
from labkit.runtime.beside import Beside, start
from labkit.runtime.cluster import Cluster

from .opened import current_cell, run_again, tree

__all__ = ["OneOf", "Setup", "Whole"]


@dataclass(frozen=True)
class Whole:
    """A whole number from ``least`` to ``most``."""

    name: str
    label: str
    value: int
    least: int
    most: int

    def widget(self, value: Any) -> ipywidgets.Widget:
        """A field that takes no other number; what the caller asks for may be beyond the usual most."""
        return ipywidgets.BoundedIntText(value, min=self.least, max=max(self.most, value))


@dataclass(frozen=True)
class OneOf:
    """One of several values, each with its words."""

    name: str
    label: str
    options: Sequence[tuple[str, Any]]

    @property
    def value(self) -> Any:
        """The first."""
        return self.options[0][1]

    def widget(self, value: Any) -> ipywidgets.Widget:
        """A select."""
        known = [each for _, each in self.options]
        more = [] if value in known else [(str(value), value)]
        return ipywidgets.Dropdown(options=[*self.options, *more], value=value)


#: Of every cluster.
CLUSTER = (
    Whole("machines", "Machines", 4, 1, 64),
    OneOf("engine", "Engine", (("simulator", "sim"), ("real processes", "ray"))),
    Whole("seed", "Seed", 0, 0, 999_999),
)


#: Controls stand in columns, as many as fit; what they mean as code stands close below.
STYLE = """<style>
.labkit-setup { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 4px 16px; }
.labkit-setup > * { width: auto !important; margin: 0; }
pre.labkit-setup-code, pre.labkit-setup-code * { line-height: 1.35 !important; }
pre.labkit-setup-code { font-family: var(--jp-code-font-family, monospace); margin: 6px 0; }
</style>"""
_open: weakref.WeakSet[Setup] = weakref.WeakSet()


class Setup:
    """The controls of one system, and the run that was started with them.

    system: the class. parameters: its options that have a control. named: how a cell would call one.
    then: called with the new system before its panel is shown: puts in what is to be there.
    options: values to begin with, for the controls or any further option of the system; ``machines``,
        ``engine`` and ``seed`` are the cluster's.
    """

    def __init__(
        self,
        system: Callable[..., Any],
        parameters: Sequence[Whole | OneOf],
        named: str,
        then: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        self._make, self._named, self._then = system, named, then
        self._cell = current_cell()
        for older in [each for each in _open if run_again(self._cell, each._cell)]:
            older.close()
        self._controls: dict[str, ipywidgets.Widget] = {}
        #: The run, None before a start.
        self.cluster: Cluster | None = None
        self.system: Any = None
        self.panel: Any = None
        self._usual = {each.name: each.value for each in parameters}
        for each in (*CLUSTER, *parameters):
            widget = each.widget(options.pop(each.name, each.value))
            widget.description, widget.style.description_width = each.label, "110px"
            widget.observe(lambda _change: self._show_code(), "value")
            self._controls[each.name] = widget
        self._more = options
        self._starting: Beside | None = None
        self._button = ipywidgets.Button(description="Start", button_style="primary")
        self._button.on_click(lambda _button: self._beside())
        self._code, self._said, self._below = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.VBox()
        row = ipywidgets.Box([*self._controls.values(), self._button])
        row.add_class("labkit-setup")
        self.root = ipywidgets.VBox([row, self._said, self._code, self._below])
        self._show_code()
        _open.add(self)

    # --- what is chosen ---------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        return self._controls[name].value

    def __setitem__(self, name: str, value: Any) -> None:
        self._controls[name].value = value

    @property
    def code(self) -> str:
        """What *Start* does, as a cell."""
        of_cluster, of_system = self._chosen()
        lines = [
            f"cluster = {call('Cluster', of_cluster)}",
            f"{self._named} = {call(self._make.__name__, of_system, 'cluster')}",
            f"{self._named}.panel()",
        ]
        return "\n".join(lines)

    def _chosen(self) -> tuple[dict[str, Any], dict[str, Any]]:
        values = {name: widget.value for name, widget in self._controls.items()}
        of_cluster = {each.name: values.pop(each.name) for each in CLUSTER}
        # What is as usual the system may choose itself: a ring of three nodes has shorter successor lists.
        chosen = {name: value for name, value in values.items() if value != self._usual[name]}
        return of_cluster, {**chosen, **self._more}

    def _show_code(self) -> None:
        self._code.value = f"{STYLE}<pre class='labkit-setup-code'>{html.escape(self.code)}</pre>"

    # --- the run ----------------------------------------------------------------------------------------

    def start(self) -> Any:
        """Begin a run as it is chosen, and close the one before; returns the system. Raises what the system
        says of options that cannot work; then that run goes on."""
        of_cluster, of_system = self._chosen()
        cluster = Cluster(**of_cluster)
        try:
            system = self._make(cluster, **of_system)
            if self._then is not None:
                self._then(system)
            panel = system.panel()
        except BaseException:
            cluster.close()
            raise
        if cluster.engine == "sim":
            cluster.pace = 1.0  # who looks at it wants to see time pass
        self.stop()
        self.cluster, self.system, self.panel = cluster, system, panel
        self._below.children = [panel.root]
        return system

    def stop(self) -> None:
        """Close the run: its panel, and its cluster with all processes."""
        panel, cluster = self.panel, self.cluster
        self.cluster = self.system = self.panel = None
        self._below.children = ()
        if panel is not None:
            panel.close()
        if cluster is not None:
            cluster.close()

    def _beside(self) -> None:
        if self._starting is None or not self._starting.alive:
            self._button.disabled = True
            self._starting = start(self._started, "labkit-setup")

    def _started(self) -> None:
        self._said.value = "starting …"
        try:
            self.start()
            self._said.value = ""
        except Exception as error:
            self._said.value = f"<b role='alert'>✕ {html.escape(str(error) or type(error).__name__)}</b>"
        finally:
            self._button.disabled = False

    def close(self) -> None:
        """End the run, and close every widget. Closing twice is fine."""
        _open.discard(self)
        if self._starting is not None:
            self._starting.join()
        self.stop()
        for widget in tree(self.root):
            widget.close()

    def __enter__(self) -> Setup:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<setup of {self._make.__name__}: {self.code.splitlines()[1]}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = self.root._repr_mimebundle_(**options)
        return {**bundle, "text/plain": repr(self), "text/html": self._code.value}
