"""Caller: who calls, by the two headers of older axes.

`X-SystemId` names the office, in any of its forms; `X-SecretKey` proves it: by
a token that the office's key has signed, as everywhere, or by a password, where
the roll takes messages without a seal from the office. So does the certificate
of the connection, alone or beside them: all that is shown must say the same.

Spec: docs/protocol/compat.md 2; docs/protocol/keys.md 6, 9.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Request

from axis import clock, seal
from axis.errors import refuse
from axis.gateway.rooms import AllRooms, rooms_of
from axis.registry import Unsigned


async def _caller(
    request: Request,
    system_id: Annotated[str, Header(alias="X-SystemId", include_in_schema=False)] = "",
    secret_key: Annotated[str, Header(alias="X-SecretKey", include_in_schema=False)] = "",
) -> AsyncIterator[str]:
    """Yield the code of the office that calls; hold one of its places meanwhile."""
    rooms = rooms_of(request)
    digest = seal.password_digest(secret_key)
    if secret_key:
        proven = rooms.desk.bearer(secret_key) if digest is None else await _by_password(rooms, digest)
        office = rooms.desk.admitted(request.scope, proven)
    else:
        office = rooms.desk.by_certificate(request.scope)
    named = rooms.roll()[0].find(system_id)
    if named is None or named.code != office.code:
        raise refuse("API.AUTH", "X-SystemId")
    if digest is not None and office.unsigned is not Unsigned.ACCEPT:
        raise refuse("API.AUTH", 'unsigned = "accept"')
    with rooms.desk.place(office.code):
        yield office.code


async def _by_password(rooms: AllRooms, digest: str) -> str:
    """Raises: Refusal: API.AUTH"""
    known = await rooms.ledger.password(digest)
    if known is None or not known.is_good(clock.now()):
        raise refuse("API.AUTH", "X-SecretKey")
    return known.office


Caller = Annotated[str, Depends(_caller)]
