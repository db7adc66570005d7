"""A mounted file system as one of fsspec's, so that pandas, pyarrow and others read and write it.

::

    pandas.read_csv("labkit-nfs://table.csv")      # by the first client of the newest server
    pandas.read_csv("labkit-nfs://table.csv", storage_options={"client": client})
    client.fs.ls("/")
"""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem

from labkit.runtime.errors import LabError

from .files import Client, servers

__all__ = ["NfsFileSystem"]


class NfsFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """``labkit-nfs://path``. ``client``: a ``Client``; the first of the newest server, unless given.
    ``auto_mkdir``: as of fsspec's local files, writing a file makes the directories above it."""

    protocol = "labkit-nfs"  # "nfs" is a scheme that pandas gives to urllib
    root_marker = "/"
    cachable = False  # the server may be another one tomorrow

    def __init__(self, client: Client | None = None, auto_mkdir: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.auto_mkdir = auto_mkdir
        self.client = client if client is not None else _first()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return "/" + str(path).removeprefix("labkit-nfs://").strip("/")

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode[0] != "r":
            self._make_above(path)
        return self.client.open(path, mode)

    def _make_above(self, path: str) -> None:
        if self.auto_mkdir:
            self.client.makedirs(self._parent(path), exist_ok=True)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """name, size, type."""
        path = self._strip_protocol(path)
        found = self.client.attributes(path)
        return {"name": path, "size": found.size, "type": found.kind, "mode": found.mode, "uid": found.uid,
                "mtime": found.mtime, "ino": found.fileid}  # fmt: skip

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What is in a directory; or the file itself."""
        path = self._strip_protocol(path)
        if self.info(path)["type"] != "directory":
            return [self.info(path)] if detail else [path]
        names = [f"{path.rstrip('/')}/{name}" for name in self.client.listdir(path)]
        return [self.info(name) for name in names] if detail else names

    def created(self, path: str) -> float:
        """Seconds of the run; the protocol knows when the inode changed, not when it was made."""
        return self.client.attributes(self._strip_protocol(path)).ctime

    def modified(self, path: str) -> float:
        """Seconds of the run."""
        return self.client.attributes(self._strip_protocol(path)).mtime

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """A new directory, and those above it."""
        path = self._strip_protocol(path)
        if create_parents:
            self.client.makedirs(path)
        else:
            self.client.mkdir(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """A new directory, and those above it."""
        self.client.makedirs(self._strip_protocol(path), exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        """An empty directory less."""
        self.client.rmdir(self._strip_protocol(path))

    def _rm(self, path: str) -> None:
        """A file, or an empty directory: fsspec's ``rm`` goes from the inside out."""
        path = self._strip_protocol(path)
        if self.isdir(path):
            self.client.rmdir(path)
        else:
            self.client.unlink(path)

    def mv(
        self, path1: str, path2: str, recursive: bool = False, maxdepth: Any = None, **options: Any
    ) -> None:
        """Rename, in one step."""
        self.client.rename(self._strip_protocol(path1), self._strip_protocol(path2))

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file, or make a directory of this name."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.isdir(source):
            self.client.makedirs(target, exist_ok=True)
        else:
            self._make_above(target)
            self.client.write_bytes(target, self.client.read_bytes(source))


def _first() -> Client:
    found = servers()
    if not found:
        raise LabError("no file server is open in this process; make one with NFS(cluster)")
    first: Client = found[-1].clients[0]
    return first
