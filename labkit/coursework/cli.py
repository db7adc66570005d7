"""The commands of coursework: ``labkit grade``, ``labkit validate``, ``labkit exercise new|build``.

``register(app)`` adds them to the ``labkit`` command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

Secret = Annotated[
    Path,
    typer.Option(
        help="The file with the teacher's secret, which hidden cases are drawn from; made if missing."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        file_okay=False, help="Where the exercises are; by default notebooks/exercises, else those of labkit."
    ),
]

exercise_app = typer.Typer(help="Make exercises.", no_args_is_help=True, add_completion=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(grade)
    app.command()(validate)
    app.add_typer(exercise_app, name="exercise")


def grade(
    submissions: Annotated[list[Path], typer.Argument(help="Notebooks, or folders of them.")],
    exercise: Annotated[str, typer.Option(help="The exercise's name, such as chord-routing.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Where marks and feedback go.")] = Path("graded"),
    secret: Secret = Path("secret.key"),
    jobs: Annotated[int, typer.Option(min=1, help="Submissions at a time.")] = 1,
    exercises: Folder = None,
    hidden: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="A folder with further judges, EXERCISE/*.py, of your own."
        ),
    ] = None,
    gradebook: Annotated[str | None, typer.Option(help='"nbgrader" also writes its gradebook.')] = None,
) -> None:
    """Grade submissions: marks, JUnit XML, a table, and a page of feedback for each student.

    Test cells are those that were handed out. An interrupted run goes on where it stopped. The exit status is
    1 if something could not be graded.
    """
    from labkit.coursework.batch import Batch, run_batch, say_anyhow

    batch = Batch(submissions, exercise, out, secret, jobs, exercises, hidden, gradebook)
    raise typer.Exit(run_batch(batch, say=say_anyhow))


def validate(
    notebook: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Your notebook.")],
    exercise: Annotated[
        str | None, typer.Option(help="The exercise; by default what the notebook says that it is.")
    ] = None,
    exercises: Folder = None,
) -> None:
    """Run the visible tests on your notebook, as they are run when it is graded.

    The exit status is 1 if a task fails.
    """
    from labkit.coursework.batch import run_validate, say_anyhow

    raise typer.Exit(run_validate(notebook, exercise, exercises, say=say_anyhow))


@exercise_app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits and dashes.")],
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where it goes.")] = Path(
        "notebooks/exercises"
    ),
) -> None:
    """Write a new exercise to start from: a source, its judges, and planted wrong solutions."""
    from labkit.coursework.handout import renamed
    from labkit.coursework.template import write_template

    name = renamed(name, typer.echo)
    try:
        for path in write_template(name, folder):
            typer.echo(f"wrote {path}")
    except (ValueError, FileExistsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"next: edit them, then  labkit exercise build {folder / name}.py")


@exercise_app.command("build")
def build(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Sources; all of notebooks/exercises if none.")
    ] = None,
) -> None:
    """Generate the students' and the solved notebooks from their sources, and run them."""
    from labkit.coursework.generate import build as build_one
    from labkit.coursework.handout import FOLDERS, renamed

    folder = next((each for each in FOLDERS if each.is_dir()), FOLDERS[0])
    for source in sources or [path.with_suffix(".py") for path in sorted(folder.glob("*.toml"))]:
        if not source.is_file():
            source = source.with_stem(renamed(source.stem, typer.echo))
        for path in build_one(source):
            typer.echo(f"wrote {path}")
