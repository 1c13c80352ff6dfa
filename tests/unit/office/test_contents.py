"""What a document carries beside its files, as an integrator sends it and gets it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from axis import (
    Assignee,
    Content,
    Document,
    File,
    Invitation,
    Level,
    Office,
    Organization,
    Refusal,
    Registered,
    Task,
    TransientError,
    clock,
    edxml,
)
from axis.contents import KINDS, MAX_CONTENT_BYTES, Kind, listed, read, render
from axis.edxml import AttachmentRef
from axis.edxml.values import format_date, local_date
from axis.office.document import Attachment
from axis.office.testing import OFFICE, SENDER, TestAxis
from tests.contents import DOSSIER, INVITATION, TASK


def _office(got: list[tuple[Content, ...]]) -> Office:
    office = Office.from_env()  # Its settings come from the test axis.

    @office.on_document
    async def receive(doc: Document) -> Registered:
        got.append(await doc.contents())
        return Registered("1")

    return office


async def test_handler_gets_what_a_document_carries() -> None:
    got: list[tuple[Content, ...]] = []
    async with TestAxis(_office(got)) as axis:
        await axis.deliver(axis.document(), {"a.pdf": b"%PDF"}, [DOSSIER, TASK, INVITATION])
        await axis.deliver(axis.document(), {"giay-moi.xml": render(INVITATION)})
    assert got == [(DOSSIER, TASK, INVITATION), ()]


def _draft() -> edxml.Document:
    today = local_date(clock.now())
    return edxml.Document(
        originator=Organization(OFFICE),
        addressees=(Organization(SENDER),),
        document_id=f"{OFFICE},{format_date(today)},7/GM",
        code_number="7",
        code_notation="GM",
        place="Thanh Hóa",
        promulgated_on=today,
        type_name="Giấy mời",
        subject="Họp (ví dụ)",
        signer_name="A",
    )


def _invitation(draft: edxml.Document) -> Invitation:
    soon = clock.now().replace(microsecond=0) + timedelta(days=1)
    return replace(
        INVITATION, code=draft.document_id, inviter=OFFICE, starts_at=soon, ends_at=None, documents=("a.pdf",)
    )


async def test_content_that_is_sent_is_under_the_seal_like_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("files") / "a.pdf"
    file.write_bytes(b"%PDF")
    async with TestAxis(_office([])) as axis:
        draft = _draft()
        said = _invitation(draft)
        await axis._office.send(draft, [file], contents=[said])
        sent = await axis.next_sent()
        assert isinstance(sent.message, edxml.Document)
        (ref,) = listed(sent.message.attachments)
        assert read(axis.gateway.files[ref.sha256]) == said
        assert ref.name == KINDS[Kind.INVITATION].file_name


async def test_change_of_an_invitation_goes_out_as_an_update_or_a_replacement() -> None:
    async with TestAxis(_office([])) as axis:
        first = _draft()
        later = replace(first, document_id=f"{first.document_id}-2")
        moved = replace(_invitation(first), revision=1, documents=())
        with pytest.raises(Refusal) as caught:
            await axis._office.update(first.document_id, later, contents=[replace(moved, revision=0)])
        assert [one.rule for one in caught.value.violations] == ["rule:invitation.revision"]
        await axis._office.update(first.document_id, later, contents=[moved])
        await axis._office.replace([first.document_id], replace(later, document_id="3"), contents=[moved])
        sent = [await axis.next_sent(count) for count in (1, 2)]
        assert [one.answer.receipt.level for one in sent] == [Level.ACCEPTED] * 2


async def test_content_that_breaks_a_rule_is_refused_before_it_leaves() -> None:
    async with TestAxis(_office([])) as axis:
        draft = _draft()
        said = replace(_invitation(draft), place="", link="")
        with pytest.raises(Refusal) as caught:
            await axis._office.send(draft, contents=[said])
        assert [one.rule for one in caught.value.violations] == ["rule:invitation.place", "rule:content.file"]
        with pytest.raises(Refusal) as twice:
            await axis._office.send(draft, contents=[_invitation(draft)] * 2)
        assert "CON.ONCE" in [one.code for one in twice.value.violations]
        assert axis.sent == []


async def test_file_that_calls_itself_a_content_is_judged_by_the_axis() -> None:
    async with TestAxis(_office([])) as axis:
        draft = _draft()
        task: Task = replace(TASK, given_by=SENDER, assignees=(Assignee(OFFICE),), due_on=None)
        await axis._office.send(draft, [File("nhiem-vu.xml", render(task))])
        sent = await axis.next_sent()
        assert sent.answer.receipt.level is Level.REJECTED
        assert [one.rule for one in sent.answer.receipt.violations] == ["rule:task.said-by"]


def _carrying(ref: AttachmentRef, axis: TestAxis) -> Document:
    message = replace(axis.document(), attachments=(ref,))
    return Document(
        envelope_id="1",
        digest="",
        attempt=1,
        sealed=b"",
        message=message,
        attachments=(Attachment(ref, axis.gateway),),
    )


async def test_content_is_fetched_only_if_it_is_small_and_what_it_says_it_is() -> None:
    async with TestAxis(_office([])) as axis:
        sealed = edxml.parse(axis.seal(axis.document(), {}, [DOSSIER]))
        manifest = sealed.part("manifest")
        assert manifest is not None
        (ref,) = edxml.read_manifest(manifest)
        assert await _carrying(ref, axis).contents() == (DOSSIER,)
        later = replace(ref, content_type="application/vnd.axis.dossier+xml;version=2")
        assert await _carrying(later, axis).contents() == ()
        for wrong, code in (
            (replace(ref, size_bytes=MAX_CONTENT_BYTES + 1), "ATT.SIZE"),
            (replace(ref, content_type=KINDS[Kind.TASK].content_type), "CON.KIND"),
        ):
            with pytest.raises(Refusal) as caught:
                await _carrying(wrong, axis).contents()
            assert caught.value.code == code
        with pytest.raises(TransientError):
            await _carrying(replace(ref, size_bytes=ref.size_bytes - 1), axis).contents()
