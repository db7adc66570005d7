"""``SparkConf`` and master URLs: how a PySpark program says what it wants to run on.

A lab's machines are those of a ``Cluster``. A program that names a *local* master instead gets a cluster of
its own, and ``sc.stop()`` closes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

__all__ = ["Master", "SparkConf", "parse_master"]

#: Settings that mean something here, and the option of ``SparkContext`` each stands for.
SETTINGS: dict[str, tuple[str, type]] = {
    "spark.executor.cores": ("cores", int),
    "spark.task.maxFailures": ("max_failures", int),
    "spark.stage.maxConsecutiveAttempts": ("stage_attempts", int),
    "spark.speculation": ("speculation", bool),
    "spark.speculation.multiplier": ("speculation_multiplier", float),
    "spark.speculation.quantile": ("speculation_quantile", float),
}


class SparkConf:
    """Settings by name, as PySpark's. Those in ``SETTINGS``, the master and the name have an effect."""

    def __init__(self, loadDefaults: bool = True) -> None:
        self._settings: dict[str, str] = {}

    def set(self, key: str, value: Any) -> Self:
        """Set one; returns this, so that calls can be chained."""
        self._settings[key] = str(value)
        return self

    def setIfMissing(self, key: str, value: Any) -> Self:
        """Set one that is not there."""
        return self if key in self._settings else self.set(key, value)

    def setMaster(self, value: str) -> Self:
        """What to run on: ``local[4]``; see ``parse_master``."""
        return self.set("spark.master", value)

    def setAppName(self, value: str) -> Self:
        """The program's name."""
        return self.set("spark.app.name", value)

    def setAll(self, pairs: Iterable[tuple[str, Any]]) -> Self:
        """Set several."""
        for key, value in pairs:
            self.set(key, value)
        return self

    def get(self, key: str, defaultValue: str | None = None) -> str | None:
        """One setting, as text."""
        return self._settings.get(key, defaultValue)

    def getAll(self) -> list[tuple[str, str]]:
        """All that were set."""
        return list(self._settings.items())

    def contains(self, key: str) -> bool:
        """Whether it was set."""
        return key in self._settings

    def toDebugString(self) -> str:
        """A line for each."""
        return "\n".join(f"{key}={value}" for key, value in sorted(self._settings.items()))

    def options(self) -> dict[str, Any]:
        """The options of ``SparkContext`` that these settings stand for."""
        found: dict[str, Any] = {}
        for key, (option, kind) in SETTINGS.items():
            text = self._settings.get(key)
            if text is not None:
                found[option] = _value(key, text, kind)
        return found


def _value(key: str, text: str, kind: type) -> Any:
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        wanted = "true or false" if kind is bool else "a number"
        raise ValueError(f"{key} is {wanted}, not {text!r}") from None


class Master(NamedTuple):
    """A cluster of one's own."""

    machines: int
    cores: int
    max_failures: int | None = None


def parse_master(url: str) -> Master:
    """What a master URL asks for.

    ``local``: one machine; ``local[4]``: four, ``local[*]``: as many as this computer has cores (for Spark
    they are threads of one process; here each is a process that can be killed); ``local[4,2]``: a task may
    fail twice; ``local-cluster[2,1,1024]``: two executors with a core each. Raises ``ValueError``.
    """
    pattern = r"local(?:\[(?P<machines>\d+|\*)(?:,\s*(?P<failures>\d+))?\])?"
    if found := re.fullmatch(pattern, url):
        asked = found["machines"] or "1"
        machines = (os.cpu_count() or 1) if asked == "*" else int(asked)
        if machines:
            return Master(machines, 1, int(found["failures"]) if found["failures"] else None)
    found = re.fullmatch(r"local-cluster\[(\d+),\s*(\d+),\s*\d+\]", url)
    if found and int(found[1]) and int(found[2]):
        return Master(int(found[1]), int(found[2]))
    raise ValueError(
        f"the master is 'local', 'local[4]', 'local[*]' or 'local-cluster[2,1,1024]', not {url!r}; or give a "
        "cluster of your own: SparkContext(Cluster(machines=4))"
    )
