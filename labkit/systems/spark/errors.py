"""What an action can raise besides what its own arguments deserve."""

from __future__ import annotations

from typing import Any

from labkit.runtime.errors import LabError

__all__ = ["JobCancelled", "JobFailed", "TaskFailed"]


class JobFailed(LabError):
    """A job ended without its result, and not because of the user's code."""


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""


class TaskFailed(LabError):
    """A task failed as often as tasks may. ``blame`` says where in the user's program, as plain data."""

    def __init__(self, message: str, blame: Any = None) -> None:
        super().__init__(message)
        self.blame = blame
