"""``labkit lite``: the course as a static page, whose kernel is Python in the browser's tab.

The page is JupyterLite, the Python is Pyodide.

``wheels.py`` gets what the page's Python needs, ``site.py`` builds the page, ``serve.py`` shows it.
"""

from labkit.runtime.errors import LabError

__all__ = ["LiteError"]


class LiteError(LabError):
    """The page cannot be built here, and why."""
