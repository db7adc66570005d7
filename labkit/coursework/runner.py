"""One submission, graded: the trusted process between the grader and a student's kernel.

``python -m labkit.coursework.runner`` reads a job (JSON) from its standard input and writes the outcome to
its standard output. It runs the assembled notebook under nbval (``notebook_run.py``), whose kernel is the
cage; beside nbval a thread judges (``judging.py``), and another watches the kernel's processes, memory and
files (``watch.py``). This process never runs a student's code: it sends it to the kernel, and asks. It has a
limit of memory, too, for what a student's answers make the judge keep.

Marks come only from verdicts of the judge, and only for a cell that nbval has really run.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import resource
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from labkit.lab.processes import adopt_orphans, die_with_parent

from . import sandbox
from .judging import Judge
from .notebook_run import MOST_WORDS, Plugin
from .watch import Watch, kill_all

__all__ = ["main", "run"]

PR_SET_DUMPABLE = 4


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Grade the job's notebook: what came out."""
    import pytest

    folder, limits = Path(job["folder"]), job["limits"]
    for path in ("kernels/cage", "runtime"):
        (folder / path).mkdir(parents=True)
    notebook = folder / "notebook.ipynb"
    notebook.write_text(json.dumps(job["notebook"]))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(Path(job["sockets"], "judge")))
    listener.listen(1)
    judging = Judge(job, listener)
    _write_kernelspec(job, folder, judging)
    plugin = Plugin(judging, job)
    watch = Watch(judging, job, plugin.status)
    plugin.listen_with_care()
    judging.start()
    watch.start()
    said = io.StringIO()
    options = ["-p", "nbval.plugin", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-kernel-name", "cage"]
    options += ["--nbval-cell-timeout", str(limits["cell_seconds"]), "-c", os.devnull, "--assert=plain"]
    with contextlib.redirect_stdout(said):
        status = pytest.main([*options, "--rootdir", str(folder), str(notebook)], plugins=[plugin])
    watch.stop.set()
    watch.join()
    watch.let_it_end()
    if killed := plugin.killed():
        plugin.fail(f"the kernel was ended by {killed}, which was not sent by the grader: try again")
    kill_all(job["uid"])
    if judging.ended and not plugin.answers:
        plugin.fail(f"the kernel ended before any answer was run: {judging.ended}")
    if int(status) > 1 or not plugin.cells:
        plugin.fail(f"pytest ended with status {int(status)}: {said.getvalue()[-MOST_WORDS:]}")
    if not judging.walls:
        plugin.fail(f"the kernel never reached the judge: {judging.ended}")
    return {
        "cells": plugin.cells,
        "verdicts": {name: vars(verdict) for name, verdict in judging.verdicts.items()},
        "changed": judging.changed,
        "ended": judging.ended,
        "walls": judging.walls,
        "drawn_for": judging.drawn_for,
        "notes": [*judging.notes, *plugin.notes],
        "trouble": plugin.trouble or judging.trouble,
    }


def _write_kernelspec(job: dict[str, Any], folder: Path, judging: Judge) -> None:
    tasks = judging.tasks
    job["opens"] = list(tasks.opens)
    options = {
        "socket": str(Path(job["sockets"], "judge")),
        "records": [(kind.__name__, kind.__module__, kind._fields) for kind in tasks.records],
        "questions": [(name, each.__module__, each.__name__) for name, each in tasks.questions.items()],
        **{name: job[name] for name in ("scratch", "exercise", "limits", "uid", "namespaces", "opens")},
    }
    command = [sys.executable, "-P", "-m", "labkit.coursework.cage", "{connection_file}", json.dumps(options)]
    if job["namespaces"]:
        command = sandbox.command(job, command, ["{connection_file}"])
    scratch = job["scratch"]
    environment = {
        "HOME": scratch,
        "USER": "student",
        "LOGNAME": "student",
        "IPYTHONDIR": f"{scratch}/ipython",
        "MPLCONFIGDIR": f"{scratch}/matplotlib",
        "TMPDIR": scratch,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        # There is no network: what is there already, pip finds at once, and what is not, never.
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "2",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }
    spec = {"argv": command, "display_name": "cage", "language": "python", "env": environment}
    (folder / "kernels/cage/kernel.json").write_text(json.dumps(spec))


def prepare(job: dict[str, Any]) -> None:
    """Folders and the user of a run, and our own limits; from now on SIGTERM ends all that it starts."""
    folder = Path(job["folder"])
    scratch, sockets = folder / "scratch", folder / "s"
    job["uid"] = sandbox.own_user(os.getpid()) if job["own_user"] else None
    job.update(scratch=str(scratch), sockets=str(sockets))

    def stop(*_: Any) -> None:
        kill_all(job["uid"])
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    signal.signal(signal.SIGTERM, stop)
    for path in (scratch, sockets):
        path.mkdir(parents=True)
    if job["uid"] is not None:
        os.chown(sockets, job["uid"], job["uid"])
    # So that nobody else of this user reads our memory; and that a student's answers do not fill it.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    most = job["limits"]["judge_memory"]
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def main() -> None:
    """Read a job, write its outcome."""
    parent = os.getppid()
    adopt_orphans()
    # jsonschema would import it, to check URIs that a notebook does not have: 1.3 s, half of a run.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    told = os.fdopen(os.dup(1), "w")
    job = json.load(sys.stdin)
    prepare(job)
    die_with_parent(parent)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.environ.update(
        JUPYTER_PATH=job["folder"],
        JUPYTER_RUNTIME_DIR=str(Path(job["folder"], "runtime")),
        JUPYTER_CONFIG_DIR=str(Path(job["folder"], "config")),
        JUPYTER_DATA_DIR=job["folder"],
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    outcome = run(job)
    told.write(json.dumps(outcome))
    told.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
