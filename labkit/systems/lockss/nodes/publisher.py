"""The publisher: it has the content first. Once all have collected it is gone for good."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.runtime.node import Node, rpc

from ..events import EVENTS
from ..options import Spec
from ..replicas import Content

__all__ = ["Publisher"]


class Publisher(Node):
    """Answers crawls."""

    events = EVENTS

    def __init__(self, spec: Spec, content: Mapping[str, tuple[Content, ...]]) -> None:
        self.spec, self.content = spec, content

    @rpc
    def collect(self, unit: str) -> tuple[Content, ...]:
        """All blocks of an archival unit."""
        return self.content[unit]
