"""What an executor needs to run the tasks of a stage: its RDDs up to the shuffles, as bytes.

The driver makes them once for a stage (``dump_stage``), and each task loads them anew (``load_stage``).
"""

from __future__ import annotations

from typing import Any

from .above import RDD
from .closures import CannotCapture, dump_with_shared, loads
from .dependencies import ShuffleDependency

__all__ = ["dump_stage", "lineage", "load_stage", "narrow_lineage"]


def lineage(rdd: RDD, over_shuffles: bool = True) -> list[RDD]:
    """The RDD and its ancestors, parents first; ``over_shuffles``: those behind a shuffle, too."""
    order: list[RDD] = []
    seen: set[int] = set()
    todo: list[tuple[RDD, bool]] = [(rdd, False)]
    while todo:
        each, done = todo.pop()
        if done:
            order.append(each)
        elif each.id() not in seen:
            seen.add(each.id())
            todo.append((each, True))
            todo.extend(
                (dep.rdd, False)
                for dep in reversed(each.dependencies())
                if over_shuffles or not isinstance(dep, ShuffleDependency)
            )
    return order


def narrow_lineage(rdd: RDD) -> list[RDD]:
    """The RDDs that a task may compute: ``rdd`` and its ancestors up to shuffles, parents first."""
    return lineage(rdd, over_shuffles=False)


def dump_stage(rdd: RDD, what: Any) -> tuple[bytes, list[int]]:
    """What a task of the stage needs that ends in ``rdd``, and the ids of the broadcast variables used in it.

    Raises ``CannotCapture`` if it uses shared variables of another context.

    what: a function of (partition index, iterator) for a result stage, the ``ShuffleDependency`` for a map
    stage. The parents over a shuffle do not travel, nor the data of leaf partitions (see
    ``evaluate.splits``).
    """
    order = narrow_lineage(rdd)
    position = {each.id(): number for number, each in enumerate(order)}
    sent = []
    for each in order:
        dependencies = [
            (dep.without_parent(), None if isinstance(dep, ShuffleDependency) else position[dep.rdd.id()])
            for dep in each.dependencies()
        ]
        sent.append((type(each), each._state_to_send(), dependencies))
    if isinstance(what, ShuffleDependency):
        what = what.without_parent()
    data, broadcasts, owners = dump_with_shared((sent, what))
    if any(owner() is not rdd.ctx for owner in owners):
        raise CannotCapture(
            f"a function on the way to {rdd!r} uses a broadcast variable or an accumulator of another "
            "SparkContext, perhaps of one that was stopped: make it anew with this one, sc.broadcast(...) or "
            "sc.accumulator(...), and the RDDs that use it"
        )
    return data, list(broadcasts)


def load_stage(data: bytes) -> tuple[RDD, Any]:
    """The RDD and ``what`` of ``dump_stage``. Load it once for each task: no two tasks then share a captured
    value.
    """
    sent, what = loads(data)
    rdds: list[RDD] = []
    for kind, state, dependencies in sent:
        rdd = object.__new__(kind)
        rdd.__dict__.update(state)
        for dep, parent in dependencies:
            if parent is not None:
                dep.rdd = rdds[parent]
        rdd._dependencies = [dep for dep, _ in dependencies]
        rdds.append(rdd)
    if isinstance(what, ShuffleDependency):
        what.rdd = rdds[-1]
    return rdds[-1], what
