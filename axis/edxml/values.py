"""Values: how edXML writes names, dates, times and identifiers.

On the wire a date is `yyyy/MM/dd` and a time `yyyy/MM/dd HH:mm:ss` in
Vietnamese local time without a zone; inside the axis every time is UTC.

Spec: QCVN 102:2016 (formats); Decision 20/2020/QĐ-TTg (identifiers).
"""

import re
from datetime import UTC, date, datetime
from functools import cache

from lxml import etree

from axis.clock import VIETNAM as VIETNAM

EDXML = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
PROFILE = "urn:axis:profile:1"
RELEASE = f"{{{PROFILE}}}release"  # On OtherInfo.
DSIG = "http://www.w3.org/2000/09/xmldsig#"

NSMAP = {"edXML": EDXML, "axp": PROFILE, "ds": DSIG}

# How a path names what comes from a namespace, whatever prefix its writer chose.
PREFIXES = {
    EDXML: "edXML:",
    PROFILE: "axp:",
    DSIG: "ds:",
    "http://www.w3.org/2001/XMLSchema-instance": "xsi:",
    "urn:axis:receipt:1": "rct:",
    "urn:axis:dossier:1": "dos:",
    "urn:axis:task:1": "tsk:",
    "urn:axis:invitation:1": "inv:",
}

# `000.00.05.H56`, level 1 at the right (QCVN 102:2016), with the shorter shapes seen in use.
_RIGHT = r"(?:[0-9A-Za-z]{2,3}\.){1,3}[A-Z][A-Z0-9]{1,2}"
# `H56.05.02`, level 1 at the left (Decision 20/2020), `H37.DN.001` for enterprises.
_LEFT = r"[A-Z][0-9A-Z]{1,2}(?:\.[0-9A-Z]{1,6}){0,4}"
ORGAN_ID = re.compile(rf"(?:{_RIGHT}|{_LEFT})")

CLAIM_CHARS = 200  # Of what a message says before the schema was asked; the widest that the schema allows.

_BLANKS = re.compile(r"[ \t\r\n]+")
_DATE = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2})")
_TIME = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})")


@cache
def q(name: str) -> str:
    """Return an edXML name in Clark notation."""
    return f"{{{EDXML}}}{name}"


def child(element: etree._Element, *path: str) -> etree._Element | None:
    """Return the first element of these edXML names below another, or None; `find` takes ten times as long."""
    here: etree._Element | None = element
    for name in path:
        if here is None:
            return None
        here = next(here.iterchildren(q(name)), None)
    return here


def collapse(text: str | None) -> str:
    """Return text as `xs:token` has it, which is what the schema measured: XML's blanks alone, and never two of them."""
    if not text:
        return ""
    if text.isprintable() and "  " not in text:  # No other blank than single spaces: so is nearly every text.
        return text.strip(" ")
    return _BLANKS.sub(" ", text).strip(" ")


def claim(text: str | None) -> str:
    """Return text as what a message claims before anybody has looked closer."""
    return collapse(text)[:CLAIM_CHARS]


def parse_date(text: str) -> date:
    """Read `yyyy/MM/dd`.

    Raises:
        ValueError: It is not of that shape, or no such day exists.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a date of the form yyyy/MM/dd: {text[:20]}")
    year, month, day = map(int, found.groups())
    return date(year, month, day)


def format_date(day: date) -> str:
    """Write a date as edXML does."""
    return f"{day.year:04}/{day.month:02}/{day.day:02}"


def begin_of(day: date) -> datetime:
    """Return when a day begins in Viet Nam, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=VIETNAM).astimezone(UTC)


def parse_timestamp(text: str) -> datetime:
    """Read `yyyy/MM/dd HH:mm:ss`, Vietnamese time, into UTC.

    Raises:
        ValueError: It is not of that shape, or no such moment exists.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"not a time of the form yyyy/MM/dd HH:mm:ss: {text[:25]}")
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=VIETNAM).astimezone(UTC)
    except OverflowError as error:  # The first hours of the year 1 were in the year 0 in Greenwich.
        raise ValueError(f"not a time that can be counted: {text}") from error


def format_timestamp(at: datetime) -> str:
    """Write an aware time as edXML does."""
    local = at.astimezone(VIETNAM)
    return f"{local:%Y/%m/%d %H:%M:%S}" if local.year >= 1000 else f"{local.year:04}{local:/%m/%d %H:%M:%S}"


def parse_moment(text: str) -> datetime:
    """Read `yyyy-MM-ddTHH:mm[:ss]` with a zone, as the axis profile writes times, into UTC.

    Raises:
        ValueError: It is not of that shape, or no such moment exists.
    """
    if _MOMENT.fullmatch(text) is None:
        raise ValueError(f"not a time of the form yyyy-MM-ddTHH:mm:ss+07:00: {text[:30]}")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"not a time that can be counted: {text}") from error


def format_moment(at: datetime) -> str:
    """Write an aware time as the axis profile does, in the time of Viet Nam."""
    return at.astimezone(VIETNAM).isoformat(timespec="seconds")


def local_date(at: datetime) -> date:
    """Return the day in Viet Nam at a moment."""
    return at.astimezone(VIETNAM).date()
