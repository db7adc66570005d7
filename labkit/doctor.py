"""`labkit doctor`: can labkit work on this machine, and if not, what to do.

Each check is a function that returns findings; nothing is repaired. The bounds on versions are read from the
installed package (or from the checkout's pyproject.toml), so that they stand in one place.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

__all__ = ["Finding", "Verdict", "clicks", "labkit_version", "run_doctor"]

Say = Callable[[str], None]

#: A Ray, four machines and the kernel of a notebook, with nodes and keys: see `labkit bench memory`.
MEMORY_WANTED = 1_100_000_000
#: What the objects of all notebooks may take together, in shared memory.
SHARED_MEMORY_WANTED = 200 * 1024 * 1024
#: Seconds after which it is said that we still wait. Ten are usual on a quiet machine of two cores.
RAY_IS_SLOW_AFTER = 60
#: Seconds to attach to a Ray that runs; Ray itself gives up after 20 if the token is wrong.
RAY_ANSWERS_WITHIN = 40

#: The first JupyterLab that sends a widget's messages to a kernel subshell.
SUBSHELLS_JUPYTERLAB = Version("4.4.4")
#: The ipykernels whose subshells answer widgets: from the first on, and before the second.
SUBSHELLS_IPYKERNEL = (Version("7.1"), Version("7.4"))
KERNELS_SETTINGS = "@jupyterlab/apputils-extension:kernels-settings"


class Verdict(Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    BROKEN = "BROKEN"


@dataclass(frozen=True)
class Finding:
    """One line of the report, and what to do about it."""

    verdict: Verdict
    subject: str
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(Verdict.OK, subject, text)


def note(subject: str, text: str, remedy: str = "") -> Finding:
    """Works, but not fully."""
    return Finding(Verdict.NOTE, subject, text, remedy)


def broken(subject: str, text: str, remedy: str) -> Finding:
    """Does not work."""
    return Finding(Verdict.BROKEN, subject, text, remedy)


def run_doctor(start_ray: bool = True, say: Say = print) -> int:
    """Print every finding as it is made: the exit status, 1 if something is broken."""
    verdicts = []
    for finding in examine(start_ray):
        say(f"{finding.verdict.value:<7} {finding.subject:<12} {finding.text}")
        if finding.remedy:
            say(f"{'':<20} → {finding.remedy}")
        verdicts.append(finding.verdict)
    bad = verdicts.count(Verdict.BROKEN)
    say("\nAll is well." if not bad else f"\n{bad} thing{'s' if bad > 1 else ''} to repair, marked BROKEN.")
    return 1 if bad else 0


def examine(start_ray: bool = True) -> Iterator[Finding]:
    """Every finding, quick ones first."""
    versions = installed_versions()
    yield from python_version()
    yield from package_versions(requirements(), versions)
    yield from clicks(versions.get("ipykernel"), versions.get("jupyterlab"), subshell_setting())
    yield from kernel_python()
    yield from memory(psutil.virtual_memory().available, memory_limit())
    yield from shared_memory()
    yield from grading()
    yield from ray_works(versions, start_ray)


def grading() -> Iterator[Finding]:
    """The walls round a submission that is graded here."""
    from labkit.coursework import landlock, sandbox, seccomp

    walls = {
        "bubblewrap": bool(sandbox.namespaces()),
        "Landlock": landlock.version() > 0,
        "seccomp": seccomp.available(),
    }
    stand = ", ".join(name for name, there in walls.items() if there) or "none but limits"
    missing = ", ".join(name for name, there in walls.items() if not there)
    if not missing:
        yield ok("grading", f"walls round a submission: {stand}")
    else:
        remedy = (
            "" if walls["bubblewrap"] else "apt-get install bubblewrap (some containers allow it nothing)"
        )
        yield note("grading", f"walls round a submission: {stand}; not: {missing}", remedy)


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────


def python_version(version: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    """Python itself."""
    text = f"{version[0]}.{version[1]} ({sys.executable})"
    if version >= (3, 11):
        yield ok("Python", text)
    else:
        yield broken(
            "Python", f"{text}; labkit needs 3.11 or later", "make clean; make PYTHON=python3.11 lab"
        )


def requirements() -> list[Requirement]:
    """What labkit needs, without the extras."""
    lines = _pyproject().get("dependencies")
    if lines is None:
        lines = importlib.metadata.requires("labkit") or []
    needed = [Requirement(line) for line in lines]
    return [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]


def labkit_version() -> str:
    """The version of labkit that runs."""
    return str(_pyproject().get("version") or importlib.metadata.version("labkit"))


def _pyproject() -> dict[str, Any]:
    # A checkout's own list is never older than that of the installation made from it.
    path = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(path.read_text())["project"] if path.is_file() else {}
    return project if project.get("name") == "labkit" else {}


def installed_versions() -> Mapping[str, Version]:
    """Every installed package, by its name in canonical form."""
    return {
        canonicalize_name(each.metadata["Name"]): Version(each.version)
        for each in importlib.metadata.distributions()
        if each.metadata["Name"]
    }


def package_versions(needed: Iterable[Requirement], installed: Mapping[str, Version]) -> Iterator[Finding]:
    """Each package that labkit needs, compared with its bounds."""
    for requirement in needed:
        version = installed.get(canonicalize_name(requirement.name))
        install = f"{sys.executable} -m pip install '{requirement}'"
        if version is None:
            yield broken(requirement.name, "is not installed", install)
        elif not requirement.specifier.contains(version, prereleases=True):
            yield broken(
                requirement.name, f"{version} is installed; labkit needs {requirement.specifier}", install
            )
        else:
            yield ok(requirement.name, str(version))


# ── clicks during a running cell ────────────────────────────────────────────────────────────────────────────


def clicks(ipykernel: Version | None, jupyterlab: Version | None, setting: str) -> Iterator[Finding]:
    """Whether a click in a panel reaches Python while a cell runs."""
    first, broken_from = SUBSHELLS_IPYKERNEL
    why = remedy = ""
    if ipykernel is None or jupyterlab is None:
        why, remedy = "ipykernel or JupyterLab is missing", "see above"
    elif ipykernel < first:
        why = f"ipykernel {ipykernel} has no subshells that widgets can use; they came with {first}"
        remedy = _pip(f"ipykernel>={first},<{broken_from}")
    elif ipykernel >= broken_from:
        why = f"ipykernel {broken_from} and later answer a click only after the cell; this is {ipykernel}"
        remedy = _pip(f"ipykernel>={first},<{broken_from}")
    elif jupyterlab < SUBSHELLS_JUPYTERLAB:
        why = f"JupyterLab {jupyterlab} does not send clicks to a subshell; {SUBSHELLS_JUPYTERLAB} does"
        remedy = _pip(f"jupyterlab>={SUBSHELLS_JUPYTERLAB},<5")
    elif setting == "disabled":
        why = "the JupyterLab setting 'Kernel Comms over subshells' is 'disabled'"
        remedy = (
            "Settings → Settings Editor → Kernels: choose 'One subshell per comm-target'; reload the page"
        )
    if why:
        yield broken("clicks", f"do NOT reach Python while a cell runs: {why}", remedy)
    else:
        yield ok(
            "clicks",
            f"reach Python while a cell runs (ipykernel {ipykernel}, JupyterLab {jupyterlab}, {setting})",
        )


def _pip(what: str) -> str:
    return f"{sys.executable} -m pip install '{what}', then restart JupyterLab"


def subshell_setting() -> str:
    """JupyterLab's `commsOverSubshells`: the user's, else this installation's, else JupyterLab's default."""
    try:
        from jupyterlab.commands import get_app_dir, get_user_settings_dir
    except ImportError:
        return "perCommTarget"
    plugin, _, schema = KERNELS_SETTINGS.partition(":")
    user = Path(get_user_settings_dir()) / plugin / f"{schema}.jupyterlab-settings"
    ours = Path(get_app_dir()) / "settings" / "overrides.json"
    chosen = _setting(_json5(user)) or _setting(_json5(ours).get(KERNELS_SETTINGS))
    return chosen or "perCommTarget"


def _setting(settings: object) -> str:
    return str(settings.get("commsOverSubshells", "")) if isinstance(settings, dict) else ""


def _json5(path: Path) -> dict[str, object]:
    # JupyterLab writes comments into the user's files, and it brings the parser that reads them.
    if not path.is_file():
        return {}
    try:
        import json5

        return dict(json5.loads(path.read_text()))
    except (ImportError, ValueError):
        return {}


def kernel_python() -> Iterator[Finding]:
    """Whether the notebooks' kernel is this Python."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield broken("kernel", "there is no kernel 'python3'", _pip("ipykernel>=7.1,<7.4"))
        return
    found = shutil.which(program)
    # A bare "python" in a kernelspec means the Python that runs JupyterLab.
    if re.fullmatch(r"python[\d.]*", program) or (
        found and Path(found).absolute() == Path(sys.executable).absolute()
    ):
        yield ok("kernel", "notebooks run in this Python")
    else:
        yield note(
            "kernel",
            f"the kernel 'python3' runs another Python: {program}",
            f"{sys.executable} -m ipykernel install --sys-prefix",
        )


# ── memory and Ray ──────────────────────────────────────────────────────────────────────────────────────────


def memory_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container may use, in bytes; None without a limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        file = cgroup / name
        if file.is_file():
            text = file.read_text().strip()
            # Version 1 writes "no limit" as a huge number.
            return int(text) if text.isdigit() and int(text) < 1 << 60 else None
    return None


def memory(available: int, limit: int | None = None) -> Iterator[Finding]:
    """Whether a Ray with four machines fits."""
    usable = available if limit is None else min(available, limit)
    text = f"{usable / 1e9:.1f} GB available"
    if usable >= MEMORY_WANTED:
        yield ok("memory", text)
    else:
        yield note(
            "memory",
            f"{text}; Ray, four machines and a notebook take up to {MEMORY_WANTED / 1e9:.1f} GB",
            'close something, or use Cluster(engine="sim"), which needs a tenth of it',
        )


def shared_memory(place: Path = Path("/dev/shm")) -> Iterator[Finding]:
    """Whether Ray can keep its objects in memory: a container often has 64 MB for it."""
    if not place.is_dir():
        return
    free = shutil.disk_usage(place).free
    if free < SHARED_MEMORY_WANTED:
        yield note(
            "/dev/shm",
            f"{free / 1e6:.0f} MB free; Ray will keep its objects on disk, and be slower",
            "start the container with --shm-size=512m",
        )


def ray_works(installed: Mapping[str, Version], start: bool) -> Iterator[Finding]:
    """Whether Ray can be started, or the one that RAY_ADDRESS names be used."""
    if "ray" not in installed:
        return  # said above
    address = os.environ.get("RAY_ADDRESS")
    if address:
        yield from ray_answers(address)
    elif start:
        yield from ray_starts()


def ray_starts() -> Iterator[Finding]:
    """Start a Ray as `labkit lab` does, and stop it."""
    from labkit.lab.head import NOT_STARTED, read_environment
    from labkit.lab.processes import Group
    from labkit.lab.server import head_command, importable

    programs = Group()
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        log, home = Path(folder) / "log", Path(folder) / "ray"
        began, slow = time.monotonic(), False
        try:
            with open(log, "wb") as output:
                programs.start("Ray", head_command(home), importable(os.environ), output)
            while not (ready := read_environment(home)) and programs.ended() is None:
                if not slow and time.monotonic() - began > RAY_IS_SLOW_AFTER:
                    slow = True
                    yield note("Ray starts", f"not in {RAY_IS_SLOW_AFTER} s; it lives, so we wait", "Ctrl-C")
                time.sleep(0.1)
            took = time.monotonic() - began
        finally:
            programs.close()
        if ready:
            yield ok("Ray starts", f"in {took:.0f} s, and stops again")
        else:
            lines = log.read_text(errors="replace").strip().splitlines() or [f"nothing in {took:.0f} s"]
            # Warnings may come after the reason.
            said = next((line for line in lines if line.startswith(NOT_STARTED)), lines[-1])
            yield broken(
                "Ray starts",
                f"no: {said}",
                'until that is repaired, use Cluster(engine="sim") and `labkit lab --no-ray`',
            )


#: Attaching runs in a process of its own: one that is refused does not return for 20 s, and then exits.
_ATTACH = """
import json, ray
ray.init(log_to_driver=False, logging_level="ERROR")
print(json.dumps({"nodes": len(ray.nodes()), "ray": ray.__version__}))
"""


def ray_answers(address: str, seconds: float = RAY_ANSWERS_WITHIN) -> Iterator[Finding]:
    """Attach to the Ray that RAY_ADDRESS names."""
    remedy = (
        "unset RAY_ADDRESS to use a Ray of our own. If that Ray asks for a token, set RAY_AUTH_MODE=token "
        "and RAY_AUTH_TOKEN_PATH to the token's file"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ATTACH],
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        answer = json.loads(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        answer = None
    if answer:
        yield ok("Ray", f"answers at {address} ({answer['nodes']} host(s), Ray {answer['ray']})")
    else:
        yield broken("Ray", f"RAY_ADDRESS is {address}, but no Ray lets us in there", remedy)
