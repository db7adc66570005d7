"""Which Ray a cluster uses, and what it says when it cannot."""

from __future__ import annotations

import pytest

from tests.engines import Head
from tests.runtime.ray.conftest import Program, output

pytestmark = [pytest.mark.ray, pytest.mark.slow]

GREETER = """
import os, sys
from labkit import Cluster, EngineUnavailable, Node, rpc
class Greeter(Node):
    @rpc
    def greet(self): return "hello"
def use(**options):
    try:
        with Cluster(machines=1, **options) as cluster:
            print(cluster.call(cluster.spawn(Greeter), "greet"))
    except EngineUnavailable as error:
        print(f"refused: {error}")
"""


def test_attached_to_a_running_ray(ray_head: Head, program: Program) -> None:
    """By RAY_ADDRESS, by address, by a Ray that the program has joined itself."""
    variables = dict(ray_head.environment)
    by_variable = program(GREETER + "use()", variables)
    address = variables.pop("RAY_ADDRESS")
    by_address = program(
        GREETER + f"use(address={address!r}); use(); use(address='192.0.2.77:1234')", variables
    )
    joined = program(
        GREETER + f"import ray; ray.init({address!r}, log_to_driver=False, logging_level='ERROR'); use()",
        variables,
    )
    assert output(by_variable) == "hello\n"
    first, second, third = output(by_address).splitlines()
    assert (first, second) == ("hello", "hello")
    assert third == (
        f"refused: this process is connected to the Ray at {address} already and cannot join "
        "'192.0.2.77:1234' too; restart the kernel, or leave address out"
    )
    assert output(joined) == "hello\n"


def test_a_wrong_token_or_none(ray_head: Head, program: Program, tmp_path: object) -> None:
    # Ray asks once a second, twenty times; two are enough here.
    variables = {"RAY_ADDRESS": ray_head.address, "RAY_NUM_REDIS_GET_RETRIES": "2"}
    none = program(GREETER + "use()", variables)
    wrong = program(GREETER + "use()", variables | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64})
    said, _ = none.communicate(timeout=600)
    assert said.startswith(f"refused: no Ray answers at {ray_head.address}")
    assert "It wants a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in said
    said, _ = wrong.communicate(timeout=600)
    assert "It wants another token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in said
    assert 'engine="sim"' in said


def test_nobody_at_the_address(program: Program) -> None:
    said = output(program(GREETER + "use()", {"RAY_ADDRESS": "127.0.0.1:9"}))
    assert said.startswith("refused: no Ray answers at 127.0.0.1:9: ConnectionRefusedError")
    assert "leave address and RAY_ADDRESS out" in said


def test_ray_cannot_be_imported_or_started(program: Program) -> None:
    hidden = program("import sys; sys.modules['ray'] = None" + GREETER + "use()")
    # A start-up that fails at once: no command for the server of Ray's global state.
    broken = program(
        GREETER
        + """
os.environ["RAY_AUTH_MODE"] = "token"
import ray._private.services as services
services.GCS_SERVER_EXECUTABLE = "/nowhere/gcs_server"
use()
import pathlib, tempfile
"""
    )
    said = output(hidden)
    assert said.startswith("refused: Ray cannot be imported")
    assert "pip install ray" in said
    assert 'engine="sim"' in said
    said, _ = broken.communicate(timeout=600)
    assert said.startswith("refused: Ray does not start on this machine: FileNotFoundError")
    assert "`labkit doctor` looks for the cause" in said
    assert 'engine="sim"' in said


def test_ray_imported_before_it_could_get_a_token(program: Program) -> None:
    said = output(program(GREETER + "import ray; use()"))
    assert said.startswith("refused: Ray was imported in this process before labkit could give it a token")
    assert "Make the cluster before `import ray`" in said
