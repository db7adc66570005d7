"""The model checker finds the fault of the published protocol, and none in Zave's."""

from __future__ import annotations

import pytest

from labkit.systems.chord.model_check import Correct, Member, Published, Step, explore


@pytest.mark.slow
@pytest.mark.parametrize(("ids", "members"), [(4, 3), (5, 3), (5, 4), (5, 5), (6, (0, 2, 3, 5))])
def test_the_correct_protocol_has_no_bad_state(ids: int, members: int | tuple[int, ...]) -> None:
    if ids == 6:
        found = explore(Correct(), ids, members, limit=20_000)
        assert not found.violated
    else:
        found = explore(Correct(), ids, members)
        assert found.complete
        assert not found.violated


@pytest.mark.slow
def test_the_published_protocol_loses_its_ring() -> None:
    found = explore(Published(), ids=5, members=4)
    assert found.violated == "OneLiveSuccessor"
    assert len(found.history) - 1 == 7
    story = str(found)
    assert "3 adopts 4, which is dead" in story
    assert "3 knows no live successor" in story


class Unchecked(Correct):
    """Zave's protocol without the rule that makes it correct."""

    def stabilize_second(self, state, n, member, x):  # type: ignore[no-untyped-def]
        member = member._replace(candidate=None, successors=self.listed(x, member.successors))
        after = (*state[:n], member, *state[n + 1 :])
        return Step(f"{n} adopts {x} unchecked", self.notify(after, x, n))


@pytest.mark.slow
def test_without_the_liveness_check_zaves_protocol_fails_too() -> None:
    assert explore(Unchecked(), ids=5, members=4).violated == "OneLiveSuccessor"


def test_a_first_step_by_hand() -> None:
    state = (Member(2, (1, 2)), Member(0, (2, 0)), Member(1, (0, 1)), None)
    texts = [step.text for step in Correct().steps(state)]
    assert texts == [
        "0 stabilizes: list (1, 2), notifies 1",
        "1 stabilizes: list (2, 0), notifies 2",
        "2 stabilizes: list (0, 1), notifies 0",
        "3 joins between 2 and 0: list (0, 1)",
    ]


def test_the_search_stops_at_its_limit() -> None:
    found = explore(Correct(), ids=5, members=3, limit=50)
    assert not found.complete
    assert "stopped at the limit" in repr(found)


@pytest.mark.parametrize(
    ("ids", "members", "message"),
    [
        (8, 3, "circles of 2 to 7 ids"),
        (5, 6, "do not fit on a circle of 5 ids"),
        (5, 2, "the initial ring must contain at least L . 1 = 3"),
    ],
)
def test_bad_questions(ids: int, members: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explore(Correct(), ids, members)
