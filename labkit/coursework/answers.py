"""A student's answers, and how one asks them: a question goes in, plain data come out.

The judge never runs a student's code and a student's code never sees the judge. A ``Stepper`` lives where the
answers live. It knows four questions: the value of a name, a call of a function, the start of a node's
handler, and its continuation; an exercise may bring more (``QUESTIONS``). A handler is a coroutine; each
``await n.call(…)`` in it comes back as a *request*, which the judge's own node carries out in the judge's own
simulator. So the trace, the clock, the network and the faults are all the judge's, and what a student's
process can do is answer well or badly.

``Local`` asks a stepper in this process (a student's notebook, at midnight), ``labkit.coursework.bridge``
one in another (grading). Both pass every value through ``values.encode``, so they agree.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from labkit.runtime import errors
from labkit.runtime.errors import LabError
from labkit.runtime.raised import StopSignal
from labkit.runtime.unawaited import Unawaited, explain, forgotten, shown_call

from .values import NotPlain, State, decode, encode

__all__ = [
    "QUESTIONS",
    "AnswerRaised",
    "Answers",
    "Gone",
    "Local",
    "NodeView",
    "NotWritten",
    "Stepper",
    "Wrong",
]

#: Where our own code lies, which is in no error of a student's.
HERE = os.path.dirname(__file__)

#: Characters of an error's text that are passed on: not so many that it could tell what was asked before.
MOST_TEXT = 240

#: Seconds for one answer, and for all that a task asks for.
QUESTION_SECONDS = 10.0
TASK_SECONDS = 60.0

#: What Python says of a coroutine that was made and dropped.
NEVER_AWAITED = "coroutine '(.*)' was never awaited"


class Wrong(Exception):
    """An answer that is not right: says what was asked, what came, and what should have come."""

    def __init__(self, message: str, replay: str = "") -> None:
        super().__init__(message)
        #: A cell that shows the failure once more.
        self.replay = replay

    def _render_traceback_(self) -> list[str]:  # IPython shows this instead of the way through the checker
        return [f"Wrong: {self}"]


class NotWritten(Wrong):
    """The place where the answer belongs is still as it was handed out."""


class AnswerRaised(Wrong):
    """The student's code raised an exception."""


class TookTooLong(BaseException):
    """Thrown into an answer whose time is over; ``except Exception`` lets it pass."""


class Gone(Exception):
    """Nobody answers any more: the student's process has died or was ended; the text says why."""


# --- where the answers live -----------------------------------------------------------------------------


class Request(Unawaited):
    """Something that a handler awaits; the judge's node does it."""

    def __init__(self, what: str, *args: Any) -> None:
        self.what = what
        self.args = args
        self.awaited = False

    def __await__(self) -> Generator[Request, Any, Any]:
        self.awaited = True
        return (yield self)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(forgotten(self))

    def as_written(self) -> str:
        """See ``Unawaited``."""
        return shown_call(f"n.{self.what}", *self.args)


class NodeView:
    """A node as a student's function sees it: its attributes, and what it can do."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["_effects"] = []
        self.__dict__["_requests"] = []

    def call(self, peer: Any, method: str, *args: Any) -> Request:
        """Ask another node, and await its answer; raises ``Timeout``."""
        return self._request("call", _name(peer), method, *args)

    def ping(self, peer: Any) -> Request:
        """Await whether another node answers at all."""
        return self._request("ping", _name(peer))

    def ask(self, peer: Any) -> Request:
        """Await what another node knows, where an exercise says what that is; raises ``Timeout``."""
        return self._request("ask", _name(peer))

    def sleep(self, seconds: float) -> Request:
        """Await the end of some seconds."""
        return self._request("sleep", float(seconds))

    def _request(self, what: str, *args: Any) -> Request:
        request = Request(what, *args)
        self._requests.append(request)
        return request

    def send(self, peer: Any, method: str, *args: Any) -> None:
        """Tell another node, one way."""
        self._effects.append(["send", _name(peer), method, *args])

    def emit(self, kind: str, **data: Any) -> None:
        """Record an event in the trace; its kind gets the prefix ``student_``."""
        self._effects.append(["emit", kind, data])

    def __repr__(self) -> str:
        return f"<node {self.__dict__.get('name', '?')} with id {self.__dict__.get('id', '?')}>"


def _name(peer: Any) -> str:
    if missing := forgotten(peer):
        raise TypeError(missing)
    name = getattr(peer, "name", peer)
    if not isinstance(name, str):
        raise TypeError(f"a peer is a node's name or has one, not {peer!r}; write n.call(peer, ...)")
    return name


class Stepper:
    """Runs a student's functions, step by step."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace
        #: What an exercise's own questions keep between one and the next.
        self.kept: dict[str, Any] = {}
        self._handlers: dict[int, tuple[Coroutine[Any, Any, Any], NodeView]] = {}

    def answer(self, question: str | bytes) -> str:
        """The answer to an encoded question, encoded."""
        with warnings.catch_warnings(record=True) as told:
            warnings.filterwarnings("always", NEVER_AWAITED, RuntimeWarning)
            answer = self._encoded(question)
        for warning in told:
            if found := re.match(NEVER_AWAITED, str(warning.message)):
                name = found[1].rpartition(".")[2]
                answer = encode({"raised": ["TypeError", f"you forgot `await` before {name}(...)", ""]})
            else:
                warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
        return answer

    def _encoded(self, question: str | bytes) -> str:
        try:
            return encode(self._answer(decode(question, NodeView)))
        except NotPlain as error:
            return encode({"raised": ["TypeError", str(error), ""]})

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            match question["do"]:
                case "value":
                    return {"value": self.find(question["name"])}
                case "call":
                    value = self.find(question["name"])(*question["args"])
                    if inspect.isawaitable(value):
                        _close(value)
                        raise TypeError(f"{question['name']} must be a plain function, without async")
                    return {"value": value}
                case "start":
                    return self._start(question)
                case "resume":
                    return self._resume(question)
                case other if other in QUESTIONS:
                    return {"value": QUESTIONS[other](self, question)}
        except Exception as error:
            explain(error)
            return {"raised": described(error)}
        return {"raised": ["ValueError", "unknown question", ""]}

    def find(self, name: str) -> Any:
        """What the student has defined under a name. Raises ``NameError``."""
        if name not in self.namespace:
            raise NameError(f"there is no {name}; run the cell that defines it")
        return self.namespace[name]

    def _start(self, question: dict[str, Any]) -> dict[str, Any]:
        view: NodeView = question["node"]
        begun = self.find(question["name"])(view, *question["args"])
        if not inspect.iscoroutine(begun):
            if isinstance(begun, Request):
                raise TypeError(f"{forgotten(begun)}, in an `async def {question['name']}(...)`")
            return _done(view, begun)
        self._handlers[question["number"]] = begun, view
        return self._step(question["number"], lambda: begun.send(None))

    def _resume(self, question: dict[str, Any]) -> dict[str, Any]:
        handler, view = self._handlers[question["number"]]
        view.__dict__.update(question["node"].__dict__)
        if question.get("error"):
            kind, text = question["error"]
            error = getattr(errors, kind, LabError)(text)
            return self._step(question["number"], lambda: handler.throw(error))
        return self._step(question["number"], lambda: handler.send(question["value"]))

    def _step(self, number: int, go: Any) -> dict[str, Any]:
        _, view = self._handlers[number]
        try:
            request = go()
        except StopIteration as stop:
            del self._handlers[number]
            return _done(view, stop.value)
        except BaseException:
            del self._handlers[number]
            raise
        if not isinstance(request, Request):
            _close(self._handlers.pop(number)[0])
            raise TypeError(
                "a handler awaits n.call(...), n.ping(...), n.ask(...) or n.sleep(...), nothing else"
            )
        return {"request": [request.what, *request.args], **_told(view)}


#: The questions that exercises bring (``Tasks``): what is asked, and who answers it from the stepper.
QUESTIONS: dict[str, Callable[[Stepper, dict[str, Any]], Any]] = {}


def _done(view: NodeView, value: Any) -> dict[str, Any]:
    for request in view._requests:
        if not request.awaited:
            raise TypeError(forgotten(request))
    return {"value": value, **_told(view)}


def _told(view: NodeView) -> dict[str, Any]:
    effects, view.__dict__["_effects"] = view.__dict__["_effects"], []
    state = {name: value for name, value in vars(view).items() if not name.startswith("_")}
    return {"state": state, "effects": effects}


def _close(coroutine: Any) -> None:
    if hasattr(coroutine, "close"):
        coroutine.close()


def described(error: BaseException) -> list[str]:
    """An exception as type, text, and the line of the student's code that it came from."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(HERE)
    ]
    where = f"line {frames[-1].lineno}: {frames[-1].line}" if frames and frames[-1].line else ""
    return [type(error).__name__, str(error)[:MOST_TEXT], where[:MOST_TEXT]]


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Whatever runs inside gets ``TookTooLong`` when its time is over, and Ctrl-C at once, though around it
    an engine defers Ctrl-C to the end of its step."""
    # A browser's tab has no alarms: there, what never ends ends with the kernel.
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    handlers = [
        (number, signal.signal(number, handler))
        for number, handler in ((signal.SIGALRM, _too_long), (signal.SIGINT, _pressed))
    ]
    begun = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again, if it was caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers:
            signal.signal(number, handler)
        if left:  # somebody else's alarm
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begun), 1e-3), interval)


def _pressed(number: int, frame: FrameType | None) -> None:
    raise StopSignal


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


# --- who asks -------------------------------------------------------------------------------------------


class Answers:
    """A student's answers, asked from outside."""

    def __init__(self) -> None:
        self._number = 0
        #: What went wrong first inside a simulated run, where an exception has far to go; and its messages.
        self.failed: BaseException | None = None
        self.hops = 0
        #: The values of names that were asked for.
        self.values: dict[str, Any] = {}

    def _ask(self, question: str) -> str | bytes:
        raise NotImplementedError

    def _answered(self, name: str, question: dict[str, Any]) -> dict[str, Any]:
        try:
            found = decode(self._ask(encode(question)), nan=False)
        except NotPlain as error:
            raise Wrong(f"{name} gave what cannot be judged: {error}") from None
        if not isinstance(found, dict):
            raise Wrong(f"{name} gave {found!r:.80}")
        if "raised" in found:
            kind, text, where = (str(word) for word in found["raised"])
            if kind == "NotImplementedError":
                raise NotWritten(f"{name} is not written yet")
            raise AnswerRaised(f"{name} raised {kind}: {text}" + (f" (at {where})" if where else ""))
        return found

    def value(self, name: str) -> Any:
        """The value of a name."""
        found = self.values[name] = self._answered(name, {"do": "value", "name": name}).get("value")
        return found

    def call(self, name: str, *args: Any) -> Any:
        """What a plain function returns. Raises ``AnswerRaised``, ``NotWritten``."""
        return self._answered(name, {"do": "call", "name": name, "args": args}).get("value")

    def ask(self, do: str, name: str, **question: Any) -> Any:
        """The answer to one of ``QUESTIONS``; name: what the student calls that which is asked."""
        return self._answered(name, {"do": do, "name": name, **question}).get("value")

    def start(self, name: str, state: Mapping[str, Any], *args: Any) -> tuple[int, dict[str, Any]]:
        """Begin a handler: its number, and the first answer (``value`` or ``request``, ``state``,
        ``effects``).
        """
        self._number = number = self._number + 1
        question = {"do": "start", "name": name, "number": number, "node": State(state), "args": args}
        return number, self._answered(name, question)

    def resume(
        self, name: str, number: int, state: Mapping[str, Any], value: Any, error: Any
    ) -> dict[str, Any]:
        """Go on with a handler that awaited a request."""
        question = {"do": "resume", "number": number, "node": State(state), "value": value, "error": error}
        return self._answered(name, question)


class Local(Answers):
    """Answers in this process: no wall between them and us, and none needed.

    The limits of time are those of a graded run. They hold in the main thread, where a signal can end a loop.
    """

    def __init__(
        self,
        namespace: Mapping[str, Any],
        question_seconds: float = QUESTION_SECONDS,
        task_seconds: float = float("inf"),
    ) -> None:
        super().__init__()
        self.stepper = Stepper(namespace)
        self._question_seconds = question_seconds
        self._task_seconds = task_seconds
        self._end = time.monotonic() + task_seconds

    def _ask(self, question: str) -> str:
        left = self._end - time.monotonic()
        if left <= 0:
            raise Wrong(f"the answers took more than {self._task_seconds:g} s in all")
        try:
            with ended_after(min(left, self._question_seconds)):
                return self.stepper.answer(question)
        except TookTooLong as error:
            where = described(error)[2]
            raise Wrong(
                f"an endless loop? There was no answer within {self._question_seconds:g} s"
                + (f" (at {where})" if where else "")
            ) from None

    def call_here(self, name: str, *args: Any) -> Any:
        """What a function returns for arguments that are no plain data: to watch, never to judge."""
        try:
            return self.stepper.namespace[name](*args)
        except Exception as error:
            kind, text, where = described(error)
            raise AnswerRaised(f"{name} raised {kind}: {text} (at {where})") from None
