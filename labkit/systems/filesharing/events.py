"""What the peers and servers tell of themselves: each event's data, and how it reads.

``query`` is the beginning of the GUID, ``to`` and ``source`` are names of nodes. Of links and queries there
are events in systems of up to 1,000 peers, unless ``announce`` says otherwise.
"""

from __future__ import annotations

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS"]

EVENTS = Events(
    "filesharing",
    # who is there
    peer_online=quiet("{node} is there, a {role}: {files:file}"),
    peer_offline=plain("{node} leaves", "left", "{total:peer} left"),
    role_changed=repair("{node} is a {role} now: {why}"),
    linked=quiet("{node} is connected to {to}"),
    unlinked=quiet("{node} has lost {to}: {why}"),
    neighbour_silent=fault("{node} gives {to} up: nothing heard for {seconds:.1f} s", "silent",
                           "{total:neighbour} given up as silent"),
    shared=quiet("{node} shares {names}"),
    unshared=plain("{node} no longer shares {names}"),
    # index servers and supernodes
    logged_in=quiet("{peer} has logged in at {node} with {files:file}"),
    logged_out=plain("{node} forgets the {files:file} of {peer}: {why}", "out", "{total:user} logged out"),
    index_uploaded=quiet("{node} gave {to} its index: {files:file}"),
    # queries
    search_started=plain("{node} looks for “{text}”"),
    query_received=quiet("{node} got query {query} from {source}, {hops:hop} from its origin"),
    query_dropped=quiet("{node} drops query {query} from {source}: {why}"),
    leaves_asked=quiet("{node} hands query {query} on to {to:leaf}"),
    query_widened=quiet("{node} sends query {query} over one more link, with TTL {ttl}"),
    hits_made=quiet("{node} answers query {query}: {names}"),
    hits_passed=quiet("{node} hands hits of query {query} to {to}"),
    hits_lost=trouble("hits of query {query} are lost at {node}: {why}", "lost", "{total:answer} lost"),
    hits_received=quiet("{node} has {hits:hit} more for query {query}"),
    search_finished=plain("{node} has {hits:hit} in {files:file} for “{text}”"),
    # downloads
    download_started=plain("{node} loads {file} from {sources:source}"),
    piece_loaded=quiet("{node} has piece {piece} of {file} from {source}"),
    piece_refused=trouble("{node}: what {source} sent as piece {piece} of {file} has another hash"),
    source_lost=trouble("{node} gives up {source} as a source of {file}: {why}"),
    push_sent=quiet("{node} asks {to}, behind a firewall, to connect to it"),
    push_answered=repair("{node} connects to {to}, as it was asked to"),
    download_finished=plain("{node} has {file}, from {sources:source}"),
    download_failed=trouble("{node} has {pieces} of {total:piece} of {file}: {why}"),
)  # fmt: skip
