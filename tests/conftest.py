"""What all tests share. The fixtures `make_cluster`, `engine` and `ray_head` are in `engines.py`."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# pytester runs a pytest inside a test: tests/project checks our own plugin with it.
pytest_plugins = ["pytester", "tests.engines"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --schedules 5000`: a soak of the property tests."""
    parser.addoption("--schedules", type=int, help="random fault schedules a property test tries (200)")


def pytest_configure(config: pytest.Config) -> None:
    """To those that read it the option is an environment variable: they do so at import."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores Ctrl-C, and so would every process that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes says how busy the host is.
    patient = settings(settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("labkit", patient)
    settings.load_profile("labkit")
    schedules = config.getoption("--schedules")
    if schedules is not None:
        os.environ["LABKIT_SCHEDULES"] = str(schedules)
