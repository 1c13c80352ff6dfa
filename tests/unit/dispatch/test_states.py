"""Delivery states: the table is total, and terminal means terminal."""

import pytest

from axis.dispatch.states import ANSWERS, MOVES, TERMINAL, WAITING, State, after
from axis.ledger import WITHOUT_IT
from axis.receipts import SAID_BY, Level, Party


def test_answers_cover_every_level_and_state() -> None:
    assert {level: set(row) for level, row in ANSWERS.items()} == {level: set(State) for level in Level}


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_terminal_state_is_never_left(state: State, level: Level) -> None:
    assert after(state, level) in (None, state)


@pytest.mark.parametrize("state", sorted(WAITING))
def test_every_waiting_state_can_end_as_the_promises_say(state: State) -> None:
    ends = {after(state, level) for level in Level}
    received = State.FORWARDED if state is State.HELD else State.DELIVERED

    assert {received, State.REFUSED, State.EXPIRED, State.RECALLED} <= ends


@pytest.mark.parametrize(
    "level", [level for level, who in SAID_BY.items() if Party.ADDRESSEE in who and Party.AXIS not in who]
)
def test_closed_office_has_no_say_in_what_is_held(level: Level) -> None:
    assert after(State.HELD, level) is None


def test_only_what_has_expired_is_begun_anew() -> None:
    assert {move: origin & TERMINAL for move, (origin, _) in MOVES.items() if origin & TERMINAL} == {
        "begin anew": {State.EXPIRED}
    }
    assert MOVES["begin anew"] == (frozenset({State.EXPIRED}), State.QUEUED)


def test_what_has_ended_otherwise_than_delivered_is_known_to_the_ledger() -> None:
    assert TERMINAL - {State.DELIVERED} == WITHOUT_IT


def test_registered_before_delivered_counts_as_custody() -> None:
    assert after(State.SENT, Level.REGISTERED) is State.DELIVERED
    assert after(State.DELIVERED, Level.DELIVERED) is State.DELIVERED


def test_delivered_after_expiry_is_late() -> None:
    assert after(State.EXPIRED, Level.DELIVERED) is None


def test_dead_letter_still_delivered_if_the_office_says_so() -> None:
    assert after(State.DEAD, Level.DELIVERED) is State.DELIVERED


def test_document_that_its_addressee_gives_up_was_delivered_all_the_same() -> None:
    assert after(State.DELIVERED, Level.RECALLED) is State.DELIVERED
    assert after(State.REFUSED, Level.RECALLED) is None
