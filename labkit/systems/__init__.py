"""The systems of the lecture, a folder each. ``catalogue()`` knows them all; ``questions()`` asks each the
lecture's three questions."""

from .about import About, catalogue, questions

__all__ = ["About", "catalogue", "questions"]
