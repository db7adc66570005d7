"""How JupyterLab learns of the kernel "labkit": a folder with a ``kernel.json`` where Jupyter looks.

The wheel brings one for the environment that it is installed in. ``labkit kernel install`` writes one for
other cases: an editable installation, or a JupyterLab that lives in another environment.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

__all__ = ["NAME", "SPEC_FOLDER", "install", "remove"]

#: What notebooks name in their metadata.
NAME = "labkit"
#: Holds kernel.json, as the wheel installs it, and the logo.
SPEC_FOLDER = Path(__file__).parent / "kernelspec"


def install(user: bool = False, prefix: str | None = None) -> Path:
    """Write the kernel's folder: for this user, below ``prefix``, or (neither) in this Python's environment.

    The kernel will run with this Python, by its full path. Returns the folder.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory(prefix="labkit-kernel-") as made:
        folder = Path(made) / NAME
        shutil.copytree(SPEC_FOLDER, folder)
        spec = json.loads((folder / "kernel.json").read_text())
        spec["argv"][0] = sys.executable
        (folder / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n")
        where = None if user else prefix or sys.prefix
        # For whoever writes into a system's folder, Jupyter has the word "user" too: it means neither.
        return Path(KernelSpecManager().install_kernel_spec(str(folder), NAME, user=user, prefix=where))


def remove() -> Path:
    """Delete the folder that Jupyter finds first; raises ``NoSuchKernel`` if there is none."""
    from jupyter_client.kernelspec import KernelSpecManager

    return Path(KernelSpecManager().remove_kernel_spec(NAME))
