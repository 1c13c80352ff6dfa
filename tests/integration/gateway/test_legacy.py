"""An office with an older system: what it sends is sealed by the axis and marked, what it fetches it can read."""

import asyncio
import io
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from lxml import etree

from axis import edxml, seal
from axis.audit.evidence import Evidence
from axis.cli import track
from axis.edxml import Document, Organization, ResponseFor, Status
from axis.edxml.dialects import DIALECTS, RELATED, Cutter, Package, contents, render
from axis.errors import Refusal
from axis.intake import Original, Rejected, notarise
from axis.receipts.voice import Voice
from axis.registry import Unsigned
from tests.house import AXIS, COMMUNE, OTHER, SENDER, House
from tests.integration.gateway import older
from tests.integration.gateway.conftest import MOST_BYTES
from tests.integration.gateway.older import PDF, speaks
from tests.province import AT


@asynccontextmanager
async def _caller(app: FastAPI, home: House, office: str) -> AsyncIterator[httpx.AsyncClient]:
    token = seal.make_token(office, home.province.signer(office), AT)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://axis", headers=headers) as client:
        yield client


@pytest.fixture(autouse=True)
def legacy(home: House) -> None:
    """Let the sender and one commune speak dialects."""
    speaks(home, SENDER, "edoc", Unsigned.ACCEPT)
    speaks(home, COMMUNE, "go", Unsigned.REFUSE)


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with _caller(app, home, SENDER) as client:
        yield client


_TO_BOTH = (Organization(COMMUNE), Organization(OTHER))


def _document(**fields: Any) -> Document:
    return older.document(**{"addressees": _TO_BOTH, **fields})


def _written(dialect: str = "edoc", content: bytes = PDF, name: str = "7.pdf", **fields: Any) -> bytes:
    return older.written(dialect, content, name, **{"addressees": _TO_BOTH, **fields})


async def _accepted(client: httpx.AsyncClient, octets: bytes, status: int = 201) -> dict[str, Any]:
    answer = await client.post("/v1/envelopes", content=octets)
    assert answer.status_code == status, answer.text
    said: dict[str, Any] = answer.json()
    return said


# --- in ---------------------------------------------------------------------------------


async def test_old_message_is_sealed_by_the_axis_and_marked(
    sender: httpx.AsyncClient, home: House, app: FastAPI
) -> None:
    octets = b"1212" + _written()
    said = await _accepted(sender, octets)
    envelope_id = said["envelope_id"]
    receipt = home.read(said["receipt"].encode())
    assert "chưa xác thực" in receipt.reason
    assert "not verified" in receipt.reason
    assert "junk" in receipt.reason
    sealed = await home.ledger.sealed(envelope_id)
    assert sealed is not None
    received = edxml.parse(sealed)
    trust = home.province.trust()
    verified = seal.verify(received, trust, at=AT, notary=AXIS)
    assert not verified.by_originator
    assert received.notary == edxml.Notary(AXIS, sha256(octets).hexdigest())
    assert verified.message == replace(
        _document(),
        traces=(),
        attachments=verified.message.attachments,  # type: ignore[union-attr]
    )
    async with _caller(app, home, OTHER) as other:
        shown = (await other.get(f"/v1/envelopes/{envelope_id}")).json()
        assert (shown["verified"], shown["original"]) == (False, sha256(octets).hexdigest())
        original = await other.get(f"/v1/envelopes/{envelope_id}/original")
        assert (original.content, original.headers["axis-verified"]) == (octets, "no")
        content = await other.get(f"/v1/envelopes/{envelope_id}/content")
        assert (content.content, content.headers["axis-verified"]) == (sealed, "no")
        file = await other.get(f"/v1/attachments/{sha256(PDF).hexdigest()}")
        assert file.content == PDF


async def test_ordinary_envelope_is_verified_and_has_no_original(app: FastAPI, home: House) -> None:
    async with _caller(app, home, OTHER) as other:
        document = home.document(to=(COMMUNE,), originator=Organization(OTHER), document_id=f"{OTHER},2026/08/25,1/A")
        said = await _accepted(other, home.seal(document, by=OTHER))
        shown = (await other.get(f"/v1/envelopes/{said['envelope_id']}")).json()
        assert (shown["verified"], shown["original"]) == (True, None)
        assert (await other.get(f"/v1/envelopes/{said['envelope_id']}/original")).status_code == 404
        assert home.read(said["receipt"].encode()).reason == ""


async def test_strangers_read_no_original(sender: httpx.AsyncClient, home: House, app: FastAPI) -> None:
    said = await _accepted(sender, _written(addressees=(Organization(COMMUNE),)))
    async with _caller(app, home, OTHER) as other:
        for what in ("original", "edxml"):
            assert (await other.get(f"/v1/envelopes/{said['envelope_id']}/{what}")).status_code == 404


async def test_same_bytes_get_the_first_answer_again(sender: httpx.AsyncClient, home: House) -> None:
    octets = _written()
    first = await _accepted(sender, octets)
    again = await _accepted(sender, octets, 200)
    assert again == {**first, "duplicate": True}
    assert len(await home.ledger.envelopes()) == 1


async def test_document_written_anew_gets_the_first_answer_again(sender: httpx.AsyncClient, home: House) -> None:
    """An older system that sends again writes other times into its TraceHeader."""
    first = await _accepted(sender, _written())
    later = _written(traces=((SENDER, datetime(2026, 8, 26, tzinfo=UTC)),))
    again = await _accepted(sender, later, 200)
    assert again == {**first, "duplicate": True}


async def test_other_content_under_the_same_id_is_a_conflict(sender: httpx.AsyncClient) -> None:
    await _accepted(sender, _written())
    answer = await sender.post("/v1/envelopes", content=_written(subject="V/v khác (ví dụ)"))
    assert (answer.status_code, answer.json()["code"]) == (409, "MSG.CONFLICT")


async def test_accepted_bytes_stay_accepted_when_the_roll_takes_no_unsigned_any_more(
    sender: httpx.AsyncClient, home: House
) -> None:
    octets = _written()
    first = await _accepted(sender, octets)
    speaks(home, SENDER, "edoc", Unsigned.REFUSE)
    assert (await _accepted(sender, octets, 200))["envelope_id"] == first["envelope_id"]


async def test_refusal_is_signed_and_names_the_digest_of_what_came(sender: httpx.AsyncClient, home: House) -> None:
    speaks(home, SENDER, "edoc", Unsigned.REFUSE)
    octets = _written()
    answers = [await sender.post("/v1/envelopes", content=octets) for _ in range(2)]
    assert [answer.json()["code"] for answer in answers] == ["SIG.MISSING"] * 2
    said = home.read(answers[0].json()["receipt"].encode())
    assert said.envelope_digest == sha256(octets).hexdigest()
    assert answers[0].json()["receipt"] == answers[1].json()["receipt"]
    assert [row["sealed_digest"] for row in await home.ledger.rejections()] == [sha256(octets).hexdigest()]
    assert await home.spool.exists(sha256(octets).hexdigest()) is None
    assert await home.spool.exists(sha256(PDF).hexdigest()) is None


async def test_everything_wrong_is_said_with_the_lines_of_the_original(sender: httpx.AsyncClient) -> None:
    text = _written().decode().replace(">25/08/2026<", ">30/02/2026<").replace("<edXML:Subject>", "\n<edXML:Subject>")
    text = re.sub(r"(<edXML:Subject>).*?(</edXML:Subject>)", r"\1\2", text)
    answer = await sender.post("/v1/envelopes", content=text.encode())
    found = [(one["rule"], one["line"]) for one in answer.json()["violations"]]
    assert found == [("xsd:minLength", 3), ("rule:date.exists", 2)]


async def test_rules_and_addressees_are_judged_as_ever(sender: httpx.AsyncClient, home: House) -> None:
    octets = _written(type_name="Công văn mật (ví dụ)", addressees=(Organization("H56.999"),))
    answer = await sender.post("/v1/envelopes", content=octets)
    assert {one["code"] for one in answer.json()["violations"]} == {
        "RULE.DOCUMENT_TYPE",
        "MSG.UNKNOWN_ADDRESSEE",
    }
    assert await home.spool.exists(sha256(octets).hexdigest()) is None


async def test_nobody_speaks_for_another_office(sender: httpx.AsyncClient) -> None:
    answer = await sender.post("/v1/envelopes", content=_written(originator=Organization(OTHER)))
    assert answer.json()["code"] == "MSG.WRONG_SENDER"


async def test_file_above_the_limit_is_refused(sender: httpx.AsyncClient) -> None:
    answer = await sender.post("/v1/envelopes", content=_written(content=bytes(MOST_BYTES + 1)))
    assert (answer.status_code, answer.json()["code"]) == (413, "ATT.SIZE")


async def test_seal_of_the_profile_is_judged_by_itself(sender: httpx.AsyncClient, home: House) -> None:
    """A system that has learned to seal needs no other entry in the roll; one that seals wrongly gets no way round."""
    envelope = home.seal(home.document())
    said = await _accepted(sender, envelope)
    assert await home.ledger.sealed(said["envelope_id"]) == envelope
    spoilt = home.seal(home.document()).replace("ví dụ".encode(), "ví  dụ".encode(), 1)
    answer = await sender.post("/v1/envelopes", content=spoilt)
    assert answer.json()["code"] == "SIG.DIGEST"


@pytest.mark.parametrize("via", ["amqp", "http"])
async def test_nobody_forges_the_notary(home: House, via: str) -> None:
    """Neither an office with its own key, nor one that has got hold of what the axis had sealed."""
    mark = edxml.Notary(SENDER, "0" * 64)
    own = seal.seal(edxml.render(home.document(), mark), home.province.signer(SENDER))
    foreign = seal.seal(edxml.render(home.document(), edxml.Notary(AXIS, "0" * 64)), home.province.signer(SENDER))
    stolen = notarise(home.document(), "0" * 64, home.intake.voice, at=AT)
    for envelope in (own, foreign, stolen):
        with pytest.raises(Rejected) as caught:
            await home.accept(envelope, via=via)
        assert caught.value.code == "SIG.NOTARY"
    with pytest.raises(Rejected) as caught:  # The gateway itself cannot be talked into another's mark.
        await home.intake.accept(own, submitter=SENDER, via="http", original=Original("0" * 64))
    assert caught.value.code == "SIG.NOTARY"


async def test_half_a_mark_is_a_mark(home: House) -> None:
    for half in ("notary", "original"):
        text = edxml.render(home.document(), edxml.Notary(AXIS, "0" * 64)).decode()
        text = re.sub(rf' axp:{half}="[^"]*"', "", text)
        with pytest.raises(Refusal) as caught:
            seal.verify(
                edxml.parse(seal.seal(text.encode(), home.province.signer(SENDER))), home.province.trust(), at=AT
            )
        assert caught.value.code == "SIG.NOTARY"


async def test_status_of_an_old_system_arrives(sender: httpx.AsyncClient, home: House) -> None:
    status = Status(
        originator=Organization(SENDER),
        response_for=ResponseFor(COMMUNE, "9/UBND", f"{COMMUNE},2026/08/20,9/UBND", date(2026, 8, 20)),
        status_code="03",
        description="Đã tiếp nhận (ví dụ)",
        at=datetime(2026, 8, 25, 3, 2, 11, tzinfo=UTC),
    )
    said = await _accepted(sender, b"".join(render(DIALECTS["edoc"], status)))
    rows = await home.ledger.deliveries_of(said["envelope_id"])
    assert [row.addressee for row in rows] == [COMMUNE]
    sealed = await home.ledger.sealed(said["envelope_id"])
    assert sealed is not None
    assert seal.verify(edxml.parse(sealed), home.province.trust(), at=AT, notary=AXIS).message == status


async def test_soap_with_attachments_arrives_and_its_headers_must_agree(sender: httpx.AsyncClient, home: House) -> None:
    speaks(home, SENDER, "swa", Unsigned.ACCEPT)
    octets = _written("swa")
    boundary = octets[2:].partition(b"\r\n")[0].decode()
    for stated in ('boundary="another"', f'boundary="{boundary}"; start="<another>"'):
        answer = await sender.post("/v1/envelopes", content=octets, headers={"content-type": f"{RELATED}; {stated}"})
        assert (answer.status_code, answer.json()["code"]) == (400, "ENV.MIME")
    stated = f'{RELATED}; type="text/xml"; boundary="{boundary}"; start="message"'
    answer = await sender.post("/v1/envelopes", content=octets, headers={"content-type": stated})
    assert answer.status_code == 201, answer.text
    assert await home.spool.exists(sha256(PDF).hexdigest()) is not None
    assert (await _accepted(sender, octets, 200))["envelope_id"] == answer.json()["envelope_id"]


async def test_audit_believes_the_notary_where_the_book_says_so(sender: httpx.AsyncClient, home: House) -> None:
    await _accepted(sender, _written())
    await home.accept(home.seal(home.document()))
    evidence = Evidence(home.province.trust(), AXIS)
    found = [one async for story in home.ledger.stories(whole=True) async for one in evidence.story(story)]
    assert (found, evidence.counted["envelopes"]) == ([], 2)


async def test_person_who_tracks_it_sees_the_mark(
    sender: httpx.AsyncClient, home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await _accepted(sender, _written())
    await home.accept(home.seal(home.document()))
    for envelope in await home.ledger.envelopes():
        story = await track._story(home.ledger, envelope)
        track._show(story)
        assert story["verified"] is envelope.verified
        assert ("Chưa xác thực" in capsys.readouterr().out) is not envelope.verified


async def test_many_at_once_are_one(sender: httpx.AsyncClient, home: House) -> None:
    octets = _written()
    answers = await asyncio.gather(*(sender.post("/v1/envelopes", content=octets) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["envelope_id"] for answer in answers}) == 1
    assert len(await home.ledger.envelopes()) == 1


# --- only judged ------------------------------------------------------------------------------


async def _foreseen(client: httpx.AsyncClient, octets: bytes) -> dict[str, Any]:
    answer = await client.post("/v1/validations", content=octets)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_old_message_is_foreseen_as_it_is_judged_and_nothing_is_kept(
    sender: httpx.AsyncClient, home: House, tmp_path: Path
) -> None:
    octets = _written()
    said = await _foreseen(sender, octets)
    assert (said["acceptable"], said["duplicate"], said["envelope_id"]) == (True, False, None)
    assert [one["state"] for one in said["attachments"]] == ["here"]
    assert await home.spool.used_bytes() == 0
    assert list((tmp_path / "staging").iterdir()) == []
    envelope_id = (await _accepted(sender, octets))["envelope_id"]
    for again in (octets, _written(traces=((SENDER, datetime(2026, 8, 25, 2, 31, tzinfo=UTC)),))):
        said = await _foreseen(sender, again)
        assert (said["acceptable"], said["duplicate"], said["envelope_id"]) == (True, True, envelope_id)
    other = await _foreseen(sender, _written(subject="V/v khác (ví dụ)"))
    assert [one["code"] for one in other["violations"]] == ["MSG.CONFLICT"]


async def test_what_is_wrong_with_an_old_message_is_foreseen(sender: httpx.AsyncClient, home: House) -> None:
    for octets in (b"<edXML/>", _written(subject=""), _written(originator=Organization(OTHER))):
        foreseen = await _foreseen(sender, octets)
        judged = await sender.post("/v1/envelopes", content=octets)
        assert foreseen["violations"] == judged.json()["violations"], octets[:80]
        assert foreseen["violations"]


async def test_key_of_an_old_message_gives_its_answer_again(sender: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "mot-lan"}
    first = await sender.post("/v1/envelopes", content=_written(), headers=headers)
    again = await sender.post("/v1/envelopes", content=_written(), headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await sender.post("/v1/envelopes", content=_written(subject="V/v khác (ví dụ)"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "API.KEY_REUSED")


# --- out --------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["", *DIALECTS])
async def test_message_leaves_in_the_words_of_the_reader(app: FastAPI, home: House, dialect: str) -> None:
    await home.bring(SENDER, PDF)
    said = await home.accept(home.seal(home.document(to=(COMMUNE,)), {"7.pdf": PDF}))
    async with _caller(app, home, COMMUNE) as commune:
        answer = await commune.get(
            f"/v1/envelopes/{said.envelope_id}/edxml", params={"dialect": dialect} if dialect else {}
        )
    assert (answer.status_code, answer.headers["axis-verified"]) == (200, "yes")
    words = DIALECTS[dialect or "go"]  # The roll's.
    cutter = Cutter(io.BytesIO, answer.headers["content-type"])
    cutter.feed(answer.content)
    cut = cutter.close()
    root = cut.root
    assert cut.is_mime is answer.headers["content-type"].startswith(RELATED) is (words.package is Package.MIME)
    assert [b"".join(contents(cast("io.BytesIO", file.sink), "7.pdf", words)) for file in cut.files] == [PDF]
    assert words.namespace in {etree.QName(one).namespace for one in root.iter()}
    assert "urn:axis:profile:1" not in answer.text
    traces = [one for one in root.iter() if etree.QName(one).localname == "TraceHeader"]
    assert AXIS in etree.tostring(traces[-1]).decode()


async def test_large_file_leaves_whole(app: FastAPI, home: House) -> None:
    large = bytes(range(256)) * 12_000
    await home.bring(SENDER, large)
    said = await home.accept(home.seal(home.document(to=(COMMUNE,)), {"7.pdf": large}))
    async with (
        _caller(app, home, COMMUNE) as commune,
        commune.stream("GET", f"/v1/envelopes/{said.envelope_id}/edxml?dialect=go") as answer,
    ):
        pieces = [piece async for piece in answer.aiter_raw()]
    content = etree.fromstring(b"".join(pieces), etree.XMLParser(huge_tree=True)).findtext(
        "{*}Manifest/{*}Attachment/{*}Content"
    )
    assert content is not None
    assert b64decode(content) == large


async def test_unknown_dialect_is_a_wrong_parameter(sender: httpx.AsyncClient, home: House) -> None:
    said = await home.accept(home.seal(home.document()))
    answer = await sender.get(f"/v1/envelopes/{said.envelope_id}/edxml", params={"dialect": "telex"})
    assert (answer.status_code, answer.json()["code"]) == (400, "API.PARAMETER")


_Harm = Callable[[Path], object]


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (Path.unlink, "ATT.MISSING"),
        (lambda file: file.write_bytes(PDF[:1000]), "ATT.DIGEST"),
        (lambda file: file.write_bytes(b""), "ATT.DIGEST"),
        (lambda file: file.write_bytes(PDF + b"x"), "ATT.DIGEST"),
    ],
    ids=["gone", "cut short", "empty", "longer"],
)
async def test_lost_file_is_said_before_the_answer_begins(app: FastAPI, home: House, harm: _Harm, code: str) -> None:
    await home.bring(SENDER, PDF)
    said = await home.accept(home.seal(home.document(to=(COMMUNE,)), {"7.pdf": PDF}))
    harm(_in_spool(home, PDF))
    async with _caller(app, home, COMMUNE) as commune:
        answer = await commune.get(f"/v1/envelopes/{said.envelope_id}/edxml")
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "7.pdf" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "media_type", "size_bytes"),
    [
        ("/v1/envelopes/{}/edxml?dialect=sdk", "*/*", 4000),
        ("/v1/envelopes/{}/edxml?dialect=swa", "*/*", 3_000_000),
        ("/compat/v1/getEdoc?docId={}", "*/*", 4000),
        ("/compat/v1/getEdoc?docId={}", "application/json", 3_000_000),
    ],
)
async def test_message_with_a_file_that_holds_other_bytes_does_not_come_to_its_end(
    url: str, home: House, logged: list[Any], path: str, media_type: str, size_bytes: int
) -> None:
    """Whoever reads it holds no digest of its files: what is whole is believed."""
    file = Random(1).randbytes(size_bytes)
    for content in (PDF, file):
        await home.bring(SENDER, content)
    said = await home.accept(home.seal(home.document(to=(COMMUNE,)), {"7.pdf": PDF, "8.pdf": file}))
    is_whole, whole = await _came(url, home, path.format(said.envelope_id), media_type)
    assert is_whole
    _in_spool(home, file).write_bytes(file[:-1] + bytes([file[-1] ^ 1]))
    is_whole, came = await _came(url, home, path.format(said.envelope_id), media_type)
    assert not is_whole
    assert whole.startswith(came)
    assert [one for one in logged if one["log_level"] == "error"] == [
        {"event": "file.damaged", "sha256": sha256(file).hexdigest(), "log_level": "error"}
    ]


@pytest.mark.parametrize("harm", [lambda octets: octets[:-1], lambda octets: octets[:-1] + b"x"])
async def test_original_that_was_damaged_does_not_come_to_its_end(
    sender: httpx.AsyncClient, url: str, home: House, harm: Callable[[bytes], bytes]
) -> None:
    octets = _written()
    said = await _accepted(sender, octets)
    path = f"/v1/envelopes/{said['envelope_id']}/original"
    assert await _came(url, home, path) == (True, octets)
    _in_spool(home, octets).write_bytes(harm(octets))
    assert not (await _came(url, home, path))[0]


def _in_spool(home: House, content: bytes) -> Path:
    (file,) = home.spool._root.rglob(sha256(content).hexdigest())  # type: ignore[union-attr]
    return file


async def _came(url: str, home: House, path: str, media_type: str = "*/*") -> tuple[bool, bytes]:
    """Read an answer; return whether it came to its end, and what came."""
    token = seal.make_token(COMMUNE, home.province.signer(COMMUNE), AT)
    shown = (
        {"Authorization": f"Bearer {token}"}
        if path.startswith("/v1")
        else {"X-SystemId": COMMUNE, "X-SecretKey": token}
    )
    came = bytearray()
    async with (
        httpx.AsyncClient(base_url=url, headers=shown | {"Accept": media_type}) as client,
        client.stream("GET", path) as answer,
    ):
        assert answer.status_code == 200
        try:
            async for piece in answer.aiter_raw():
                came += piece
        except httpx.RemoteProtocolError:
            return False, bytes(came)
    return True, bytes(came)


async def test_axis_whose_certificate_has_ended_seals_nothing(sender: httpx.AsyncClient, home: House) -> None:
    ended = home.province.register(AXIS, not_after=AT - timedelta(days=1))
    object.__setattr__(home.intake, "voice", Voice(AXIS, ended))
    answer = await sender.post("/v1/envelopes", content=_written())
    assert (answer.status_code, answer.json()["code"]) == (503, "SYS.KEY")
    assert await home.ledger.envelopes() == []
