"""Real input that every installation has.

The source text of Python's standard library, the graph of its imports, and handwritten digits.

Nothing is downloaded. What a module holds depends on the Python it comes with, so compare a result with the
input, not with a number.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
import warnings
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["digits", "import_graph", "standard_library"]


def standard_library() -> dict[str, str]:
    """Module name to source text, sorted by name: all top-level modules and packages that are written in
    Python.

    A package stands for its ``__init__.py``. About 200 entries and 5 MB.
    """
    root: Any = Path(sysconfig.get_paths()["stdlib"])
    if not (root / "ast.py").is_file():  # WebAssembly's Python has its library in an archive
        root = zipfile.Path(Path(ast.__file__).parent)
    sources = {}
    for name in sorted(sys.stdlib_module_names):
        for path in (root / f"{name}.py", root / name / "__init__.py"):
            if path.is_file():
                sources[name] = path.read_text(encoding="utf8", errors="replace")
    return sources


def import_graph() -> dict[str, list[str]]:
    """Module to the modules of the standard library that it imports, all sorted by name.

    An import anywhere in the text counts, once; of a dotted name its first part. Modules written in C are
    imported but import nothing. About 270 modules and 1,200 imports.
    """
    graph = {name: _imports(name, text) for name, text in standard_library().items()}
    graph.update({name: [] for names in list(graph.values()) for name in names if name not in graph})
    return dict(sorted(graph.items()))


def _imports(name: str, text: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some modules of the library spell strings as of old
        tree = ast.parse(text)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return sorted(found & sys.stdlib_module_names - {name})


def digits() -> tuple[Any, Any]:
    """Images and labels of the digits that scikit-learn ships, in its order.

    Images: float64, (1797, 64), eight by eight pixels from 0 (white) to 1. Labels: int64, (1797,), 0 to 9.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images / 16.0, labels.astype("int64")
