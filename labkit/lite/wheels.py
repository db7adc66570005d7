"""What the page's Python is made of: wheels of pure Python, and the lock file by which Pyodide finds them.

Pyodide reads in its lock file which packages there are, where, and what each needs. The page has a lock file
of its own: labkit and the kernel, which come with the page; and whatever else Pyodide's distribution has,
from the page too (offline: only what labkit needs) or from Pyodide's own address.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from labkit.lite import LiteError

__all__ = [
    "ARRAYS",
    "EXTENSIONS",
    "PRELOADED",
    "PYODIDE",
    "get_pyodide",
    "get_wheels",
    "own_wheel",
    "write_lock",
]

#: The Pyodide that this release of the kernel is made for, as it says in its `constants.py`.
PYODIDE, KERNEL = "314.0.6", "jupyterlite-pyodide-kernel==0.8.6"
PYTHON = "3.14"
#: Where a page that is not offline finds what it does not bring along.
ADDRESS = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE}/full"
#: Pure Python that Pyodide's distribution does not have. Exact, as in lock.txt.
OURS = (
    "anywidget==0.11.0", "comm==0.2.3", "ipython-pygments-lexers==1.1.1", "ipywidgets==8.1.9",
    "psygnal==0.16.1",
)  # fmt: skip
#: Extensions of JupyterLab on the page; the kernel is one, too.
EXTENSIONS = ("anywidget==0.11.0", "jupyterlab-widgets==3.0.17", KERNEL)
#: What Python needs before the first cell.
PRELOADED = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython", "labkit")
#: Modules of labkit that need NumPy and more, which a page loads when a cell imports them, if it can.
ARRAYS = {
    "labkit-arrays": (
        ("numpy",),
        tuple(f"labkit.systems.{name}" for name in ("paramserver", "pregel", "graphlab", "powergraph")),
    ),
    "labkit-files": (("numpy", "fsspec"), ("labkit.systems.spark", "labkit.systems.graphx")),
    "labkit-tables": (("numpy", "pandas"), ("labkit.parts.experiments",)),
}  # fmt: skip
#: What a requirement's marker is asked about.
TAB = {
    "sys_platform": "emscripten",
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
    "extra": "",
}


def get_pyodide(folder: Path) -> Path:
    """Pyodide's npm package, unpacked in ``folder``: the runtime and its lock file, and no packages."""
    made = folder / "package"
    if not made.exists():
        archive = _run(["npm", "pack", "--silent", f"pyodide@{PYODIDE}"], folder).strip().splitlines()[-1]
        _run(["tar", "-xzf", archive], folder)
    return made


def get_wheels(requirements: Iterable[str], folder: Path, python: str = PYTHON) -> dict[str, Path]:
    """Wheels of pure Python, without what they need: package to file. Those that are there stay."""
    wanted = [Requirement(each) for each in requirements]
    missing = [str(each) for each in wanted if _find(folder, each) is None]
    if missing:
        options = ["--only-binary=:all:", "--implementation", "py", "--abi", "none", "--platform", "any"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        _run([*command, *options, "--python-version", python, "--dest", str(folder), *missing], folder)
    found = {canonicalize_name(each.name): _find(folder, each) for each in wanted}
    return {name: path for name, path in found.items() if path is not None}


def _find(folder: Path, wanted: Requirement) -> Path | None:
    name = canonicalize_name(wanted.name)
    for path in folder.glob("*.whl"):
        there, version, _, _ = parse_wheel_filename(path.name)
        if there == name and wanted.specifier.contains(version, prereleases=True):
            return path
    return None


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise LiteError(
            f"the page is built with {command[0]!r}, which is not installed here; on Debian and Ubuntu: "
            f"apt-get install {'nodejs npm' if command[0] == 'npm' else command[0]}"
        ) from None
    if done.returncode:
        raise LiteError(f"`{' '.join(command[:4])} …` failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


# -- labkit itself ---------------------------------------------------------------------------------------


def own_wheel(folder: Path) -> Path:
    """labkit as it is installed or checked out here, as a wheel."""
    import labkit
    import labkit_widgets

    distribution = importlib.metadata.distribution("labkit")
    files: dict[str, bytes] = {}
    for package in (labkit, labkit_widgets):
        root = Path(package.__file__ or "").parent
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[f"{root.name}/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    about = str(distribution.read_text("METADATA"))
    return _zipped(folder, "labkit", distribution.version, about, files)


def _zipped(folder: Path, name: str, version: str, about: str, files: dict[str, bytes]) -> Path:
    """A wheel. The same files make the same bytes."""
    base = f"{name.replace('-', '_')}-{version}"
    info = f"{base}.dist-info"
    tag = "Wheel-Version: 1.0\nGenerator: labkit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {**files, f"{info}/METADATA": about.encode(), f"{info}/WHEEL": tag.encode()}
    record = "".join(f"{path},sha256={_sum(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    made = folder / f"{base}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    return made


def _sum(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


# -- the lock file ---------------------------------------------------------------------------------------


def write_lock(pyodide: Path, folder: Path, cache: Path, offline: bool, wheels: dict[str, Path]) -> Path:
    """The page's ``pyodide-lock.json``, and beside it the wheels that it brings along.

    pyodide: the npm package. wheels: labkit, the kernel, and what Pyodide does not have.
    """
    lock: dict[str, Any] = json.loads((pyodide / "pyodide-lock.json").read_text())
    theirs = lock["packages"]
    needed = {canonicalize_name(each.name) for wheel in wheels.values() for each in _requires(wheel)}
    needed |= {canonicalize_name(name) for name in PRELOADED}
    if offline:
        wheels = {**wheels, **get_wheels(_pins(theirs, needed - wheels.keys()), cache)}
        theirs = lock["packages"] = {}
    else:
        for entry in theirs.values():
            entry["file_name"] = f"{ADDRESS}/{entry['file_name']}"
    for name, (needs, modules) in ARRAYS.items():
        if set(needs) <= theirs.keys():
            wheel = _zipped(cache, name, "1", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", {})
            theirs[name] = _entry(wheel, folder, list(needs), list(modules))
    names = wheels.keys() | theirs.keys()
    for wheel in wheels.values():
        needs = sorted({canonicalize_name(each.name) for each in _requires(wheel)} & names)
        entry = _entry(wheel, folder, needs, _modules(wheel))
        theirs[canonicalize_name(entry["name"])] = entry
    made = folder / "pyodide-lock.json"
    made.write_text(json.dumps(lock, indent=1, sort_keys=True))
    return made


def _pins(theirs: dict[str, Any], names: set[Any]) -> list[str]:
    """What Pyodide has of these in pure Python, and what that needs: as its lock file says, exactly."""
    pins: dict[str, str] = {}
    waiting = sorted(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        entry = theirs.get(name)
        if entry is not None and name not in pins and entry["file_name"].endswith("none-any.whl"):
            pins[name] = f"{name}=={entry['version']}"
            waiting += entry["depends"]
    return sorted(pins.values())


def _entry(wheel: Path, folder: Path, depends: list[str], imports: list[str]) -> dict[str, Any]:
    """The wheel is put beside the lock file; what that says of it."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    data = wheel.read_bytes()
    (folder / wheel.name).write_bytes(data)
    return {
        "name": str(name), "version": str(version), "file_name": wheel.name, "install_dir": "site",
        "sha256": hashlib.sha256(data).hexdigest(), "package_type": "package", "imports": imports,
        "depends": depends, "unvendored_tests": False,
    }  # fmt: skip


def _requires(wheel: Path) -> list[Requirement]:
    """What it needs in a tab."""
    with zipfile.ZipFile(wheel) as archive:
        about = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = HeaderParser().parsestr(archive.read(about).decode()).get_all("Requires-Dist") or []
    every = [Requirement(line) for line in lines]
    return [each for each in every if each.marker is None or each.marker.evaluate(TAB)]


def _modules(wheel: Path) -> list[str]:
    """What a cell that imports it writes."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    return sorted(top.removesuffix(".py") for top in tops if not top.endswith((".dist-info", ".data")))
