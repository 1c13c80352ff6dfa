"""The audit finds each kind of damage, names it with its number, and finds nothing where all is well."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
import sqlalchemy as sa

from axis import audit, seal
from axis.audit import Check, Checked
from axis.broker import Broker, PrivateNode, topology
from axis.edxml import Business, BusinessType
from axis.errors import PermanentError, TransientError
from axis.ledger import AuditFinding
from axis.office.answers import Agreed, Refused, Registered
from axis.office.speech import Deferred, Failed
from axis.registry import AfterClosing, Registry, Status
from tests.disks import unreadable
from tests.house import AXIS, COMMUNE, OTHER, STRANGER, House

_LETTER = b"%PDF-1.7 a letter"
_DIGEST = sha256(_LETTER).hexdigest()


async def _delivered(home: House) -> str:
    """Bring a document with a file through acceptance, a deferral and registration."""
    await home.bring("H56.05", _LETTER)
    accepted = await home.accept(home.seal(home.document(to=(COMMUNE, OTHER)), {"125.pdf": _LETTER}))
    await home.attempt()
    await home.say(Deferred("đang bảo trì"), await home.row(accepted.envelope_id))
    await home.say(Registered("417"), await home.row(accepted.envelope_id))
    return accepted.envelope_id


async def _damage(home: House, *statements: str, **values: Any) -> None:
    for text in statements:
        statement = sa.text(text).bindparams(**{name: one for name, one in values.items() if f":{name}" in text})
        await home.ledger._database.write(lambda c, one=statement: c.execute(one))  # type: ignore[misc]


async def _look(home: House, *checks: Check) -> list[AuditFinding]:
    return [*(await home.ledger.audit(home.at)).findings, *(await _walk(home, *checks)).findings]


async def _walk(home: House, *checks: Check) -> Checked:
    return await audit.walk(home.ledger, checks, whole=True)


def _evidence(home: House) -> audit.Evidence:
    return audit.Evidence(home.province.trust(), AXIS)


def _rules(findings: list[AuditFinding]) -> set[str]:
    return {one.rule for one in findings}


async def test_nothing_is_found_where_all_is_well(home: House, tmp_path: Path) -> None:
    """Whatever happens to deliveries in the ordinary course."""
    done = await _delivered(home)
    dead = (await home.accept(home.seal(home.document()))).envelope_id
    home.pass_time(timedelta(seconds=30))
    await home.attempt()
    row = await home.row(dead)
    await home.ledger.put_back([row.numbered], home.at, "SYS.BROKER")
    await home.attempt()
    await home.answers.warn(await home.row(dead), home.at, code="DLV.NO_ANSWER")
    await home.say(Failed("DLV.FAILED", "lỗi"), await home.row(dead))
    await home.ledger.replay(row.delivery_id, by="an", reason="đã sửa", now=home.at)
    await home.attempt()
    await home.say(Refused("sai thẩm quyền"), await home.row(dead))
    await home.say(Registered("1"), await home.row(dead))  # Late.
    await home.accept(home.seal(home.document(to=(COMMUNE, "H99.1"))))  # One of the two is refused at the door.
    home.pass_time(timedelta(days=5))
    for row in await home.ledger.expiring(home.at, 10):
        await home.answers.expire(row, home.at)
    await home.bring("H56.05", b"for an envelope to come")
    log = tmp_path / "effects"
    log.write_text(f"{done} {(await home.row(done)).digest}\n{dead}\ncut sh")
    checks: list[Check] = [audit.History(), _evidence(home), audit.Files(home.spool), audit.Effects.read(COMMUNE, log)]
    checked = await _walk(home, *checks)
    assert [*(await home.ledger.audit(home.at)).findings, *checked.findings] == []
    counted = {"histories": 5, "envelopes": 3, "receipts": 14, "files": 2, f"effects of {COMMUNE}": 2}
    assert checked.counted == counted


# --- the ledger alone ---------------------------------------------------------------------


async def test_delivery_too_few_is_a_loss_and_one_too_many_a_phantom(home: House) -> None:
    envelope_id = await _delivered(home)
    more = (
        "INSERT INTO deliveries (envelope_id, addressee, state, attempts, reason, who_must_act, chain_head, priority, accepted_at,"
        " expires_at, updated_at, next_at) SELECT envelope_id, :office, state, attempts, reason, who_must_act, chain_head, priority,"
        " accepted_at, expires_at, updated_at, next_at FROM deliveries WHERE addressee = :like"
    )
    await _damage(home, more, office=STRANGER, like=OTHER)
    (found,) = (await home.ledger.audit(home.at)).findings
    assert found == AuditFinding("I4", envelope_id, "", "accepted for 2, has 3 deliveries")
    await _damage(home, "DELETE FROM deliveries WHERE addressee <> :office", office=COMMUNE)
    (found,) = (await home.ledger.audit(home.at)).findings
    assert found == AuditFinding("I1", envelope_id, "", "accepted for 2, has 1 deliveries")


async def test_what_was_forwarded_to_an_heir_that_has_not_got_it_is_a_loss(home: House) -> None:
    closed = replace(
        home.roll.by_code[OTHER],
        status=Status.CLOSED,
        closed_on=date(2025, 7, 1),
        successors=(COMMUNE,),
        after_closing=AfterClosing.HOLD,
    )
    others = [one for one in home.roll.offices() if one.code != OTHER]
    home.roll = Registry.of([*others, closed], home.roll.tiers.values())
    accepted = await home.accept(home.seal(home.document(to=(COMMUNE, OTHER, STRANGER))))
    await home.attempt()
    held = await home.row(accepted.envelope_id, OTHER)
    assert await home.succession.forward(held, (COMMUNE,), by="vanthu", reason="")
    await home.say(Refused("Không đúng thẩm quyền (ví dụ)"), await home.row(accepted.envelope_id))
    # The heir had it, and said no to it later: the originator knows.
    assert (await home.ledger.audit(home.at)).findings == ()
    lost = AuditFinding("I1", accepted.envelope_id, OTHER, "forwarded, and nobody gets it")
    await _damage(home, "UPDATE events SET seq = -seq WHERE event = 'receipt.refused'")
    assert (await home.ledger.audit(home.at)).findings == (lost,)
    await _damage(home, "DELETE FROM deliveries WHERE addressee = :office", office=COMMUNE)
    assert lost in (await home.ledger.audit(home.at)).findings


async def test_receipt_of_what_was_never_accepted_is_a_phantom(home: House) -> None:
    envelope_id = await _delivered(home)
    await _damage(home, "UPDATE receipts SET envelope_id = :other WHERE level = 'registered'", other="f" * 32)
    found = await _look(home, audit.History())
    assert AuditFinding("I4", "f" * 32, COMMUNE, "a receipt of an envelope that is not here") in found
    assert ("I3", envelope_id) in {(one.rule, one.envelope_id) for one in found}  # The event that recorded it stays.


@pytest.mark.parametrize(("kind", "queue"), [("envelope", topology.SUBMIT), ("receipt", topology.RECEIPTS)])
async def test_dead_letter_that_became_of_nothing_is_named(home: House, kind: str, queue: str) -> None:
    envelope_id = await _delivered(home)

    async def bury(body: bytes, queue: str, **headers: str) -> None:
        digest = sha256(body).hexdigest()
        await home.ledger.bury(queue=queue, kind=kind, digest=digest, body=body, headers=headers, at=home.at)

    sealed = await home.ledger.sealed(envelope_id)
    (said, *_) = [one.xml for one in await home.ledger.receipts_of(envelope_id) if one.issuer == COMMUNE]
    await bury(sealed if kind == "envelope" and sealed else said, queue)  # It came again, and was taken then.
    await bury(b"<x/>", topology.inbox(COMMUNE), **{"envelope-id": envelope_id})  # It is a dead letter of the ledger.
    assert (await home.ledger.audit(home.at)).findings == ()
    await bury(b"<y/>", queue)
    (found,) = (await home.ledger.audit(home.at)).findings
    assert (found.rule, found.text.split(", ")[1]) == ("I7", f"{kind} of {queue}")


# --- histories ----------------------------------------------------------------------------

_HISTORIES = {
    "a state that no event led to": ("UPDATE deliveries SET state = 'recalled' WHERE addressee = 'H56.112'", "I6"),
    "a state that is none": ("UPDATE deliveries SET state = 'delivdred' WHERE addressee = 'H56.112'", "I6"),
    "a level that is none": ("UPDATE events SET event = 'receipt.registdred' WHERE event = 'receipt.registered'", "I6"),
    "an attempt that is not on record": ("DELETE FROM events WHERE event = 'delivery.attempted'", "I6"),
    "attempts that were not made": ("UPDATE deliveries SET attempts = 7", "I6"),
    "an event that leads elsewhere": (
        "UPDATE events SET event = 'receipt.failed' WHERE event = 'receipt.deferred'",
        "I6",
    ),
    "a replay of what was not dead": (
        "UPDATE events SET event = 'delivery.replayed' WHERE event = 'delivery.attempted'",
        "I6",
    ),
    "a late receipt that was not late": (
        "UPDATE events SET event = 'receipt.deferred.late' WHERE event = 'receipt.deferred'",
        "I6",
    ),
    "a receipt that is gone": ("DELETE FROM outbox; DELETE FROM receipts WHERE level = 'deferred'", "I3"),
    "a receipt that was never recorded": ("DELETE FROM events WHERE event = 'receipt.deferred'", "I9"),
    "a chain that ends nowhere": ("UPDATE deliveries SET chain_head = 'gone'", "I9"),
}


@pytest.mark.parametrize("what", _HISTORIES)
async def test_history_that_the_states_do_not_allow_is_named(home: House, what: str) -> None:
    envelope_id = await _delivered(home)
    assert await _look(home, audit.History()) == []
    statements, rule = _HISTORIES[what]
    await _damage(home, *statements.split("; "))
    found = (await _walk(home, audit.History())).findings
    assert rule in _rules(found)
    assert {one.envelope_id for one in found} == {envelope_id}


async def test_what_the_axis_says_twice_is_named(home: House) -> None:
    await _delivered(home)
    twice = (
        "INSERT INTO receipts (digest, envelope_id, addressee, level, issuer, previous, at, xml)"
        " SELECT 'twice', envelope_id, addressee, level, issuer, previous, at, xml FROM receipts WHERE level = 'accepted'"
    )
    await _damage(home, twice)
    assert [(one.rule, one.text) for one in (await _walk(home, audit.History())).findings] == [
        ("I3", "accepted was said 2 times")
    ]


# --- evidence -----------------------------------------------------------------------------

_BYTES = {
    "a bit of a receipt": ("UPDATE receipts SET xml = :bent WHERE level = 'registered'", "I9", "is not the bytes"),
    "a level of the book": ("UPDATE receipts SET level = 'progress' WHERE level = 'registered'", "I9", "otherwise"),
    "a chain": ("UPDATE receipts SET previous = :other WHERE level = 'registered'", "I9", "otherwise"),
    "the envelope": ("UPDATE envelopes SET sealed = :bent", "I9", "not the bytes that were accepted"),
    "the envelope and its digest": (
        "UPDATE envelopes SET sealed = :bent, sealed_digest = :digest",
        "I9",
        "the seal of the envelope does not hold",
    ),
    "the digest of the content": ("UPDATE envelopes SET digest = :other", "I9", "other content than the book says"),
}


@pytest.mark.parametrize("what", _BYTES)
async def test_changed_bytes_are_named(home: House, what: str) -> None:
    await _delivered(home)
    assert await _look(home, _evidence(home)) == []
    statement, rule, words = _BYTES[what]
    bent = b"<x>bent</x>"
    await _damage(home, statement, bent=bent, digest=sha256(bent).hexdigest(), other="0" * 64)
    found = (await _walk(home, _evidence(home))).findings
    assert any(one.rule == rule and words in one.text for one in found), found


async def test_receipt_by_a_key_that_is_not_registered_any_more_proves_nothing(home: House) -> None:
    envelope_id = await _delivered(home)
    trust = home.province.trust()
    others = {code: known for code, known in trust.signers.items() if code != COMMUNE}
    checked = await _walk(home, audit.Evidence(seal.Trust(trust.authorities, trust.crls, others), AXIS))
    assert [(one.rule, one.envelope_id, one.addressee) for one in checked.findings] == [
        ("I3", envelope_id, COMMUNE)
    ] * 3
    assert "KEY.UNKNOWN_SIGNER" in checked.findings[0].text


async def test_receipt_about_other_content_is_a_phantom(home: House) -> None:
    """Two envelopes; the answer about one of them is put beside the other."""
    first, second = await _delivered(home), (await home.accept(home.seal(home.document()))).envelope_id
    await _damage(
        home, "UPDATE receipts SET envelope_id = :second WHERE envelope_id = :first AND level = 'registered'",
        first=first, second=second,
    )  # fmt: skip
    found = (await _walk(home, _evidence(home))).findings
    assert ("I4", second, COMMUNE) in {(one.rule, one.envelope_id, one.addressee) for one in found}


async def test_refusals_are_verified_too(home: House) -> None:
    with pytest.raises(PermanentError):
        await home.accept(b"<x/>")
    assert (await _walk(home, _evidence(home))).findings == []
    await _damage(home, "UPDATE receipts SET xml = :bent", bent=b"<x/>")
    assert _rules((await _walk(home, _evidence(home))).findings) == {"I9"}


# --- files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (None, "is not there; 1 deliveries still need it"),
        (_LETTER[:-3], "has 14 of 17 bytes; 1 deliveries still need it"),
        (_LETTER + b"!", "has 18 bytes, not 17; 1 deliveries still need it"),
        (_LETTER[::-1], f"holds other bytes, {sha256(_LETTER[::-1]).hexdigest()[:12]}; 1 deliveries still need it"),
    ],
    ids=["gone", "truncated", "longer", "altered"],
)
async def test_file_that_is_not_what_it_was_is_named_exactly(
    home: House, tmp_path: Path, harm: bytes | None, words: str
) -> None:
    envelope_id = await _delivered(home)
    (file,) = (tmp_path / "spool").rglob(_DIGEST)
    if harm is None:
        file.unlink()
    else:
        file.write_bytes(harm)
    checked = await _walk(home, audit.Files(home.spool))
    assert checked.findings == [AuditFinding("I8", envelope_id, "", f"file {_DIGEST} “125.pdf” {words}")]
    file.write_bytes(_LETTER)
    assert (await _walk(home, audit.Files(home.spool))).findings == []


async def test_file_that_cannot_be_read_is_named_and_hides_no_other(home: House, tmp_path: Path) -> None:
    envelope_id = await _delivered(home)
    lost = await home.bring(OTHER, b"early")
    next((tmp_path / "spool").rglob(lost)).unlink()
    with unreadable(next((tmp_path / "spool").rglob(_DIGEST))):
        checked = await _walk(home, audit.Files(home.spool))
    assert checked.findings == [
        AuditFinding("I8", envelope_id, "", f"file {_DIGEST} “125.pdf” cannot be read; 1 deliveries still need it"),
        AuditFinding("I8", "", OTHER, f"file {lost} is not there; no envelope lists it"),
    ]
    assert checked.counted == {"files": 2}


async def test_spool_that_is_away_is_no_finding(home: House, tmp_path: Path) -> None:
    await _delivered(home)
    (tmp_path / "spool").rename(tmp_path / "elsewhere")
    (tmp_path / "spool").touch()
    with pytest.raises(TransientError) as caught:
        await _walk(home, audit.Files(home.spool))
    assert caught.value.code == "SYS.SPOOL"


async def test_file_that_was_brought_for_an_envelope_to_come_is_named(home: House, tmp_path: Path) -> None:
    digest = await home.bring(OTHER, b"early")
    next((tmp_path / "spool").rglob(digest)).unlink()
    found = (await _walk(home, audit.Files(home.spool))).findings
    assert found == [AuditFinding("I8", "", OTHER, f"file {digest} is not there; no envelope lists it")]


# --- effects ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("office", "lines", "expected"),
    [
        (COMMUNE, "{id}\n{id}\n", ("I2", "2 effects of one envelope")),
        (COMMUNE, "", ("I1", "delivered, and without an effect")),
        (COMMUNE, "{id}\n" + "f" * 32 + "\n", ("I4", "an effect of an envelope that was never accepted")),
        (COMMUNE, "{id} " + "0" * 64 + "\n", ("I4", "an effect of other content than was accepted")),
        (STRANGER, "{id}\n", ("I4", "an effect at an office that it was not sent to")),
    ],
)
async def test_effect_that_ought_not_to_be_is_named(
    home: House, tmp_path: Path, office: str, lines: str, expected: tuple[str, str]
) -> None:
    log = tmp_path / "effects"
    log.write_text(lines.format(id=await _delivered(home)))
    found = (await _walk(home, audit.Effects.read(office, log))).findings
    assert [(one.rule, one.text, one.addressee) for one in found] == [(*expected, office)]


async def test_effect_of_what_the_axis_refused_for_the_office_is_named(home: House, tmp_path: Path) -> None:
    accepted = await home.accept(home.seal(home.document(to=(COMMUNE, "H99.1"))))
    log = tmp_path / "effects"
    log.write_text(f"{accepted.envelope_id}\n")
    found = (await _walk(home, audit.Effects.read("H99.1", log))).findings
    assert [(one.rule, one.text) for one in found] == [("I4", "an effect of what the axis refused for this office")]


async def test_same_content_under_another_id_needs_no_second_effect(home: House, tmp_path: Path) -> None:
    """After a restore an envelope may have come twice; the office registered it once, and answered both."""
    first, second = await _delivered(home), await _delivered(home)
    digest = (await home.row(first)).digest
    log = tmp_path / "effects"
    log.write_text(f"{first}\n")
    assert _rules((await _walk(home, audit.Effects.read(COMMUNE, log))).findings) == {"I1"}
    await _damage(home, "UPDATE envelopes SET digest = :digest WHERE id = :second", digest=digest, second=second)
    assert (await _walk(home, audit.Effects.read(COMMUNE, log))).findings == []


async def test_effect_that_only_a_lost_ledger_explains_is_no_second_finding(home: House, tmp_path: Path) -> None:
    """The envelope that it was made for is in no backup; sent again, the document was answered and not registered twice."""
    again = await _delivered(home)
    log = tmp_path / "effects"
    log.write_text(f"{'f' * 32} {(await home.row(again)).digest}\n")
    (found,) = (await _walk(home, audit.Effects.read(COMMUNE, log))).findings
    assert found == AuditFinding("I4", "f" * 32, COMMUNE, "an effect of an envelope that was never accepted")


async def test_recall_that_found_nothing_to_withdraw_needs_no_effect(home: House, tmp_path: Path) -> None:
    order = Business(BusinessType.RECALL, reason="gửi nhầm (ví dụ)", document_id=home.document().document_id)
    recall = (await home.accept(home.seal(home.document(business=order)))).envelope_id
    await _damage(home, "UPDATE deliveries SET code = NULL WHERE envelope_id = :id", id=recall)  # It waits no more.
    await home.attempt()
    await home.say(Agreed(), await home.row(recall))
    assert (await home.row(recall)).state == "delivered"
    log = tmp_path / "effects"
    log.write_text("")
    assert (await _walk(home, audit.Effects.read(COMMUNE, log))).findings == []


async def test_effect_that_came_while_the_audit_ran_is_none_too_few(home: House, tmp_path: Path) -> None:
    log = tmp_path / "effects"
    log.write_text("")
    read_before = audit.Effects.read(COMMUNE, log)
    log.write_text(f"{await _delivered(home)}\n")
    assert (await _walk(home, read_before)).findings == []


async def test_log_that_cannot_be_read_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as caught:
        audit.Effects.read(COMMUNE, tmp_path / "no such file")
    assert caught.value.code == "CFG.INVALID"


# --- queues -------------------------------------------------------------------------------


async def test_missing_queue_and_unburied_letter_are_named(rabbitmq: PrivateNode) -> None:
    offices = [f"H56.{uuid4().hex[:8]}" for _ in range(3)]
    async with Broker.connect(rabbitmq.url, name="test") as pipes:
        await pipes.declare(topology.province(offices))
        assert (await audit.check_queues(pipes, offices))[0] == []
        await pipes.publish(topology.DELIVER, offices[0], b"<x/>", type="envelope")
        connection = await aio_pika.connect(rabbitmq.url)
        async with connection, connection.channel() as channel:
            await channel.queue_delete(topology.inbox(offices[1]))
            dead = await channel.get_queue(topology.DEAD, ensure=False)
            await channel.default_exchange.publish(aio_pika.Message(b"<x/>"), topology.DEAD)
            try:
                async with asyncio.timeout(20):
                    while await pipes.depth(topology.DEAD) != 1:  # noqa: ASYNC110 - The broker does it.
                        await asyncio.sleep(0.05)
                findings, counts = await audit.check_queues(pipes, offices)
            finally:
                await dead.purge()
    assert [(one.rule, one.addressee, one.text) for one in findings] == [
        ("I7", offices[1], f"queue inbox.{offices[1]} is not there"),
        ("I7", "", "1 messages in axis.dead that no router has buried"),
    ]
    assert counts[topology.inbox(offices[0])] == 1
    assert topology.inbox(offices[1]) not in counts
