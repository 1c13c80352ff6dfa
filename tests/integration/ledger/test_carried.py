"""Files that go along, on each kind of ledger: into the spool before custody begins, and on with the first attempt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from axis import contents, seal
from axis.broker import Packed, carried
from axis.dispatch.carriage import Carriage
from axis.dispatch.outbound import Outbound
from axis.edxml import AttachmentRef
from axis.errors import TransientError
from axis.intake import Acceptance, Rejected
from axis.office.answers import Registered
from axis.office.speech import Deferred
from axis.spool import Spool
from tests.contents import TASK
from tests.house import COMMUNE, OTHER, SENDER, STRANGER, WAIT, House

PAGE = b"%PDF-1.7"
NAME = sha256(PAGE).hexdigest()


async def _accept(home: House, envelope: bytes, files: Mapping[str, bytes]) -> Acceptance:
    return await home.intake.accept(envelope, submitter=SENDER, via="amqp", carried=files)


async def test_file_that_came_along_is_in_the_spool_and_for_those_whom_it_concerns(home: House) -> None:
    answer = await _accept(home, home.seal(home.document(), {"1.pdf": PAGE}), {NAME: PAGE})
    assert b"".join([chunk async for chunk in home.spool.stream(NAME)]) == PAGE
    assert [row.sha256 for row in await home.ledger.attachments_of(answer.envelope_id)] == [NAME]
    assert await home.ledger.may_read(SENDER, NAME)
    assert not await home.ledger.may_read(STRANGER, NAME)


@pytest.mark.parametrize("came", [b"%PDF-1.8", PAGE[::-1]])
async def test_file_that_came_along_damaged_refuses_its_envelope(home: House, came: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        await _accept(home, home.seal(home.document(), {"1.pdf": PAGE}), {NAME: came})
    (found,) = caught.value.refusal.violations
    assert (found.code, found.rule) == ("ATT.DIGEST", "attachment:digest")
    assert found.line is not None
    assert await home.spool.exists(NAME) is None


async def test_content_that_came_along_is_read_and_a_damaged_one_is_not(home: House) -> None:
    xml = contents.render(TASK)
    name, file_name = sha256(xml).hexdigest(), contents.KINDS[contents.Kind.TASK].file_name
    envelope = home.seal(home.document(to=(COMMUNE, OTHER)), {file_name: xml})
    with pytest.raises(Rejected) as caught:
        await _accept(home, envelope, {name: bytes(len(xml))})
    assert [one.code for one in caught.value.refusal.violations] == ["ATT.DIGEST"]
    await _accept(home, home.seal(home.document(to=(COMMUNE, OTHER)), {file_name: xml}), {name: xml})
    assert {one.assignee for one in await home.ledger.task_steps(TASK.code)} == {COMMUNE, OTHER}


async def test_what_the_envelope_does_not_name_so_is_left_alone(home: House) -> None:
    other = sha256(b"other").hexdigest()
    envelope = home.seal(home.document(), {"1.pdf": PAGE})
    with pytest.raises(Rejected) as caught:
        await _accept(home, envelope, {NAME: PAGE + b"x", other: b"other"})
    assert [one.code for one in caught.value.refusal.violations] == ["ATT.MISSING"]
    assert [await home.spool.exists(one) for one in (NAME, other)] == [None, None]
    assert not (
        await _accept(home, home.seal(home.document(), {"1.pdf": PAGE}), {NAME: PAGE, other: b"other"})
    ).duplicate
    assert await home.spool.exists(other) is None


async def test_file_that_is_said_to_have_two_sizes_did_not_come(home: House) -> None:
    document = home.document()
    refs = (
        AttachmentRef("a1", "1.pdf", "application/pdf", NAME, len(PAGE)),
        AttachmentRef("a2", "2.pdf", "application/pdf", NAME, len(PAGE) + 7),
    )
    envelope = seal.seal_message(replace(document, attachments=refs), home.province.signer(SENDER)).octets
    with pytest.raises(Rejected) as caught:
        await _accept(home, envelope, {NAME: PAGE})
    assert {one.code for one in caught.value.refusal.violations} == {"ATT.MISSING"}
    assert await home.spool.exists(NAME) is None


async def test_limit_of_a_file_holds_for_what_comes_along(home: House) -> None:
    intake = replace(home.intake, attachment_bytes=len(PAGE) - 1)
    with pytest.raises(Rejected) as caught:
        await intake.accept(
            home.seal(home.document(), {"1.pdf": PAGE}), submitter=SENDER, via="amqp", carried={NAME: PAGE}
        )
    assert [one.code for one in caught.value.refusal.violations] == ["ATT.SIZE"]


async def test_of_an_envelope_that_is_refused_no_file_is_kept(home: House) -> None:
    with pytest.raises(Rejected):
        await _accept(home, home.seal(home.document(to=("H56.888",)), {"1.pdf": PAGE}), {NAME: PAGE})
    with pytest.raises(Rejected):
        await _accept(home, home.seal(home.document(), {"1.pdf": PAGE, "2.pdf": b"away"}), {NAME: PAGE})
    assert await home.spool.exists(NAME) is None


async def test_while_the_spool_takes_nothing_nothing_is_promised(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    envelope = home.seal(home.document(), {"1.pdf": PAGE})

    async def full(*_: Any) -> None:
        raise TransientError("SYS.SPOOL")

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "put", full)
        with pytest.raises(TransientError, match=r"SYS\.SPOOL"):
            await _accept(home, envelope, {NAME: PAGE})
    assert await home.attempt() == []
    assert not (await _accept(home, envelope, {NAME: PAGE})).duplicate


async def test_same_again_is_the_same_whatever_comes_along(home: House) -> None:
    envelope = home.seal(home.document(), {"1.pdf": PAGE})
    first = await _accept(home, envelope, {NAME: PAGE})
    for files in ({NAME: PAGE}, {}, {NAME: PAGE[::-1]}):
        again = await _accept(home, envelope, files)
        assert (again.duplicate, again.envelope_id) == (True, first.envelope_id)
    assert b"".join([chunk async for chunk in home.spool.stream(NAME)]) == PAGE


@dataclass
class _Broker:
    """What was published: to whom, which attempt, and which files went along."""

    seen: list[tuple[str, int, set[str]]] = field(default_factory=list)
    fails: bool = False

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | Packed,
        *,
        type: str,  # noqa: A002 - AMQP's own name for it.
        headers: dict[str, Any] | None = None,
        also: Sequence[str] = (),
    ) -> None:
        """Take it."""
        if type != "envelope":
            return
        assert headers is not None
        assert isinstance(body, Packed)
        files = carried.unload(body.body, body.files)[1] if body.files else {}
        assert all(sha256(content).hexdigest() == name for name, content in files.items())
        self.seen += [(one, headers["attempt"], set(files)) for one in (routing_key, *also)]
        if self.fails:
            raise TransientError("SYS.BROKER")

    async def try_out(self) -> None:
        """It is there."""


@dataclass
class _Way:
    """Intake and dispatch of one process."""

    home: House
    broker: _Broker
    carriage: Carriage
    out: Outbound

    async def send(self, *to: str, content: bytes = PAGE) -> str:
        envelope = self.home.seal(self.home.document(to=to), {"1.pdf": content})
        intake = replace(self.home.intake, along=self.out.along, carriage=self.carriage)
        answer = await intake.accept(
            envelope, submitter=SENDER, via="amqp", carried={sha256(content).hexdigest(): content}
        )
        await self.out.finish()
        return answer.envelope_id


@pytest.fixture
def way(home: House) -> _Way:
    broker, carriage = _Broker(), Carriage()
    pipes: Any = broker
    out = replace(home.outbound(pipes), carriage=carriage)
    return _Way(home, broker, carriage, out)


async def test_files_go_on_to_the_offices_that_take_them(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    await home.ledger.heartbeat(OTHER, home.at, "1")
    first = await way.send(COMMUNE, OTHER)
    assert sorted(way.broker.seen) == [(COMMUNE, 1, {NAME}), (OTHER, 1, set())]
    await home.say(Registered("1"), await home.row(first))
    await home.ledger.heartbeat(COMMUNE, home.at, "0.9")  # Another program, which says nothing of files.
    await way.send(COMMUNE)
    assert way.broker.seen[-1] == (COMMUNE, 1, set())
    assert way.carriage._bytes == 0


async def test_next_attempt_brings_no_files(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    envelope_id = await way.send(COMMUNE)
    await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    home.pass_time(WAIT)
    await way.out.go_round()
    assert way.broker.seen == [(COMMUNE, 1, {NAME}), (COMMUNE, 2, set())]


async def test_publish_that_failed_is_made_again_without_files(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    way.broker.fails = True
    await way.send(COMMUNE)
    way.broker.fails = False
    home.pass_time(timedelta(minutes=1))
    await way.out.go_round()
    assert way.broker.seen == [(COMMUNE, 1, {NAME}), (COMMUNE, 2, set())]
    assert way.carriage._lines[COMMUNE]._bytes == 0


async def test_probe_of_an_office_that_fails_goes_alone(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    for _ in range(5):
        envelope_id = await way.send(COMMUNE)
        await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    home.pass_time(WAIT)
    del way.broker.seen[:]
    await way.send(COMMUNE)
    assert len(way.broker.seen) == 1
    assert way.broker.seen[0][2] == set()


async def test_office_that_is_away_gets_no_files(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    home.pass_time(timedelta(seconds=76))
    await way.send(COMMUNE)
    assert way.broker.seen == [(COMMUNE, 1, set())]


async def test_office_that_does_not_answer_gets_no_more_files_whoever_hears_it(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    first = await way.send(COMMUNE)
    home.pass_time(timedelta(seconds=5))
    second = await way.send(COMMUNE)
    home.pass_time(timedelta(seconds=1))
    await way.send(COMMUNE)
    assert [len(files) for _, _, files in way.broker.seen] == [1, 1, 0]
    for one in (first, second):
        await home.say(Registered(one), await home.row(one))
    await way.send(COMMUNE)
    assert [len(files) for _, _, files in way.broker.seen] == [1, 1, 0, 1]


async def test_repeated_submission_goes_on_once(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    envelope = home.seal(home.document(), {"1.pdf": PAGE})
    intake = replace(home.intake, along=way.out.along, carriage=way.carriage)
    for _ in range(3):
        await intake.accept(envelope, submitter=SENDER, via="amqp", carried={NAME: PAGE})
    await way.out.finish()
    assert way.broker.seen == [(COMMUNE, 1, {NAME})]


async def test_registered_opens_the_line_further(home: House, way: _Way) -> None:
    await home.ledger.heartbeat(COMMUNE, home.at, "1", takes_files=carried.MOST_BYTES)
    first = bytes(carried.MOST_BYTES)
    envelope_id = await way.send(COMMUNE, content=first)
    await way.send(COMMUNE)
    assert [len(files) for _, _, files in way.broker.seen] == [1, 0]
    await home.say(Registered("1"), await home.row(envelope_id))
    way.carriage.answered(COMMUNE, envelope_id)
    await way.send(COMMUNE)
    assert len(way.broker.seen[-1][2]) == 1
