"""An extension of the Jupyter server: a saved notebook shows its panels as they were last seen.

A panel is a widget, and a notebook that is opened without the kernel that made it would show "model not
found". Each such output carries a picture as well. When the notebook is saved, the picture in it is replaced
by the newest one, which the panel has left in Jupyter's runtime folder; when it is opened and that kernel is
gone, the widget is taken out of what the browser is given, and the picture is seen.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner
from jupyter_core.paths import jupyter_runtime_dir

__all__ = ["fresh", "without_the_dead"]

VIEW = "application/vnd.jupyter.widget-view+json"
#: Pictures of kernels that ended without taking them along are removed after this many seconds.
FORGOTTEN_AFTER = 7 * 24 * 3600.0


def _panels(notebook: Any) -> Iterator[Any]:
    """The outputs that show a panel."""
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            if "labkit" in output.get("metadata", {}) and VIEW in output.get("data", {}):
                yield output


def fresh(notebook: Any, folder: Path) -> None:
    """Give every panel in a notebook its newest picture."""
    for output in _panels(notebook):
        model = str(output["data"][VIEW].get("model_id"))
        if re.fullmatch(r"[0-9a-f]{32}", model):
            with contextlib.suppress(FileNotFoundError):
                output["data"]["text/html"] = (folder / f"{model}.html").read_text(encoding="utf8")


def without_the_dead(notebook: Any, lives: Callable[[int], bool]) -> None:
    """Leave only the picture of each panel whose kernel, a process of this number, is gone."""
    for output in _panels(notebook):
        if not lives(output["metadata"]["labkit"].get("pid", 0)):
            del output["data"][VIEW]


def _load_jupyter_server_extension(app: Any) -> None:
    contents, folder = app.contents_manager, Path(jupyter_runtime_dir()) / "labkit-pictures"
    read = contents.get

    def lives(pid: int) -> bool:
        kernels = app.kernel_manager
        running = [kernels.get_kernel(each).provisioner for each in kernels.list_kernel_ids()]
        # The process of a kernel that is started in another way is not known here: it may be this one.
        known = [each for each in running if each is not None]
        return any(not isinstance(each, LocalProvisioner) or each.pid == pid for each in known)

    def seen(model: Any) -> Any:
        if model.get("type") == "notebook" and model.get("content"):
            without_the_dead(model["content"], lives)
        return model

    async def later(model: Any) -> Any:
        return seen(await model)

    def get(*arguments: Any, **options: Any) -> Any:
        model = read(*arguments, **options)
        return later(model) if inspect.isawaitable(model) else seen(model)

    def save(model: Any, path: str, contents_manager: Any, **_: Any) -> None:
        if model.get("type") == "notebook" and model.get("content"):
            fresh(model["content"], folder)

    contents.get = get
    contents.register_pre_save_hook(save)
    for picture in folder.glob("*.html"):
        if time.time() - picture.stat().st_mtime > FORGOTTEN_AFTER:
            picture.unlink(missing_ok=True)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "labkit.lab.pictures"}]
