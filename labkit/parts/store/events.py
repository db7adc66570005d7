"""The events of a file system, and how each reads. Not every read and write is one: only what a reader of the
trace wants to see.
"""

from __future__ import annotations

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS"]

EVENTS = Events(
    "file system",
    file_created=plain("{path} is there: {bytes:bytes} in {blocks:block}", "created", "{total:file} written"),
    file_deleted=plain("{path} is deleted ({files:file}); its blocks are collected later"),
    file_renamed=plain("{path} is now {to}", "renamed", "{total:file} renamed"),
    lease_granted=quiet(
        "{primary} orders the appends to block {block} of {path}, version {version}, on {chain}"
    ),
    server_joined=repair("{server} reports {blocks:block}"),
    server_lost=fault("the chunkserver on {server} is taken for dead, {why}: {blocks:copy} are gone"),
    block_lost=trouble("block {block} of {path} has no copy left", "lost", "{total:block} have no copy left"),
    block_found=repair(
        "block {block} of {path} has a copy again", "found", "{total:block} have a copy again"
    ),
    block_replicated=repair(
        "block {block} of {path} was copied from {source} to {target}: {copies:copy}",
        "replicated",
        "{total:block} were copied",
    ),
    copy_trimmed=plain(
        "block {block} of {path} has a copy too many: the one on {server} goes",
        "trimmed",
        "{total:copy} too many went",
    ),
    stale_found=trouble("{server} has an old version of block {block} of {path}: it goes"),
    rot_found=trouble("{node} found block {block} rotten: its bytes do not have their checksum"),
    garbage_collected=quiet("{blocks:block} that no file has are deleted"),
    master_recovered=repair("the master is back: a checkpoint of {files:file}, {records:record} of its log"),
    checkpoint_written=quiet("the master wrote a checkpoint of {files:file}; its log begins anew"),
)
