"""labkit: learn distributed systems by running them. ``Cluster`` is where to begin; systems are in
``labkit.systems``.
"""

import sys
from typing import Any

from labkit.runtime import *  # noqa: F403
from labkit.runtime import __all__ as _runtime
from labkit.runtime.tab import tell_what_is_missing
from labkit.show import show

if sys.platform == "emscripten":
    tell_what_is_missing()

__version__ = "0.1.0"
__all__ = [*_runtime, "__version__", "show"]


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext labkit``: the magics, see ``%lab?``."""
    from labkit.jupyter.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext labkit``."""
    from labkit.jupyter.magics import unload

    unload(shell)
