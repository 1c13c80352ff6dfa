"""Calendar: an invitation as an iCalendar file, for the calendars that people use.

The event is the same one through all changes of an invitation: its UID follows
from the inviting office and the code of the invitation, so that no other office
can change it, and SEQUENCE is the number of the change.

Spec: RFC 5545 (iCalendar), RFC 5546 §3.2 (REQUEST, CANCEL); docs/protocol/contents.md 5.
"""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import icalendar

from axis.contents.invitation import Guest, Invitation
from axis.edxml.values import VIETNAM

ZONE = "Asia/Ho_Chi_Minh"
_PRODUCT = "-//document-axis//giay moi//VI"
_SINCE = datetime(1975, 6, 13)  # noqa: DTZ001 - RFC 5545 §3.6.5: the onset is a local time. No daylight saving since.


def uid_of(invitation: Invitation) -> str:
    """Return what names the event, now and in every change of it."""
    return str(uuid5(NAMESPACE_URL, f"urn:axis:invitation:1/{invitation.inviter}/{invitation.code}"))


def ics_of(invitation: Invitation, *, at: datetime, cancelled: bool = False) -> bytes:
    """Return an invitation as an .ics file.

    Args:
        invitation: That has been checked.
        at: When this file is made, aware.
        cancelled: The meeting does not take place; what was put into calendars goes.
    """
    made = icalendar.Calendar()
    made.add("prodid", _PRODUCT)
    made.add("version", "2.0")
    made.add("method", "CANCEL" if cancelled else "REQUEST")
    made.add_component(_zone())
    made.add_component(_event(invitation, at, cancelled))
    return bytes(made.to_ical())


def _event(invitation: Invitation, at: datetime, cancelled: bool) -> icalendar.Event:
    event = icalendar.Event()
    event.add("uid", uid_of(invitation))
    event.add("dtstamp", at.astimezone(UTC).replace(microsecond=0))
    event.add("sequence", invitation.revision + 1 if cancelled else invitation.revision)
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    event["dtstart"] = _local(invitation.starts_at)
    if invitation.ends_at is not None:
        event["dtend"] = _local(invitation.ends_at)
    event.add("summary", invitation.title)
    if invitation.place or invitation.link:
        event.add("location", invitation.place or invitation.link)
    if invitation.link:
        event.add("url", invitation.link)
    event.add("description", _description(invitation))
    event["organizer"] = _address(Guest(organ_id=invitation.inviter))
    for guest in invitation.guests:
        if guest.email or guest.organ_id:  # Who has neither has no address in a calendar.
            event.add("attendee", _attendee(guest), encode=False)
    return event


def _local(at: datetime) -> icalendar.vDDDTypes:
    """Return a moment as the clocks in Viet Nam show it, with the name of their zone."""
    moment = icalendar.vDDDTypes(at.astimezone(VIETNAM).replace(tzinfo=None))
    moment.params["TZID"] = ZONE
    return moment


def _zone() -> icalendar.Timezone:
    """Return the zone: one offset, the year round."""
    zone, standard = icalendar.Timezone(), icalendar.TimezoneStandard()
    zone.add("tzid", ZONE)
    standard.add("dtstart", _SINCE)
    standard.add("tzoffsetfrom", timedelta(hours=8))
    standard.add("tzoffsetto", timedelta(hours=7))
    standard.add("tzname", "+07")
    zone.add_component(standard)
    return zone


def _description(invitation: Invitation) -> str:
    lines = [
        f"Chủ trì: {_shown(invitation.chair)}",
        *(f"{number}. {point}" for number, point in enumerate(invitation.agenda, 1)),
        *(f"Tài liệu: {name}" for name in invitation.documents),
        *([f"Họp trực tuyến: {invitation.link}"] if invitation.link and invitation.place else []),
        *(f"Mời: {_shown(guest)}" for guest in invitation.guests if not (guest.email or guest.organ_id)),
        *([f"Liên hệ: {invitation.contact}"] if invitation.contact else []),
    ]
    return "\n".join(lines)


def _shown(guest: Guest) -> str:
    return ", ".join(part for part in (guest.name, guest.position, guest.organ_id) if part)


def _attendee(guest: Guest) -> icalendar.vCalAddress:
    address = _address(guest)
    address.params["ROLE"] = "REQ-PARTICIPANT"
    address.params["PARTSTAT"] = "NEEDS-ACTION"
    return address


def _address(guest: Guest) -> icalendar.vCalAddress:
    """Return the address of a person or an office; RFC 5545 §3.3.3 lets it be any URI."""
    address = icalendar.vCalAddress(f"mailto:{guest.email}" if guest.email else f"urn:axis:office:{guest.organ_id}")
    address.params["CN"] = _shown(guest) or guest.email
    return address
