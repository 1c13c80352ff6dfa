"""Rooms: what every route is given, and who calls it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import StringConstraints

from axis import clock, seal
from axis.dispatch.answers import Answers
from axis.errors import PermanentError, refuse
from axis.gateway.desk import Desk
from axis.gateway.watch import Watch
from axis.intake import Intake
from axis.ledger import DeliveryRow, EnvelopeRow, Ledger
from axis.registry import Registry
from axis.spool import Spool

EnvelopeIdText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
EnvelopeId = Annotated[EnvelopeIdText, Path(description="Id that the axis gave the envelope.")]


@dataclass(frozen=True, kw_only=True)
class AllRooms:
    """What is open in this process."""

    intake: Intake
    answers: Answers
    ledger: Ledger
    spool: Spool
    desk: Desk
    watch: Watch
    roll: Callable[[], tuple[Registry, seal.Trust]]
    attachment_bytes: int

    @property
    def axis(self) -> str:
        """OrganId of the axis."""
        return self.intake.voice.organ_id


def rooms_of(request: Request) -> AllRooms:
    """Return the rooms of the application that a request came to."""
    rooms: AllRooms = request.app.state.rooms
    return rooms


async def _given_rooms(request: Request) -> AllRooms:
    """The same as a dependency: one that is not asynchronous is run in a thread, for every request."""
    return rooms_of(request)


Rooms = Annotated[AllRooms, Depends(_given_rooms)]


async def _office(request: Request) -> AsyncIterator[str]:
    """Yield the code of the office that calls; hold one of its places meanwhile."""
    desk = rooms_of(request).desk
    office = desk.caller(request.scope)
    with desk.place(office):
        yield office


Office = Annotated[str, Depends(_office)]


def require_plain(request: Request) -> None:
    """Refuse a compressed body: its size could not be known before it is unpacked."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise refuse("ENV.ENCODING", "Content-Encoding")


def says_verified(envelope: EnvelopeRow) -> dict[str, str]:
    """Say in a header whether an envelope is its originator's word; older forms have no place for it."""
    return {"Axis-Verified": "yes" if envelope.verified else "no"}


async def visible(rooms: AllRooms, envelope_id: str, office: str) -> tuple[EnvelopeRow, list[DeliveryRow]]:
    """Return what an office may see of an envelope.

    Raises:
        PermanentError: API.NOT_FOUND; it is not there, or not the office's to see.
    """
    envelope = await rooms.ledger.envelope(envelope_id)
    rows = [] if envelope is None else await rooms.ledger.deliveries_of(envelope_id)
    if envelope is not None and envelope.originator != office:
        now = clock.now()
        rows = [row for row in rows if row.addressee == office and row.is_readable(now)]
    if envelope is None or not rows:
        raise PermanentError("API.NOT_FOUND")
    return envelope, rows


async def seen(rooms: AllRooms, envelope_id: str, office: str) -> EnvelopeRow | None:
    """Return an envelope if an office may see it."""
    try:
        return (await visible(rooms, envelope_id, office))[0]
    except PermanentError:
        return None


async def given(rooms: AllRooms, envelope_id: str, office: str) -> DeliveryRow:
    """Return the delivery of an envelope to an office, if the office has been given it.

    Raises:
        PermanentError: API.NOT_FOUND
    """
    row = await rooms.ledger.delivery(envelope_id, office)
    if row is None or not row.was_given(clock.now()):
        raise PermanentError("API.NOT_FOUND")
    return row
