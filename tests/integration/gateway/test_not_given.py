"""What was refused at the door, was taken back, or waits for its hour is nothing to its addressee, by no route.

Spec: docs/protocol/gateway.md 1, 11, 12; docs/protocol/deliveries.md.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from axis.edxml import Priority
from axis.ledger import BEGINNING, DeliveryRow
from axis.office.answers import Delivered, Refused
from axis.office.speech import About, say
from axis.receipts.voice import Voice
from axis.registry import Registry, Status
from tests.house import COMMUNE, OTHER, SENDER, House
from tests.integration.gateway.test_inbox import caller

PDF = b"%PDF-1.7 for one addressee" + bytes(1000)
_HOUR = timedelta(hours=5)
_HERE = Delivered()


async def _refused(home: House) -> str:
    offices = {one.code: one for one in home.roll.offices()}
    closed = replace(offices[COMMUNE], status=Status.CLOSED, closed_on=home.at.date())
    roll, trust = Registry.of((offices | {COMMUNE: closed}).values(), home.roll.tiers.values()), home.province.trust()
    object.__setattr__(home.intake, "roll", lambda: (roll, trust))
    return await _accepted(home)


async def _recalled(home: House) -> str:
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.answers.take_back(await home.row(envelope_id), home.at, by="x", told=SENDER, removed=True)
    return envelope_id


async def _timed(home: House) -> str:
    return await _accepted(home, priority=Priority.TIMED, release_at=home.at + _HOUR)


async def _accepted(home: House, **fields: Any) -> str:
    await home.bring(SENDER, PDF)
    document = home.document(to=(COMMUNE, OTHER), **fields)
    return (await home.accept(home.seal(document, {"125.pdf": PDF}))).envelope_id


async def _asked(client: httpx.AsyncClient, home: House, envelope_id: str) -> dict[str, int]:
    """Return the status of each way to a thing, and how much each list holds."""
    row = await home.row(envelope_id, COMMUNE)
    place = f"/v1/envelopes/{envelope_id}"
    found = {
        path: (await client.get(path)).status_code
        for path in (place, *(f"{place}/{part}" for part in ("content", "receipts", "family", "edxml")))
    }
    found["attachment"] = (await client.get(f"/v1/attachments/{await home.bring(SENDER, PDF)}")).status_code
    lists = {
        "inbox": (await client.get("/v1/inbox")).json()["items"],
        "events": (await client.get("/v1/events")).json()["events"],
        "webhooks": (await home.ledger.events_for(COMMUNE, BEGINNING, 100, now=home.at)).rows,
        "look-up": (await client.get("/v1/envelopes", params={"document_id": row.document_id})).json()["envelopes"],
    }
    return found | {name: len(one) for name, one in lists.items()}


def _answer(home: House, row: DeliveryRow, outcome: Delivered | Refused = _HERE) -> bytes:
    about = About(
        envelope_id=row.envelope_id,
        envelope_digest=row.digest,
        originator=row.originator,
        document_id=row.document_id,
    )
    voice = Voice(COMMUNE, home.province.signer(COMMUNE))
    return say(outcome, about, voice=voice, previous=row.chain_head, attempt=row.attempts, at=home.at)[0].xml


@pytest.mark.parametrize("make", [_refused, _recalled, _timed])
async def test_addressee_is_told_nothing_of_what_it_was_not_given(
    app: FastAPI, home: House, make: Callable[[House], Awaitable[str]]
) -> None:
    envelope_id = await make(home)
    async with caller(app, home, COMMUNE) as addressee:
        found = await _asked(addressee, home, envelope_id)
        assert set(found.values()) == {404, 0}, found
        row = await home.row(envelope_id)
        said = await addressee.post(f"/v1/inbox/{envelope_id}/confirmation", content=_answer(home, row))
        assert (said.status_code, said.json()["code"]) == (404, "API.NOT_FOUND")
    assert await home.row(envelope_id) == row
    async with caller(app, home, SENDER) as sender:
        assert (await sender.get(f"/v1/envelopes/{envelope_id}")).status_code == 200


async def test_it_is_told_when_the_hour_has_come(app: FastAPI, home: House) -> None:
    envelope_id = await _timed(home)
    home.pass_time(_HOUR)
    await home.attempt()
    async with caller(app, home, COMMUNE) as addressee:
        found = await _asked(addressee, home, envelope_id)
        assert set(found.values()) == {200, 1}, found
        said = await addressee.post(
            f"/v1/inbox/{envelope_id}/confirmation", content=_answer(home, await home.row(envelope_id))
        )
        assert said.status_code == 200, said.text


async def test_it_is_told_where_the_clock_of_who_attempted_it_is_ahead(app: FastAPI, home: House) -> None:
    """What is passed by once is never shown: an office that reads on would not hear of it."""
    envelope_id = await _timed(home)
    await home.ledger.begin_attempts(home.at + _HOUR, timedelta(minutes=5), 100)
    home.pass_time(_HOUR - timedelta(seconds=2))
    async with caller(app, home, COMMUNE) as addressee:
        found = await _asked(addressee, home, envelope_id)
        assert set(found.values()) == {200, 1}, found


async def test_what_the_addressee_refused_itself_it_may_say_again(app: FastAPI, home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    row = await home.row(envelope_id)
    said = _answer(home, row, Refused("Không thuộc thẩm quyền (ví dụ)"))
    async with caller(app, home, COMMUNE) as addressee:
        for repeated in (False, True):
            answer = await addressee.post(f"/v1/inbox/{envelope_id}/confirmation", content=said)
            assert (answer.status_code, answer.json()["state"]) == (200, "refused"), answer.text
            assert [one["repeated"] for one in answer.json()["receipts"]] == [repeated]
        told = (await addressee.get("/v1/events")).json()["events"]
        assert {one["event"] for one in told} >= {"delivery.attempted"}
