"""What an office says about its webhooks over HTTP, and what it is shown."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from standardwebhooks import Webhook

from axis import seal
from axis.ledger import NotTold
from tests.house import SENDER, House

URL = "http://127.0.0.1:9/axis"
HOOK = "/v1/webhooks/qlvb"


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {seal.make_token(SENDER, home.province.signer(SENDER), home.now())}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://axis", headers=headers) as client:
        yield client


async def test_secret_is_shown_once(sender: httpx.AsyncClient, home: House) -> None:
    made = await sender.put(HOOK, json={"url": URL})
    assert made.status_code == 201
    Webhook(made.json()["secret"])
    changed = await sender.put(HOOK, json={"url": URL, "kinds": ["document.waiting"]})
    for answer in (changed, await sender.get(HOOK), await sender.get("/v1/webhooks")):
        assert answer.status_code == 200
        assert "whsec_" not in answer.text
    assert changed.json()["kinds"] == ["document.waiting"]
    row = await home.ledger.webhook(SENDER, "qlvb")
    assert row is not None
    assert row.secret == made.json()["secret"]


async def test_renewed_secret_is_shown_once_and_the_old_one_counts_for_a_day(
    sender: httpx.AsyncClient, home: House
) -> None:
    old = (await sender.put(HOOK, json={"url": URL})).json()["secret"]
    renewed = (await sender.post(f"{HOOK}/secret")).json()
    row = await home.ledger.webhook(SENDER, "qlvb")
    assert row is not None
    assert (row.secret, row.old_secret) == (renewed["secret"], old)
    assert row.old_until == home.now() + timedelta(days=1)


async def test_webhook_that_was_given_up_says_why_and_is_on_again_when_it_is_put(
    sender: httpx.AsyncClient, home: House
) -> None:
    await sender.put(HOOK, json={"url": URL})
    row = await home.ledger.webhook(SENDER, "qlvb")
    assert row is not None
    failure = NotTold(note="HTTP 500", at=home.now(), next_at=home.now(), is_the_end=True)
    assert await home.ledger.webhook_not_told(row, failure)
    shown = (await sender.get(HOOK)).json()
    assert (shown["state"], shown["note"], shown["failures"]) == ("disabled", "HTTP 500", 1)
    again = (await sender.put(HOOK, json={"url": URL})).json()
    assert (again["state"], again["note"], again["cursor"]) == ("on", "", shown["cursor"])


async def test_office_has_so_many_and_not_more(sender: httpx.AsyncClient) -> None:
    answers = [await sender.put(f"/v1/webhooks/no-{number}", json={"url": URL}) for number in range(4)]
    assert [one.status_code for one in answers] == [201, 201, 201, 422]
    assert (await sender.put("/v1/webhooks/no-0", json={"url": URL})).status_code == 200
    assert (await sender.delete("/v1/webhooks/no-0")).status_code == 204
    assert (await sender.get("/v1/webhooks/no-0")).status_code == 404
    assert (await sender.put("/v1/webhooks/no-9", json={"url": URL})).status_code == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://receiver.example.vn/axis"}, "API.WEBHOOK"),
        ({"url": "https://10.0.0.1/axis"}, "API.WEBHOOK"),
        ({"url": "https://169.254.169.254/latest"}, "API.WEBHOOK"),
        ({"url": "https://[fd00::1]/axis"}, "API.WEBHOOK"),
        ({"url": URL, "kinds": ["nothing"]}, "API.PARAMETER"),
        ({"url": URL, "kinds": []}, "API.PARAMETER"),
        ({"url": URL, "secret": "whsec_mine"}, "API.PARAMETER"),
        ({}, "API.PARAMETER"),
        ([], "API.PARAMETER"),
        ({"url": "https://" + "x" * 20_000}, "ENV.TOO_LARGE"),
    ],
)
async def test_webhook_that_cannot_be_is_refused(sender: httpx.AsyncClient, body: Any, code: str) -> None:
    answer = await sender.put(HOOK, json=body)
    assert answer.json()["code"] == code
    assert (await sender.get(HOOK)).status_code == 404


async def test_forbidden_address_and_one_that_is_not_there_are_told_alike(sender: httpx.AsyncClient) -> None:
    """Who may not reach the axis's network must not find out its names by asking."""
    answers = [
        (await sender.put(HOOK, json={"url": f"https://{host}/"})).json() for host in ("10.0.0.1", "nowhere.invalid")
    ]
    assert answers[0] == answers[1]


async def test_replay_begins_where_it_is_told(sender: httpx.AsyncClient, home: House) -> None:
    for _ in range(2):
        await home.accept(home.seal(home.document()))
    first, second = [one["cursor"] for one in (await sender.get("/v1/events")).json()["events"]]
    assert (await sender.put(HOOK, json={"url": URL})).json()["cursor"] == second
    assert (await sender.post(f"{HOOK}/replay", json={"after": first})).json()["cursor"] == first
    assert (await sender.post(f"{HOOK}/replay", json={"after": "yesterday"})).json()["code"] == "API.PARAMETER"
