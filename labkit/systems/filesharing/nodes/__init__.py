"""The roles: peers of each architecture, Napster's index server, the host cache."""

from .fasttrack import FastTrackPeer
from .hosts import HostCache
from .napster import IndexServer, NapsterPeer
from .peer import Peer
from .servent import Servent
from .ultrapeer import Ultrapeer

__all__ = ["FastTrackPeer", "HostCache", "IndexServer", "NapsterPeer", "Peer", "Servent", "Ultrapeer"]
