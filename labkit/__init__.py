"""labkit: learn distributed systems by running them. ``Cluster`` is where to begin; systems are in
``labkit.systems``.
"""

from labkit.runtime import *  # noqa: F403
from labkit.runtime import __all__ as _runtime
from labkit.show import show

__version__ = "0.1.0"
__all__ = [*_runtime, "__version__", "show"]
