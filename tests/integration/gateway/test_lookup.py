"""Lookup: an office finds what it sent or was sent, and nobody else's."""

from hashlib import sha256
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.house import COMMUNE, OTHER, SENDER, STRANGER, House
from tests.integration.gateway.test_inbox import caller

PDF = b"%PDF-1.7".ljust(100)


async def _find(client: httpx.AsyncClient, **asked: Any) -> list[str]:
    answer = await client.get("/v1/envelopes", params=asked)
    assert answer.status_code == 200, answer.text
    return [one["envelope_id"] for one in answer.json()["envelopes"]]


async def test_every_digest_leads_those_who_may_see_it_there(app: FastAPI, home: House) -> None:
    await home.bring(SENDER, PDF)
    sealed = home.seal(home.document(to=(COMMUNE, "H56.888")), {"125.pdf": PDF})
    envelope_id = (await home.accept(sealed)).envelope_id
    await home.accept(home.seal(home.document(to=(OTHER,))))
    digest = (await home.row(envelope_id)).digest
    for office, found in ((SENDER, [envelope_id]), (COMMUNE, [envelope_id]), (OTHER, []), (STRANGER, [])):
        async with caller(app, home, office) as client:
            for one in (digest, sha256(sealed).hexdigest(), sha256(PDF).hexdigest()):
                assert await _find(client, digest=one) == found
            assert await _find(client, digest="0" * 64) == []


async def test_own_documents_are_found_by_id_and_by_number(app: FastAPI, home: House) -> None:
    document = home.document()
    first = (await home.accept(home.seal(document))).envelope_id
    await home.accept(home.seal(home.document()))
    async with caller(app, home, SENDER) as sender, caller(app, home, OTHER) as other:
        assert await _find(sender, document_id=document.document_id) == [first]
        assert await _find(sender, code=document.code) == [first]
        assert await _find(sender, code=document.code, document_id="another") == []
        assert await _find(sender, document_id="a\0b") == []
        assert await _find(other, code=document.code) == []
        page = (await sender.get("/v1/envelopes", params={"code": document.code, "limit": 1})).json()
        assert (len(page["envelopes"]), page["more"]) == (1, False)


@pytest.mark.parametrize("asked", [{}, {"digest": "abc"}, {"code": ""}, {"limit": 0, "code": "x"}])
async def test_question_without_sense_is_a_coded_problem(app: FastAPI, home: House, asked: dict[str, Any]) -> None:
    async with caller(app, home, SENDER) as sender:
        assert (await sender.get("/v1/envelopes", params=asked)).json()["code"] == "API.PARAMETER"
