"""Carriage: who gets files along, and what is kept for it."""

from dataclasses import replace
from typing import Any

import pytest

from axis.broker import Packed, carried
from axis.dispatch import carriage
from axis.dispatch.carriage import Carriage
from axis.ledger import Attempt

FILES = {"a" * 64: b"abc"}
BODY = Packed(b"<Envelope/>")
ATTEMPT = Attempt(
    delivery_id=1,
    envelope_id="one",
    addressee="H56.05.01",
    attempt_no=1,
    digest="b" * 64,
    sealed=BODY.body,
    priority=0,
    chain_head="c" * 64,
    takes_files=carried.MOST_BYTES,
)


def test_first_attempt_at_an_office_that_takes_files_brings_them() -> None:
    assert Carriage().load(ATTEMPT, BODY, FILES) == carried.load(BODY.body, FILES)


@pytest.mark.parametrize("other", [{"takes_files": 0}, {"takes_files": 2}, {"attempt_no": 2}])
def test_any_other_attempt_brings_none(other: dict[str, Any]) -> None:
    assert Carriage().load(replace(ATTEMPT, **other), BODY, FILES) is BODY


def test_packed_envelope_and_one_without_files_are_as_they_were() -> None:
    packed = Packed(b"x", "gzip")
    assert Carriage().load(ATTEMPT, packed, FILES) is packed
    assert Carriage().load(ATTEMPT, BODY, {}) is BODY


def test_each_office_has_a_line_of_its_own() -> None:
    most = {"a" * 64: bytes(carried.MOST_BYTES)}
    room = Carriage()
    one, two = ATTEMPT, replace(ATTEMPT, envelope_id="two")
    assert room.load(one, BODY, most).files
    assert not room.load(two, BODY, most).files
    assert room.load(replace(two, addressee="H56.05.02"), BODY, most).files
    room.answered("H56.05.99", "one")
    assert not room.load(two, BODY, most).files
    room.answered(one.addressee, "one")
    assert room.load(two, BODY, most).files


def test_attempt_that_was_not_made_takes_no_room() -> None:
    most = {"a" * 64: bytes(carried.MOST_BYTES)}
    room = Carriage()
    assert room.load(ATTEMPT, BODY, most).files
    room.unmade(ATTEMPT)
    assert room.load(replace(ATTEMPT, envelope_id="two"), BODY, most).files


def test_files_are_taken_once_and_the_oldest_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriage, "_MOST_BYTES", 6)
    room = Carriage()
    for name in ("one", "two", "three"):
        room.keep(name, FILES)
    assert [dict(room.take(name)) for name in ("one", "two", "two", "three")] == [{}, FILES, {}, FILES]
    for name in ("four", "five"):
        room.keep(name, FILES)
    assert [dict(room.take(name)) for name in ("four", "five")] == [FILES, FILES]


def test_what_nothing_comes_of_is_kept_for_a_while() -> None:
    now = 0.0
    room = Carriage(lambda: now)
    room.keep("not accepted", FILES)
    now = 31.0
    room.keep("one", FILES)
    assert dict(room.take("not accepted")) == {}
    assert dict(room.take("one")) == FILES
    assert room._bytes == 0
