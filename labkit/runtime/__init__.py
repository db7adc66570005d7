"""The runtime: nodes, machines, network, disks, faults, trace; and two engines to run them on. Start
reading at ``node.py``."""

from labkit.runtime.cluster import Cluster, MachineHandle, Operation, clusters, defaults
from labkit.runtime.errors import *  # noqa: F403
from labkit.runtime.errors import __all__ as _errors
from labkit.runtime.faults import (
    DiskLoss,
    Duplicate,
    Fault,
    Heal,
    Kill,
    Latency,
    Loss,
    Partition,
    Pause,
    Restart,
    Resume,
    Schedule,
    Slow,
    when,
)
from labkit.runtime.network import Constant, Exponential, LogNormal, Network, Uniform
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import Barrier, Event, Lock, Queue, gather, timeout
from labkit.trace.trace import Trace

__all__ = [
    "Barrier",
    "Cluster",
    "Constant",
    "DiskLoss",
    "Duplicate",
    "Event",
    "Exponential",
    "Fault",
    "Heal",
    "Kill",
    "Latency",
    "Lock",
    "LogNormal",
    "Loss",
    "MachineHandle",
    "Network",
    "Node",
    "Operation",
    "Partition",
    "Pause",
    "Queue",
    "Restart",
    "Resume",
    "Schedule",
    "Slow",
    "Trace",
    "Uniform",
    "clusters",
    "defaults",
    "every",
    "gather",
    "rpc",
    "timeout",
    "when",
    *_errors,
]
