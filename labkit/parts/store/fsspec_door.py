"""The file system as one of fsspec's, so that pandas, pyarrow and others read and write it.

::

    pandas.read_csv("labkit://table.csv")                                      # the newest file system
    pandas.read_csv("labkit://table.csv", storage_options={"cluster": "lab"})  # that of the cluster of this
    name
"""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem

from labkit.runtime.errors import LabError

from .model import FileSystem, file_systems

__all__ = ["LabkitFileSystem"]


class LabkitFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """``labkit://path``. ``cluster``: the name of an open cluster, or a ``FileSystem``."""

    protocol = "labkit"
    root_marker = ""
    cachable = False  # a cluster of the same name may be another one tomorrow

    def __init__(self, cluster: str | FileSystem | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._store = cluster if isinstance(cluster, FileSystem) else _find(cluster)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return self._store.open(self._strip_protocol(path), mode)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """name, size, type."""
        return self._store.info(self._strip_protocol(path))

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What is in a folder."""
        names = [name.rstrip("/") for name in self._store.ls(self._strip_protocol(path))]
        return [self._store.info(name) for name in names] if detail else names

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        self._store.rm(self._strip_protocol(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: Any = None) -> None:
        """Delete files, or if ``recursive`` folders with all in them."""
        for each in [path] if isinstance(path, str) else path:
            self._store.rm(self._strip_protocol(each), recursive)

    def mv(
        self, path1: str, path2: str, recursive: bool = False, maxdepth: Any = None, **options: Any
    ) -> None:
        """Rename a file or folder, in one step."""
        self._store.mv(self._strip_protocol(path1), self._strip_protocol(path2))

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file."""
        self._store.put(self._strip_protocol(path2), self._store.cat(self._strip_protocol(path1)))

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Nothing: a folder is there as soon as a file is in it."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing, as ``mkdir``."""

    def rmdir(self, path: str) -> None:
        """Nothing: an empty folder is not there."""


def _find(cluster: str | None) -> FileSystem:
    found = [fs for fs in file_systems() if cluster is None or fs.cluster.name == cluster]
    if not found:
        names = sorted({fs.cluster.name for fs in file_systems()})
        what = "no cluster" if cluster is None else f"no cluster {cluster!r}"
        raise LabError(
            f"{what} with a file system is open in this process (open are: {', '.join(names) or 'none'}); "
            "make one with FileSystem(cluster)"
        )
    return found[-1]
