"""The client's VFS layer: mounts, and paths walked one component at a time.

The server never sees a path (but to mount): it could not know what is mounted where on a client, nor what a
symbolic link means there.
"""

from __future__ import annotations

from typing import Any

from ..caches import Vnode
from ..protocol import DIRECTORY, LONGEST_NAME, LONGEST_PATH, SYMLINK, Credentials, NfsError, encoded
from .vnodes import Vnodes

__all__ = ["Found", "Vfs", "check_path"]

#: Symbolic links on one path, as Linux has it, before it is a circle.
MOST_LINKS = 40

#: Directory and name; and the file itself, if it is there.
Found = tuple[Vnode, str, Vnode | None]


class Vfs(Vnodes):
    """Paths to vnodes."""

    def _start_vfs(self) -> None:
        #: By the components of the path: handle and attributes of what is mounted there.
        self.mounts: dict[tuple[str, ...], bytes] = {}
        self.table = self.disk.get(
            "mounts", {"/": self.options.exports[0].path}
        )  #: /etc/fstab: it is mounted again after a restart

    async def mount(self, path: str, at: str, cred: Credentials) -> None:
        """Mount an exported folder: the mount program's only call."""
        names = tuple(name for name in at.split("/") if name)
        fh = await self.ask("mnt", cred, path)
        found = await self.ask("getattr", cred, fh)
        self.mounts[names] = self.vnode(fh, found).fh

    async def mounted(self) -> None:
        """All that is in the table is mounted."""
        for at, path in self.table.items():
            if tuple(name for name in at.split("/") if name) not in self.mounts:
                await self.mount(path, at, Credentials())

    async def walk(
        self, path: str, cred: Credentials, follow: bool = True, ask: bool = False, missing: bool = False
    ) -> Found:
        """The directory, the name and the file at the end of a path.

        follow: a symbolic link at the end too. ask: the last name is looked up at the server, whatever the
        cache says. missing: the last one need not be there.
        """
        check_path(path)
        await self.mounted()
        todo = [name for name in path.split("/") if name][::-1]
        if path.endswith("/") and todo:
            follow = True
        way: list[tuple[str, Vnode]] = []  # components and their vnodes, from the root
        root = self._root(())
        links = 0
        folder, name, here = root, ".", root
        while todo:
            folder, name = (way[-1][1] if way else root), todo.pop()
            if folder.attributes.kind != DIRECTORY:
                raise NfsError("ENOTDIR")
            if name == ".":
                here = folder
                continue
            if name == "..":
                way = way[:-1]
                here = way[-1][1] if way else root
                continue
            last = not todo
            try:
                here = await self._step(folder, name, way, cred, ask and last)
            except NfsError as error:
                if error.status == "ENOENT" and last and missing:
                    return folder, name, None
                raise
            if here.attributes.kind == SYMLINK and (follow or not last):
                links += 1
                if links > MOST_LINKS:
                    raise NfsError("ELOOP")
                target = await self._ask(here, "readlink", cred, here.fh)
                todo += [each for each in target.split("/") if each][::-1]
                if target.startswith("/"):
                    way = []
                here = way[-1][1] if way else root
                continue
            way.append((name, here))
        if path.endswith("/") and here.attributes.kind != DIRECTORY:
            raise NfsError("ENOTDIR")
        return folder, name, here

    async def _step(
        self, folder: Vnode, name: str, way: list[tuple[str, Vnode]], cred: Credentials, ask: bool
    ) -> Vnode:
        """One component; a mount point is what is mounted there."""
        names = (*(each for each, _ in way), name)
        if names in self.mounts:
            return self._root(names)
        if len(encoded(name)) > LONGEST_NAME:
            raise NfsError("ENAMETOOLONG")
        return await self.lookup(folder, name, cred, ask)

    def _root(self, names: tuple[str, ...]) -> Vnode:
        fh = self.mounts[names]
        vnode = self.vnodes.get(fh)
        if vnode is None:  # it was stale: mounted again, another directory may have taken its place
            del self.mounts[names]
            raise NfsError("ESTALE")
        return vnode

    async def find(self, path: str, cred: Credentials, follow: bool = True, ask: bool = False) -> Vnode:
        """The file at the end of a path."""
        _, _, vnode = await self.walk(path, cred, follow=follow, ask=ask)
        assert vnode is not None
        return vnode

    async def where(self, path: str, cred: Credentials) -> Found:
        """Directory and name of something that is to be made, removed or renamed; its last component is not
        followed."""
        found = await self.walk(path, cred, follow=False, missing=True)
        self.check_last(found)
        return found

    def check_last(self, found: Found, above: str = "ENOTEMPTY") -> None:
        """EBUSY for the root, EINVAL for ".", and ``above`` for ".."."""
        _, name, vnode = found
        if vnode is not None and vnode.fh == self.mounts.get(()):
            raise NfsError("EBUSY")
        if name in (".", ".."):
            raise NfsError("EINVAL" if name == "." else above)


def check_path(path: Any) -> None:
    """EINVAL, ENOENT for an empty one, ENAMETOOLONG."""
    if not isinstance(path, str) or "\0" in path:
        raise NfsError("EINVAL")
    if not path:
        raise NfsError("ENOENT")
    if len(encoded(path)) > LONGEST_PATH:
        raise NfsError("ENAMETOOLONG")
