"""JupyterLab and its Ray, as one command.

Ray comes first, for JupyterLab hands its own environment to every kernel, and the environment is how a kernel
finds Ray: `RAY_ADDRESS`, and the token's file. Jupyter keeps its own token: whoever opens a page of it must
have the link that we print.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.lab.head import read_environment
from labkit.lab.processes import Group, Stopped, signals_ignored, stop_signals

__all__ = ["LabOptions", "default_folder", "head_command", "importable", "run_lab", "start_page"]

#: Where the welcome notebook may be, below the folder that JupyterLab shows.
WELCOME = ("notebooks/lectures/start.ipynb", "lectures/start.ipynb", "start.ipynb")
#: Seconds between two looks at a program that has not said it is ready, and between two words that we wait.
#: Ray needs 10 on a quiet machine of two cores, JupyterLab 3.
LOOK_EVERY, SAY_EVERY = 0.1, 20.0
#: Lines of a log that are shown when its program failed.
LOG_TAIL = 15

Say = Callable[[str], None]


@dataclass(frozen=True)
class LabOptions:
    """What the command line asks for."""

    #: The folder that JupyterLab shows.
    folder: Path
    #: The first port to try; JupyterLab takes the next free one.
    port: int = 8888
    #: Open a browser.
    browser: bool = True
    #: Start a Ray, or use the one that RAY_ADDRESS names.
    ray: bool = True
    #: Show what JupyterLab logs.
    verbose: bool = False


def default_folder() -> Path:
    """Here, if the notebooks are here; else the checkout that labkit runs from; else here."""
    checkout = Path(__file__).parents[2]
    return next((place for place in (Path.cwd(), checkout) if _welcome(place)), Path.cwd())


def start_page(folder: Path) -> str:
    """The page that JupyterLab opens on: the welcome notebook if there is one below `folder`."""
    welcome = _welcome(folder)
    return f"/lab/tree/{welcome}" if welcome else "/lab"


def _welcome(folder: Path) -> str | None:
    return next((page for page in WELCOME if (folder / page).is_file()), None)


def run_lab(options: LabOptions, say: Say = print) -> int:
    """Start both, wait for the end of either or a signal, end both: the exit status."""
    directory = Path(tempfile.mkdtemp(prefix="labkit-"))  # mode 0700
    programs = Group()
    try:
        with stop_signals():
            return _serve(options, directory, programs, say)
    except Stopped as stopped:
        say(f"\n{stopped.signal.name}: stopping JupyterLab and Ray …")
        return 0
    finally:
        with signals_ignored():
            programs.close()
            shutil.rmtree(directory, ignore_errors=True)
        say("Stopped; nothing is left running.")


def _serve(options: LabOptions, directory: Path, programs: Group, say: Say) -> int:
    env = dict(os.environ)
    if options.ray:
        env |= _ray(directory, programs, say)
    with open(directory / "JupyterLab.log", "wb") as log:
        output = None if options.verbose else log
        jupyter = programs.start("JupyterLab", jupyter_command(options), env, output, cwd=options.folder)
    info = _until(lambda: _jupyter_info(jupyter.pid), programs, "JupyterLab", say)
    if info is None:
        say("JupyterLab did not start:\n" + _tail(directory / "JupyterLab.log"))
        say("`labkit doctor` may know why.")
        return 1
    say(f"\n  JupyterLab:  {info['url'].rstrip('/')}{start_page(options.folder)}?token={info['token']}")
    say("  Ctrl-C stops everything.\n")
    ended = programs.wait()
    if ended == "JupyterLab" and jupyter.returncode == 0:  # File → Shut Down
        say("JupyterLab was shut down.")
        return 0
    say(f"{ended} ended by itself (exit status {programs.programs[ended].returncode}):")
    say(_tail(directory / f"{ended}.log"))
    return 1


def _ray(directory: Path, programs: Group, say: Say) -> dict[str, str]:
    """The variables that lead a kernel to Ray; none if Ray does not start, for the simulator needs none."""
    address = os.environ.get("RAY_ADDRESS")
    if address:
        say(f"Using the Ray at {address} (RAY_ADDRESS is set; unset it for one of our own).")
        return {}
    say("Starting Ray; this takes about ten seconds …")
    # A folder of its own: the head removes what it made there.
    home = directory / "ray"
    with open(directory / "Ray.log", "wb") as log:
        programs.start("Ray", head_command(home), importable(os.environ), log)
    variables: dict[str, str] | None = _until(lambda: read_environment(home), programs, "Ray", say)
    if variables is not None:
        say(f"Ray is ready at {variables['RAY_ADDRESS']}; notebooks find it by themselves.")
        return variables
    say("Ray did not start:\n" + _tail(directory / "Ray.log"))
    say('JupyterLab starts without it: Cluster(engine="sim") works all the same. `labkit doctor` says more.')
    programs.stop()
    return {}


def head_command(home: Path) -> list[str]:
    """How to start the process that holds Ray, with this Python; it ends with us."""
    return [sys.executable, "-m", "labkit.lab.head", str(home), "--announce", "--parent", str(os.getpid())]


def jupyter_command(options: LabOptions) -> list[str]:
    """How to start JupyterLab, with this Python."""
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={options.folder}",
        f"--ServerApp.port={options.port}",
        f"--LabApp.default_url={start_page(options.folder)}",
        f"--Application.log_level={'INFO' if options.verbose else 'WARN'}",
    ]
    if not options.browser:
        command.append("--no-browser")
    if os.geteuid() == 0:
        # Jupyter refuses root, for who reaches it is root too. In a container there often is nobody else, and
        # the token guards the page; so we do as a container's user means.
        command.append("--allow-root")
    return command


def importable(env: Mapping[str, str]) -> dict[str, str]:
    """`env`, in which a new Python finds the same labkit that runs here."""
    paths = [*filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), str(Path(__file__).parents[2])]
    return {**env, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _until(ready: Callable[[], Any], programs: Group, name: str, say: Say) -> Any:
    """What `ready` gives as soon as it is not None; None if a program ends before."""
    begun = said = time.monotonic()
    while (result := ready()) is None and programs.ended() is None:
        now = time.monotonic()
        if now - said > SAY_EVERY:
            said = now
            say(
                f"{name} is still starting, after {now - begun:.0f} s; this machine is busy. Ctrl-C gives up."
            )
        time.sleep(LOOK_EVERY)
    return result


def _jupyter_info(pid: int) -> dict[str, Any] | None:
    """What the JupyterLab of process `pid` says of itself, once it answers."""
    from jupyter_core.paths import jupyter_runtime_dir

    try:
        info: dict[str, Any] = json.loads((Path(jupyter_runtime_dir()) / f"jpserver-{pid}.json").read_text())
        request = urllib.request.Request(
            f"http://127.0.0.1:{info['port']}{info['base_url']}api/status",
            headers={"Authorization": f"token {info['token']}"},
        )
        with urllib.request.urlopen(request, timeout=2):
            return info
    except (FileNotFoundError, json.JSONDecodeError, urllib.error.URLError, OSError):
        return None


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL:]) or "  (it said nothing)"
