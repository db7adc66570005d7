"""`ClusterPanel`: machines, nodes, messages in flight, and every fault one click away."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import messages
from ..charts import Traffic
from ..layouts.boxes import boxes, flights
from ..panel import Panel
from ..pieces import Chart, Told
from ..scene import Pulse, Scene

#: Latencies to choose from: (value, words). None of them is what the network began with.
LATENCIES = (
    ("", "unchanged"),
    ("0.0005-0.0015", "0.5 to 1.5 ms: a data centre"),
    ("0.01-0.02", "10 to 20 ms: a country"),
    ("0.05-0.15", "50 to 150 ms: the world"),
    ("0.3-0.9", "0.3 to 0.9 s: trouble"),
)


def _network(panel: Any, frame: Any) -> dict[str, Any]:
    """What the network's controls show."""
    return {
        "machines": [machine.name for machine in frame.machines],
        "loss": frame.loss,
        "cut": bool(frame.cuts),
        "latencies": [list(pair) for pair in LATENCIES],
        "off": panel.off,
    }


class ClusterPanel(Panel):
    """What happens in a cluster, and what may go wrong in it."""

    title: ClassVar[str] = "Cluster"
    fold = messages.ClusterReducer
    side = (
        Told("network", "network", _network, actions=("loss", "latency", "partition", "heal")),
        Chart(Traffic, lambda _panel, frame: (frame.traffic, frame.complete)),
    )

    _sent = 0  # messages up to the last refresh

    def forget(self) -> None:
        """No message was sent yet."""
        self._sent = 0

    def frame(self, position: float | None) -> messages.ClusterFrame:
        """The cluster at a position."""
        return messages.frame(self.cluster.trace, position, history=self.history)

    def scene(self, frame: messages.ClusterFrame) -> Scene:
        """Boxes, nodes, links."""
        return boxes(frame, self.stage.selected or None)

    def pulses(self, frame: messages.ClusterFrame, since: float, scene: Scene) -> tuple[list[Pulse], int]:
        """Messages since the last refresh, or in flight at a moment of the past."""
        standing = not self.position.live and not self.position.replaying
        sent, self._sent = frame.sent - self._sent, frame.sent
        found = flights(frame, since, (mark.id for mark in scene.marks), standing)
        return found, max(0, sent - messages.RECENT)

    def caption(self, frame: messages.ClusterFrame, left_out: int) -> str:
        """How much slower than real the messages move."""
        words = [f"{left_out:,} more messages just now are not drawn"] if left_out else []
        real = sorted(
            m.end - m.start for m in frame.messages if m.end is not None and m.real and m.fate == "delivered"
        )
        if frame.complete and real:
            took = 1000 * real[len(real) // 2]
            words.append(f"● request  ■ reply: each drawn for 0.65 s; really on its way for {took:.1f} ms")
        return "; ".join(words)

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
