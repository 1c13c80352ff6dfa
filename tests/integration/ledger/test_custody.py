"""Custody: one commit, one answer, on each kind of ledger."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from axis import edxml, ledger
from axis.edxml import Organization, ResponseFor
from axis.errors import PermanentError, Refusal, TransientError
from axis.intake import Rejected
from axis.ledger import Ledger, tables
from axis.ledger.engine import open_database
from axis.office.answers import Registered
from axis.receipts.voice import Voice
from axis.registry import AfterClosing, Group, Office, Registry, Status
from tests.house import AXIS, COMMUNE, OTHER, SENDER, STRANGER, House, together
from tests.province import AT, DAY

GONE, GROUP = "H56.900", "H56.VD.XP"


async def test_migrations_build_the_tables_of_the_code_and_do_so_once(empty_url: str) -> None:
    await ledger.migrate(empty_url)
    await ledger.migrate(empty_url)
    async with open_database(empty_url) as database:
        differences = await database.read(lambda c: compare_metadata(MigrationContext.configure(c), tables.METADATA))
    assert differences == []


async def test_several_processes_may_migrate_at_once(empty_url: str) -> None:
    assert await together(*(ledger.migrate(empty_url) for _ in range(4))) == [None] * 4


async def test_several_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """To turn write-ahead logging on takes a lock for which SQLite does not wait by itself: one in seven rounds failed."""
    for number in range(30):
        url = f"sqlite:///{tmp_path / str(number)}"
        async with AsyncExitStack() as stack:
            several = [await stack.enter_async_context(open_database(url)) for _ in range(4)]
            asked = (one.read(lambda c: c.scalar(sa.select(1))) for one in several)
            assert await together(*asked) == [1] * 4


async def test_acceptance_holds_everything_that_must_be_true_together(home: House) -> None:
    file = await home.bring(SENDER, b"%PDF-1.7")
    envelope = home.seal(home.document(to=(COMMUNE, OTHER, "H56.888"), priority=2), {"125.pdf": b"%PDF-1.7"})
    answer = await home.accept(envelope)
    rows = {row.addressee: row for row in await home.ledger.deliveries_of(answer.envelope_id)}
    assert {code: row.state for code, row in rows.items()} == {
        COMMUNE: "queued",
        OTHER: "queued",
        "H56.888": "refused",
    }
    assert rows["H56.888"].code == "MSG.UNKNOWN_ADDRESSEE"
    accepted = home.read(answer.receipt_xml)
    assert [(code, verdict) for code, verdict, *_ in accepted.addressees] == [
        (COMMUNE, "served"),
        (OTHER, "served"),
        ("H56.888", "refused"),
    ]
    assert await home.ledger.sealed(answer.envelope_id) == envelope
    assert [row.sha256 for row in await home.ledger.attachments_of(answer.envelope_id)] == [file]
    levels = [one.level for one in await home.ledger.receipts_of(answer.envelope_id)]
    assert sorted(levels) == ["accepted", "rejected"]
    notices = await home.ledger.notices_due(home.at, 10)
    assert [notice.target for notice in notices] == [SENDER, SENDER]
    assert (await home.ledger.audit(home.at)).findings == ()


async def test_same_envelope_again_gets_the_first_answer(home: House) -> None:
    document = home.document()
    first = await home.accept(home.seal(document))
    home.pass_time(timedelta(days=1))
    again = await home.accept(home.seal(document))  # Sealed anew: ECDSA gives other bytes.
    assert (again.envelope_id, again.receipt_xml, again.duplicate) == (first.envelope_id, first.receipt_xml, True)
    assert len(await home.ledger.envelopes()) == 1
    assert len(await home.ledger.notices_due(home.at, 10)) == 2  # Who asks again over AMQP is told again.


async def test_same_id_with_other_content_is_a_conflict(home: House) -> None:
    document = home.document()
    await home.accept(home.seal(document))
    with pytest.raises(Rejected) as caught:
        await home.accept(home.seal(home.document(document_id=document.document_id, subject="V/v khác")))
    (found,) = caught.value.refusal.violations
    assert (found.code, found.path.rpartition(":")[2], found.line is not None) == ("MSG.CONFLICT", "DocumentId", True)
    assert len(await home.ledger.envelopes()) == 1


async def test_one_of_many_that_come_at_once_takes_custody(home: House, ledger_url: str) -> None:
    """Two processes, eight submissions of the same document."""
    document = home.document()
    async with Ledger.open(ledger_url) as second:
        other = replace(home.intake, ledger=second)
        doors = [home.intake, other]
        answers = await asyncio.gather(
            *(doors[number % 2].accept(home.seal(document), submitter=SENDER, via="http") for number in range(8))
        )
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len({answer.receipt_xml for answer in answers}) == 1


async def test_batch_with_an_envelope_twice_takes_it_once(home: House) -> None:
    document = home.document()
    one, two, third = await asyncio.gather(
        home.accept(home.seal(document)), home.accept(home.seal(document)), home.accept(home.seal(home.document()))
    )
    assert {one.duplicate, two.duplicate} == {True, False}
    assert one.envelope_id == two.envelope_id != third.envelope_id


async def test_exact_bytes_keep_their_acceptance_when_today_would_refuse_them(home: House) -> None:
    envelope = home.seal(home.document())
    first = await home.accept(envelope)
    home.pass_time(timedelta(days=2000))  # Every certificate has expired.
    again = await home.accept(envelope)
    assert (again.duplicate, again.receipt_xml) == (True, first.receipt_xml)
    with pytest.raises(TransientError) as mute:  # The axis's own too: what it said now, nobody would believe.
        await home.accept(home.seal(home.document()))
    assert mute.value.code == "SYS.KEY"
    home.intake = replace(home.intake, voice=Voice(AXIS, home.province.register(AXIS, not_after=home.at + DAY)))
    with pytest.raises(Rejected) as caught:
        await home.accept(home.seal(home.document()))
    assert caught.value.code == "KEY.EXPIRED"


@pytest.mark.parametrize("via", ["amqp", "http"])
async def test_same_content_sealed_anew_keeps_its_acceptance_when_today_would_refuse_it(home: House, via: str) -> None:
    """Its originator must not hold an acceptance and a rejection of one content."""
    document = home.document()
    first = await home.accept(home.seal(document))
    await home.ledger.notices_sent([one.id for one in await home.ledger.notices_due(home.at, 10)])
    closed = replace(home.roll.by_code[COMMUNE], status=Status.CLOSED)
    others = [one for one in home.roll.offices() if one.code != COMMUNE]
    home.roll = Registry.of([*others, closed], home.roll.tiers.values())
    envelope = home.seal(document)
    foreseen = await home.intake.foresee(envelope, submitter=SENDER)
    assert (foreseen.duplicate, foreseen.envelope_id, foreseen.violations) == (True, first.envelope_id, ())
    again = await home.accept(envelope, via=via)
    assert (again.duplicate, again.receipt_xml, again.begun_anew) == (True, first.receipt_xml, ())
    told = [home.read(one.xml).level for one in await home.ledger.notices_due(home.at, 10)]
    assert told == (["accepted"] if via == "amqp" else [])  # Else its runtime would ask for ever.
    assert await home.ledger.rejections() == []
    with pytest.raises(Rejected) as caught:  # Other content is judged by today's rules.
        await home.accept(home.seal(replace(document, subject="V/v khác (ví dụ)")), via=via)
    assert caught.value.code == "MSG.CLOSED_ADDRESSEE"


async def test_content_that_was_accepted_makes_no_forged_seal_good(home: House) -> None:
    document = home.document()
    envelope = home.seal(document)
    await home.accept(envelope)
    value = envelope.index(b"SignatureValue>") + 20
    other = b"B" if envelope[value : value + 1] == b"A" else b"A"  # Base64 still: only the value lies.
    broken = envelope[:value] + other + envelope[value + 1 :]
    for forged, by, code in (
        (home.seal(document, by=STRANGER), SENDER, "KEY.WRONG_SIGNER"),
        (broken, SENDER, "SIG.VALUE"),
        (home.seal(document), STRANGER, "MSG.WRONG_SENDER"),
    ):
        assert (await home.intake.foresee(forged, submitter=by)).violations[0].code == code
        with pytest.raises(Rejected) as caught:
            await home.accept(forged, by=by)
        assert caught.value.code == code


async def test_certificate_that_ends_between_judgement_and_custody_is_refused(home: House) -> None:
    """Whoever verifies it later judges its seal by the time at which it was accepted."""
    ends = home.at + DAY
    home.province.register(SENDER, not_after=ends)
    known = home.roll, home.province.trust()
    judged = [ends, ends]  # The seal, and the contents.
    late = replace(
        home.intake, roll=lambda: known, now=lambda: judged.pop() if judged else ends + timedelta(milliseconds=1)
    )
    with pytest.raises(Rejected) as caught:
        await late.accept(home.seal(home.document()), submitter=SENDER, via="amqp")
    assert (caught.value.code, judged) == ("KEY.EXPIRED", [])
    good = replace(home.intake, roll=lambda: known, now=lambda: ends)
    assert not (await good.accept(home.seal(home.document()), submitter=SENDER, via="amqp")).duplicate


async def test_content_whose_file_is_gone_keeps_its_acceptance(home: House, tmp_path: Path) -> None:
    document = home.document()
    await home.bring(SENDER, b"%PDF-1.7")
    first = await home.accept(home.seal(document, {"a.pdf": b"%PDF-1.7"}))
    for file in (tmp_path / "spool").rglob("*"):
        if file.is_file():
            file.unlink()
    envelope = home.seal(document, {"a.pdf": b"%PDF-1.7"})
    assert (await home.intake.foresee(envelope, submitter=SENDER)).duplicate
    assert (await home.accept(envelope)).receipt_xml == first.receipt_xml


async def test_refusal_is_on_record_with_every_violation_and_told_once(home: House) -> None:
    envelope = home.seal(home.document(type_name="Thư tình", code_notation="?"))
    with pytest.raises(Rejected) as first:
        await home.accept(envelope)
    with pytest.raises(Rejected) as second:
        await home.accept(envelope)
    assert first.value.receipt_xml == second.value.receipt_xml
    (row,) = await home.ledger.rejections()
    assert [found["rule"] for found in row["violations"]] == ["rule:code.notation", "rule:type.decree-30"]
    said = home.read(first.value.receipt_xml)
    assert [found.as_dict() for found in said.violations] == row["violations"]
    assert {notice.target for notice in await home.ledger.notices_due(home.at, 10)} == {SENDER}


async def test_account_of_another_office_is_refused(home: House) -> None:
    with pytest.raises(Rejected) as caught:
        await home.accept(home.seal(home.document()), by=STRANGER)
    assert caught.value.code == "MSG.WRONG_SENDER"


@pytest.mark.parametrize("who", [None, STRANGER])
async def test_file_that_the_originator_did_not_bring_is_missing(home: House, who: str | None) -> None:
    """That another office has it is no help: a digest is no key."""
    if who is not None:
        await home.bring(who, b"secret of others")
    with pytest.raises(Rejected) as caught:
        await home.accept(home.seal(home.document(), {"a.pdf": b"secret of others"}))
    assert [(one.code, one.rule) for one in caught.value.refusal.violations] == [("ATT.MISSING", "attachment:uploaded")]


async def test_addressee_may_read_what_it_was_sent_and_send_it_on(home: House) -> None:
    digest = await home.bring(SENDER, b"%PDF-1.7")
    assert not await home.ledger.may_read(COMMUNE, digest)
    await home.accept(home.seal(home.document(to=(COMMUNE, "H56.888")), {"a.pdf": b"%PDF-1.7"}))
    assert await home.ledger.may_read(COMMUNE, digest)
    assert not await home.ledger.may_read(OTHER, digest)
    assert not await home.ledger.may_read("H56.888", digest)
    onward = home.document(originator=Organization(COMMUNE), to=(OTHER,), document_id="H56.112,2026/08/26,1/UBND")
    await home.accept(home.seal(onward, {"a.pdf": b"%PDF-1.7"}, by=COMMUNE), by=COMMUNE)
    assert await home.ledger.may_read(OTHER, digest)


async def test_every_status_about_a_document_is_an_envelope_of_its_own(home: House) -> None:
    def status(code: str) -> edxml.Status:
        about = ResponseFor(SENDER, "1/SKHCN", "H56.05,2026/08/25,1/SKHCN", None)
        return edxml.Status(
            originator=Organization(COMMUNE), response_for=about, status_code=code, description="", at=AT
        )

    for code in ("03", "05", "06", "06"):
        await home.accept(home.seal(status(code), by=COMMUNE), by=COMMUNE)
    rows = await home.ledger.envelopes()
    assert sorted(row.subject for row in rows) == ["Trạng thái 03", "Trạng thái 05", "Trạng thái 06"]
    assert {row.addressee for row in await home.ledger.deliveries_in("queued")} == {SENDER}


async def test_envelope_is_found_as_a_person_names_it(home: House) -> None:
    document = home.document()
    answer = await home.accept(home.seal(document))
    for text in (
        document.document_id,
        document.code,
        answer.envelope_id,
        answer.envelope_id[-6:],
        answer.envelope_id[:6],
    ):
        assert [row.envelope_id for row in await home.ledger.find_envelopes(text)] == [answer.envelope_id]
    for text in (answer.envelope_id[-5:], answer.envelope_id[2:10], "______", "%%%%%%"):
        assert await home.ledger.find_envelopes(text) == []
    assert await home.ledger.find_envelopes("%") == []


async def test_roll_reads_back_equal_and_replaces_the_one_before(home: House) -> None:
    rows = await home.ledger.registry_rows()
    assert type(home.roll).from_rows(rows).version == home.roll.version == await home.ledger.registry_version()
    smaller = type(home.roll).of([home.roll.by_code[SENDER]], [home.roll.tiers["department"]])
    await home.ledger.load_registry(smaller.to_rows(), smaller.version, AT)
    assert [row["code"] for row in await home.ledger.registry_rows() if row["kind"] == "office"] == [SENDER]


async def test_broken_seal_is_refused_before_anything_is_asked(home: House) -> None:
    envelope = home.seal(home.document()).replace("rà soát".encode(), "rà suát".encode())
    with pytest.raises(Rejected) as caught:
        await home.accept(envelope)
    assert isinstance(caught.value.refusal, Refusal)
    assert caught.value.code == "SIG.DIGEST"


@pytest.mark.parametrize("url", ["mysql://axis@db/axis", "ledger.sqlite", ""])
async def test_address_of_another_kind_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        async with Ledger.open(url):
            pass
    assert caught.value.code == "CFG.INVALID"


async def test_group_and_closed_office_lead_to_deliveries_of_the_offices_and_the_receipt_names_both(
    home: House,
) -> None:
    fields = {"successors": (OTHER,), "after_closing": AfterClosing.FORWARD, "status": Status.CLOSED}
    gone = Office(code=GONE, name="UBND xã cũ (ví dụ)", tier="commune", **fields)  # type: ignore[arg-type]
    circular = Group(code=GROUP, name="Tất cả xã, phường (ví dụ)", tier="commune")
    nobody = Group(code="H56.VD.TRG", name="Nhóm trống (ví dụ)")
    roll = Registry.of([*home.roll.offices(), gone], home.roll.tiers.values(), groups=[circular, nobody])
    home.intake = replace(home.intake, roll=lambda: (roll, home.province.trust()))
    envelope = home.seal(home.document(to=(GONE, GROUP, nobody.code)))
    answer = await home.accept(envelope)
    rows = {row.addressee: row for row in await home.ledger.deliveries_of(answer.envelope_id)}
    assert {code: (row.state, row.code) for code, row in rows.items()} == {
        OTHER: ("queued", None),
        COMMUNE: ("queued", None),
        nobody.code: ("refused", "MSG.EMPTY_GROUP"),
    }
    said = {code: (verdict, addressed) for code, verdict, _, *addressed in home.read(answer.receipt_xml).addressees}
    assert said == {
        OTHER: ("served", [f"{GONE} {GROUP}"]),
        COMMUNE: ("served", [GROUP]),
        nobody.code: ("refused", [""]),
    }
    heir = next(one for one in await home.attempt() if one.addressee == OTHER)
    await home.say(Registered(number="417"), await home.row(answer.envelope_id, heir.addressee))
    assert (await home.row(answer.envelope_id, OTHER)).state == "delivered"


async def test_envelope_to_an_empty_group_alone_is_refused(home: House) -> None:
    nobody = Group(code="H56.VD.TRG", name="Nhóm trống (ví dụ)")
    roll = Registry.of(home.roll.offices(), home.roll.tiers.values(), groups=[nobody])
    home.intake = replace(home.intake, roll=lambda: (roll, home.province.trust()))
    with pytest.raises(Rejected) as refused:
        await home.accept(home.seal(home.document(to=(nobody.code,))))
    assert [one.code for one in refused.value.refusal.violations] == ["MSG.EMPTY_GROUP"]


async def test_ledger_remembers_the_codes_of_a_roll(home: House) -> None:
    smaller = Registry.of([home.roll.by_code[SENDER]], home.roll.tiers.values()).remembering(home.roll)
    await home.ledger.load_registry(smaller.to_rows(), smaller.version, AT)
    kept = Registry.from_rows(await home.ledger.registry_rows())
    assert kept.retired[COMMUNE] == COMMUNE


# --- a roll that has changed a moment ago -----------------------------------------------------


async def test_key_that_was_loaded_a_moment_ago_is_believed(home: House) -> None:
    """The process has not taken the roll over yet; a no would stand for ever."""
    rolls = [(home.roll, home.province.trust())]
    home.province.register(SENDER)  # Its signer has the new key from here on.

    async def renew() -> None:
        rolls.append((home.roll, home.province.trust()))

    envelope = home.seal(home.document())
    behind = replace(home.intake, roll=lambda: rolls[-1])
    with pytest.raises(Rejected) as caught:
        await behind.accept(envelope, submitter=SENDER, via="amqp")
    assert caught.value.code == "SIG.VALUE"
    answer = await replace(behind, renew=renew).accept(envelope, submitter=SENDER, via="amqp")
    assert (await home.row(answer.envelope_id)).state == "queued"


async def test_so_is_that_of_an_addressee(home: House) -> None:
    answer = await home.accept(home.seal(home.document()))
    await home.attempt()
    rolls = [(home.roll, home.province.trust())]
    home.province.register(COMMUNE)

    async def renew() -> None:
        rolls.append((home.roll, home.province.trust()))

    home.answers = replace(home.answers, roll=lambda: rolls[-1])
    with pytest.raises(Refusal) as caught:
        await home.say(Registered("125"), await home.row(answer.envelope_id))
    assert caught.value.code == "SIG.VALUE"
    home.answers = replace(home.answers, renew=renew)
    await home.say(Registered("125"), await home.row(answer.envelope_id))
    assert (await home.row(answer.envelope_id)).state == "delivered"


async def test_ledger_that_cannot_say_whether_the_roll_has_changed_refuses_nobody(home: House) -> None:
    async def renew() -> None:
        raise TransientError("SYS.LEDGER")

    home.province.register(SENDER)
    trust = home.province.trust()
    home.province.register(SENDER)
    intake = replace(home.intake, roll=lambda: (home.roll, trust), renew=renew)
    with pytest.raises(TransientError):
        await intake.accept(home.seal(home.document()), submitter=SENDER, via="amqp")


async def test_trust_folder_that_cannot_be_read_makes_nobody_wait(home: House) -> None:
    """What is known counts then, and what is wrong with an envelope is said."""
    rolls = [(home.roll, home.province.trust())]
    home.province.register(SENDER)

    async def renew() -> None:
        raise PermanentError("CFG.INVALID", "ca.pem")

    intake = replace(home.intake, roll=lambda: rolls[-1], renew=renew)
    with pytest.raises(Rejected) as caught:
        await intake.accept(home.seal(home.document()), submitter=SENDER, via="amqp")
    assert caught.value.code == "SIG.VALUE"
