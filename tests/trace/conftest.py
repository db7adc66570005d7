"""The clusters of these tests are made and checked as the runtime's are."""

from tests.runtime.conftest import sim

__all__ = ["sim"]
