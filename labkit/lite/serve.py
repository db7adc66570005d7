"""Shows a built page on this machine, as any web server would."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from labkit.lite import LiteError
from labkit.lite.site import WELCOME

__all__ = ["page", "server"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of this folder, for this machine only; port 0: any. Raises ``LiteError`` if it cannot be."""
    if not (folder / "jupyter-lite.json").is_file():
        raise LiteError(
            f"there is no page in {folder}: build one with `labkit lite build`, or name its folder"
        )
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
    except OSError as error:
        raise LiteError(f"port {port} cannot be used ({error.strerror}): name another with --port") from None


def page(at: ThreadingHTTPServer, notebook: str = WELCOME) -> str:
    """The address of a notebook on it."""
    return f"http://127.0.0.1:{at.server_address[1]}/lab/index.html?path={notebook}"


def serve(folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Until Ctrl-C."""
    with server(folder, port) as at:
        say(f"the course is at {page(at)} (Ctrl-C ends this)")
        try:
            at.serve_forever()
        except KeyboardInterrupt:
            say("")
