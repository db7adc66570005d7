"""An index by words: what a Napster server and a FastTrack supernode keep of others' files, and a peer of its
own."""

from __future__ import annotations

from collections.abc import Iterable

from .collection import SharedFile, fits, keywords

__all__ = ["Index"]


class Index:
    """Files by owner, and which of them have a word."""

    def __init__(self, owner: int = 0, files: Iterable[SharedFile] = ()) -> None:
        self.files: dict[int, dict[bytes, SharedFile]] = {}
        self._words: dict[str, dict[tuple[int, bytes], None]] = {}
        for file in files:
            self.add(owner, file)

    def add(self, owner: int, file: SharedFile) -> None:
        """A file more; one of the same content takes the place of the former."""
        self.remove(owner, file.root)
        self.files.setdefault(owner, {})[file.root] = file
        for word in sorted(keywords(file.name)):
            self._words.setdefault(word, {})[owner, file.root] = None

    def remove(self, owner: int, root: bytes) -> SharedFile | None:
        """A file less; None if it was not there."""
        file = self.files.get(owner, {}).pop(root, None)
        if file is not None:
            for word in keywords(file.name):
                del self._words[word][owner, root]
                if not self._words[word]:
                    del self._words[word]
        return file

    def drop(self, owner: int) -> None:
        """An owner is gone, with all its files."""
        for root in list(self.files.get(owner, ())):
            self.remove(owner, root)
        self.files.pop(owner, None)

    def find(self, text: str, most: int) -> list[tuple[int, SharedFile]]:
        """At most so many files that have all words, in the order in which they came."""
        rarest: dict[tuple[int, bytes], None] | None = None
        for word in sorted(keywords(text)):
            there = self._words.get(word)
            if there is None:
                return []
            if rarest is None or len(there) < len(rarest):
                rarest = there
        found = []
        for owner, root in rarest or ():
            file = self.files[owner][root]
            if fits(text, file.name):
                found.append((owner, file))
                if len(found) == most:
                    break
        return found

    def __len__(self) -> int:
        return sum(map(len, self.files.values()))
