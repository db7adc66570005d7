"""LOCKSS and the lecture's three questions. Of the papers only the abstracts were read: ``options.py``."""

from labkit.systems.about import About

ABOUT = About(
    title="LOCKSS",
    paper="Maniatis, Roussopoulos, Giuli, Rosenthal, Baker, Muliadi: Preserving Peer Replicas By "
    "Rate-Limited Sampled Voting, SOSP 2003",
    work="Every library keeps the whole: a replica of each archival unit on its own disk. There is no master "
    "and no index; each library looks after its own replica only.",
    communication="In opinion polls. A poller invites a sample of its reference list; each voter hashes its "
    "replica with a fresh nonce, and the poller compares the votes with its own hashes. Votes are rare and "
    "cost effort, by design.",
    failure="Bits rot silently, so failure is what a vote finds: a poller that is outvoted by a landslide "
    "repairs its block from a voter and tallies again; without a landslide either way it rings an alarm. "
    "Malign peers can lie, but need a landslide of a random sample; effort and rate limits make that slow.",
    lecture="lockss",
    order=13,
)
