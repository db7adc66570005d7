"""The line between a student's process and the judge: a socket, and frames of plain data on it.

The student's process *serves*: when its notebook comes to ``exercise.check("task")``, it says so and then
answers questions until the judge says that it is done. The judge *asks*, with a limit of time on each
question. Whatever a student's code writes to the socket is an answer, and an answer is judged; there is no
message by which it could say what its marks are.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from .answers import Answers, Gone, Stepper, Wrong, described
from .values import NotPlain, decode, encode

__all__ = ["MOST_BYTES", "Remote", "Served", "here", "receive", "send"]

#: Bytes of one frame.
MOST_BYTES = 8_000_000

#: Seconds that an interrupted function has to end.
GRACE = 2.0

#: In a process that grades: its end of the line.
here: Served | None = None


def send(line: socket.socket, kind: bytes, text: str | bytes) -> None:
    """Send one frame: a letter that says what it is, and its text."""
    data = text.encode() if isinstance(text, str) else text
    line.sendall(struct.pack("!cI", kind, len(data)) + data)


def receive(line: socket.socket) -> tuple[bytes, bytes]:
    """The next frame. Raises ``Gone`` at the end of the line, ``TimeoutError`` as the socket does."""
    kind, length = struct.unpack("!cI", _exactly(line, 5))
    if length > MOST_BYTES:
        raise Wrong(f"an answer has {length} bytes; {MOST_BYTES} are allowed")
    return kind, _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        try:
            part = line.recv(min(count, 1 << 20))
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Gone("the student's process ended") from None
        if not part:
            raise Gone("the student's process ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


# --- in the student's process ---------------------------------------------------------------------------


class Served:
    """The student's end of the line."""

    def __init__(self, line: socket.socket, changed: Callable[[], list[str]]) -> None:
        self._line = line
        self._changed = changed
        self._answering = False

    def tell(self, kind: bytes, text: str) -> None:
        """Tell the judge something unasked."""
        with contextlib.suppress(OSError):
            send(self._line, kind, text)

    def look(self, *_: Any) -> None:
        """After each cell: has it changed labkit?"""
        found = self._changed()
        if found:
            self.tell(b"T", encode(found))

    def serve(self, task: str, names: Mapping[str, Any]) -> tuple[bool, str]:
        """Answer the judge's questions about a task: whether it passed, and what the judge says."""
        stepper = Stepper(names)
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            send(self._line, b"C", encode({"task": task, "changed": self._changed()}))
            while True:
                kind, text = receive(self._line)
                if kind == b"V":
                    verdict = decode(text)
                    return bool(verdict["passed"]), str(verdict["text"])
                send(self._line, b"A", self._answered(stepper, text))
        finally:
            signal.signal(signal.SIGINT, before)

    def _answered(self, stepper: Stepper, text: bytes) -> str:
        try:
            self._answering = True
            answer = stepper.answer(text)
            self._answering = False
            return answer
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: the notebook goes on
            self._answering = False
            return encode({"raised": described(error)})

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._answering:
            self._answering = False
            raise KeyboardInterrupt


# --- in the judge's process -----------------------------------------------------------------------------


class Remote(Answers):
    """The judge's end of the line."""

    def __init__(self, line: socket.socket, pid: int, question_seconds: float, task_seconds: float) -> None:
        super().__init__()
        self._line = line
        self._pid = pid
        self._question_seconds = question_seconds
        self._task_seconds = task_seconds
        self._end = 0.0

    def begin(self) -> None:
        """A task begins: its time runs from now."""
        self._end = time.monotonic() + self._task_seconds

    def _ask(self, question: str) -> bytes:
        left = self._end - time.monotonic()
        if left <= 0:
            raise Wrong(f"the answers took more than {self._task_seconds:g} s in all")
        try:
            send(self._line, b"Q", question)
            return self._answer(min(left, self._question_seconds))
        except TimeoutError:
            pass
        except OSError:
            raise Gone("the student's process ended") from None
        self._interrupt(signal.SIGINT)
        try:
            self._answer(GRACE)
        except TimeoutError:
            self._interrupt(signal.SIGKILL)
            raise Gone("an endless loop that could not be interrupted: the process was ended") from None
        raise Wrong(f"an endless loop? There was no answer within {self._question_seconds:g} s")

    def _answer(self, seconds: float) -> bytes:
        self._line.settimeout(seconds)
        try:
            kind, text = receive(self._line)
        finally:
            self._line.settimeout(None)
        if kind == b"X":
            raise Gone(reason_in(text))
        if kind != b"A":
            raise Wrong("the student's process said something else than the answer")
        return text

    def _interrupt(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)


def reason_in(text: bytes) -> str:
    """Why a student's process ends itself."""
    return text.decode(errors="replace")[:200]


def names_in(text: bytes) -> list[str]:
    """What of labkit it has changed."""
    with contextlib.suppress(NotPlain, TypeError):
        return [str(name)[:100] for name in decode(text)][:10]
    return []


def checked_request(text: bytes) -> tuple[str, list[str]]:
    """What a student's process wants judged, and what of labkit it has changed. Raises ``Wrong``."""
    try:
        found = decode(text)
        return str(found["task"]), [str(name)[:100] for name in found["changed"]][:10]
    except (NotPlain, KeyError, TypeError):
        raise Wrong("the student's process asked for no task") from None
