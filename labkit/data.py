"""Real input that every installation has: the source text of Python's standard library.

Nothing is downloaded. What a module holds depends on the Python it comes with, so compare a result with the
input, not with a number.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

__all__ = ["standard_library"]


def standard_library() -> dict[str, str]:
    """Module name to source text, sorted by name: all top-level modules and packages that are written in
    Python.

    A package stands for its ``__init__.py``. About 200 entries and 5 MB.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    sources = {}
    for name in sorted(sys.stdlib_module_names):
        for path in (root / f"{name}.py", root / name / "__init__.py"):
            if path.is_file():
                sources[name] = path.read_text(encoding="utf8", errors="replace")
    return sources
