"""Classes that a notebook's cell, or a program, defines: no machine can import them, and they work all the
same."""

from __future__ import annotations

import pytest

from tests.engines import Head
from tests.runtime.ray.conftest import Program, output

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PROGRAM = """
from dataclasses import dataclass
from labkit import *

UNIT = "km"

@dataclass
class Distance:
    value: float
    made = []                      # an attribute of the class, which each process has for itself
    def __str__(self):
        return f"{self.value} {UNIT}"

class TooFar(Exception):
    def __init__(self, distance):
        super().__init__(f"{distance} is too far")
        self.distance = distance

class Road(Node):
    def __init__(self, length):
        self.length = length
    @rpc
    def add(self, distance):
        Distance.made.append(str(distance))
        assert type(distance) is Distance and isinstance(distance, Distance)
        if distance.value > 100:
            raise TooFar(distance)
        self.length = Distance(self.length.value + distance.value)
        return self.length
    @rpc
    def told(self):
        return Distance.made
    @rpc
    async def forward(self, other, distance):
        return await self.call(other, "add", distance)
    @rpc
    async def apply(self, function, value):
        return function(value)

with Cluster(machines=2) as cluster:
    a, b = (cluster.spawn(Road, Distance(1.0), machine=m) for m in ("m1", "m2"))
    got = cluster.call(a, "forward", b, Distance(2.0))
    assert type(got) is Distance and got == Distance(3.0), got
    assert Distance.made == [], "the notebook's class is as it was"
    UNIT = "miles"
    assert str(got) == "3.0 miles", "and its methods see the notebook's variables"
    assert cluster.call(a, "forward", b, Distance(2.0)) == Distance(5.0)
    assert cluster.call(b, "told") == ["2.0 km", "2.0 km"], cluster.call(b, "told")
    try:
        cluster.call(a, "forward", b, Distance(1000.0))
    except TooFar as error:
        assert error.distance == Distance(1000.0)
        assert "raise TooFar(distance)" in str(error.__cause__)
    else:
        raise AssertionError
    assert cluster.call(a, "apply", lambda x: x + len(UNIT), 2) == 7
    assert cluster.state(b, "length") == {"length": Distance(5.0)}

    class Road(Road):              # the cell is run again, with a change
        @rpc
        def told(self):
            return "nothing"
    assert cluster.call(cluster.spawn(Road, Distance(0.0), machine="m2"), "told") == "nothing"
    assert cluster.call(b, "told") != "nothing", "a running node keeps its class"

    cluster.kill("m2"); cluster.restart("m2")
    assert cluster.call(a, "forward", b, Distance(2.0)) == Distance(3.0)
print("done")
"""


def test_classes_of_a_program(ray_head: Head, program: Program) -> None:
    assert output(program(PROGRAM, ray_head.environment)) == "done\n"
