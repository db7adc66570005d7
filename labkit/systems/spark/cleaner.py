"""Forgetting what no program can ask for any more, as Spark's ``ContextCleaner`` does.

A shuffle can be read only through an RDD that depends on it, and a kept partition only through its RDD. When
the user's program has let go of those, the driver forgets where the data are and has the executors delete
them: a loop of a thousand shuffles then needs no more disk than the last few. Python tells when an object
is gone, in whatever thread lets go of it, so that is only noted; the driver cleans up when it next looks at
its executors.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from .above import RDD

if TYPE_CHECKING:
    from .dependencies import ShuffleDependency

__all__ = ["Cleaner"]


class Cleaner:
    """Belongs to the driver, a ``Driver``."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._gone: deque[tuple[str, int]] = deque()

    def watch_rdd(self, rdd: RDD) -> None:
        """Its kept partitions are to go with it."""
        weakref.finalize(rdd, self._gone.append, ("rdd", rdd.id())).atexit = False

    def watch_shuffle(self, dependency: ShuffleDependency) -> None:
        """Its outputs are to go with it."""
        weakref.finalize(dependency, self._gone.append, ("shuffle", dependency.shuffle_id)).atexit = False

    def clean(self) -> None:
        """Forget what has gone since the last time, and have it deleted."""
        driver = self.driver
        while self._gone:
            what, number = self._gone.popleft()
            if what == "rdd":
                driver.announced.pop(number, None)
                driver.forget_rdd(number)
            elif driver.dag.forget_shuffle(number):
                driver.emit("shuffle_cleaned", shuffle=number)
                for name in driver.executors:
                    driver.send(name, "drop_shuffle", number)
