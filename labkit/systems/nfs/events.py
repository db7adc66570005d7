"""What servers and clients tell of themselves: each event's data, and how it reads. Sizes in bytes."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS"]


def _executed(event: Any) -> str:
    data = event.data
    status = data.get("status")
    return f"{data.get('procedure')} for {data.get('client')}: {'done' if status == 'OK' else status}"


EVENTS = Events(
    "nfs",
    # the server's
    server_started=repair("{node} serves {files:file}, {used:bytes} on its disk"),
    mounted=plain("{client} mounts {path}"),
    executed=quiet(_executed),
    answered_again=repair("{procedure} of {client} came again: it gets the saved reply"),
    duplicate_dropped=quiet("{procedure} of {client} came again while it is under way: dropped"),
    call_refused=trouble("{procedure} of {client} makes no sense: {error}"),
    reply_lost=fault("the reply to {client}'s {procedure} is lost"),
    duplicates_set=plain("duplicate request cache: {on}"),
    wrote=quiet("{node} has {count:bytes} at {offset} of file {fileid} on its disk"),
    attributes_set=quiet("{node} has set {what} of file {fileid}"),
    entry_made=quiet("{name} in directory {parent} is {what} {fileid}"),
    entry_left=quiet("{name} is no longer in directory {parent}"),
    freed=quiet("file {fileid} is gone: handles of generation {generation} are stale"),
    # the clients'
    client_started=quiet("{node} is ready: {consistency}"),
    chosen=plain("{node}: {name} = {value}", "chosen {name}", "{name} = {value} at {total:client}"),
    resent=quiet("{node} asks for {procedure} once more"),
    not_responding=trouble("{node}: the server is not responding, still trying"),
    server_answers_again=repair("{node}: the server is OK"),
    gave_up=trouble("{node} gives {procedure} up after {tries:call}"),
    stale_handle=trouble("{node} has a stale handle of file {fileid}"),
    file_opened=quiet("{node} opens {path}"),
    file_closed=quiet("{node} closes file {fileid}"),
    file_read=quiet("{node} reads file {fileid} from {offset}"),
    block_cached=quiet("{node} keeps block {block} of file {fileid}"),
    block_dirty=quiet("{node} changes block {block} of file {fileid} in its memory"),
    block_flushed=quiet("{node} has written block {block} of file {fileid}"),
    write_acknowledged=quiet("{node} knows that change {change} of file {fileid} is on the server's disk"),
    write_failed=trouble("{node} could not write block {block} of file {fileid}: {status}"),
    blocks_dropped=quiet("{node} forgets {blocks:block} of file {fileid}: {why}"),
    silly_renamed=repair("{name} is removed while {node} has it open: it is {hidden} until it is closed"),
    # the lock service's
    grace_began=repair("{node} asks {clients} to claim their locks; for {seconds} s it grants no others"),
    grace_ended=plain("{node} grants locks again"),
    lock_granted=quiet("{client} has a lock"),
    lock_released=quiet("{client} gives a lock back"),
    lock_reclaimed=quiet("{node} claims its lock: granted is {granted}"),
    locks_freed=repair("{client} was restarted: its {locks:lock} are free"),
)
