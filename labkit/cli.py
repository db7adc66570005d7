"""The `labkit` command: lab, demo, doctor, bench, kernel. Those of coursework are in `coursework/cli.py`,
those of the page without a server in `lite/cli.py`.

Each command imports what it needs when it runs, so that `labkit --help` is quick and `labkit doctor` works
where JupyterLab or Ray do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from labkit.coursework.cli import register as register_coursework
from labkit.lite.cli import register as register_lite

__all__ = ["app", "main"]

app = typer.Typer(
    name="labkit",
    help="A lab bench for distributed systems, in a notebook.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # the plain traceback can be pasted into a report
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from labkit.doctor import labkit_version

        typer.echo(f"labkit {labkit_version()}")
        raise typer.Exit


@app.callback()
def labkit(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A lab bench for distributed systems, in a notebook."""


@app.command()
def lab(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The first port to try; the next free one is taken.")
    ] = 8888,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    notebook_dir: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, resolve_path=True, help="The folder that JupyterLab shows."
        ),
    ] = None,
    ray: Annotated[bool, typer.Option(help="Start a Ray, which all notebooks share.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what JupyterLab logs.")] = False,
) -> None:
    """Start JupyterLab, and one Ray beside it that every notebook shares.

    Ctrl-C stops both. With RAY_ADDRESS set, that Ray is used and none is started.
    """
    from labkit.lab.server import LabOptions, default_folder, run_lab

    folder = notebook_dir or default_folder()
    options = LabOptions(folder=folder, port=port, browser=browser, ray=ray, verbose=verbose)
    raise typer.Exit(run_lab(options, say=typer.echo))


@app.command()
def demo(
    engine: Annotated[
        Literal["sim", "ray"],
        typer.Option(help="sim: virtual time, in this process. ray: one real process per machine."),
    ] = "sim",
    nodes: Annotated[int, typer.Option(min=5, help="Chord nodes.")] = 24,
    machines: Annotated[int, typer.Option(min=2, help="Machines.")] = 4,
    seed: Annotated[int, typer.Option(help="Another seed, another run.")] = 7,
) -> None:
    """A Chord ring stores Python's standard library and loses a machine, but no module. All in text.

    The exit status is 0 if every module was found, 1 if one was lost.
    """
    from labkit.demo import run_demo

    raise typer.Exit(run_demo(engine=engine, nodes=nodes, machines=machines, seed=seed, say=typer.echo))


@app.command()
def doctor(
    ray: Annotated[bool, typer.Option(help="Start a Ray for a moment, to see whether it can.")] = True,
) -> None:
    """Say whether labkit can work on this machine, and if not, what to do.

    Looks at the versions, at Ray and the memory, and whether a click in a panel can reach Python while a cell
    runs. The exit status is 1 if something is broken.
    """
    from labkit.doctor import run_doctor

    raise typer.Exit(run_doctor(start_ray=ray, say=typer.echo))


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which benches; all of them if none is named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of rows.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Only list the benches.")] = False,
) -> None:
    """Measure what labkit claims, each figure beside a peer's.

    Ours and the peer's run in turn. A ratio above 1 means that we are better. The exit status is 1 if a
    figure misses what it must reach.
    """
    from labkit.bench import run_benches

    raise typer.Exit(run_benches(names or [], as_json=as_json, listing=listing, say=typer.echo))


register_coursework(app)
register_lite(app)

kernel = typer.Typer(no_args_is_help=True, help='The Jupyter kernel "labkit": magics loaded, Ray found.')
app.add_typer(kernel, name="kernel")


@kernel.command("install")
def kernel_install(
    user: Annotated[bool, typer.Option("--user", help="For you, in every environment.")] = False,
    prefix: Annotated[
        str | None, typer.Option(help="Below this folder; default: the environment of this Python.")
    ] = None,
) -> None:
    """Let JupyterLab offer the kernel "labkit (Python 3)", which runs with this Python."""
    from labkit.jupyter import kernelspec

    if user and prefix is not None:
        raise typer.BadParameter("either --user or --prefix, not both")
    typer.echo(f"installed in {kernelspec.install(user=user, prefix=prefix)}")


@kernel.command("remove")
def kernel_remove() -> None:
    """Take it away again."""
    from jupyter_client.kernelspec import NoSuchKernel

    from labkit.jupyter import kernelspec

    try:
        typer.echo(f"removed {kernelspec.remove()}")
    except NoSuchKernel:
        typer.echo("the kernel labkit is not installed")
        raise typer.Exit(1) from None


def main() -> None:
    """Run the command that the command line names."""
    app()
