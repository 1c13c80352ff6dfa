"""A document with a content is refused over HTTP with every fault of it, or travels like any other."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from axis import contents, edxml, seal
from axis.contents import Assignee, Content
from axis.edxml.inline import inline
from axis.errors import TransientError
from axis.spool import Spool
from tests.contents import DOSSIER, INVITATION, RETURNED, TASK
from tests.house import COMMUNE, OTHER, SENDER, House
from tests.province import AT

_FILES = {"bao-cao.pdf": b"%PDF-1.7 1", "don-de-nghi.pdf": b"%PDF-1.7 2"}


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    token = seal.make_token(SENDER, home.province.signer(SENDER), AT)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://axis",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client


def _document(home: House, **fields: Any) -> edxml.Document:
    return home.document(to=(COMMUNE, OTHER), document_id=INVITATION.code, **fields)


def _enclosed(*said: Content | bytes) -> dict[str, bytes]:
    """Return contents as files, under the names that their kinds have; bytes are an invitation."""
    files: dict[str, bytes] = {}
    for one in said:
        kind = contents.Kind.INVITATION if isinstance(one, bytes) else contents.root_of(one).kind
        files[contents.KINDS[kind].file_name] = one if isinstance(one, bytes) else contents.render(one)
    return files


async def _submit(sender: httpx.AsyncClient, home: House, files: Mapping[str, bytes]) -> httpx.Response:
    for content in files.values():
        await home.bring(SENDER, content)
    return await sender.post("/v1/envelopes", content=home.seal(_document(home), files))


async def test_document_with_one_content_of_each_kind_is_accepted_and_arrives(
    sender: httpx.AsyncClient, home: House
) -> None:
    files = _FILES | _enclosed(DOSSIER, TASK, INVITATION)
    answer = await _submit(sender, home, files)
    assert answer.status_code == 201, answer.text
    assert {one.addressee for one in await home.attempt()} == {COMMUNE, OTHER}
    sealed = (await sender.get(f"/v1/envelopes/{answer.json()['envelope_id']}/content")).content
    manifest = edxml.parse(sealed).part("manifest")
    assert manifest is not None
    refs = contents.listed(edxml.read_manifest(manifest))
    fetched = [contents.read((await sender.get(f"/v1/attachments/{ref.sha256}")).content) for ref in refs]
    assert fetched == [DOSSIER, TASK, INVITATION]


async def test_every_fault_of_every_content_comes_back_signed(sender: httpx.AsyncClient, home: House) -> None:
    invitation = replace(INVITATION, place="", link="", documents=("khong-co.pdf",))
    task = replace(TASK, given_by=OTHER, assignees=(Assignee(COMMUNE), Assignee("H56.VP")))
    answer = await _submit(sender, home, _FILES | _enclosed(RETURNED, task, invitation))
    assert (answer.status_code, answer.json()["code"]) == (422, "CON.PARTY")
    assert [(one["code"], one["path"], one["line"] is not None) for one in answer.json()["violations"]] == [
        ("CON.PARTY", "/tsk:GiaoNhiemVu/tsk:CoQuanThucHien[2]/tsk:OrganId", True),
        ("CON.PARTY", "/tsk:GiaoNhiemVu/tsk:CoQuanGiao", True),
        ("CON.INCOMPLETE", "/inv:GiayMoi", True),
        ("CON.FILE", "/inv:GiayMoi/inv:TaiLieu", True),
    ]
    receipt = home.read(answer.json()["receipt"].encode())
    assert [one.as_dict() for one in receipt.violations] == answer.json()["violations"]


async def test_shape_of_a_content_is_refused_with_line_and_path(sender: httpx.AsyncClient, home: House) -> None:
    broken = contents.render(INVITATION).replace(b"2026-09-01T08:00:00+07:00", b"8h sang mai")
    answer = await _submit(sender, home, _FILES | _enclosed(broken))
    (found,) = answer.json()["violations"]
    assert (answer.status_code, found["code"], found["line"]) == (400, "CON.SCHEMA", 7)
    assert found["path"] == "/inv:GiayMoi/inv:ThoiGianBatDau"


async def test_content_under_another_name_is_refused_before_its_files_are_asked_for(
    sender: httpx.AsyncClient, home: House
) -> None:
    document = _document(home)
    sealed = home.seal(document, _enclosed(INVITATION)).replace(b"giay-moi.xml", b"khac.xml")
    assert (await sender.post("/v1/envelopes", content=sealed)).json()["code"] == "SIG.DIGEST"
    xml = contents.render(INVITATION)
    ref = replace(_ref(home, xml), name="khac.xml")
    renamed = seal.seal(edxml.render(replace(document, attachments=(ref,))), home.province.signer(SENDER))
    answer = await sender.post("/v1/envelopes", content=renamed)
    assert [one["rule"] for one in answer.json()["violations"]] == ["rule:content.name"]


def _ref(home: House, xml: bytes) -> edxml.AttachmentRef:
    manifest = edxml.parse(home.seal(_document(home), _enclosed(xml))).part("manifest")
    assert manifest is not None
    (ref,) = edxml.read_manifest(manifest)
    return ref


async def test_content_inside_the_message_is_judged_too(sender: httpx.AsyncClient, home: House) -> None:
    xml = contents.render(replace(INVITATION, place="", link="", documents=()))
    sealed = home.seal(_document(home), _enclosed(xml))
    whole = b"".join(inline(sealed, [(_ref(home, xml), [xml])]))
    answer = await sender.post("/v1/envelopes", content=whole)
    assert [one["rule"] for one in answer.json()["violations"]] == ["rule:invitation.place"]


async def test_content_that_cannot_be_read_now_is_promised_nothing(
    sender: httpx.AsyncClient, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 5: “could not check” is no refusal; the same envelope is taken when the spool answers again."""

    def fails(*_: object, **__: object) -> None:
        raise TransientError("SYS.SPOOL")

    files = _FILES | _enclosed(INVITATION)
    for content in files.values():
        await home.bring(SENDER, content)
    envelope = home.seal(_document(home), files)
    with monkeypatch.context() as broken:
        broken.setattr(Spool, "stream", fails)
        answer = await sender.post("/v1/envelopes", content=envelope)
    assert (answer.status_code, answer.json()["code"], answer.json()["receipt"]) == (503, "SYS.SPOOL", None)
    assert (await sender.post("/v1/envelopes", content=envelope)).status_code == 201


async def test_nothing_is_read_of_a_document_without_a_content(
    sender: httpx.AsyncClient, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(*_: object, **__: object) -> None:
        raise AssertionError("an ordinary file is not read")

    monkeypatch.setattr(Spool, "stream", stream)
    assert (await _submit(sender, home, _FILES)).status_code == 201


# --- only judged ------------------------------------------------------------------------------


async def _foreseen(sender: httpx.AsyncClient, message: bytes) -> list[dict[str, Any]]:
    answer = await sender.post("/v1/validations", content=message)
    assert answer.status_code == 200, answer.text
    violations: list[dict[str, Any]] = answer.json()["violations"]
    return violations


async def _inside(home: House, files: Mapping[str, bytes]) -> bytes:
    """Return a message with its files inside, of which the axis has none."""
    sealed = home.seal(_document(home), files)
    manifest = edxml.parse(sealed).part("manifest")
    assert manifest is not None
    return b"".join(inline(sealed, [(ref, [files[ref.name]]) for ref in edxml.read_manifest(manifest)]))


async def test_contents_are_foreseen_as_they_are_judged(sender: httpx.AsyncClient, home: House) -> None:
    faulty = replace(INVITATION, place="", link="", documents=("khong-co.pdf",))
    whole = await _inside(home, _FILES | _enclosed(faulty))
    foreseen = await _foreseen(sender, whole)
    assert await home.spool.used_bytes() == 0
    assert foreseen
    assert (await sender.post("/v1/envelopes", content=whole)).json()["violations"] == foreseen
    # The same with files that were brought before.
    sealed = home.seal(_document(home), _FILES | _enclosed(faulty))
    for content in (_FILES | _enclosed(faulty)).values():
        await home.bring(SENDER, content)
    assert [one["rule"] for one in await _foreseen(sender, sealed)] == [one["rule"] for one in foreseen]
    assert await _foreseen(sender, await _inside(home, _FILES | _enclosed(INVITATION))) == []


async def test_step_that_cannot_follow_is_foreseen(sender: httpx.AsyncClient, home: House) -> None:
    assert (await _submit(sender, home, _FILES | _enclosed(RETURNED))).status_code == 201
    back = replace(RETURNED, status=contents.DossierStatus.IN_PROGRESS)
    files = _FILES | _enclosed(back)
    for content in files.values():
        await home.bring(SENDER, content)
    envelope = home.seal(home.document(to=(COMMUNE, OTHER)), files)
    foreseen = await _foreseen(sender, envelope)
    judged = await sender.post("/v1/envelopes", content=envelope)
    assert judged.status_code == 409, judged.text
    assert foreseen == judged.json()["violations"]
