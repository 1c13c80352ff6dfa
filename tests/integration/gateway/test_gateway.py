"""The gateway on a real ledger and spool: what an office may do over HTTP, and what nobody else may."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from axis import edxml, seal
from axis.edxml import Priority, catalogue
from axis.edxml.inline import inline
from axis.edxml.lint import lint
from axis.edxml.values import local_date
from axis.errors import CATALOGUE
from axis.gateway import files
from axis.office.answers import Delivered, Registered
from axis.registry import Registry, Status, following
from tests.house import COMMUNE, OTHER, SENDER, STRANGER, House
from tests.integration.gateway.conftest import MOST_BYTES
from tests.province import AT

PDF = b"%PDF-1.7" + bytes(300_000)
DIGEST = sha256(PDF).hexdigest()


@asynccontextmanager
async def _caller(app: FastAPI, home: House, office: str) -> AsyncIterator[httpx.AsyncClient]:
    token = seal.make_token(office, home.province.signer(office), home.at)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://axis", headers={"Authorization": f"Bearer {token}"}
    ) as client:
        yield client


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with _caller(app, home, SENDER) as client:
        yield client


def _problem(answer: httpx.Response, code: str) -> dict[str, Any]:
    """Return the problem document, once it has the right shape."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    said: dict[str, Any] = answer.json()
    assert (said["code"], answer.status_code) == (code, CATALOGUE[code].http)
    assert said["status"] == answer.status_code
    assert {"type", "title", "detail", "violations"} <= set(said)
    assert set(said["violations"][0]) == {"code", "line", "path", "rule", "vi", "en", "who_must_act", "next"}
    return said


# --- the roll -------------------------------------------------------------------------


async def test_offices_are_listed_once_and_then_only_what_is_new(sender: httpx.AsyncClient, home: House) -> None:
    first = (await sender.get("/v1/offices")).json()
    assert (first["whole"], [one["code"] for one in first["offices"]]) == (True, sorted(home.roll.by_code))
    assert "certificates" not in first["offices"][0]
    nothing = (await sender.get("/v1/offices", params={"since": first["cursor"]})).json()
    assert nothing == {"cursor": first["cursor"], "whole": False, "offices": [], "gone": []}
    renamed = replace(home.roll.by_code[OTHER], name="UBND xã mới (ví dụ)")
    offices = {**home.roll.by_code, OTHER: renamed}
    del offices[STRANGER]
    home.roll = following(home.roll, Registry.of(offices.values(), home.roll.tiers.values()))
    news = (await sender.get("/v1/offices", params={"since": first["cursor"]})).json()
    assert [(one["code"], one["name"]) for one in news["offices"]] == [(OTHER, "UBND xã mới (ví dụ)")]
    assert (news["whole"], news["gone"]) == (False, [STRANGER])


async def test_offices_are_not_told_to_strangers(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://axis") as client:
        _problem(await client.get("/v1/offices"), "API.AUTH")


# --- the catalogue ---------------------------------------------------------------------


async def test_codes_are_told_to_every_office_and_to_nobody_else(sender: httpx.AsyncClient, app: FastAPI) -> None:
    said = (await sender.get("/v1/codes")).json()["codes"]
    assert said == [row.as_dict() for row in catalogue.rows()]
    assert {one["code"] for one in said} > {*CATALOGUE, "01", "16"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://axis") as client:
        _problem(await client.get("/v1/codes"), "API.AUTH")


# --- attachments up -------------------------------------------------------------------


async def test_file_comes_in_pieces_and_goes_on_after_a_cut(sender: httpx.AsyncClient) -> None:
    url = f"/v1/uploads/{DIGEST}"
    assert (await sender.head(url)).headers["Upload-Offset"] == "0"
    length = {"Upload-Length": str(len(PDF))}
    first = await sender.patch(url, content=PDF[:1000], headers={"Upload-Offset": "0"} | length)
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    assert (await sender.head(url)).headers["Upload-Offset"] == "1000"
    rest = await sender.patch(url, content=PDF[1000:], headers={"Upload-Offset": "1000"} | length)
    assert (rest.status_code, rest.headers["Upload-Offset"]) == (201, str(len(PDF)))
    assert (await sender.get(f"/v1/attachments/{DIGEST}")).content == PDF
    again = await sender.put(url, content=bytes(len(PDF)))
    assert again.status_code == 201


async def test_whole_file_comes_at_once(sender: httpx.AsyncClient) -> None:
    assert (await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)).status_code == 201


async def test_piece_at_another_offset_is_refused(sender: httpx.AsyncClient) -> None:
    answer = await sender.patch(
        f"/v1/uploads/{DIGEST}", content=PDF, headers={"Upload-Offset": "5", "Upload-Length": str(len(PDF))}
    )
    _problem(answer, "API.OFFSET")


async def test_file_that_was_cut_is_brought_whole_by_the_same_request_again(sender: httpx.AsyncClient) -> None:
    """PUT is idempotent (RFC 9110 §9.2.2): who repeats it need not know how far the first one came."""
    url = f"/v1/uploads/{DIGEST}"
    cut = await sender.put(url, content=PDF[:1000], headers={"Content-Length": str(len(PDF))})
    assert (cut.status_code, cut.headers["Upload-Offset"]) == (204, "1000")
    assert (await sender.put(url, content=PDF)).status_code == 201


async def test_other_file_is_refused(sender: httpx.AsyncClient) -> None:
    _problem(await sender.put(f"/v1/uploads/{DIGEST}", content=bytes(len(PDF))), "ATT.DIGEST")
    assert (await sender.head(f"/v1/attachments/{DIGEST}")).status_code == 404


async def test_file_that_is_too_large_is_refused_before_it_comes(sender: httpx.AsyncClient) -> None:
    headers = {"Upload-Offset": "0", "Upload-Length": str(MOST_BYTES + 1)}
    _problem(await sender.patch(f"/v1/uploads/{DIGEST}", content=b"", headers=headers), "ATT.SIZE")


async def test_compressed_body_is_refused(sender: httpx.AsyncClient) -> None:
    for call in (
        sender.put(f"/v1/uploads/{DIGEST}", content=PDF, headers={"Content-Encoding": "gzip"}),
        sender.post("/v1/envelopes", content=b"<x/>", headers={"Content-Encoding": "gzip"}),
    ):
        _problem(await call, "ENV.ENCODING")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/uploads/ABC", {"Upload-Offset": "0", "Upload-Length": "1"}),
        (f"/v1/uploads/{DIGEST}", {"Upload-Offset": "-1", "Upload-Length": "1"}),
        (f"/v1/uploads/{DIGEST}", {"Upload-Offset": "0"}),
    ],
)
async def test_wrong_parameter_is_a_coded_problem(
    sender: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    _problem(await sender.patch(path, content=b"x", headers=headers), "API.PARAMETER")


# --- attachments down -----------------------------------------------------------------


async def test_ranges_are_served(sender: httpx.AsyncClient) -> None:
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    url, size = f"/v1/attachments/{DIGEST}", len(PDF)
    for wanted, start, end in (
        ("bytes=0-0", 0, 1),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-10", size - 10, size),
        (f"bytes=5-{size * 2}", 5, size),
    ):
        answer = await sender.get(url, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, PDF[start:end])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    for whole in ("bytes=0-", "bytes=0-1,5-6", "pages=1-2", ""):
        answer = await sender.get(url, headers={"Range": whole})
        assert (answer.status_code, len(answer.content)) == (200, size)
    _problem(await sender.get(url, headers={"Range": f"bytes={size}-"}), "API.RANGE")


async def test_range_without_bytes_says_how_many_there_are(sender: httpx.AsyncClient) -> None:
    """RFC 9110 §15.5.17."""
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    answer = await sender.get(f"/v1/attachments/{DIGEST}", headers={"Range": f"bytes={len(PDF)}-"})
    _problem(answer, "API.RANGE")
    assert answer.headers.get("Content-Range") == f"bytes */{len(PDF)}"


async def test_range_is_for_get_alone(sender: httpx.AsyncClient) -> None:
    """RFC 9110 §14.2: with any other method it is ignored."""
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    for wanted in ("bytes=0-0", "bytes=9999999-"):
        answer = await sender.head(f"/v1/attachments/{DIGEST}", headers={"Range": wanted})
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(PDF)))


async def test_range_of_any_length_is_no_fault_of_ours(sender: httpx.AsyncClient) -> None:
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    for wanted in ("bytes=0-{}", "bytes={}-", "bytes=-{}"):
        answer = await sender.get(f"/v1/attachments/{DIGEST}", headers={"Range": wanted.format("9" * 5000)})
        assert answer.status_code in (200, 206, 416), wanted


async def test_file_is_served_as_something_to_be_saved(sender: httpx.AsyncClient) -> None:
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    for answer in (
        await sender.get(f"/v1/attachments/{DIGEST}"),
        await sender.head(f"/v1/attachments/{DIGEST}"),
    ):
        assert answer.headers["Content-Type" if answer.content else "Content-Length"] in (
            "application/octet-stream",
            str(len(PDF)),
        )
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


# --- envelopes --------------------------------------------------------------------------


async def test_envelope_is_accepted_once_and_shown_to_its_offices(
    sender: httpx.AsyncClient, app: FastAPI, home: House
) -> None:
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    document = home.document(to=(COMMUNE, OTHER))
    envelope = home.seal(document, {"125.pdf": PDF})
    first = await sender.post("/v1/envelopes", content=envelope)
    again = await sender.post("/v1/envelopes", content=home.seal(document, {"125.pdf": PDF}))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"duplicate": True}
    envelope_id = first.json()["envelope_id"]
    assert home.read(first.json()["receipt"].encode()).level == "accepted"
    await home.attempt()
    await home.say(Registered("417"), await home.row(envelope_id))
    seen = (await sender.get(f"/v1/envelopes/{envelope_id}")).json()
    assert {one["addressee"]: one["state"] for one in seen["deliveries"]} == {COMMUNE: "delivered", OTHER: "sent"}
    levels = [one["level"] for one in (await sender.get(f"/v1/envelopes/{envelope_id}/receipts")).json()["receipts"]]
    assert sorted(levels) == ["accepted", "delivered", "registered"]
    async with _caller(app, home, OTHER) as other:
        theirs = (await other.get(f"/v1/envelopes/{envelope_id}")).json()
        assert [one["addressee"] for one in theirs["deliveries"]] == [OTHER]
        said = (await other.get(f"/v1/envelopes/{envelope_id}/receipts")).json()["receipts"]
        assert [one["level"] for one in said] == ["accepted"]
        assert (await other.get(f"/v1/envelopes/{envelope_id}/content")).content == envelope
        assert (await other.get(f"/v1/attachments/{DIGEST}")).content == PDF


async def test_timed_document_is_nothing_to_its_addressee_before_its_hour(
    sender: httpx.AsyncClient, app: FastAPI, home: House
) -> None:
    hour = home.at + timedelta(hours=5)
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    document = home.document(priority=Priority.TIMED, release_at=hour)
    answer = await sender.post("/v1/envelopes", content=home.seal(document, {"125.pdf": PDF}))
    place = f"/v1/envelopes/{answer.json()['envelope_id']}"
    (waiting,) = (await sender.get(place)).json()["deliveries"]
    assert (waiting["waits_for_its_hour"], waiting["overdue"]) == (True, False)
    assert waiting["next_at"] == waiting["release_at"]
    async with _caller(app, home, COMMUNE) as commune:
        for path in (place, f"{place}/content", f"{place}/receipts", f"/v1/attachments/{DIGEST}"):
            assert (await commune.get(path)).status_code == 404, path
    home.at = hour
    await home.attempt()
    async with _caller(app, home, COMMUNE) as commune:
        for path in (place, f"{place}/content", f"{place}/receipts", f"/v1/attachments/{DIGEST}"):
            assert (await commune.get(path)).status_code == 200, path
        (released,) = (await commune.get(place)).json()["deliveries"]
        assert not released["waits_for_its_hour"]


async def test_deadlines_of_an_addressee_are_shown(sender: httpx.AsyncClient, app: FastAPI, home: House) -> None:
    answer = await sender.post("/v1/envelopes", content=home.seal(home.document(due_on=date(2026, 9, 3))))
    place = f"/v1/envelopes/{answer.json()['envelope_id']}"
    await home.attempt()
    await home.say(Delivered(), await home.row(answer.json()["envelope_id"]))
    (one,) = (await sender.get(place)).json()["deliveries"]
    assert (one["register_by"], one["process_by"]) == ("2026-09-01T10:00:00Z", "2026-09-03T10:00:00Z")
    assert (one["registered_at"], one["done_at"], one["overdue"]) == (None, None, False)
    home.pass_time(timedelta(hours=9))
    async with _caller(app, home, COMMUNE) as commune:
        (one,) = (await commune.get(place)).json()["deliveries"]
        assert one["overdue"]


async def test_message_with_its_files_inside_is_taken(sender: httpx.AsyncClient, home: House) -> None:
    document = home.document()
    envelope = home.seal(document, {"125.pdf": PDF})
    refs = edxml.read_manifest(_manifest(envelope))
    whole = b"".join(inline(envelope, [(ref, [PDF]) for ref in refs]))
    answer = await sender.post("/v1/envelopes", content=whole)
    assert answer.status_code == 201, answer.text
    content = await sender.get(f"/v1/envelopes/{answer.json()['envelope_id']}/content")
    assert content.content == envelope
    assert (await sender.get(f"/v1/attachments/{DIGEST}")).content == PDF


def _manifest(envelope: bytes) -> Any:
    return edxml.parse(envelope).part("manifest")


async def test_file_inside_that_is_not_what_was_sealed_is_refused(sender: httpx.AsyncClient, home: House) -> None:
    envelope = home.seal(home.document(), {"125.pdf": PDF})
    refs = edxml.read_manifest(_manifest(envelope))
    whole = b"".join(inline(envelope, [(ref, [PDF[:-1]]) for ref in refs]))
    _problem(await sender.post("/v1/envelopes", content=whole), "ATT.DIGEST")
    assert await home.spool.used_bytes() == 0


async def test_file_that_comes_twice_is_refused(sender: httpx.AsyncClient, home: House) -> None:
    envelope = home.seal(home.document(), {"125.pdf": PDF})
    (ref,) = edxml.read_manifest(_manifest(envelope))
    whole = b"".join(inline(envelope, [(ref, [PDF]), (ref, [PDF])]))
    _problem(await sender.post("/v1/envelopes", content=whole), "ATT.UNLISTED")


async def test_file_inside_obeys_the_limit_of_this_gateway(sender: httpx.AsyncClient, home: House) -> None:
    large = PDF * 4
    envelope = home.seal(home.document(), {"125.pdf": large})
    (ref,) = edxml.read_manifest(_manifest(envelope))
    _problem(await sender.post("/v1/envelopes", content=b"".join(inline(envelope, [(ref, [large])]))), "ATT.SIZE")
    assert await home.spool.used_bytes() == 0


async def test_file_of_an_envelope_that_is_refused_is_not_kept(sender: httpx.AsyncClient, home: House) -> None:
    """Whoever fills the spool must at least have sealed what it is for."""
    good = home.seal(home.document(), {"125.pdf": PDF})
    refs = edxml.read_manifest(_manifest(good))
    for envelope, code in (
        (good.replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA"), "SIG.VALUE"),
        (home.seal(home.document(code_number="không số"), {"125.pdf": PDF}), "RULE.CODE"),
        (home.seal(home.document(), {"125.pdf": PDF}, by=OTHER), "KEY.WRONG_SIGNER"),
    ):
        whole = b"".join(inline(envelope, [(ref, [PDF]) for ref in refs]))
        said = _problem(await sender.post("/v1/envelopes", content=whole), code)
        assert home.read(said["receipt"].encode()).code == code
    assert await home.spool.used_bytes() == 0


async def test_caller_who_falls_silent_gives_up_its_place(
    sender: httpx.AsyncClient, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SILENCE_S", 0.1)

    async def some() -> AsyncIterator[bytes]:
        yield PDF[:1000]
        await asyncio.sleep(30)

    whole = await sender.post("/v1/envelopes", content=some())
    assert (whole.status_code, whole.json()["code"]) == (408, "API.BUSY")
    headers = {"Upload-Offset": "0", "Upload-Length": str(len(PDF))}
    part = await sender.patch(f"/v1/uploads/{DIGEST}", content=some(), headers=headers)
    assert (part.status_code, part.headers["Upload-Offset"]) == (204, "1000")


async def test_refusal_lists_what_lint_lists_and_brings_the_signed_receipt(
    sender: httpx.AsyncClient, home: House
) -> None:
    envelope = home.seal(home.document(code_number="không số", type_name="Thư tình"))
    said = _problem(await sender.post("/v1/envelopes", content=envelope), "RULE.CODE")
    report = lint([envelope], today=local_date(AT), open_scratch=lambda: open("/dev/null", "w+b"))  # noqa: SIM115
    assert said["violations"] == [one.as_dict() for one in report.violations]
    receipt = home.read(said["receipt"].encode())
    assert [one.as_dict() for one in receipt.violations] == said["violations"]


async def test_body_that_cannot_be_read_is_refused_with_a_signed_rejection(
    sender: httpx.AsyncClient, home: House
) -> None:
    for body, code in (
        (b"no XML", "ENV.NOT_WELL_FORMED"),
        (b"", "ENV.NOT_WELL_FORMED"),
        (b"<x>" + b" " * 2_000_000 + b"</x>", "ENV.TOO_LARGE"),
        (home.seal(home.document()).replace(b"UTF-8", b"UTF-7", 1), "ENV.ENCODING"),
    ):
        said = _problem(await sender.post("/v1/envelopes", content=body), code)
        receipt = home.read(said["receipt"].encode())
        assert (receipt.envelope_digest, receipt.code) == (sha256(body).hexdigest(), code)
        assert [one.as_dict() for one in receipt.violations] == said["violations"]


async def test_body_that_is_too_long_to_be_read_to_its_end_gets_no_receipt(sender: httpx.AsyncClient) -> None:
    said = _problem(await sender.post("/v1/envelopes", content=b"<x/>" + b"x" * 5_000_000), "ENV.NOT_WELL_FORMED")
    assert said["receipt"] is None


async def test_file_inside_that_differs_is_refused_with_a_rejection_of_its_envelope(
    sender: httpx.AsyncClient, home: House
) -> None:
    envelope = home.seal(home.document(), {"125.pdf": PDF})
    (ref,) = edxml.read_manifest(_manifest(envelope))
    whole = b"".join(inline(envelope, [(ref, [PDF[:-1]])]))
    said = _problem(await sender.post("/v1/envelopes", content=whole), "ATT.DIGEST")
    assert home.read(said["receipt"].encode()).envelope_digest == sha256(envelope).hexdigest()
    right = b"".join(inline(envelope, [(ref, [PDF])]))
    assert (await sender.post("/v1/envelopes", content=right)).status_code == 201


async def test_refusal_and_its_receipt_say_the_same_when_one_of_two_files_has_come(
    sender: httpx.AsyncClient, home: House
) -> None:
    """Promise 4: one list, wherever it is shown, also when the same bytes are refused again."""
    envelope = home.seal(home.document(), {"a.pdf": PDF, "b.pdf": PDF[:-1]})
    for missing in (["a.pdf", "b.pdf"], ["b.pdf"]):
        said = _problem(await sender.post("/v1/envelopes", content=envelope), "ATT.MISSING")
        assert [one["en"] for one in said["violations"]] == [f"An attachment is missing: {name}" for name in missing]
        receipt = home.read(said["receipt"].encode())
        assert [one.as_dict() for one in receipt.violations] == said["violations"]
        await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)


async def test_envelope_that_is_too_large_is_refused(sender: httpx.AsyncClient, home: House) -> None:
    large = home.seal(home.document()).replace(b"<edXML:Subject>", b"<edXML:Subject>" + b"x" * 1_100_000)
    _problem(await sender.post("/v1/envelopes", content=large), "ENV.TOO_LARGE")


async def test_no_has_its_code(sender: httpx.AsyncClient, home: House) -> None:
    document = home.document()
    await sender.post("/v1/envelopes", content=home.seal(document))
    other = home.document(document_id=document.document_id, subject="V/v khác")
    for content, code in (
        (home.seal(other), "MSG.CONFLICT"),
        (home.seal(home.document(), {"a.pdf": PDF}), "ATT.MISSING"),
        (home.seal(home.document(to=("H56.888",))), "MSG.UNKNOWN_ADDRESSEE"),
        (edxml.render(home.document()), "SIG.POSITION"),
        (b"<x", "ENV.NOT_WELL_FORMED"),
        (b"", "ENV.NOT_WELL_FORMED"),
    ):
        answer = await sender.post("/v1/envelopes", content=content)
        said = answer.json()
        assert said["code"] in (code, "SIG.MISSING" if code == "SIG.POSITION" else code), said
        _problem(answer, said["code"])


async def test_envelope_of_another_office_is_refused(app: FastAPI, home: House) -> None:
    async with _caller(app, home, STRANGER) as client:
        answer = await client.post("/v1/envelopes", content=home.seal(home.document()))
    _problem(answer, "MSG.WRONG_SENDER")


# --- who may call ------------------------------------------------------------------------


def _routes(app: FastAPI, *begin: str) -> Iterator[tuple[str, str]]:
    for path, methods in files.METHODS.items():
        for method in methods:
            yield method, path
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path.startswith(begin):
            for method in sorted(route.methods or ()):
                yield method, route.path


async def test_nobody_sees_what_is_another_offices(sender: httpx.AsyncClient, app: FastAPI, home: House) -> None:
    """Every route, with real digests and ids, as an office that is neither originator nor addressee."""
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    unfinished = sha256(b"unfinished").hexdigest()
    await sender.patch(
        f"/v1/uploads/{unfinished}", content=b"unfin", headers={"Upload-Offset": "0", "Upload-Length": "10"}
    )
    answer = await sender.post("/v1/envelopes", content=home.seal(home.document(), {"125.pdf": PDF}))
    envelope_id = answer.json()["envelope_id"]
    asked = 0
    async with _caller(app, home, STRANGER) as stranger:
        for method, path in _routes(app, "/v1/"):
            if method not in ("GET", "HEAD"):
                continue
            for digest in (DIGEST, unfinished):
                url = path.replace("{digest}", digest).replace("{envelope_id}", envelope_id)
                seen = await stranger.request(method, url)
                absent = re.sub(r"[0-9a-f]{64}", "0" * 64, re.sub(r"[0-9a-f]{32}(?![0-9a-f])", "0" * 32, url))
                nothing = await stranger.request(method, absent)
                asked += 1
                # There is no telling between what is another's and what is not there.
                assert (seen.status_code, seen.content) == (nothing.status_code, nothing.content), url
                assert seen.headers.get("Upload-Offset") in (None, "0")
        assert (await stranger.get(f"/v1/attachments/{DIGEST}")).status_code == 404
    assert asked >= 12


async def test_nobody_learns_anything_by_writing(sender: httpx.AsyncClient, app: FastAPI, home: House) -> None:
    """What a third office writes is answered alike, whether the file or the envelope is there or not."""
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    envelope = home.seal(home.document(), {"125.pdf": PDF})
    await sender.post("/v1/envelopes", content=envelope)
    wrong = b"x" * len(PDF)
    pairs = []
    async with _caller(app, home, STRANGER) as stranger:
        for digest in (DIGEST, sha256(b"nowhere").hexdigest()):
            url, length = f"/v1/uploads/{digest}", {"Upload-Offset": "0", "Upload-Length": str(len(PDF))}
            file = PDF if digest == DIGEST else b"nowhere"
            mine = home.document(originator=edxml.Organization(STRANGER), document_id="H56.NR,2026/08/25,9/NR")
            pairs.append(
                [
                    await stranger.put(url, content=wrong),
                    await stranger.patch(url, content=wrong[:9], headers=length),
                    await stranger.patch(url, content=b"", headers=length | {"Upload-Offset": "8"}),
                    await stranger.patch(url, content=b"", headers=length | {"Upload-Offset": "9"}),
                    await stranger.head(url),
                    await stranger.post("/v1/envelopes", content=home.seal(mine, {"a.pdf": file}, by=STRANGER)),
                    await stranger.post(
                        "/v1/envelopes", content=envelope if digest == DIGEST else home.seal(home.document())
                    ),
                ]
            )
    there, absent = [[(one.status_code, _without_names(one)) for one in answers] for answers in pairs]
    assert there == absent
    assert [status for status, _ in there] == [422, 204, 409, 204, 200, 422, 403]
    assert (await sender.get(f"/v1/attachments/{DIGEST}")).content == PDF


def _without_names(answer: httpx.Response) -> str:
    """Return what an answer says, but for the digest that was asked for and the receipt that was signed for it."""
    if not answer.content:
        return str(answer.headers.get("Upload-Offset", ""))
    said = {name: value for name, value in answer.json().items() if name != "receipt"}
    return re.sub(r"[0-9a-f]{64}", "", str(said))


async def test_whoever_has_the_bytes_may_bring_them_too(sender: httpx.AsyncClient, app: FastAPI, home: House) -> None:
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    async with _caller(app, home, STRANGER) as stranger:
        assert (await stranger.put(f"/v1/uploads/{DIGEST}", content=PDF)).status_code == 201
        assert (await stranger.get(f"/v1/attachments/{DIGEST}")).content == PDF
    assert await home.spool.used_bytes() == len(PDF)


async def test_every_route_wants_a_token(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://axis") as client:
        for method, path in _routes(app, "/v1/"):
            url = path.replace("{digest}", DIGEST).replace("{envelope_id}", "0" * 32)
            for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}):
                answer = await client.request(
                    method, url, headers={**headers, "Upload-Offset": "0", "Upload-Length": "1", "Content-Length": "0"}
                )
                assert answer.status_code == 401, (method, url)


async def test_old_token_opens_nothing(app: FastAPI, home: House) -> None:
    token = seal.make_token(SENDER, home.province.signer(SENDER), AT - seal.token.LIFETIME * 2)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://axis") as client:
        answer = await client.get(f"/v1/attachments/{DIGEST}", headers={"Authorization": f"Bearer {token}"})
    _problem(answer, "API.AUTH")


@pytest.mark.parametrize("whose", ["signed by another office", "of an office that is none", "of tomorrow"])
async def test_token_that_proves_nothing_opens_no_route(app: FastAPI, home: House, whose: str) -> None:
    strange = home.province.signer(STRANGER)
    token = {
        "signed by another office": seal.make_token(SENDER, strange, AT),
        "of an office that is none": seal.make_token("H56.888", strange, AT),
        "of tomorrow": seal.make_token(STRANGER, strange, AT + timedelta(days=1)),
    }[whose]
    headers = {"Authorization": f"Bearer {token}", "Upload-Offset": "0", "Upload-Length": "1", "Content-Length": "0"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://axis") as client:
        for method, path in _routes(app, "/v1/"):
            url = path.replace("{digest}", DIGEST).replace("{envelope_id}", "0" * 32)
            answer = await client.request(method, url, headers=headers)
            assert answer.status_code == 401, (method, url)
            if method != "HEAD":
                _problem(answer, "API.AUTH")


async def test_answer_to_a_stranger_says_what_is_wanted(app: FastAPI) -> None:
    """RFC 9110 §11.6.1."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://axis") as client:
        answer = await client.get(f"/v1/attachments/{DIGEST}")
    _problem(answer, "API.AUTH")
    assert answer.headers.get("WWW-Authenticate") == "Bearer"


async def test_places_are_held_while_files_come_and_free_again_after(
    sender: httpx.AsyncClient, app: FastAPI, home: House
) -> None:
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield PDF[:10]
        await go_on.wait()
        yield PDF[10:20]

    digests = [sha256(bytes([number])).hexdigest() for number in range(4)]
    headers = {"Upload-Offset": "0", "Upload-Length": "100"}
    going = [
        asyncio.create_task(sender.patch(f"/v1/uploads/{one}", content=slowly(), headers=headers)) for one in digests
    ]
    async with asyncio.timeout(20):
        while app.state.rooms.desk.busy(SENDER) < 4:  # noqa: ASYNC110 - The gateway rings no bell.
            await asyncio.sleep(0.01)
    answer = await sender.get(f"/v1/attachments/{DIGEST}")
    _problem(answer, "API.BUSY")
    assert answer.headers["Retry-After"] == "2"
    async with _caller(app, home, OTHER) as other:
        assert (await other.get(f"/v1/attachments/{DIGEST}")).status_code == 404
    go_on.set()
    assert [(one.status_code, one.headers["Upload-Offset"]) for one in await asyncio.gather(*going)] == [
        (204, "20")
    ] * 4
    assert (await sender.get(f"/v1/attachments/{DIGEST}")).status_code == 404
    assert app.state.rooms.desk.busy(SENDER) == 0


def _scope(path: str, token: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }


async def test_place_is_held_until_the_last_byte_of_a_file_has_gone_out(
    sender: httpx.AsyncClient, app: FastAPI, home: House
) -> None:
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    begun, go_on = asyncio.Event(), asyncio.Event()
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        await go_on.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)
        if message["type"] == "http.response.body":
            begun.set()
            await go_on.wait()

    token = seal.make_token(SENDER, home.province.signer(SENDER), AT)
    scope = _scope(f"/v1/attachments/{DIGEST}", token)
    reading = asyncio.create_task(app(scope, receive, send))
    async with asyncio.timeout(20):
        await begun.wait()
    assert app.state.rooms.desk.busy(SENDER) == 1
    go_on.set()
    await reading
    assert app.state.rooms.desk.busy(SENDER) == 0
    assert said[0]["status"] == 200


async def test_spool_that_cannot_be_used_is_no_fault_of_the_caller(
    sender: httpx.AsyncClient, home: House, tmp_path: Path
) -> None:
    staging = tmp_path / "staging"
    staging.rmdir()
    staging.write_bytes(b"")
    headers = {"Upload-Offset": "0", "Upload-Length": "10"}
    envelope = home.seal(home.document(), {"125.pdf": PDF})
    whole = b"".join(inline(envelope, [(ref, [PDF]) for ref in edxml.read_manifest(_manifest(envelope))]))
    for answer in (
        await sender.put(f"/v1/uploads/{DIGEST}", content=PDF),
        await sender.patch(f"/v1/uploads/{DIGEST}", content=b"x", headers=headers),
        await sender.post("/v1/envelopes", content=whole),
    ):
        _problem(answer, "SYS.SPOOL")
        assert int(answer.headers["Retry-After"]) > 0
    assert (await sender.head(f"/v1/uploads/{DIGEST}")).status_code == 503


async def test_one_office_gets_so_many_places_and_not_more(
    sender: httpx.AsyncClient, app: FastAPI, home: House
) -> None:
    with contextlib.ExitStack() as places:
        for _ in range(4):
            places.enter_context(app.state.rooms.desk.place(SENDER))
        await _is_full_for_one_office_only(sender, app, home)
    await sender.get(f"/v1/attachments/{DIGEST}")
    assert app.state.rooms.desk.busy(SENDER) == 0


async def _is_full_for_one_office_only(sender: httpx.AsyncClient, app: FastAPI, home: House) -> None:
    answer = await sender.get(f"/v1/attachments/{DIGEST}")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (429, "API.BUSY", "2")
    async with _caller(app, home, OTHER) as other:
        assert (await other.get(f"/v1/attachments/{DIGEST}")).status_code == 404


async def test_office_that_does_not_take_part_may_only_read(sender: httpx.AsyncClient, home: House) -> None:
    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    suspended = (replace(one, status=Status.SUSPENDED) if one.code == SENDER else one for one in home.roll.offices())
    home.roll = Registry.of(suspended, home.roll.tiers.values())
    _problem(await sender.put(f"/v1/uploads/{DIGEST}", content=PDF), "MSG.NOT_ALLOWED")
    _problem(await sender.post("/v1/envelopes", content=home.seal(home.document())), "MSG.NOT_ALLOWED")
    assert (await sender.get(f"/v1/attachments/{DIGEST}")).content == PDF


async def test_unknown_path_is_a_coded_problem(sender: httpx.AsyncClient) -> None:
    _problem(await sender.get("/v1/nothing"), "API.NOT_FOUND")


async def test_health_and_metrics_need_no_token_and_show_no_content(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://axis") as client:
        assert (await client.get("/healthz")).json() == {"alive": True}
        assert (await client.get("/readyz")).json() == {"ledger": "ok"}
        assert (await client.get("/metrics")).text == "axis 1\n"
        described = (await client.get("/openapi.json")).json()
    assert "/v1/envelopes" in described["paths"]


async def test_description_names_every_route(app: FastAPI, sender: httpx.AsyncClient) -> None:
    said = (await sender.get("/openapi.json")).json()["paths"]
    assert {(method.upper(), path) for path, methods in said.items() for method in methods} == set(
        _routes(app, "/v1/", "/compat/")
    )


async def test_nobody_reads_on_for_a_caller_who_has_gone(
    sender: httpx.AsyncClient, app: FastAPI, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    async def stream(*_: Any, **__: Any) -> AsyncIterator[bytes]:
        for number in range(100):
            read.append(number)
            yield bytes(3000)
            await asyncio.sleep(0)

    await sender.put(f"/v1/uploads/{DIGEST}", content=PDF)
    monkeypatch.setattr(home.spool, "stream", stream)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    token = seal.make_token(SENDER, home.province.signer(SENDER), AT)
    await app(_scope(f"/v1/attachments/{DIGEST}", token), receive, send)
    assert len(read) < 10
    assert app.state.rooms.desk.busy(SENDER) == 0


async def test_family_is_told_as_far_as_the_caller_may_see_it(
    sender: httpx.AsyncClient, app: FastAPI, home: House
) -> None:
    """A reply between two others is not among what an addressee of the first document is shown."""
    first = home.document(to=(COMMUNE, OTHER))
    first_id = (await home.accept(home.seal(first))).envelope_id
    reply = home.document(
        to=(SENDER,),
        originator=edxml.Organization(COMMUNE),
        responses=(edxml.ResponseFor(SENDER, first.code, first.document_id),),
    )
    reply_id = (await home.accept(home.seal(reply, by=COMMUNE), by=COMMUNE)).envelope_id
    for link in await home.ledger.links_due(home.at, 10):
        await home.ledger.settle_links([link], {link.document_id: first_id}, (), home.at)
    told = (await sender.get(f"/v1/envelopes/{first_id}/family")).json()
    assert {one["envelope_id"] for one in told["envelopes"]} == {first_id, reply_id}
    assert told["relations"] == [{"envelope_id": reply_id, "kind": "reply", "about": first_id, "addressees": []}]
    async with _caller(app, home, OTHER) as other:
        told = (await other.get(f"/v1/envelopes/{first_id}/family")).json()
        assert [one["envelope_id"] for one in told["envelopes"]] == [first_id]
        assert told["relations"] == []
        _problem(await other.get(f"/v1/envelopes/{reply_id}/family"), "API.NOT_FOUND")


async def test_what_was_taken_back_is_not_the_addressees_to_see(
    sender: httpx.AsyncClient, app: FastAPI, home: House
) -> None:
    await home.bring(SENDER, PDF)
    accepted = await home.accept(home.seal(home.document(), {"a.pdf": PDF}))
    async with _caller(app, home, COMMUNE) as addressee:
        assert (await addressee.get(f"/v1/attachments/{DIGEST}")).status_code == 200
        row = await home.row(accepted.envelope_id)
        await home.answers.take_back(row, home.at, by="x", told=SENDER, removed=False)
        for path in (f"attachments/{DIGEST}", f"envelopes/{accepted.envelope_id}/content"):
            _problem(await addressee.get(f"/v1/{path}"), "API.NOT_FOUND")
    assert (await sender.get(f"/v1/attachments/{DIGEST}")).status_code == 200
