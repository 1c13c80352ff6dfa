"""The router's rooms on each kind of ledger: what one office says must not stop what the others say."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from axis import receipts
from axis.broker import Broker, Incoming, PrivateNode, carried, topology
from axis.dispatch.carriage import Carriage
from axis.errors import TransientError
from axis.intake import Allowance
from axis.office.answers import Registered
from axis.office.speech import About, say
from axis.receipts import bundle
from axis.receipts.voice import Voice
from axis.router import Router
from tests.house import COMMUNE, OTHER, SENDER, House

_SOON_S = 10.0
_BURST = 5


def _router(home: House, pipes: Broker | None = None) -> Router:
    return Router(
        ledger=home.ledger,
        broker=pipes or Broker.__new__(Broker),  # Most here publish nothing.
        intake=home.intake,
        answers=home.answers,
        allowance=Allowance(burst=_BURST, per_second=0.001),
        carriage=Carriage(),
        batch=64,
        prefetch=128,
        ring=lambda: None,
        now=home.now,
    )


def _beat(office: str, body: bytes) -> Incoming:
    return Incoming(
        body=body,
        type="heartbeat",
        headers={},
        exchange=topology.office_exchange(office),
        user_id=None,
        redelivered=False,
        delivery_count=0,
        died_in="",
    )


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (json.dumps({"version": "1.2\0"}).encode(), "1.2"),
        (json.dumps({"version": "1.2\ud800"}).encode(), "1.2"),
        (json.dumps({"version": {"a": 1}}).encode(), "{'a': 1}"),
        (json.dumps({"version": "1" * 5000}).encode(), ""),
        (b"[" * 4000, ""),
        (b"[" * 1_000_000, ""),
        (b"\xff", ""),
    ],
    ids=["nul", "half a character", "no text", "long", "deep", "huge", "no UTF-8"],
)
async def test_odd_heartbeat_counts_as_one_and_holds_up_nobody(home: House, said: bytes, kept: str) -> None:
    router = _router(home)
    beats = [_beat(OTHER, said), _beat(COMMUNE, b'{"version": "1"}')]
    async with asyncio.timeout(_SOON_S):
        await router._batch_for(topology.HEARTBEATS, router._beaten)(beats)
    assert not any(beat.returned for beat in beats)
    lanes = {lane.office: lane.version for lane in await home.ledger.lanes()}
    assert lanes == {OTHER: kept, COMMUNE: "1"}


@pytest.mark.parametrize(
    ("said", "takes"),
    [
        ({"files": 1000}, 1000),
        ({"files": 10**30}, carried.MOST_BYTES),
        ({"files": -1}, 0),
        ({"files": True}, 0),
        ({"files": "1000"}, 0),
        ({}, 0),
    ],
)
async def test_heartbeat_says_how_many_bytes_of_files_an_office_takes(
    home: House, said: Mapping[str, Any], takes: int
) -> None:
    await home.accept(home.seal(home.document()))
    await _router(home)._beaten(_beat(COMMUNE, json.dumps({"version": "1", **said}).encode()))
    (attempt,) = await home.attempt()
    assert attempt.takes_files == takes


@pytest.mark.parametrize("said", [b"[]", b"1", b"null", b'"version"'])
async def test_heartbeat_that_is_none_takes_no_files(home: House, said: bytes) -> None:
    await home.accept(home.seal(home.document()))
    await _router(home)._beaten(_beat(COMMUNE, said))
    (attempt,) = await home.attempt()
    assert attempt.takes_files == 0


@pytest.mark.parametrize(
    ("kind", "headers"),
    [("heart\0beat", {}), ("envelope", {"x": float("nan")}), ("envelope", {"x\0": "y\ud800"})],
    ids=["nul", "not a number", "half a character"],
)
async def test_odd_dead_letter_is_kept_and_holds_up_nobody(home: House, kind: str, headers: Mapping[str, Any]) -> None:
    router = _router(home)
    odd = _beat(OTHER, b"x")
    odd.type, odd.headers, odd.died_in = kind, dict(headers), topology.HEARTBEATS
    async with asyncio.timeout(_SOON_S):
        await router._batch_for(topology.DEAD, router._buried)([odd])
    assert not odd.returned


async def test_delivery_whose_message_brought_files_goes_once_more_without_them(home: House) -> None:
    """Over a line that is cut again and again a long message is handed out until the broker gives it up."""
    envelope_id = (await home.accept(home.seal(home.document()))).envelope_id
    (attempt,) = await home.attempt()
    given_up = _beat(COMMUNE, attempt.sealed)
    given_up.type, given_up.died_in = "envelope", topology.inbox(COMMUNE)
    given_up.headers = {"envelope-id": envelope_id, "attempt": 1}
    given_up.files = {"a" * 64: b"abc"}
    await _router(home)._buried(given_up)
    assert (await home.row(envelope_id)).state == "queued"
    (again,) = await home.attempt()
    assert again.attempt_no == 2
    await _router(home)._buried(given_up)  # The broker may hand it in twice.
    assert (await home.row(envelope_id)).state == "sent"
    given_up.headers["attempt"], given_up.files = 2, {}
    await _router(home)._buried(given_up)
    row = await home.row(envelope_id)
    assert (row.state, row.code) == ("dead", "DLV.POISON")


async def test_what_brings_files_waits_behind_while_they_cannot_be_kept(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []

    async def no_room(*_: Any) -> None:
        raise TransientError("SYS.SPOOL")

    async def note(_self: Router, queue: str, _message: Incoming) -> bool:
        put.append(queue)
        return True

    page = b"%PDF-1.7"
    monkeypatch.setattr(home.spool, "put", no_room)
    monkeypatch.setattr(Router, "_put", note)
    handed_in = _beat(SENDER, home.seal(home.document(), {"1.pdf": page}))
    handed_in.files = {sha256(page).hexdigest(): page}
    other = _beat(SENDER, home.seal(home.document()))
    router = _router(home)
    async with asyncio.timeout(_SOON_S):
        await router._batch_for(topology.SUBMIT, router._submitted_in_turn)([handed_in, other])
    assert put == [topology.SUBMIT_LATER]
    (row,) = await home.ledger.deliveries_in()
    assert row.state == "queued"


async def test_data_that_the_database_refuses_is_no_outage(home: House) -> None:
    """It is raised as it is, and what shares its commit is written without it."""
    results = await asyncio.gather(
        home.ledger.heartbeat(OTHER, home.at, "1\ud800"),
        home.ledger.heartbeat(COMMUNE, home.at, "1"),
        return_exceptions=True,
    )
    assert [type(one).__name__ == "TransientError" for one in results] == [False, False]
    assert COMMUNE in {lane.office for lane in await home.ledger.lanes()}


async def test_message_that_cannot_be_judged_now_holds_up_nobody(home: House, rabbitmq: PrivateNode) -> None:
    """The revocation list of one authority is late: its offices wait, the others do not."""
    late, office = 2, f"H56.{uuid4().hex[:8]}"
    taken: list[bytes] = []

    async def room(message: Incoming) -> None:
        nonlocal late
        if topology.office_of(message.exchange) != office:
            return  # Left by another test: this queue is the whole province's.
        if message.body == b"late" and late:
            late -= 1
            raise TransientError("KEY.REVOCATION_UNKNOWN")
        taken.append(message.body)

    async with Broker.connect(rabbitmq.url, name="test") as pipes:
        await pipes.declare(topology.province([office]))
        router = _router(home, pipes)
        take = router._batch_for(topology.RECEIPTS, room)
        consumer = await pipes.consume_batches(topology.RECEIPTS, take, max_batch=1, prefetch=1)
        for body in (b"late", b"1", b"2"):
            await pipes.publish(topology.office_exchange(office), "receipt", body, type="receipt")
        async with asyncio.timeout(_SOON_S):
            while len(taken) < 3:  # noqa: ASYNC110 - It rings no bell.
                await asyncio.sleep(0.05)
        await consumer.stop()
        assert taken == [b"1", b"2", b"late"]
        assert await pipes.depth(topology.RECEIPTS) == 0


async def test_message_whose_file_cannot_be_read_holds_up_nobody(
    home: House, rabbitmq: PrivateNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, taken = f"H56.{uuid4().hex[:8]}", set[bytes]()
    monkeypatch.setattr("axis.router._TRIES", {"SYS.SPOOL": 2}, raising=False)

    async def room(message: Incoming) -> None:
        if topology.office_of(message.exchange) != office:
            return
        if message.body == b"unreadable" and len(taken) < 2:
            raise TransientError("SYS.SPOOL")
        taken.add(message.body)

    async with Broker.connect(rabbitmq.url, name="test") as pipes:
        await pipes.declare(topology.province([office]))
        for body in (b"unreadable", b"1", b"2"):
            await pipes.publish(topology.office_exchange(office), "receipt", body, type="receipt")
        take = _router(home, pipes)._batch_for(topology.RECEIPTS, room)
        consumer = await pipes.consume_batches(topology.RECEIPTS, take, max_batch=1, prefetch=1)
        async with asyncio.timeout(_SOON_S):
            while len(taken) < 3:  # noqa: ASYNC110 - It rings no bell.
                await asyncio.sleep(0.05)
        await consumer.stop()
        assert await pipes.depth(topology.RECEIPTS) == 0


@pytest.mark.parametrize("works", [True, False], ids=["another was taken", "outage"])
async def test_message_that_fails_goes_behind_only_if_its_room_works(
    home: House, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    tried, put = 0, list[bytes]()
    tried_often = asyncio.Event()

    async def room(message: Incoming) -> None:
        nonlocal tried
        if works and message.body == b"good":
            return
        tried += 1
        if tried >= 6:
            tried_often.set()
        raise TransientError("SYS.LEDGER")

    async def note(self: Router, queue: str, message: Incoming) -> bool:
        put.append(message.body)
        return True

    monkeypatch.setattr(Router, "_put", note)
    take = _router(home)._batch_for(topology.RECEIPTS, room)
    batch = asyncio.ensure_future(take([_beat(OTHER, b"bad"), _beat(OTHER, b"good")]))
    async with asyncio.timeout(_SOON_S):
        await asyncio.wait([batch, asyncio.create_task(tried_often.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert (batch.done(), put) == ((True, [b"bad"]) if works else (False, []))
    batch.cancel()


async def test_router_that_is_stopped_in_an_outage_gives_back_what_it_has(
    home: House, rabbitmq: PrivateNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, tried = f"H56.{uuid4().hex[:8]}", asyncio.Event()

    async def fail(self: Router, message: Incoming) -> None:
        tried.set()
        raise TransientError("SYS.LEDGER")

    async with Broker.connect(rabbitmq.url, name="test") as pipes:
        await pipes.declare(topology.province([office]))
        before = await pipes.depth(topology.RECEIPTS)
        await pipes.publish(topology.office_exchange(office), "receipt", b"not settled", type="receipt")
        async with asyncio.timeout(_SOON_S):
            with monkeypatch.context() as outage:
                outage.setattr(Router, "_answered", fail)
                async with _router(home, pipes).running():
                    await tried.wait()
            while await pipes.depth(topology.RECEIPTS) != before + 1:  # noqa: ASYNC110 - It rings no bell.
                await asyncio.sleep(0.05)
            async with _router(home, pipes).running():  # It is no receipt of anybody, and is done with.
                while await pipes.depth(topology.RECEIPTS):  # noqa: ASYNC110 - It rings no bell.
                    await asyncio.sleep(0.05)


class _Intake:
    """Notes what is handed in; what is beyond an office's turn is judged no sooner than what another has handed in."""

    def __init__(self, loud: str, modest: str) -> None:
        self.handed_in: list[bytes] = []
        self.came_along: list[dict[str, bytes]] = []
        self._loud, self._modest = loud, modest
        self._modest_came = asyncio.Event()

    async def accept(self, sealed: bytes, *, submitter: str, via: str, carried: Mapping[str, bytes]) -> None:
        if submitter not in (self._loud, self._modest):  # Others' are left by another test.
            return
        if submitter == self._modest:
            self._modest_came.set()
        elif len(self.handed_in) >= _BURST:
            await self._modest_came.wait()
        self.handed_in.append(sealed)
        self.came_along.append(dict(carried))


async def test_office_that_hands_in_too_much_makes_nobody_wait_but_itself(home: House, rabbitmq: PrivateNode) -> None:
    loud, modest = f"H56.{uuid4().hex[:8]}", f"H56.{uuid4().hex[:8]}"
    envelopes = [b"%d" % number for number in range(60)]
    intake: Any = _Intake(loud, modest)
    async with Broker.connect(rabbitmq.url, name="test") as pipes:
        await pipes.declare(topology.province([loud, modest]))
        for body in envelopes:
            message = carried.load(body, {sha256(body).hexdigest(): body})
            await pipes.publish(topology.office_exchange(loud), "submit", message, type="envelope")
        await pipes.publish(topology.office_exchange(modest), "submit", b"modest", type="envelope")
        router = replace(_router(home, pipes), intake=intake, batch=1, prefetch=1)
        async with router.running():
            async with asyncio.timeout(_SOON_S):
                while len(intake.handed_in) < len(envelopes) + 1:  # noqa: ASYNC110 - It rings no bell.
                    await asyncio.sleep(0.05)
        assert await pipes.depth(topology.SUBMIT) == await pipes.depth(topology.SUBMIT_LATER) == 0
    assert sorted(intake.handed_in) == sorted([*envelopes, b"modest"])
    # What is put behind takes along what came along with it.
    expected = [{} if one == b"modest" else {sha256(one).hexdigest(): one} for one in intake.handed_in]
    assert intake.came_along == expected
    # However slow the broker is: what stood behind waited, and the other did not wait for it.
    assert intake.handed_in.index(b"modest") < len(envelopes) / 2


def _of_office(office: str, kind: str, body: bytes) -> Incoming:
    beat = _beat(office, body)
    beat.type = kind
    return beat


async def _answered(home: House) -> tuple[str, list[bytes]]:
    """Return the id of an envelope at its addressee, and what that says about it: two receipts, not taken yet."""
    envelope_id = (await home.accept(home.seal(home.document()))).envelope_id
    await home.attempt()
    row = await home.row(envelope_id)
    about = About(
        envelope_id=envelope_id, envelope_digest=row.digest, originator=row.originator, document_id=row.document_id
    )
    voice = Voice(COMMUNE, home.province.signer(COMMUNE))
    said = say(Registered("417"), about, voice=voice, previous=row.chain_head, attempt=row.attempts, at=home.at)
    return envelope_id, [one.xml for one in said]


async def test_forged_receipt_in_a_bundle_keeps_the_others_from_nothing(home: House) -> None:
    envelope_id, (delivered, registered) = await _answered(home)
    forged = registered.replace(b"417", b"418")
    kind, body = bundle.pack([delivered, forged, b"no receipt", registered])
    router, message = _router(home), _of_office(COMMUNE, kind, body)
    async with asyncio.timeout(_SOON_S):
        await router._batch_for(topology.RECEIPTS, router._answered)([message])
    assert not message.returned
    row = await home.row(envelope_id)
    assert (row.state, row.chain_head) == ("delivered", sha256(registered).hexdigest())
    assert sha256(forged).hexdigest() not in {one.digest for one in await home.ledger.receipts_of(envelope_id)}


async def test_receipt_that_cannot_be_judged_now_keeps_the_others_of_its_bundle_from_nothing(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelope_id, (delivered, registered) = await _answered(home)
    forged, read, tried = registered.replace(b"417", b"418"), receipts.read_receipt, 0

    def read_but_one(xml: bytes, *given: Any, **named: Any) -> receipts.SignedReceipt:
        nonlocal tried
        if xml == b"later" and (tried := tried + 1):
            raise TransientError("KEY.REVOCATION_UNKNOWN")
        return read(xml, *given, **named)

    monkeypatch.setattr(receipts, "read_receipt", read_but_one)
    kind, body = bundle.pack([delivered, b"later", forged, registered])
    router, message = _router(home), _of_office(COMMUNE, kind, body)
    with pytest.raises(TransientError), capture_logs() as logged:
        await router._answered(message)

    assert tried == 1
    assert (await home.row(envelope_id)).chain_head == sha256(registered).hexdigest()
    assert [one["digest"] for one in logged if one["event"] == "receipt.refused"] == [sha256(forged).hexdigest()]


async def test_broken_bundle_moves_nothing(home: House) -> None:
    envelope_id, said = await _answered(home)
    kind, body = bundle.pack(said)
    before = await home.row(envelope_id)
    router = _router(home)
    messages = [_of_office(COMMUNE, kind, broken) for broken in (body[:-1], b"", body + b"7", b"99999999999:x,")]
    async with asyncio.timeout(_SOON_S):
        await router._batch_for(topology.RECEIPTS, router._answered)(messages)
    assert not any(message.returned for message in messages)
    assert await home.row(envelope_id) == before


async def test_bundle_of_a_million_is_one_refusal(home: House) -> None:
    """A message of 4 KB holds as many, packed: each would be a task, a question to the roll and a line of the log."""
    router, message = _router(home), _of_office(COMMUNE, bundle.RECEIPTS, b"0:," * (topology.MOST_BYTES // 3))
    with capture_logs() as logged:
        async with asyncio.timeout(_SOON_S):
            await router._batch_for(topology.RECEIPTS, router._answered)([message])
    assert not message.returned
    (refused,) = logged
    assert (refused["event"], refused["code"]) == ("receipt.refused", "RCT.INVALID")
