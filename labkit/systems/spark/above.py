"""What lies above a module, for those who read its signatures: functions, dependencies, shared variables and
files all speak of RDDs and of their context, which are made of them. They take what they get; the classes are
in ``rdd.py`` and ``model.py``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["RDD", "BaseContext"]

RDD = Any
BaseContext = Any
