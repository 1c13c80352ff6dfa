"""The .ics of an invitation, as another program's parser reads it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import icalendar

from axis.contents import Guest, Invitation
from axis.contents.calendar import ZONE, ics_of, uid_of
from tests.contents import INVITATION, at

_NOW = at(25)


def _read(ics: bytes) -> tuple[icalendar.Calendar, Any]:
    made = icalendar.Calendar.from_ical(ics)
    assert isinstance(made, icalendar.Calendar)
    (event,) = made.walk("VEVENT")
    assert made.errors == []
    assert event.errors == []
    return made, event


def test_a_request_says_when_where_and_who() -> None:
    made, event = _read(ics_of(INVITATION, at=_NOW))
    assert (made["METHOD"], made["VERSION"]) == ("REQUEST", "2.0")
    assert event.decoded("dtstart") == INVITATION.starts_at
    assert event.decoded("dtend") == INVITATION.ends_at
    assert event["DTSTART"].params["TZID"] == ZONE
    assert event.decoded("dtstamp") == _NOW
    assert str(event["SUMMARY"]) == INVITATION.title
    assert str(event["LOCATION"]) == INVITATION.place
    assert str(event["URL"]) == INVITATION.link
    assert (str(event["STATUS"]), event["SEQUENCE"]) == ("CONFIRMED", 0)
    assert str(event["ORGANIZER"]) == "urn:axis:office:H56.05"
    assert [str(one) for one in event["ATTENDEE"]] == ["mailto:vanthu@example.vn", "urn:axis:office:H56.113"]
    assert "Lê Văn C (ví dụ), Chuyên gia" in str(event["DESCRIPTION"])
    assert "2. Thảo luận" in str(event["DESCRIPTION"])


def test_the_zone_is_the_one_of_viet_nam() -> None:
    made, _ = _read(ics_of(INVITATION, at=_NOW))
    (zone,) = made.walk("VTIMEZONE")
    assert zone["TZID"] == ZONE
    (standard,) = zone.walk("STANDARD")
    assert standard.decoded("tzoffsetto") == timedelta(hours=7)


def test_a_change_is_the_same_event_with_a_higher_sequence() -> None:
    _, first = _read(ics_of(INVITATION, at=_NOW))
    changed = replace(INVITATION, revision=1, starts_at=at(2, month=9), ends_at=None)
    _, second = _read(ics_of(changed, at=_NOW))
    assert second["UID"] == first["UID"]
    assert second["SEQUENCE"] == 1
    assert "DTEND" not in second


def test_a_recall_cancels_the_event() -> None:
    made, event = _read(ics_of(INVITATION, at=_NOW, cancelled=True))
    assert made["METHOD"] == "CANCEL"
    assert (str(event["STATUS"]), event["SEQUENCE"]) == ("CANCELLED", 1)
    assert event["UID"] == uid_of(INVITATION)


def test_no_other_office_can_change_the_event() -> None:
    assert uid_of(replace(INVITATION, inviter="H56.06")) != uid_of(INVITATION)
    assert uid_of(replace(INVITATION, code="khác")) != uid_of(INVITATION)


def test_names_cannot_break_out_of_their_line() -> None:
    hostile = Guest('A" \u2028;X=1:\u0085mailto:b@example.vn', "B,C", "H56.112", "a@example.vn")
    said: Invitation = replace(
        INVITATION, title='T"; x\u2028y', chair=hostile, guests=(hostile,) * 2, place="P\\n", contact="DTSTART:1"
    )
    _, event = _read(ics_of(said, at=_NOW))
    assert [str(one) for one in event["ATTENDEE"]] == ["mailto:a@example.vn"] * 2
    assert event.decoded("dtstart") == INVITATION.starts_at
    assert str(event["LOCATION"]) == "P\\n"
    assert str(event["SUMMARY"]) == 'T"; x\u2028y'


def test_a_meeting_online_has_its_link_for_a_place() -> None:
    _, event = _read(ics_of(replace(INVITATION, place=""), at=_NOW))
    assert str(event["LOCATION"]) == INVITATION.link
