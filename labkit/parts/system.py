"""The face of a system: what every object that a user holds of one can do."""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.runtime.again import Repeatable
from labkit.runtime.cluster import Cluster

__all__ = ["System"]


class System(Repeatable):
    """A system on a cluster: begun anew, looked at, and started by hand."""

    cluster: Cluster
    #: Its panel's class, in ``labkit_widgets``.
    panel_class: ClassVar[str]

    def reset(self) -> None:
        """The same system once more, with the options that it was given, on the same cluster begun anew; what
        was stored in it is gone."""
        self.cluster.reset()
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]

    def panel(self, **options: Any) -> Any:
        """The system to look at and click (needs a notebook). compact: machines and stage only, small enough
        to stand beside a cell that runs."""
        import labkit_widgets

        return getattr(labkit_widgets, self.panel_class)(self, **options)

    @classmethod
    def setup(cls, **options: Any) -> Any:
        """Its options as controls, which start one on a cluster of its own (needs a notebook).

        options: values to begin with; ``then``: called with the system before its panel is shown.
        """
        import labkit_widgets

        return getattr(labkit_widgets, cls.panel_class).setup(cls, **options)
