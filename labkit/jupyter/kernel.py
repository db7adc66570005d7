"""The process behind the kernel "labkit": an ordinary ipykernel with the magics loaded, that finds a Ray.

    python -m labkit.jupyter.kernel -f CONNECTION_FILE

Under ``labkit lab`` the Ray is in the environment already. In a JupyterLab that was started otherwise, the
kernel takes the newest Ray that a ``labkit lab`` of the same user has announced
(``labkit.lab.head.announced``). Without any, the first ``Cluster()`` starts a small one, as everywhere.
"""

from __future__ import annotations

import os
import sys

__all__ = ["join_lab", "main"]


def join_lab() -> str | None:
    """Have this process find the Ray of a running ``labkit lab``; its address, or None."""
    if "RAY_ADDRESS" not in os.environ:
        from labkit.lab.head import announced

        os.environ.update(announced() or {})
    return os.environ.get("RAY_ADDRESS")


def main() -> None:
    """Run the kernel until its notebook is shut down."""
    join_lab()  # before anything imports Ray, which reads its environment once
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    config = Config()
    config.InteractiveShellApp.extensions = ["labkit"]
    IPKernelApp.launch_instance(sys.argv[1:], config=config)


if __name__ == "__main__":
    main()
