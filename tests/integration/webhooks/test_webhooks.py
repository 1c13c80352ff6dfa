"""Webhooks on a real ledger and a real receiver: everything is told, in order, signed, to the right place alone."""

import asyncio
import socket
from collections.abc import MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from standardwebhooks import Webhook, WebhookVerificationError

from axis.clock import ALLOWANCE
from axis.ledger import Place, WebhookRow
from axis.ledger import tables as t
from axis.office.answers import Refused, Registered
from axis.webhooks import Allowed, Kind, Sender, make_secret, state
from axis.webhooks.sender import LEASE
from tests.house import COMMUNE, LIFETIME, OTHER, SENDER, STRANGER, House, house
from tests.integration.webhooks.conftest import GIVE_UP, WAIT, Make, sender_of
from tests.integration.webhooks.receiver import Got, Receiver, certify, receiving

SUBJECT = "V/v không được nói ra (ví dụ)"


async def _hook(home: House, office: str, receiver: Receiver, *kinds: Kind, url: str = "", name: str = "qlvb") -> str:
    """Let an office have a webhook; return its secret."""
    secret = make_secret()
    made = await home.ledger.put_webhook(
        office,
        name,
        url=url or f"http://127.0.0.1:{receiver.port}/axis",
        kinds=list(kinds or Kind),
        secret=secret,
        now=home.now(),
        most=10,
    )
    assert made
    return secret


async def _row(home: House, office: str, name: str = "qlvb") -> WebhookRow:
    found = await home.ledger.webhook(office, name)
    assert found is not None
    return found


async def _send(home: House, *to: str) -> str:
    """Let a document be accepted and attempted; return its envelope's id."""
    envelope = home.seal(home.document(to=to or (COMMUNE,), subject=SUBJECT))
    envelope_id = (await home.accept(envelope)).envelope_id
    await home.attempt()
    return envelope_id


async def _rounds(sender: Sender, number: int = 3) -> None:
    """Let a sender do all that it can do now."""
    for _ in range(number):
        await sender.go_round()
        async with asyncio.timeout(30):
            while sender._telling:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def _verified(home: House, got: Got, secret: str) -> dict[str, Any]:
    """Return what a message says, once the library of receivers believes it."""
    with time_machine.travel(home.now(), tick=False):
        said: dict[str, Any] = Webhook(secret).verify(got.body, got.headers)
    return said


# --- what is told ---------------------------------------------------------------------------


async def test_offices_are_told_in_order_what_concerns_them(home: House, receiver: Receiver, make: Make) -> None:
    secret = await _hook(home, SENDER, receiver)
    sender = make()
    envelope_id = await _send(home)
    await home.say(Registered("417"), await home.row(envelope_id))
    await _rounds(sender)
    said = [_verified(home, got, secret) for got in receiver.got]
    assert [(one["type"], one["data"].get("level") or one["data"].get("state")) for one in said] == [
        ("receipt.recorded", "accepted"),
        ("receipt.recorded", "delivered"),
        ("delivery.changed", "delivered"),
        ("receipt.recorded", "registered"),
        ("delivery.changed", "delivered"),
    ]
    assert {one["data"]["envelope_id"] for one in said} == {envelope_id}
    assert said[1]["data"]["links"]["receipts"] == f"/v1/envelopes/{envelope_id}/receipts"
    digests = {one.digest for one in await home.ledger.receipts_of(envelope_id)}
    assert {one["data"]["digest"] for one in said if "digest" in one["data"]} <= digests
    assert len(set(receiver.ids())) == 5


async def test_originator_is_told_that_what_had_expired_begins_anew(
    home: House, receiver: Receiver, make: Make
) -> None:
    secret = await _hook(home, SENDER, receiver, Kind.CHANGED)
    sender = make()
    document = home.document()
    envelope_id = (await home.accept(home.seal(document))).envelope_id
    home.pass_time(LIFETIME)
    await home.answers.expire(await home.row(envelope_id), home.at)
    await home.accept(home.seal(document))
    await _rounds(sender)
    said = [_verified(home, got, secret)["data"] for got in receiver.got]
    assert [(one["addressee"], one["state"]) for one in said] == [(COMMUNE, "expired"), (COMMUNE, "queued")]


async def test_addressee_is_told_what_waits_and_nobody_else_is(home: House, receiver: Receiver, make: Make) -> None:
    for office in (COMMUNE, OTHER, STRANGER):
        await _hook(home, office, receiver, Kind.WAITING, Kind.CHANGED)
    envelope_id = await _send(home, COMMUNE)
    await _rounds(make())
    (got,) = receiver.got
    assert got.said["type"] == "document.waiting"
    assert got.said["data"] == {
        "cursor": got.said["data"]["cursor"],
        "envelope_id": envelope_id,
        "addressee": COMMUNE,
        "attempt": 1,
        "links": {"envelope": f"/v1/envelopes/{envelope_id}", "content": f"/v1/envelopes/{envelope_id}/content"},
    }


async def test_what_the_axis_ends_is_told_to_both(home: House, receiver: Receiver, make: Make) -> None:
    for office in (SENDER, COMMUNE):
        await _hook(home, office, receiver, Kind.CHANGED)
    envelope_id = await _send(home)
    home.pass_time(LIFETIME)
    await home.answers.expire(await home.row(envelope_id), home.now())
    await _rounds(make())
    assert [one.said["data"]["state"] for one in receiver.got] == ["expired", "expired"]


async def test_refusal_by_the_addressee_is_told(home: House, receiver: Receiver, make: Make) -> None:
    await _hook(home, SENDER, receiver, Kind.RECEIPT)
    envelope_id = await _send(home)
    await home.say(Refused("thiếu phụ lục (ví dụ)"), await home.row(envelope_id))
    await _rounds(make())
    assert "refused" in [one.said["data"]["level"] for one in receiver.got]


async def test_no_content_is_told(home: House, receiver: Receiver, make: Make) -> None:
    for office in (SENDER, COMMUNE):
        await _hook(home, office, receiver)
    envelope_id = await _send(home)
    await home.say(Refused("lý do riêng (ví dụ)"), await home.row(envelope_id))
    await _rounds(make())
    assert len(receiver.got) >= 4
    row = await home.row(envelope_id)
    for got in receiver.got:
        for secret in (SUBJECT, "lý do riêng", row.document_id, "<"):
            assert secret not in got.body.decode()


async def test_only_the_kinds_that_are_wanted_are_told(home: House, receiver: Receiver, make: Make) -> None:
    await _hook(home, SENDER, receiver, Kind.CHANGED)
    await _send(home)
    await _rounds(make())
    assert receiver.got == []
    assert (await _row(home, SENDER)).place > Place(0, 0)


async def test_what_happened_before_is_not_told_unless_it_is_asked_for(
    home: House, receiver: Receiver, make: Make
) -> None:
    envelope_id = await _send(home)
    await _hook(home, SENDER, receiver)
    sender = make()
    await _rounds(sender)
    assert receiver.got == []
    await home.ledger.set_webhook_back(SENDER, "qlvb", "", home.now())
    await _rounds(sender)
    assert [one.said["data"]["envelope_id"] for one in receiver.got] == [envelope_id]


async def test_told_again_from_a_cursor_it_has_the_same_ids(home: House, receiver: Receiver, make: Make) -> None:
    await _hook(home, SENDER, receiver)
    sender = make()
    for _ in range(3):
        await _send(home)
    await _rounds(sender)
    first = receiver.got[0].said["data"]["cursor"]
    before = receiver.ids()
    receiver.got.clear()
    await home.ledger.set_webhook_back(SENDER, "qlvb", first, home.now())
    await _rounds(sender)
    assert receiver.ids() == before[1:]


async def test_office_that_left_the_roll_is_told_nothing(home: House, receiver: Receiver, make: Make) -> None:
    await _hook(home, SENDER, receiver)
    sender = make()
    sender.takes_part = lambda _: False
    await _send(home)
    await _rounds(sender)
    assert receiver.got == []


async def test_message_that_was_changed_is_not_believed(home: House, receiver: Receiver, make: Make) -> None:
    secret = await _hook(home, SENDER, receiver)
    await _send(home)
    await _rounds(make())
    got = receiver.got[0]
    with pytest.raises(WebhookVerificationError):
        _verified(home, Got(headers=got.headers, body=got.body + b" "), secret)
    with pytest.raises(WebhookVerificationError):
        _verified(home, Got(headers={**got.headers, "webhook-id": "other"}, body=got.body), secret)
    with pytest.raises(WebhookVerificationError):
        _verified(home, got, make_secret())


async def test_old_secret_signs_beside_the_new_one_for_a_while(home: House, receiver: Receiver, make: Make) -> None:
    old, new = await _hook(home, SENDER, receiver), make_secret()
    await home.ledger.renew_webhook_secret(SENDER, "qlvb", new, home.now() + timedelta(days=1))
    sender = make()
    await _send(home)
    await _rounds(sender)
    got = receiver.got[-1]
    assert _verified(home, got, old) == _verified(home, got, new)
    home.pass_time(timedelta(days=1))
    await _send(home)
    await _rounds(sender)
    _verified(home, receiver.got[-1], new)
    with pytest.raises(WebhookVerificationError):
        _verified(home, receiver.got[-1], old)


# --- receivers that do not take it ------------------------------------------------------------


async def test_receiver_that_is_down_misses_nothing(
    home: House, make: Make, logged: list[MutableMapping[str, Any]]
) -> None:
    receiver = Receiver()
    async with receiving(receiver):
        await _hook(home, SENDER, receiver)
    sender = make()
    sent = [await _send(home) for _ in range(3)]
    await _rounds(sender)
    row = await _row(home, SENDER)
    assert (state(row), row.failures, row.note) == ("failing", 1, "no connection")
    assert row.next_at == home.now() + WAIT
    await _rounds(sender)
    assert (await _row(home, SENDER)).failures == 1  # It waits.
    home.pass_time(WAIT)
    await _rounds(sender)
    assert (await _row(home, SENDER)).failures == 2
    home.pass_time(WAIT)
    async with receiving(receiver):
        await _rounds(sender)
    assert [one.said["data"]["envelope_id"] for one in receiver.got] == sent
    row = await _row(home, SENDER)
    assert (state(row), row.failures, row.failing_since, row.note) == ("on", 0, None, "")
    assert [one["event"] for one in logged if one["event"].startswith("webhook.")] == ["webhook.put_off"] * 2


@pytest.mark.parametrize(
    ("how", "note"),
    [
        ({"status": 500}, "HTTP 500"),
        ({"status": 302}, "HTTP 302: a redirection is not followed"),
        ({"status": 307}, "HTTP 307: a redirection is not followed"),
        ({"pause_s": 30.0}, "no answer in time"),
    ],
)
async def test_receiver_that_does_not_say_yes_is_asked_again(
    home: House, receiver: Receiver, make: Make, how: dict[str, Any], note: str
) -> None:
    await _hook(home, SENDER, receiver)
    for name, value in how.items():
        setattr(receiver, name, value)
    sender = make()
    await _send(home)
    await _rounds(sender)
    assert (await _row(home, SENDER)).note == note
    assert (len(receiver.got), receiver.elsewhere) == (1, 0)
    receiver.status, receiver.pause_s = 200, 0.0
    home.pass_time(WAIT)
    await _rounds(sender)
    assert receiver.ids()[0] == receiver.ids()[1]
    assert state(await _row(home, SENDER)) == "on"


async def test_answer_without_end_holds_nobody(home: House, receiver: Receiver, make: Make) -> None:
    receiver.is_endless, receiver.status = True, 200
    await _hook(home, SENDER, receiver)
    await _send(home)
    await _rounds(make())
    assert state(await _row(home, SENDER)) == "on"
    assert len(receiver.got) == 1


async def test_what_is_not_taken_holds_up_what_stands_behind_and_nothing_before(
    home: House, receiver: Receiver, make: Make
) -> None:
    await _hook(home, SENDER, receiver)
    sent = [await _send(home) for _ in range(4)]
    receiver.only_first = 2
    sender = make()
    await _rounds(sender)
    assert len(receiver.got) == 3
    receiver.only_first = 1_000_000
    home.pass_time(WAIT)
    await _rounds(sender)
    assert [one.said["data"]["envelope_id"] for one in receiver.got] == [*sent[:3], *sent[2:]]


async def test_slow_receiver_of_one_office_makes_no_other_wait(home: House, receiver: Receiver, make: Make) -> None:
    slow = Receiver(pause_s=30.0)
    async with receiving(slow):
        await _hook(home, SENDER, slow)
        await _hook(home, COMMUNE, receiver)
        sender = make()
        await _send(home)
        await sender.go_round()
        async with asyncio.timeout(2.5):
            while not receiver.got:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert sender._telling
        await _rounds(sender)


async def test_webhook_that_fails_for_days_is_disabled_and_goes_on_where_it_stood(
    home: House, receiver: Receiver, make: Make, logged: list[MutableMapping[str, Any]]
) -> None:
    await _hook(home, SENDER, receiver)
    receiver.status = 503
    sender = make()
    sent = [await _send(home)]
    await _rounds(sender)
    home.pass_time(GIVE_UP)
    await _rounds(sender)
    row = await _row(home, SENDER)
    assert (state(row), row.note) == ("disabled", "HTTP 503")
    assert "webhook.disabled" in [one["event"] for one in logged]
    receiver.status, receiver.got = 204, []
    sent.append(await _send(home))
    home.pass_time(WAIT)
    await _rounds(sender)
    assert receiver.got == []  # Nobody has said that it works again.
    assert not await home.ledger.put_webhook(
        SENDER, "qlvb", url=row.url, kinds=list(Kind), secret="", now=home.now(), most=10
    )
    await _rounds(sender)
    assert [one.said["data"]["envelope_id"] for one in receiver.got] == sent


async def test_what_a_clock_that_was_ahead_put_off_is_told_when_it_is_right_again(
    home: House, receiver: Receiver, make: Make
) -> None:
    await _hook(home, SENDER, receiver, Kind.RECEIPT)
    await _send(home)
    right, ahead = home.at, home.at + timedelta(days=1)
    receiver.status, home.at = 503, ahead
    await _rounds(make("one"))
    put_off = await _row(home, SENDER)
    assert put_off.next_at == ahead + WAIT
    receiver.status, home.at = 204, ahead - ALLOWANCE  # As another process may see it, and be right.
    await _rounds(make("two"))
    assert await _row(home, SENDER) == put_off
    home.at = right + LEASE
    await _rounds(make("three"))
    row = await _row(home, SENDER)
    assert (row.failures, row.next_at, row.told_at) == (0, home.at, home.at)
    assert len(receiver.got) == 2


async def test_receiver_that_is_gone_for_good_is_asked_once(home: House, receiver: Receiver, make: Make) -> None:
    await _hook(home, SENDER, receiver)
    receiver.status = 410
    sender = make()
    await _send(home)
    await _rounds(sender)
    home.pass_time(WAIT)
    await _rounds(sender)
    assert (state(await _row(home, SENDER)), len(receiver.got)) == ("disabled", 1)


# --- where it may lead ------------------------------------------------------------------------


async def test_receiver_over_tls_is_known_by_its_name(
    home: House, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is resolved once; the connection goes to the address that was judged, and the certificate is the name's."""
    name = "qlvb.example.vn"
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    tls = certify(tmp_path / "right", name)
    receiver = Receiver()
    async with receiving(receiver, tls):
        await _hook(home, SENDER, receiver, url=f"https://{name}:{receiver.port}/axis")
        await _send(home)
        await _rounds(make(allowed=Allowed.of(["127.0.0.0/8"]), authorities=tls / "ca.pem"))
    assert (await _row(home, SENDER)).note == ""
    assert receiver.got[0].headers["host"] == f"{name}:{receiver.port}"
    assert asked.count(name) == 1


@pytest.mark.parametrize("wrong", ["another name", "another authority"])
async def test_receiver_with_a_wrong_certificate_is_told_nothing(
    home: House, make: Make, tmp_path: Path, wrong: str
) -> None:
    tls = certify(tmp_path / "tls", "other.example.vn" if wrong == "another name" else "localhost")
    trusted = certify(tmp_path / "others", "localhost") if wrong == "another authority" else tls
    receiver = Receiver()
    async with receiving(receiver, tls):
        await _hook(home, SENDER, receiver, url=f"https://localhost:{receiver.port}/axis")
        await _send(home)
        await _rounds(make(allowed=Allowed.of(["localhost"]), authorities=trusted / "ca.pem"))
    assert receiver.got == []
    assert (await _row(home, SENDER)).note == "its certificate is not trusted"


async def test_plain_http_and_places_that_are_not_allowed_are_told_nothing(
    home: House, receiver: Receiver, make: Make
) -> None:
    """Also where the operator has taken back what he had allowed."""
    await _hook(home, SENDER, receiver)
    await _hook(home, SENDER, receiver, url=f"https://localhost:{receiver.port}/axis", name="other")
    await _send(home)
    await _rounds(make(allowed=Allowed.of([])))
    assert receiver.got == []
    assert (await _row(home, SENDER)).note == "url: not allowed"
    assert (await _row(home, SENDER, "other")).note == "host: unknown, or not one that the axis may reach"


# --- processes that die -----------------------------------------------------------------------


async def test_sender_that_dies_midway_loses_nothing(home: House, receiver: Receiver, make: Make) -> None:
    """It dies after the receiver has said yes, and before that is on record."""
    await _hook(home, SENDER, receiver)
    sent = [await _send(home) for _ in range(30)]
    dying = make("dying")
    receiver.pause_s = 0.01
    await dying.go_round()
    async with asyncio.timeout(20):
        while len(receiver.got) < 25:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    for task in dying._telling.values():
        task.cancel()
    await asyncio.gather(*dying._telling.values(), return_exceptions=True)
    told = len(receiver.got)
    heir = make("heir")
    await _rounds(heir)
    assert len(receiver.got) == told  # The lease is still the other's.
    home.pass_time(LEASE)
    await _rounds(heir)
    heard = [one.said["data"]["envelope_id"] for one in receiver.got]
    assert list(dict.fromkeys(heard)) == sent
    assert 30 < len(heard) <= 30 + 21
    assert len(set(receiver.ids())) == 30  # What is told twice has the same id twice.


async def test_of_two_senders_one_tells(home: House, receiver: Receiver, make: Make) -> None:
    await _hook(home, SENDER, receiver)
    senders = [make("one"), make("two")]
    for _ in range(5):
        await _send(home)
        await asyncio.gather(*(_rounds(one) for one in senders))
    assert len(receiver.got) == 5
    await senders[0].finish()
    await senders[1].finish()
    await _send(home)
    await _rounds(make("three"))  # At once: the one that ended in order has let go.
    assert len(receiver.got) == 6


async def test_what_happens_while_it_tells_is_told_too(home: House, receiver: Receiver, make: Make) -> None:
    await _hook(home, SENDER, receiver)
    receiver.pause_s = 0.003
    sender = make()

    async def keep_going() -> None:
        while True:
            await sender.go_round()
            await asyncio.sleep(0.005)

    going = asyncio.create_task(keep_going())
    sent = [await _send(home) for _ in range(40)]
    try:
        async with asyncio.timeout(30):
            while len(receiver.got) < 40:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
    assert [one.said["data"]["envelope_id"] for one in receiver.got] == sent


async def test_ledger_is_written_seldom_while_nothing_concerns_a_webhook(
    home: House, receiver: Receiver, make: Make
) -> None:
    await _hook(home, STRANGER, receiver)
    sender = make()
    await _rounds(sender)
    before = (await _row(home, STRANGER)).place
    for _ in range(5):
        await _send(home)
        await _rounds(sender)
    assert (await _row(home, STRANGER)).place == before
    home.pass_time(timedelta(minutes=1))
    await _rounds(sender)
    assert (await _row(home, STRANGER)).place > before
    assert receiver.got == []


async def test_event_that_is_committed_late_is_not_passed_by(
    postgres_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """PostgreSQL gives numbers before it commits: a slower transaction may have a lower one."""
    async with house(postgres_url, tmp_path / "late") as home:
        sender = sender_of(home, "late")
        await _hook(home, SENDER, receiver)
        first = (await home.accept(home.seal(home.document()))).envelope_id
        engine = home.ledger._database._driver._engine  # type: ignore[attr-defined]
        row = {"envelope_id": first, "addressee": COMMUNE, "event": "delivery.replayed", "at": home.now(), "detail": {}}
        async with engine.connect() as slow:
            await slow.execute(sa.insert(t.events), [row])
            second = (await home.accept(home.seal(home.document()))).envelope_id
            await _rounds(sender)
            await slow.commit()
        await _rounds(sender)
        heard = [(one.said["type"], one.said["data"]["envelope_id"]) for one in receiver.got]
        await sender.finish()
    assert sorted(heard) == sorted(
        [("receipt.recorded", first), ("delivery.changed", first), ("receipt.recorded", second)]
    )
