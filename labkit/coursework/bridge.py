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

from .answers import MOST_TEXT, Answers, Gone, Stepper, Wrong, described
from .values import NotPlain, decode, encode

__all__ = ["ENDED", "MOST_BYTES", "MOST_TEXT", "Remote", "Served", "here", "receive", "send"]

#: Bytes of one frame.
MOST_BYTES = 8_000_000

#: What is said of a process that has ended of itself, or by somebody else's doing.
ENDED = "the student's process ended"

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
        raise Gone(f"the student's process sent {length} bytes at once; {MOST_BYTES} are allowed")
    return kind, _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        try:
            part = line.recv(min(count, 1 << 20))
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Gone(ENDED) from None
        if not part:
            raise Gone(ENDED)
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

    def check(self, task: str, names: Mapping[str, Any]) -> tuple[bool, str]:
        """Have a task judged: whether it passed, and what the judge says."""
        verdict = self._serve({"do": "check", "task": task}, names)
        return bool(verdict["passed"]), str(verdict["text"])

    def request(self, do: str, task: str, student: Any, options: Any, names: Mapping[str, Any]) -> Any:
        """Have the judge do something else of an exercise's (``services.py``): what came of it. Raises
        ``Wrong``."""
        asked = {"do": do, "task": task, "student": student, "options": options}
        verdict = self._serve(asked, names)
        if not verdict["passed"]:
            raise Wrong(str(verdict["text"]))
        return seen(verdict["value"])

    def _serve(self, request: dict[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
        """Make a request, and answer the judge's questions till it is done."""
        if self._answering:
            raise Wrong("an answer may not ask the exercise while it is judged")
        stepper = Stepper(names)
        text = encode({**request, "changed": self._changed()})
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            send(self._line, b"C", text)
            while True:
                kind, text = receive(self._line)
                if kind == b"V":
                    return dict(decode(text))
                send(self._line, b"A", self._answered(stepper, text))
        finally:
            signal.signal(signal.SIGINT, before)

    def _answered(self, stepper: Stepper, text: bytes) -> str:
        try:
            self._answering = True
            answer = stepper.answer(text)
            self._answering = False
            if len(answer) > MOST_BYTES:
                told = f"the answer has {len(answer)} bytes; {MOST_BYTES} are allowed"
                return encode({"raised": ["ValueError", told, ""]})
            return answer
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: the notebook goes on
            self._answering = False
            return encode({"raised": described(error)})

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._answering:
            self._answering = False
            raise KeyboardInterrupt


class Seen:
    """Something that the judge has, as one sees it from a student's process: its text, and its fields."""

    def __init__(self, text: str, parts: Mapping[str, Any]) -> None:
        self.__dict__.update({name: seen(part) for name, part in parts.items()})
        self.__dict__["_text"] = text

    def __repr__(self) -> str:
        return str(self.__dict__["_text"])


def seen(value: Any) -> Any:
    """What ``services.told`` told."""
    if isinstance(value, list):
        return [seen(each) for each in value]
    if isinstance(value, dict) and value.keys() == {"text", "parts"}:
        return Seen(value["text"], value["parts"])
    return value


# --- in the judge's process -----------------------------------------------------------------------------


class Remote(Answers):
    """The judge's end of the line. end: takes note of why the process is ended, before it is."""

    def __init__(
        self,
        line: socket.socket,
        pid: int,
        question_seconds: float,
        task_seconds: float,
        end: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._note_end = end
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
            raise Gone(ENDED) from None
        self._interrupt(signal.SIGINT)
        try:
            self._answer(GRACE)
        except TimeoutError:
            why = "an endless loop that could not be interrupted: the process was ended"
            self._note_end(why)
            self._interrupt(signal.SIGKILL)
            raise Gone(why) from None
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


def walls_in(text: bytes) -> list[str]:
    """Which walls it says that it is behind."""
    with contextlib.suppress(NotPlain, TypeError, KeyError):
        return [str(name)[:100] for name in decode(text)["walls"]][:10]
    raise Gone("the student's process did not say which walls it is behind")


def names_in(text: bytes) -> list[str]:
    """What of labkit it has changed."""
    with contextlib.suppress(NotPlain, TypeError):
        return [str(name)[:100] for name in decode(text)][:10]
    return []


def checked_request(text: bytes) -> dict[str, Any]:
    """What a student's process wants done (``Served.check`` and ``Served.request``), and what of labkit it
    has changed. Raises ``Wrong``."""
    try:
        found = decode(text)
        options = {str(name): value for name, value in dict(found.get("options") or {}).items()}
        changed = [str(name)[:100] for name in found["changed"]][:10]
        words = {"do": str(found["do"]), "task": str(found["task"]), "student": found.get("student", "")}
        return {**words, "options": options, "changed": changed}
    except (NotPlain, KeyError, TypeError, ValueError, AttributeError):
        raise Wrong("the student's process asked for nothing that there is") from None
