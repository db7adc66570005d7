"""Which pulses are sent: each while it is new, none twice, late ones too, and none across a jump."""

from __future__ import annotations

from labkit_widgets.clock import Position
from labkit_widgets.outbox import LATE, Outbox
from labkit_widgets.scene import Pulse


def pulse(number: int) -> Pulse:
    return Pulse(number, "a", "b", "request")


def ids(state: dict[str, list[dict[str, int]]]) -> list[int]:
    return [item["id"] for item in state["items"]]


def test_what_was_there_before_the_first_look_does_not_move() -> None:
    outbox, live = Outbox(), Position()
    outbox.since(live, 5.0)
    assert ids(outbox.send([pulse(1)], live, 5.0)) == []


def test_new_ones_move_once_though_they_are_sent_repeatedly() -> None:
    outbox, live = Outbox(), Position()
    outbox.since(live, 5.0)
    outbox.send([], live, 5.0)
    assert ids(outbox.send([pulse(1)], live, 5.1)) == [1]
    assert ids(outbox.send([pulse(1), pulse(2)], live, 5.2)) == [1, 2]


def test_events_that_arrive_late_are_asked_for() -> None:
    outbox, live = Outbox(), Position()
    outbox.since(live, 5.0)
    outbox.send([], live, 5.0)
    assert outbox.since(live, 5.1) == 5.0 - LATE


def test_a_replay_asks_only_for_what_it_has_not_passed() -> None:
    outbox, replay = Outbox(), Position(at=3.0, replaying=True)
    assert outbox.since(replay, 3.0) == 3.0
    outbox.send([], replay, 3.0)
    assert outbox.since(replay, 3.2) == 3.0


def test_a_jump_begins_an_epoch_in_which_nothing_moves_yet() -> None:
    outbox, live = Outbox(), Position()
    outbox.since(live, 5.0)
    outbox.send([], live, 5.0)
    outbox.send([pulse(1)], live, 5.1)
    back = live.seek(2.0)
    outbox.since(back, 2.0)
    standing = outbox.send([Pulse(7, "a", "b", "request", at=0.5)], back, 2.0)
    assert (standing["epoch"], ids(standing), standing["items"][0]["at"]) == (1, [7], 0.5)
    again = back.seek(None)
    outbox.since(again, 5.2)
    assert ids(outbox.send([pulse(1), pulse(2)], again, 5.2)) == []


def test_positions() -> None:
    position = Position(speed=2.0)
    assert position.live
    held = position.hold(4.0)
    assert (held.at, held.replaying) == (4.0, False)
    playing = held.play(9.0)
    assert playing.advance(0.5, end=10.0).at == 5.0
    assert playing.advance(5.0, end=10.0).live, "the replay has caught up"
    assert position.advance(1.0, end=10.0) == position
