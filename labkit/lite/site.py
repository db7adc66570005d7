"""Builds the page: JupyterLite, the wheels of the page's Python, and the course's notebooks.

Nothing that runs on a server is in it: any web server shows it, and ``python -m http.server`` on a stick.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit.lite import LiteError
from labkit.lite.wheels import (
    EXTENSIONS,
    OURS,
    PRELOADED,
    get_pyodide,
    get_wheels,
    own_wheel,
    write_lock,
)

__all__ = ["WELCOME", "build", "size"]

#: The notebook that the page opens on.
WELCOME = "start-in-a-tab.ipynb"
KERNEL_PLUGIN = "@jupyterlite/pyodide-kernel-extension:kernel"
#: Of the npm package: what the page runs.
RUNTIME = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
    "package.json",
)
#: Where the wheels of the packages lie that the kernel's extension brings along.
OF_THE_KERNEL = "**/pyodide-kernel-extension/static/pypi/*.whl"


def build(notebooks: Path, out: Path, offline: bool = False, say: Callable[[str], None] = print) -> Path:
    """Build the page anew in ``out``; returns ``out``. Raises ``LiteError`` with what is missing.

    notebooks: the course: ``index.ipynb``, ``lectures``, ``exercises``, ``lite``. offline: the Python of the
    page is in the page too, and nothing is loaded from elsewhere; then there is no NumPy.
    """
    course = contents(notebooks)
    if out.exists() and any(out.iterdir()) and not (out / "jupyter-lite.json").exists():
        raise LiteError(f"{out} is not empty and holds no such page: name another folder, or empty it")
    with tempfile.TemporaryDirectory(prefix="labkit-lite-") as temporary:
        work = Path(temporary)
        cache = work / "wheels"
        cache.mkdir()
        say("getting Pyodide and the packages …")
        pyodide = get_pyodide(work)
        extensions = get_wheels(EXTENSIONS, cache)
        say("building the page …")
        shutil.rmtree(out, ignore_errors=True)
        _jupyterlite(work, out, course, list(extensions.values()))
        packages = out / "static" / "packages"
        packages.mkdir(parents=True)
        wheels = {**get_wheels(OURS, cache), "labkit": own_wheel(cache)}
        for wheel in sorted((out / "extensions").glob(OF_THE_KERNEL)):
            wheels[wheel.name.split("-")[0].replace("_", "-")] = wheel  # of two the later one
        write_lock(pyodide, packages, cache, offline, wheels)
        if offline:
            (out / "static" / "pyodide").mkdir()
            for name in RUNTIME:
                shutil.copy(pyodide / name, out / "static" / "pyodide" / name)
    _settings(out, offline)
    say(f"{out}: {size(out) / 1e6:.0f} MB; `labkit lite serve` shows it")
    return out


def contents(notebooks: Path) -> dict[str, bytes]:
    """The course as students get it: path to notebook. No sources, no solved copies."""
    found = [*notebooks.glob("*.ipynb"), *notebooks.glob("lite/*.ipynb")]
    found += [*notebooks.glob("lectures/*.ipynb"), *notebooks.glob("exercises/*.ipynb")]
    if not found:
        raise LiteError(f"there are no notebooks in {notebooks}: name the course's folder with --notebooks")
    return {_place(path, notebooks): _for_a_tab(path) for path in sorted(found)}


def _place(path: Path, notebooks: Path) -> str:
    inside = path.relative_to(notebooks)
    return inside.name if inside.parts[0] == "lite" else inside.as_posix()


def _for_a_tab(path: Path) -> bytes:
    """The notebook, for the kernel that the page has."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
    notebook["metadata"]["kernelspec"] = {
        "name": "python", "display_name": "Python (Pyodide)", "language": "python",
    }  # fmt: skip
    return json.dumps(notebook, ensure_ascii=False, indent=1).encode()


def _jupyterlite(work: Path, out: Path, course: dict[str, bytes], extensions: list[Path]) -> None:
    lite = work / "lite"
    for name, data in course.items():
        target = lite / "contents" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    settings = {
        "LiteBuildConfig": {
            "apps": ["lab"], "contents": ["contents"], "output_dir": str(out), "ignore_sys_prefix": True,
            "federated_extensions": [str(each) for each in extensions], "no_sourcemaps": True,
            "no_unused_shared_packages": True, "cache_dir": str(work / "cache"),
        },
    }  # fmt: skip
    (lite / "jupyter_lite_config.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "jupyterlite_core.app", "build"]
    done = subprocess.run(command, cwd=lite, capture_output=True, text=True)
    if done.returncode:
        missing = "No module named" in done.stderr and "jupyterlite_core" in done.stderr
        advice = "install it: pip install 'labkit[lite]'" if missing else (done.stdout + done.stderr)[-3000:]
        raise LiteError(f"JupyterLite could not build the page: {advice}")


def _settings(out: Path, offline: bool) -> None:
    """Tell the kernel where its Python is, and the page which notebook it opens on."""
    path = out / "jupyter-lite.json"
    page = json.loads(path.read_text())
    config = page["jupyter-config-data"]
    kernel = config.setdefault("litePluginSettings", {}).setdefault(KERNEL_PLUGIN, {})
    kernel["loadPyodideOptions"] = {
        "lockFileURL": "./static/packages/pyodide-lock.json", "packages": list(PRELOADED),
    }  # fmt: skip
    if offline:
        kernel["pyodideUrl"] = "./static/pyodide/pyodide.mjs"
        kernel["disablePyPIFallback"] = True
    config["appName"] = "labkit"
    path.write_text(json.dumps(page, indent=1))


def size(folder: Path) -> int:
    """Bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
