"""A forgotten `await` in an answer: told in those words, wherever the value is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit.coursework.answers import AnswerRaised, Local
from labkit.systems.chord import Peer

OTHER = Peer(7, "chord-7")

USES: dict[str, Callable[[Any], Any]] = {
    "condition": lambda reply: 1 if reply else 2,
    "negation": lambda reply: not reply,
    "equality": lambda reply: reply == 3,
    "other than": lambda reply: reply != 3,
    "comparison": lambda reply: reply > 3,
    "iteration": lambda reply: [*reply],
    "unpacking": lambda reply: (lambda a, b: a)(*reply),
    "length": len,
    "membership": lambda reply: 3 in reply,
    "indexing": lambda reply: reply[0],
    "attribute": lambda reply: reply.id,
    "addition": lambda reply: reply + 1,
    "addition from the right": lambda reply: 1 + reply,
    "text": str,
    "format": lambda reply: f"{reply}",
    "value": lambda reply: reply,
    "inside a value": lambda reply: {"found": [reply]},
}


@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
def test_what_was_not_awaited_is_no_value(use: Callable[[Any], Any]) -> None:
    async def find(n: Any) -> Any:
        return use(n.call(OTHER, "find", 3))

    with pytest.raises(AnswerRaised, match=r"you forgot `await` before n\.call\('chord-7', 'find', 3\)"):
        Local({"find": find}).start("find", {})


def test_each_request_says_its_own_name() -> None:
    async def pinged(n: Any) -> None:
        if n.ping(OTHER):
            pass

    async def asleep(n: Any) -> None:
        n.sleep(2)

    async def kept(n: Any) -> None:
        n.successor = n.ask(OTHER)
        await n.sleep(1)

    async def passed_on(n: Any) -> Any:
        return await n.call(n.call(OTHER, "find", 3), "find", 3)

    def plain(n: Any) -> Any:
        return n.call(OTHER, "find", 3)

    answers = Local({f.__name__: f for f in (pinged, asleep, kept, passed_on, plain)})
    with pytest.raises(AnswerRaised, match=r"await` before n\.ping\('chord-7'\)"):
        answers.start("pinged", {})
    with pytest.raises(AnswerRaised, match=r"await` before n\.sleep\(2\.0\)"):
        answers.start("asleep", {})
    with pytest.raises(AnswerRaised, match=r"await` before n\.ask\('chord-7'\)"):
        answers.start("kept", {})
    with pytest.raises(AnswerRaised, match=r"await` before n\.call\('chord-7', 'find', 3\)"):
        answers.start("passed_on", {})
    with pytest.raises(AnswerRaised, match=r"`await` before n\.call.*in an `async def plain\(\.\.\.\)`"):
        answers.start("plain", {})


def test_a_function_of_ones_own_is_awaited_too() -> None:
    async def nearer(n: Any) -> bool:
        return False

    async def dropped(n: Any) -> None:
        nearer(n)

    async def condition(n: Any) -> int:
        return 1 if nearer(n) else 2

    async def returned(n: Any) -> Any:
        return nearer(n)

    answers = Local({f.__name__: f for f in (dropped, condition, returned)})
    for name in ("dropped", "condition", "returned"):
        with pytest.raises(AnswerRaised, match=r"you forgot `await` before nearer\(\.\.\.\)"):
            answers.start(name, {})


def test_a_warning_of_another_kind_stays_one() -> None:
    def divided(n: Any) -> int:
        import warnings

        warnings.warn("mind the zero", UserWarning, stacklevel=1)
        return 1

    with pytest.warns(UserWarning, match="mind the zero"):
        assert Local({"divided": divided}).call("divided", 1) == 1
