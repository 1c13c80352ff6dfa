"""The words of older axes: the tables are total; and the form that brings a file is read in any pieces."""

from collections.abc import AsyncIterator

import pytest

from axis.dispatch.states import TERMINAL, State, after
from axis.edxml.codes import STATUSES
from axis.errors import CATALOGUE, PermanentError
from axis.gateway.compat import words
from axis.gateway.compat.form import Form
from axis.receipts import SAID_BY, Party


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_has_a_number_unless_it_is_tried_again(code: str) -> None:
    number = words.number_of(code)
    assert (number is None) == (CATALOGUE[code].kind == "transient")
    assert number in (None, *words.NUMBERS)


def test_every_number_is_given() -> None:
    given = {words.number_of(code) for code in CATALOGUE} | {words.OK}
    assert given - {None} == set(words.NUMBERS)


def test_rule_goes_before_the_code() -> None:
    assert words.number_of("MSG.NOT_ALLOWED", "route:originator-suspended") == 19
    assert words.number_of("MSG.NOT_ALLOWED", "route:suspended") == 23


def test_every_state_has_a_word_and_what_has_ended_is_not_called_open() -> None:
    assert set(words.STATES) == set(State)
    assert set(words.STATES.values()) == set(words.STATE_WORDS)
    assert {words.STATES[state] for state in TERMINAL} == {"done", "fail"}
    assert {words.STATES[state] for state in set(State) - TERMINAL} == {"initial", "processing"}


def test_every_status_is_one_that_the_axis_may_write_down() -> None:
    for word, said in words.STATUSES.items():
        if said is None:
            continue
        assert Party.NOTARY in SAID_BY[said.level]
        assert said.status_code in STATUSES
        assert word in (said.status_code, "done", "fail")
        # Each of them takes it off the list.
        assert after(State.SENT, said.level) in TERMINAL


BODY = (
    b'--b\r\nContent-Disposition: form-data; name="messageType"\r\n\r\nedoc\r\n'
    b'--b\r\nContent-Disposition: form-data; name="edocFile"; filename="7.edxml"\r\nContent-Type: application/xml\r\n\r\n'
    b"<edXML>\r\n--not the boundary\r\n</edXML>\r\n--b--\r\n"
)


async def _pieces(size: int, body: bytes = BODY) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [1, 2, 7, 50, len(BODY)])
async def test_file_comes_out_of_the_form_in_whatever_pieces_it_came(size: int) -> None:
    form = Form("multipart/form-data; boundary=b")
    got = [chunk async for chunk in form.file(_pieces(size))]
    assert b"".join(got) == b"<edXML>\r\n--not the boundary\r\n</edXML>"
    assert form.fields == {"messageType": b"edoc"}


@pytest.mark.parametrize("cut", [10, 120, len(BODY) - 8])
async def test_form_that_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(PermanentError) as caught:
        [chunk async for chunk in Form("multipart/form-data; boundary=b").file(_pieces(50, BODY[:cut]))]
    assert caught.value.code == "API.PARAMETER"


async def test_form_without_end_is_refused() -> None:
    endless = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n' * 40
    with pytest.raises(PermanentError, match="> 21 parts"):
        [chunk async for chunk in Form("multipart/form-data; boundary=b").file(_pieces(50, endless))]
