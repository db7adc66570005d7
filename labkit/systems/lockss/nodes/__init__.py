"""The roles: ``library.py`` is a peer, ``malign.py`` a subverted one and the mind behind all of those,
``publisher.py`` whom they collect from."""

from .library import Library
from .malign import Mind, Minion
from .publisher import Publisher

__all__ = ["Library", "Mind", "Minion", "Publisher"]
