"""The commands ``labkit lite build`` and ``labkit lite serve``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

#: Where a page is built, from the folder one is in.
OUT = Path("dist/lite")


def register(app: typer.Typer) -> None:
    """Add the commands to ``labkit``."""
    lite = typer.Typer(
        no_args_is_help=True, help="The course as a static page: Python runs in the browser's tab."
    )
    lite.command()(build)
    lite.command()(serve)
    app.add_typer(lite, name="lite")


def build(
    out: Annotated[
        Path, typer.Option(file_okay=False, help="The folder of the page, which is made anew.")
    ] = OUT,
    notebooks: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="The course; default: the notebooks beside labkit."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Python is in the page too: it loads nothing, and has no NumPy.")
    ] = False,
) -> None:
    """Build the page: any web server shows it. Needs npm, and `pip install 'labkit[lite]'`.

    Solutions are not in it.
    """
    from labkit.lab.server import default_folder
    from labkit.lite import site

    with _told():
        site.build(notebooks or default_folder() / "notebooks", out.resolve(), offline, say=typer.echo)


def serve(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="The built page.")] = OUT,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8899,
) -> None:
    """Show the built page on this machine."""
    from labkit.lite.serve import serve as show

    with _told():
        show(folder, port, typer.echo)


@contextmanager
def _told() -> Iterator[None]:
    from labkit.lite import LiteError

    try:
        yield
    except LiteError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
