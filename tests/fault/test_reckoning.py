"""The reckoning sees what it is there for: books that are wrong are called so, and those that are right are not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from axis.office.speech import About
from axis.office.state import State
from axis.receipts import Level, Receipt, SignedReceipt
from tests.fault.journal import note
from tests.fault.reckoning import Books, Call, Order, Other

_AT = datetime(2026, 9, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_LEFT, _RIGHT, _ABSENT = "H56.112", "H56.113", "H56.VP"
_ROWS = {"deliveries": 0, "terminal": 0, "notices_waiting": 0, "rejections": 0, "findings": []}
_FIRST = Call("e1", "d1", "doc", "run1", _AT)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """One document for two offices, which has gone as it ought to go."""
    places = {name: tmp_path / name for name in ("sender", "flooder", _LEFT, _RIGHT)}
    for place in places.values():
        place.mkdir()
    made = Books(sender=places["sender"], flooder=places["flooder"], addressees=(places[_LEFT], places[_RIGHT]))
    note(made.sender / "sent", "doc")
    _hear(made.sender, "doc", ("accepted", ""))
    for office in (_LEFT, _RIGHT):
        _register(made, office, _FIRST)
        _hear(made.sender, "doc", ("delivered", office), ("registered", office))
    return made


def _hear(book: Path, document_id: str, *said: tuple[str, str], status: str = "") -> None:
    for level, addressee in said:
        note(book / "receipts", f"{level}\t{document_id}\t{addressee}\t{status}")


def _register(books: Books, office: str, call: Call) -> None:
    (place,) = (one for one in books.addressees if one.name == office)
    note(place / "register", str(call))


async def _answer(books: Books, office: str, at: datetime) -> None:
    """Let an office have answered at a time."""
    (place,) = (one for one in books.addressees if one.name == office)
    said = Receipt(
        level=Level.DELIVERED,
        issuer=office,
        originator="H56.05",
        document_id="doc",
        envelope_id="e1",
        envelope_digest="d" * 64,
        addressee=office,
        previous=None,
        at=at,
        status="2.0.0",
    )
    async with State.open(place / "state") as state:
        await state.begin(
            About(envelope_id="e1", envelope_digest="d" * 64, originator="H56.05", document_id="doc"), 1, at
        )
        await state.keep("e1", [SignedReceipt(said, b"<y/>", "s" * 64)], attempt=1, answer=None, at=at)


def test_what_went_well_is_clean(books: Books) -> None:
    found = books.reckon(_ROWS, 1.0)
    assert found.is_clean
    assert found.documents == 1


@pytest.mark.parametrize(
    "call",
    [
        replace(_FIRST, run="run2", at=_AT + _SECOND),
        replace(_FIRST, envelope_id="e2", run="run2", at=_AT + _SECOND),  # The same document, sent twice.
        replace(_FIRST, at=_AT + _SECOND),
    ],
    ids=["again", "under another id", "by the same process"],
)
def test_second_call_is_a_double_where_nothing_has_died(books: Books, call: Call) -> None:
    _register(books, _LEFT, call)
    found = books.reckon(_ROWS, 1.0)
    assert (found.doubled, found.asked_again, found.is_clean) == (1, 0, False)


@pytest.mark.parametrize(
    ("run", "answered", "doubled"),
    [
        ("run2", _AT + 2 * _SECOND, 0),  # It died with its answer in hand, and was asked again before there was one.
        ("run2", _AT + _SECOND / 2, 1),  # Its answer was on the disk.
        ("run1", _AT + 2 * _SECOND, 1),  # It has not died.
    ],
)
async def test_second_call_is_none_where_the_answer_died_with_the_process(
    books: Books, run: str, answered: datetime, doubled: int
) -> None:
    _register(books, _LEFT, replace(_FIRST, run=run, at=_AT + _SECOND))
    await _answer(books, _LEFT, answered)
    twice = {"rule": "I2", "envelope_id": "e1", "addressee": _LEFT, "text": "2 effects of one envelope"}
    found = replace(books, may_be_asked_again=True).reckon(_ROWS | {"findings": [twice]}, 1.0)
    assert (found.doubled, found.asked_again, found.is_clean) == (doubled, 1 - doubled, not doubled)


async def test_audit_must_see_that_a_system_was_asked_again(books: Books) -> None:
    _register(books, _LEFT, replace(_FIRST, run="run2", at=_AT + _SECOND))
    await _answer(books, _LEFT, _AT + 2 * _SECOND)
    found = replace(books, may_be_asked_again=True).reckon(_ROWS, 1.0)
    assert found.overlooked == (("I2", "e1", _LEFT, "2 effects of one envelope"),)
    assert not found.is_clean


def test_what_is_in_no_register_is_lost_though_another_was_excused_that_is_in_one(books: Books) -> None:
    """Who was told of another end, and had it all the same, makes up for nobody."""
    _hear(books.sender, "doc2", ("accepted", ""), ("expired", _LEFT), ("expired", _RIGHT))
    note(books.sender / "sent", "doc2")
    _register(books, _LEFT, Call("e2", "d2", "doc2", "run1", _AT))
    note(books.sender / "sent", "doc3")
    _hear(books.sender, "doc3", ("accepted", ""), *((level, _LEFT) for level in ("delivered", "registered")))
    _hear(books.sender, "doc3", *((level, _RIGHT) for level in ("delivered", "registered")))
    _register(books, _LEFT, Call("e3", "d3", "doc3", "run1", _AT))
    found = replace(books, may_end=frozenset({"expired"})).reckon(_ROWS, 1.0)
    assert (found.lost, found.is_clean) == (1, False)


def test_document_of_another_must_be_registered_where_it_was_sent_and_heard_of(books: Books) -> None:
    others = replace(books, others=(Other("burden", (_LEFT,)),))
    assert (others.reckon(_ROWS, 1.0).lost, others.unheard()) == (1, 1)
    _register(books, _LEFT, Call("e9", "d9", "burden", "run1", _AT))
    assert (others.reckon(_ROWS, 1.0).lost, others.unheard()) == (0, 1)
    _hear(books.flooder, "burden", ("accepted", ""), ("delivered", _LEFT), ("registered", _LEFT))
    assert others.reckon(_ROWS, 1.0).is_clean


def test_end_that_must_be_told_besides_is_waited_for(books: Books) -> None:
    told = frozenset({("failed", _ABSENT)})
    others = replace(books, others=(Other("away", (_ABSENT,), told),), may_end=frozenset({"expired"}))
    _hear(books.flooder, "away", ("accepted", ""), ("expired", _ABSENT))
    assert (others.reckon(_ROWS, 1.0).lost, others.unheard()) == (0, 1)
    _hear(books.flooder, "away", ("failed", _ABSENT))
    assert others.reckon(_ROWS, 1.0).is_clean


@pytest.mark.parametrize(
    ("status", "given_up", "disobeyed"), [("15", True, 0), ("16", False, 0), ("15", False, 1), ("16", True, 1)]
)
def test_order_does_what_its_answer_says(books: Books, status: str, given_up: bool, disobeyed: int) -> None:
    ordered = replace(books, orders=(Order("order", (_LEFT,), about="doc"),))
    assert (ordered.unheard(), ordered.reckon(_ROWS, 1.0).disobeyed) == (1, 1)
    _hear(books.flooder, "order", ("accepted", ""), ("delivered", _LEFT))
    _hear(books.flooder, "order", ("progress", _LEFT), status=status)
    if given_up:
        _hear(books.flooder, "doc", ("recalled", _LEFT))
    assert (ordered.unheard(), ordered.reckon(_ROWS, 1.0).disobeyed) == (0, disobeyed)
