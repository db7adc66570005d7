"""What all tests share. The fixtures `engine` and `ray_head` are in `engines.py`."""

from __future__ import annotations

import importlib.util

# pytester runs a pytest inside a test: tests/project checks our own plugin with it.
pytest_plugins = ["pytester"]
if importlib.util.find_spec("tests.engines"):
    pytest_plugins.append("tests.engines")
