"""What a sender hears whose message names a node or a method that is not there."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.runtime.errors import NotAnRpc, UnknownMethod, UnknownNode
from labkit.runtime.node import Node
from labkit.runtime.unawaited import forgotten

__all__ = ["no_handler", "unknown_node"]


def unknown_node(ref: str, names: Iterable[str]) -> UnknownNode:
    """There are only the nodes of these names."""
    if missing := forgotten(ref):
        return UnknownNode(f"a node's name is text: {missing}")
    names = list(names)
    known = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return UnknownNode(f"there is no node {ref!r} in this cluster; its nodes are: {known or 'none yet'}")


def no_handler(node: Node, method: str) -> Exception:
    """The node does not offer this method."""
    kind = type(node).__name__
    offered = ", ".join(sorted(node._rpcs)) or "none"
    if callable(getattr(type(node), method, None)):
        return NotAnRpc(
            f"{kind}.{method} is not an rpc: mark it @rpc to let others call it. {kind} offers: {offered}"
        )
    return UnknownMethod(f"{kind} {node.name} has no method {method!r}; it offers: {offered}")
