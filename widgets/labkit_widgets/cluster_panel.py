"""`ClusterPanel`: machines, nodes, messages in flight, and every fault one click away."""

from __future__ import annotations

from typing import ClassVar

import ipywidgets

from labkit.trace.machines import MachineView

from .base import Panel
from .charts import Traffic
from .frames import cluster
from .frames.cluster import RECENT
from .scene import Pulse, Scene
from .scenes import cluster_scene, message_pulses
from .stage import update

#: Latencies to choose from: (value, words). None of them is what the network began with.
LATENCIES = (
    ("", "unchanged"),
    ("0.0005-0.0015", "0.5 to 1.5 ms: a data centre"),
    ("0.01-0.02", "10 to 20 ms: a country"),
    ("0.05-0.15", "50 to 150 ms: the world"),
    ("0.3-0.9", "0.3 to 0.9 s: trouble"),
)


class ClusterPanel(Panel):
    """What happens in a cluster, and what may go wrong in it."""

    title: ClassVar[str] = "Cluster"

    _sent = 0  # messages up to the last refresh

    def forget(self) -> None:
        """No message was sent yet."""
        self._sent = 0

    def side(self) -> list[ipywidgets.Widget]:
        """The network's controls, traffic over time."""
        self.network = self.part("network", "loss", "latency", "partition", "heal")
        self.traffic = Traffic()
        return [self.network, *self.traffic.widgets]

    def reducer(self, known: tuple[MachineView, ...]) -> cluster.ClusterReducer:
        """Messages, faults, lifecycle."""
        return cluster.ClusterReducer(known)

    def frame(self, position: float | None) -> cluster.ClusterFrame:
        """The cluster at a position."""
        return cluster.frame(self.cluster.trace, position, history=self.history)

    def scene(self, frame: cluster.ClusterFrame) -> Scene:
        """Boxes, nodes, links."""
        return cluster_scene(frame, self.stage.selected or None)

    def pulses(self, frame: cluster.ClusterFrame, since: float, scene: Scene) -> tuple[list[Pulse], int]:
        """Messages since the last refresh, or in flight at a moment of the past."""
        standing = not self.position.live and not self.position.replaying
        sent, self._sent = frame.sent - self._sent, frame.sent
        return message_pulses(frame, since, (mark.id for mark in scene.marks), standing), max(
            0, sent - RECENT
        )

    def caption(self, frame: cluster.ClusterFrame, left_out: int) -> str:
        """How much slower than real the messages move."""
        words = [f"{left_out:,} more messages just now are not drawn"] if left_out else []
        delays = [
            m.end - m.start for m in frame.messages if m.end is not None and m.real and m.fate == "delivered"
        ]
        if frame.complete and delays:
            real = sorted(delays)[len(delays) // 2]
            words.append(
                f"● request  ■ reply: each drawn for 0.65 s; really on its way for {1000 * real:.1f} ms"
            )
        return "; ".join(words)

    def show(self, frame: cluster.ClusterFrame) -> None:
        """The network's controls and the chart."""
        update(
            self.network,
            network={
                "machines": [machine.name for machine in frame.machines],
                "loss": frame.loss,
                "cut": bool(frame.cuts),
                "latencies": [list(pair) for pair in LATENCIES],
                "off": not self.position.live or self._gone(),
            },
        )
        self.traffic.show(frame.traffic, frame.complete)

    def on_loss(self, probability: float) -> None:
        """Lose messages with this probability."""
        self.later("loss", lambda: self.cluster.loss(probability))

    def on_latency(self, choice: str) -> None:
        """Change how long messages take."""
        from labkit.runtime.network import Uniform

        low, high = map(float, choice.split("-"))
        self.later("latency", lambda: self.cluster.latency(Uniform(low, high)))

    def on_partition(self, side: list[str], oneway: bool = False) -> None:
        """Cut the machines of `side` off from the others; the user still reaches all of them."""
        others = [machine.name for machine in self.cluster.machines if machine.name not in side]
        if not side or not others:
            raise ValueError("tick at least one machine, and leave at least one: they form the two sides")
        self.later("partition", lambda: self.cluster.partition(side, others, oneway=oneway))

    def on_heal(self) -> None:
        """End all partitions."""
        self.later("heal", self.cluster.heal)
