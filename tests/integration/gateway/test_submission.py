"""An envelope over HTTP: as parts of a form, with a key of idempotence, or only to be judged."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from axis import edxml
from axis.edxml.inline import inline
from axis.gateway.multipart import Parts
from axis.intake import Intake
from axis.ledger.idempotency import CLAIM, LIFE
from axis.spool.room import Room
from tests.house import COMMUNE, OTHER, SENDER, House
from tests.integration.gateway.conftest import MOST_BYTES
from tests.integration.gateway.test_inbox import caller
from tests.integration.spool.test_store import count_as_disk

PDF, SHEET = b"%PDF-1.7" + bytes(200_000), random.Random(7).randbytes(70_000)


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with caller(app, home, SENDER) as client:
        yield client


def _form(sealed: bytes, *parts: tuple[str, str, bytes]) -> dict[str, Any]:
    files = [(field, (name, content, "application/octet-stream")) for field, name, content in parts]
    return {"files": [*files, ("envelope", ("125.edxml", sealed, "application/xml"))]}


async def _post(client: httpx.AsyncClient, *, key: str | None = None, **body: Any) -> httpx.Response:
    return await client.post("/v1/envelopes", headers={"Idempotency-Key": key} if key else {}, **body)


# --- parts of a form ----------------------------------------------------------------------


async def test_files_come_as_parts_by_content_id_or_by_name(sender: httpx.AsyncClient, home: House) -> None:
    sealed = home.seal(home.document(), {"125.pdf": PDF, "biểu mẫu.xlsx": SHEET})
    answer = await _post(sender, **_form(sealed, ("cid:a1", "whatever", PDF), ("file", "biểu mẫu.xlsx", SHEET)))
    assert answer.status_code == 201, answer.text
    envelope_id = answer.json()["envelope_id"]
    assert await home.ledger.sealed(envelope_id) == sealed
    for content in (PDF, SHEET):
        assert (await sender.get(f"/v1/attachments/{sha256(content).hexdigest()}")).content == content
    assert (await _post(sender, **_form(sealed))).json()["duplicate"] is True


async def test_parts_are_judged_as_inline_files_are(sender: httpx.AsyncClient, home: House) -> None:
    sealed = home.seal(home.document(), {"125.pdf": PDF})
    for parts, status, code in (
        ([], 422, "ATT.MISSING"),
        ([("a1", "125.pdf", PDF[:-1])], 422, "ATT.DIGEST"),
        ([("a1", "125.pdf", PDF), ("a2", "126.pdf", b"x")], 400, "ATT.UNLISTED"),
        ([("a1", "125.pdf", PDF), ("a1", "125.pdf", PDF)], 400, "ATT.UNLISTED"),
        ([("a1", "125.pdf", bytes(MOST_BYTES + 1))], 413, "ATT.SIZE"),
    ):
        answer = await _post(sender, **_form(sealed, *parts))
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await sender.get(f"/v1/envelopes/{'0' * 32}")).status_code == 404


async def test_content_that_was_accepted_is_whatever_comes_with_it_later(
    sender: httpx.AsyncClient, home: House
) -> None:
    document = home.document()
    first = await _post(sender, **_form(home.seal(document, {"125.pdf": PDF}), ("a1", "125.pdf", PDF)))
    assert first.status_code == 201
    body = _form(home.seal(document, {"125.pdf": PDF}), ("a1", "125.pdf", PDF[:-1]))  # Sealed anew, cut short.
    said = await _judge(sender, **body)
    assert (said["acceptable"], said["duplicate"], said["envelope_id"]) == (True, True, first.json()["envelope_id"])
    again = await _post(sender, **body)
    assert (again.status_code, again.json()["receipt"]) == (200, first.json()["receipt"])


async def test_form_that_is_none_is_refused(sender: httpx.AsyncClient, home: House) -> None:
    sealed = home.seal(home.document())
    head = b'--B\r\nContent-Disposition: form-data; name="envelope"\r\n'
    for body, kind in (
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=B"),
        (b"x", "multipart/form-data; boundary=" + "B" * 300),
        (head + b"\r\n" + sealed, "multipart/form-data; boundary=B"),
        (head + b"Content-Transfer-Encoding: base64\r\n\r\neA==\r\n--B--\r\n", "multipart/form-data; boundary=B"),
        (head.replace(b"envelope", b"other") + b"\r\nx\r\n--B--\r\n", "multipart/form-data; boundary=B"),
        ((head + b"\r\n" + sealed + b"\r\n") * 2 + b"--B--\r\n", "multipart/form-data; boundary=B"),
        (head + b"X: " + b"y" * 10_000 + b"\r\n\r\nx\r\n--B--\r\n", "multipart/form-data; boundary=B"),
    ):
        answer = await sender.post("/v1/envelopes", content=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (400, "API.PARAMETER"), (body[:80], answer.text)
    good = await sender.post(
        "/v1/envelopes",
        content=head + b"\r\n" + sealed + b"\r\n--B--\r\n",
        headers={"Content-Type": "Multipart/Form-Data; boundary=B"},
    )
    assert good.status_code == 201, good.text


async def test_file_that_the_disk_has_no_room_for_is_put_off(
    sender: httpx.AsyncClient, home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is known when it has come: it is cut off before it takes what must stay free."""
    sealed = home.seal(home.document(), {"125.pdf": PDF})
    inside = b"".join(inline(sealed, [(edxml.read_manifest(_part(sealed))[0], [PDF])]))
    staging = tmp_path / "staging"
    with monkeypatch.context() as scarce:
        count_as_disk(staging, 1000 + len(PDF) // 2, scarce)
        scarce.setattr(home.spool, "_room", Room(staging, 1000))
        for body in (_form(sealed, ("a1", "125.pdf", PDF)), {"content": inside}):
            answer = await _post(sender, **body)
            assert (answer.status_code, answer.json()["code"]) == (503, "SYS.SPOOL"), answer.text
            assert int(answer.headers["Retry-After"]) > 0
            assert list(staging.iterdir()) == []
    assert (await _post(sender, content=inside)).status_code == 201


async def test_nothing_stays_of_what_is_refused(sender: httpx.AsyncClient, home: House, tmp_path: Path) -> None:
    sealed = home.seal(home.document(to=("H56.888",)), {"125.pdf": PDF})
    assert (await _post(sender, **_form(sealed, ("a1", "125.pdf", PDF)))).json()["code"] == "MSG.UNKNOWN_ADDRESSEE"
    assert await home.spool.exists(sha256(PDF).hexdigest()) is None
    assert list((tmp_path / "staging").iterdir()) == []


# --- keys of idempotence ----------------------------------------------------------------------


async def test_same_key_and_body_get_the_first_answer_again(sender: httpx.AsyncClient, home: House) -> None:
    sealed = home.seal(home.document(), {"125.pdf": PDF})
    first = await _post(sender, key='"first try"', **_form(sealed, ("a1", "x", PDF)))
    assert first.status_code == 201
    again = await _post(sender, key="first try", **_form(sealed, ("a1", "x", PDF)))  # Another boundary, without quotes.
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await _post(sender, key="first try", content=home.seal(home.document()))
    assert (other.status_code, other.json()["code"]) == (422, "API.KEY_REUSED")
    home.pass_time(LIFE + timedelta(seconds=1))
    late = await _post(sender, key="first try", content=sealed)
    assert (late.status_code, late.json()["duplicate"]) == (200, True)  # The key has ended; the envelope is known.


async def test_key_belongs_to_one_office_and_weakens_nothing(
    app: FastAPI, sender: httpx.AsyncClient, home: House
) -> None:
    sealed = home.seal(home.document())
    first = await _post(sender, key="k", content=sealed)
    async with caller(app, home, OTHER) as stranger:
        assert (await _post(stranger, key="k", content=sealed)).json()["code"] == "MSG.WRONG_SENDER"
    assert (await _post(sender, key="another", content=sealed)).json()["envelope_id"] == first.json()["envelope_id"]
    conflict = home.document()
    home.numbers -= 1
    changed = home.seal(home.document(subject="Khác (ví dụ)", document_id=conflict.document_id))
    assert (await _post(sender, key="k2", content=home.seal(conflict))).status_code == 201
    assert (await _post(sender, key="k3", content=changed)).json()["code"] == "MSG.CONFLICT"


async def test_signed_refusal_stands_and_what_failed_otherwise_gives_the_key_back(
    sender: httpx.AsyncClient, home: House
) -> None:
    refused = home.seal(home.document(to=("H56.888",)))
    first = await _post(sender, key="r", content=refused)
    again = await _post(sender, key="r", content=refused)
    assert (again.status_code, again.content) == (422, first.content)
    assert again.headers["content-type"] == "application/problem+json"
    sealed = home.seal(home.document(), {"125.pdf": PDF})
    wrong = await _post(sender, key="f", **_form(sealed, ("a1", "x", b"other")))
    assert (wrong.json()["code"], bool(wrong.json()["receipt"])) == ("ATT.DIGEST", True)
    assert (await _post(sender, key="f", **_form(sealed, ("a1", "x", PDF)))).json()["code"] == "API.KEY_REUSED"
    missing = {"files": [("a1", ("x", PDF, "application/pdf"))]}
    assert (await _post(sender, key="g", **missing)).json()["code"] == "API.PARAMETER"
    assert (await _post(sender, key="g", **_form(sealed, ("a1", "x", PDF)))).status_code == 201


async def test_one_key_at_two_places_at_once_is_refused_once(
    sender: httpx.AsyncClient, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = home.seal(home.document())
    go_on, accept = asyncio.Event(), Intake.accept

    async def slow(self: Intake, *arguments: Any, **more: Any) -> Any:
        await go_on.wait()
        return await accept(self, *arguments, **more)

    monkeypatch.setattr(Intake, "accept", slow)
    first = asyncio.create_task(_post(sender, key="k", content=sealed))
    await asyncio.sleep(0.5)
    busy = await _post(sender, key="k", content=sealed)
    assert (busy.status_code, busy.json()["code"]) == (409, "API.KEY_BUSY")
    go_on.set()
    assert (await first).status_code == 201
    assert (await _post(sender, key="k", content=sealed)).status_code == 201


async def test_claim_of_a_process_that_died_runs_out(sender: httpx.AsyncClient, home: House) -> None:
    sealed = home.seal(home.document())
    digest = sha256(sha256(sealed).hexdigest().encode()).hexdigest()
    assert await home.ledger.claim_key(SENDER, "k", digest, home.at) is None
    assert (await _post(sender, key="k", content=sealed)).json()["code"] == "API.KEY_BUSY"
    home.pass_time(CLAIM + timedelta(seconds=1))
    assert (await _post(sender, key="k", content=sealed)).status_code == 201
    assert await home.ledger.tidy_keys(home.at) == 0
    assert await home.ledger.tidy_keys(home.at + LIFE) == 1


async def test_key_that_is_none_is_refused(sender: httpx.AsyncClient, home: House) -> None:
    for key in ('""', "x" * 256, 'a"b', " "):
        answer = await sender.post("/v1/envelopes", content=b"x", headers={"Idempotency-Key": key})
        assert answer.json()["code"] == "API.PARAMETER", key


# --- only to be judged -----------------------------------------------------------------------------


async def _judge(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/validations", **body)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert said["acceptable"] is not said["violations"]
    assert said["acceptable"] == (said["violations"] == [])
    return said


async def test_judgement_lists_addressees_and_files_and_keeps_nothing(
    sender: httpx.AsyncClient, home: House, tmp_path: Path
) -> None:
    sealed = home.seal(home.document(to=(COMMUNE, "H56.888")), {"125.pdf": PDF, "126.pdf": SHEET})
    said = await _judge(sender, **_form(sealed, ("a1", "125.pdf", PDF)))
    assert [(one["code"], one["rule"]) for one in said["violations"]] == [("ATT.MISSING", "attachment:uploaded")]
    assert [(one["code"], one["verdict"]) for one in said["addressees"]] == [
        (COMMUNE, "served"),
        ("H56.888", "refused"),
    ]
    assert [(one["name"], one["state"]) for one in said["attachments"]] == [("125.pdf", "here"), ("126.pdf", "missing")]
    await home.bring(SENDER, SHEET)
    assert (await _judge(sender, **_form(sealed, ("a1", "125.pdf", PDF))))["acceptable"]
    assert await home.spool.exists(sha256(PDF).hexdigest()) is None
    assert list((tmp_path / "staging").iterdir()) == []
    assert (await home.ledger.envelopes(), await home.ledger.rejections(), await home.ledger.receipts()) == ([], [], [])


async def test_judgement_is_that_of_intake(sender: httpx.AsyncClient, home: House) -> None:
    """Whatever is wrong: the same list, in the same words."""
    plain = home.document()
    other = home.document(document_id=plain.document_id, subject="Khác (ví dụ)")
    await home.accept(home.seal(plain))
    wrong = [
        b"",
        b"<x/>",
        home.seal(home.document()).replace("ví dụ".encode(), "thật".encode(), 1),
        home.seal(home.document(to=("H56.888", "H56.777"))),
        home.seal(home.document(subject="")),
        home.seal(home.document(), {"125.pdf": PDF}),
        home.seal(other),
        home.seal(other, {"125.pdf": PDF}),
        home.seal(home.document(), by=OTHER),
    ]
    for sealed in wrong:
        said = await _judge(sender, content=sealed)
        answer = await _post(sender, content=sealed)
        assert answer.status_code >= 400
        assert said["violations"] == answer.json()["violations"], sealed[:200]
    good = home.seal(home.document())
    said = await _judge(sender, content=good)
    assert (said["acceptable"], said["duplicate"], said["envelope_id"]) == (True, False, None)
    accepted = (await _post(sender, content=good)).json()
    again = await _judge(sender, content=good)
    assert (again["acceptable"], again["duplicate"], again["envelope_id"]) == (True, True, accepted["envelope_id"])


async def test_files_that_come_along_are_compared_with_the_manifest(sender: httpx.AsyncClient, home: House) -> None:
    sealed = home.seal(home.document(), {"125.pdf": PDF, "126.pdf": SHEET})
    refs = edxml.read_manifest(_part(sealed))
    inside = b"".join(inline(sealed, [(refs[0], [PDF]), (refs[1], [SHEET])]))
    assert (await _judge(sender, content=inside))["acceptable"]
    spoilt = b"".join(inline(sealed, [(refs[0], [PDF[:-1]]), (refs[1], [SHEET])]))
    said = await _judge(sender, content=spoilt)
    assert [one["code"] for one in said["violations"]] == ["ATT.DIGEST"]
    assert [one["state"] for one in said["attachments"]] == ["different", "here"]
    answer = await _post(sender, content=spoilt)
    assert said["violations"] == answer.json()["violations"]
    # What was accepted once stays accepted, whatever comes with it.
    accepted = (await _post(sender, content=inside)).json()
    again = await _judge(sender, content=spoilt)
    assert (again["duplicate"], again["envelope_id"]) == (True, accepted["envelope_id"])
    assert (await _post(sender, content=spoilt)).status_code == 200


def _part(sealed: bytes) -> Any:
    part = edxml.parse(sealed).part("manifest")
    assert part is not None
    return part


# --- memory ----------------------------------------------------------------------------------------


class _Counting:
    """A sink that keeps nothing."""

    size_bytes = 0

    def write(self, data: bytes) -> None:
        self.size_bytes += len(data)


def test_memory_is_bounded_whatever_the_size_of_a_part(home: House) -> None:
    sealed, sink, piece = home.seal(home.document()), _Counting(), bytes(64 * 1024)
    head = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
    parts = Parts("multipart/form-data; boundary=B", lambda: sink, 2**40)
    tracemalloc.start()
    try:
        parts.feed(head % b"a1")
        for _ in range(1600):  # 100 MiB.
            parts.feed(piece)
        parts.feed(b"\r\n" + head % b"envelope" + sealed + b"\r\n--B--\r\n")
        split = parts.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (split.sealed, sink.size_bytes) == (sealed, 1600 * len(piece))
    assert peak < 4 * 1024 * 1024
