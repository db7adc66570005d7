"""Makes this process one like a browser's tab: no threads, no alarms, and only pure Python."""

from __future__ import annotations

import signal
import sys
import threading

HEAVY = {
    "bqplot", "bqscales", "fsspec", "matplotlib", "networkx", "numba", "numpy", "pandas", "psutil", "pyarrow",
    "ray", "scipy", "sklearn", "tqdm", "typer",
}  # fmt: skip


class Hidden:
    """A finder that is asked first, and ends the search."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in HEAVY:
            from labkit.runtime.tab import Missing

            Missing.find_spec(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def no_thread(_self: threading.Thread) -> None:
    """As WebAssembly says it."""
    raise RuntimeError("can't start new thread")


sys.meta_path.insert(0, Hidden)  # type: ignore[arg-type]
threading.Thread.start = no_thread  # type: ignore[method-assign]
if hasattr(signal, "setitimer"):
    del signal.setitimer
