"""The face of a system: what every object that a user holds of one can do, and the run that it belongs to."""

from __future__ import annotations

from functools import wraps
from typing import Any, ClassVar

from labkit.runtime.again import Repeatable
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import RunOver
from labkit.runtime.script import Made, script

__all__ = ["OnCluster", "System"]


class OnCluster:
    """What lives in one run of a cluster: when the cluster is reset without it, it is gone, and says so."""

    _cluster: Cluster
    _run_of: int  #: the number of the cluster's run

    @property
    def cluster(self) -> Cluster:
        """What it is on. Raises ``RunOver`` if the cluster was reset, and this is of the run before."""
        if self._cluster.run_number != self._run_of:
            raise RunOver(
                f"the cluster {self._cluster.name!r} was reset, and this {type(self).__name__} is of the run "
                "before; make it again"
            )
        return self._cluster

    @cluster.setter
    def cluster(self, cluster: Cluster) -> None:
        self._cluster, self._run_of = cluster, cluster.run_number

    @property
    def over(self) -> bool:
        """Whether the run that it belongs to is over: its cluster was closed or reset."""
        return self._cluster.closed or self._cluster.run_number != self._run_of

    def __repr__(self) -> str:
        if self._cluster.run_number != self._run_of:
            return f"<{type(self).__name__} of a run of {self._cluster.name!r} that is over>"
        return f"<{self._in_short()}>"

    def _in_short(self) -> str:
        """What it is and how it is, for its repr."""
        raise NotImplementedError


class System(OnCluster, Repeatable):
    """A system on a cluster: begun anew, looked at, and started by hand."""

    #: Its panel's class, in ``labkit_widgets``.
    panel_class: ClassVar[str]
    _complete = False  #: whether it was made to its end: from then on it gets no attribute that it has not

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        make: Any = cls.__init__

        @wraps(make)
        def made_whole(self: System, *args: Any, **options: Any) -> None:
            make(self, *args, **options)
            if type(self) is cls:
                self._complete = True

        cls.__init__ = made_whole  # type: ignore[method-assign,assignment]

    def __setattr__(self, name: str, value: Any) -> None:
        """As always; but a name that it does not have, which would be kept and change nothing, is refused."""
        kind = type(self)
        known = name.startswith("_") or name in vars(self) or hasattr(kind, name)
        if self._complete and not known:
            names = sorted({name for each in kind.__mro__ for name in vars(each) if name != "cluster"})
            can = [f"{each} = …" for each in names if getattr(getattr(kind, each), "fset", None)]
            can += [f"{each}(…)" for each in names if each in ("set", "switch") or each.startswith("set_")]
            raise AttributeError(
                f"{name} = {value!r:.60} would change nothing: what can be set of this {kind.__name__} is "
                f"{', '.join(can) or 'nothing'}; what else was chosen stays, so make another one"
            )
        super().__setattr__(name, value)

    def reset(self) -> None:
        """The same system once more, with the options that it was given, on the same cluster begun anew; what
        was stored in it is gone."""
        self._cluster.reset()
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]

    def made(self) -> Made:
        """The system as code: how it was made, and what a script cannot repeat."""
        raise NotImplementedError

    def code(self, until: float | None = None) -> str:
        """The run so far as the text of a cell that runs it once more: cluster, system, every option, faults.

        until: seconds of the run; up to now unless given."""
        return script(self.cluster, self.made(), self.cluster.now if until is None else until)

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
