"""The events of a file system, and how each reads. Not every read and write is one: only what a reader of the
trace wants to see.
"""

from __future__ import annotations

__all__ = ["EVENTS"]

#: Kind to text; ``{node}`` and ``{machine}`` are the event's own, the others its data.
EVENTS: dict[str, str] = {
    "file_created": "{path} is there: {bytes} bytes in {blocks} blocks",
    "file_deleted": "{path} is deleted ({files} files); its blocks are collected later",
    "file_renamed": "{path} is now {to}",
    "lease_granted": "{primary} orders the appends to block {block} of {path}, version {version}, on {chain}",
    "server_joined": "{server} reports {blocks} blocks",
    "server_lost": "the chunkserver on {server} is taken for dead, {why}: {blocks} copies are gone",
    "block_lost": "block {block} of {path} has no copy left",
    "block_found": "block {block} of {path} has a copy again",
    "block_replicated": "block {block} of {path} was copied from {source} to {target}: {copies} copies",
    "copy_trimmed": "block {block} of {path} has a copy too many: the one on {server} goes",
    "stale_found": "{server} has an old version of block {block} of {path}: it goes",
    "rot_found": "{node} found block {block} rotten: its bytes do not have their checksum",
    "garbage_collected": "{blocks} blocks that no file has are deleted",
    "master_recovered": "the master is back: a checkpoint of {files} files, {records} records of its log",
    "checkpoint_written": "the master wrote a checkpoint of {files} files; its log begins anew",
}
