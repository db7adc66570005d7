"""`CostPanel`: seconds of each run beside those of one thread."""

from __future__ import annotations

from html import escape
from statistics import median
from typing import Any

import ipywidgets

from labkit.cost.meter import CostMeter, Measured
from labkit.trace.words import many

from ..looks import CHARTS

#: Rows of a table that are shown: the last ones.
ROWS = 12


class CostPanel(ipywidgets.VBox):
    """A bar for one thread and one for each measured run; it grows with each."""

    def __init__(self, meter: CostMeter) -> None:
        self.meter = meter
        self.title = ipywidgets.HTML()
        self.bars = ipywidgets.HTML()
        super().__init__([self.title, self.bars])
        self.layout.max_width = "700px"
        self._end = meter.listen(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Draw what is measured."""
        self.title.value = (
            f'<div style="font-weight:600;line-height:1.4">COST · {escape(self.meter.name)}</div>'
            f'<div style="line-height:1.4">{escape(self.meter.verdict())}</div>'
        )
        self.bars.value = bars(self.meter)

    def _repr_mimebundle_(self, **more: Any) -> Any:
        """As a widget's, and for a page without a kernel the table as it was."""
        bundle = super()._repr_mimebundle_(**more)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        data["text/html"] = self.title.value + self.bars.value
        return bundle

    def close(self) -> None:
        """As a widget's; the meter tells it nothing more."""
        self._end()
        super().close()


def bars(meter: CostMeter) -> str:
    """The table: what ran, a bar as long as it took, seconds, and cores."""
    rows = meter.rows[-ROWS:]
    real = [row for row in rows if not row.simulated]
    alone = median(meter.one_thread) if real else None
    longest = max([row.seconds for row in rows] + ([alone] if alone is not None else []), default=0.0)
    lines = [] if alone is None else [bar("one thread", alone, longest, "1 core", CHARTS["grey"])]
    for row in rows:
        lines.append(bar(row.what, row.seconds, longest, cores(row), "var(--jp-brand-color1)"))
    return f'<table style="width:100%;border-collapse:collapse;line-height:1.5">{"".join(lines)}</table>'


def bar(what: str, seconds: float, longest: float, of: str, colour: str) -> str:
    """One row."""
    share = 100 * seconds / longest if longest else 0
    style = f"background:{colour};height:12px;border-radius:2px;min-width:2px;width:{share:.1f}%"
    cells = (
        ("width:30%;text-align:left", escape(what)),
        (
            "",
            f'<div style="{style}"></div>',
        ),
        ("width:5.5em;text-align:right;font-variant-numeric:tabular-nums", f"{seconds:.3g} s"),
        ("width:15em;text-align:left;padding-left:12px;white-space:nowrap", of),
    )
    return "<tr>" + "".join(f'<td style="{look}">{text}</td>' for look, text in cells) + "</tr>"


def cores(row: Measured) -> str:
    """Machines, and how many cores they kept busy."""
    machines = many(row.machines, "machine")
    return f"{machines}, simulated" if row.cores is None else f"{machines}, {row.cores:.1f} cores busy"
