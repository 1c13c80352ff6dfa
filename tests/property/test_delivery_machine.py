"""Whatever comes in whatever order: a delivery stands where a simple model of it stands, and the book keeps its promises.

The model knows three words - waits, has ended, ended how - and what a person
would expect of each event. Intake, ledger, dispatch and receipts are the real
ones, on SQLite, with the clock in the hands of the machine.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from axis import audit
from axis.errors import Refusal
from axis.intake import Rejected
from axis.ledger import DeliveryRow
from axis.office.answers import Delivered, Progress, Refused, Registered
from axis.office.speech import Deferred, Failed
from axis.registry import AfterClosing, Office, Registry, Status
from tests.house import AXIS, COMMUNE, OTHER, SENDER, STRANGER, House, house
from tests.property.search import WITHIN_S, search

T = TypeVar("T")

_NUMBERS = st.integers(0, 5)
_WAITS = frozenset({"queued", "sent", "deferred", "dead", "held"})
GONE = "H56.901"  # Closed, and its mail is held.
_SPANS = st.sampled_from(
    [
        timedelta(0),
        timedelta(seconds=1),
        timedelta(seconds=15),
        timedelta(minutes=6),
        timedelta(hours=30),
        timedelta(days=5),
    ]
)
_PLACES = st.sampled_from([(COMMUNE,), (OTHER,), (COMMUNE, OTHER), (GONE,), (GONE, OTHER)])
_HEIRS = st.sampled_from([(COMMUNE,), (OTHER,), (OTHER, COMMUNE), (STRANGER,)])

# What an answer of the addressee does to a delivery that waits, and to one that was delivered; others stay as they are.
_EFFECTS: dict[str, tuple[Any, str, str]] = {
    "registered": (Registered("417"), "delivered", "delivered"),
    "delivered": (Delivered(), "delivered", "delivered"),
    "progress": (Progress("04"), "delivered", "delivered"),
    "refused": (Refused("Không đúng thẩm quyền (ví dụ)"), "refused", "delivered"),
    "deferred": (Deferred("Đang bảo trì (ví dụ)"), "deferred", "delivered"),
    "failed": (Failed("DLV.FAILED", "lỗi (ví dụ)"), "dead", "delivered"),
}
# Those that leave a delivery waiting come more often: what ends it ends what can be tried.
_WORDS = st.lists(
    st.sampled_from([*sorted(_EFFECTS), "deferred", "failed", "deferred", "failed"]), min_size=1, max_size=4
)


@dataclass
class Expected:
    """What ought to be true of one delivery."""

    state: str = "queued"
    attempts: int = 0
    receipts: set[str] = field(default_factory=set)
    expiries: int = 0
    is_settled: bool = False  # Its addressee has said that it has it, or does not take it.


class Machine:
    """An axis, a sender and two communes, and the model of them."""

    def __init__(self, home: House) -> None:
        self.home = home
        self.model: dict[tuple[str, str], Expected] = {}
        self.sent: list[tuple[bytes, str]] = []  # Envelopes that were accepted, and their ids.
        self.said: list[tuple[bytes, str]] = []  # Receipts that were taken, and by whom.

    # --- the sender ---------------------------------------------------------------------

    async def hand_in(self, what: str, to: tuple[str, ...], number: int) -> None:
        match what:
            case "new":
                await self._submit(to)
            case "again":
                envelope, envelope_id = _pick(self.sent, number)
                answer = await self.home.accept(envelope)
                assert (answer.duplicate, answer.envelope_id) == (True, envelope_id)
                assert set(answer.begun_anew) == self._begin_anew(envelope_id)
            case "bad":
                with contextlib.suppress(Rejected):
                    await self.home.accept(self.home.seal(self.home.document(code_number="không số")))
                    raise AssertionError("it was accepted")

    async def _submit(self, to: tuple[str, ...]) -> None:
        envelope = self.home.seal(self.home.document(to=to))
        answer = await self.home.accept(envelope)
        assert not answer.duplicate
        self.model |= {(answer.envelope_id, code): Expected("held" if code == GONE else "queued") for code in to}
        self.sent.append((envelope, answer.envelope_id))

    def _begin_anew(self, envelope_id: str) -> set[str]:
        """Begin what has expired and not been answered since, at those that take part."""
        own = {code: one for (about, code), one in self.model.items() if about == envelope_id and code != GONE}
        anew = {code: one for code, one in own.items() if one.state == "expired" and not one.is_settled}
        for one in anew.values():
            one.state = "queued"
        return set(anew)

    # --- the clock ------------------------------------------------------------------------

    async def pass_time(self, span: timedelta, lost: bool) -> None:
        self.home.pass_time(span)
        await self._tend(lost)

    async def _tend(self, lost: bool) -> None:
        """Do what the loops of dispatch do: expire, look after silence, attempt."""
        home = self.home
        for row in await home.ledger.expiring(home.at, 1000):
            await home.answers.expire(row, home.at)
            expected = self._of(row)
            expected.state, expected.expiries = "expired", expected.expiries + 1
        silent = await home.ledger.unanswered(home.at, 1000)
        assert all(self._of(row).state == "sent" for row in silent)
        these = [row.numbered for row in silent]
        if lost:
            await home.ledger.put_back(these, home.at, "DLV.NO_ANSWER")
            for row in silent:
                self._of(row).state = "queued"
        else:
            await home.ledger.extend_wait(these, home.at + timedelta(minutes=5))
        await self._attempt()

    async def _attempt(self) -> None:
        for made in await self.home.attempt():
            expected = self.model[made.envelope_id, made.addressee]
            assert expected.state in ("queued", "deferred")
            expected.state, expected.attempts = "sent", expected.attempts + 1
            assert made.attempt_no == expected.attempts

    # --- the addressees ---------------------------------------------------------------------

    async def say(self, number: int, words: list[str]) -> None:
        """An office speaks of what it was given, and may contradict itself."""
        if not self.attempted():
            await self._attempt()
        if not self.attempted():
            return  # It all expired before it could go out.
        (envelope_id, code), expected = _pick(self.attempted(), number)
        for answer in words:
            await self._say(envelope_id, code, expected, answer)

    async def _say(self, envelope_id: str, code: str, expected: Expected, answer: str) -> None:
        outcome, from_waiting, from_delivered = _EFFECTS[answer]
        row = await self.home.row(envelope_id, code)
        signed = await self.home.say(outcome, row)
        self.said += [(receipt.xml, code) for receipt in signed]
        expected.receipts |= {receipt.digest for receipt in signed}
        expected.is_settled |= answer not in ("deferred", "failed")
        if expected.state == "dead" and answer == "deferred":
            pass  # Given up: a person decides.
        elif expected.state in _WAITS:
            expected.state = from_waiting
        elif expected.state == "delivered":
            expected.state = from_delivered

    async def say_again(self, number: int) -> None:
        """The broker hands a receipt in once more, perhaps days later; and somebody else does."""
        if not self.said:
            return
        xml, code = _pick(self.said, number)
        before = len(await self.home.ledger.receipts())
        await self.home.answers.take(xml, submitter=code, now=self.home.at)
        with contextlib.suppress(Refusal):
            await self.home.answers.take(xml, submitter=STRANGER, now=self.home.at)
            raise AssertionError("it was believed")
        assert len(await self.home.ledger.receipts()) == before

    # --- the operator ---------------------------------------------------------------------------

    async def replay(self, number: int) -> None:
        dead = [one for one in self.model.items() if one[1].state == "dead"]
        (envelope_id, code), expected = _pick(dead or list(self.model.items()), number)
        row = await self.home.row(envelope_id, code)
        done = await self.home.ledger.replay(row.delivery_id, by="x", reason="thử", now=self.home.at)
        assert done == (expected.state == "dead")
        if done:
            expected.state = "queued"

    async def forward(self, number: int, heirs: tuple[str, ...]) -> None:
        """Somebody forwards what is held, or what is not, to heirs who may have had it."""
        (envelope_id, code), expected = self._pick_held(number)
        row = await self.home.row(envelope_id, code)
        before = {heir: self.model.get((envelope_id, heir)) for heir in heirs}
        refuses = STRANGER in heirs or any(
            one is not None and one.state in ("refused", "expired") for one in before.values()
        )
        with contextlib.suppress(Refusal):
            done = await self.home.succession.forward(row, heirs, by="x", reason="")
            assert (done, refuses) == (expected.state == "held", False)
            if done:
                expected.state = "forwarded"
                self.model |= {(envelope_id, heir): Expected() for heir, one in before.items() if one is None}
            return
        assert refuses or code != GONE  # Of an office that takes part nobody is the heir.

    async def give_back(self, number: int) -> None:
        (envelope_id, code), expected = self._pick_held(number)
        row = await self.home.row(envelope_id, code)
        done = await self.home.succession.give_back(row, by="x", reason="gửi lại (ví dụ)")
        assert done == (expected.state == "held")
        if done:
            expected.state = "refused"

    def _pick_held(self, number: int) -> tuple[tuple[str, str], Expected]:
        held = [one for one in self.model.items() if one[1].state == "held"]
        return _pick(held or list(self.model.items()), number)

    async def follow(self) -> None:
        """The roll says nothing else of what is held."""
        await self.home.succession.go_round()

    # --- what holds always -----------------------------------------------------------------------

    async def check(self) -> None:
        """Compare the book with the model."""
        ledger = self.home.ledger
        rows = await ledger.deliveries_in()
        found = {(row.envelope_id, row.addressee): (row.state, row.attempts) for row in rows}
        assert found == {key: (one.state, one.attempts) for key, one in self.model.items()}
        # Nothing that was said is forgotten.
        kept = {row.digest for row in await ledger.receipts()}
        assert all(one.receipts <= kept for one in self.model.values())
        # What ended has a signed end, and one.
        for (envelope_id, code), one in self.model.items():
            levels = [row.level for row in await ledger.receipts_of(envelope_id) if row.addressee == code]
            assert levels.count("expired") == one.expiries
            assert one.expiries or one.state != "expired"
            assert one.state != "refused" or {"refused", "rejected"} & set(levels)
            assert ("held" in levels) == (code == GONE)
            assert (levels.count("forwarded") == 1) == (one.state == "forwarded")
        report = await ledger.audit(self.home.at)
        assert report.findings == ()
        assert (await audit.walk(ledger, [audit.History()])).findings == []
        ended = sum(one.state not in _WAITS for one in self.model.values())
        assert (report.terminal, report.deliveries) == (ended, len(self.model))

    def attempted(self) -> list[tuple[tuple[str, str], Expected]]:
        return [one for one in self.model.items() if one[1].attempts]

    def _of(self, row: DeliveryRow) -> Expected:
        assert row.originator == SENDER
        return self.model[row.envelope_id, row.addressee]


def _with_a_closed_office(roll: Registry) -> Registry:
    gone = Office(
        code=GONE,
        name="UBND xã cũ (ví dụ)",
        tier="commune",
        status=Status.CLOSED,
        successors=(COMMUNE, OTHER),
        after_closing=AfterClosing.HOLD,
    )
    return Registry.of([*roll.offices(), gone], roll.tiers.values())


def _pick(among: Sequence[T], number: int) -> T:
    """Return one, the newest ones first: a small number, which is what a failure is shrunk to, means the last."""
    return among[-1 - number % len(among)]


_EVENTS = st.one_of(
    st.tuples(st.just("hand_in"), st.sampled_from(["new", "again", "bad"]), _PLACES, _NUMBERS),
    st.tuples(st.just("pass_time"), _SPANS, st.booleans()),
    st.tuples(st.just("say"), _NUMBERS, _WORDS),
    st.tuples(st.just("say"), _NUMBERS, _WORDS),
    st.tuples(st.just("say_again"), _NUMBERS),
    st.tuples(st.just("replay"), _NUMBERS),
    st.tuples(st.just("forward"), _NUMBERS, _HEIRS),
    st.tuples(st.just("give_back"), _NUMBERS),
    st.tuples(st.just("follow")),
)


# Two wait for an office that comes back after a day: the audit is made before the second is attempted.
_BACK: list[tuple[Any, ...]] = [
    ("hand_in", "new", (COMMUNE,), 0),
    ("say", 0, ["deferred"]),
    ("say", 0, ["deferred"]),
    ("pass_time", timedelta(0), False),
    ("pass_time", timedelta(0), False),
    ("say_again", 0),
    ("hand_in", "new", (COMMUNE,), 0),
    ("say", 0, ["deferred"]),
    ("pass_time", timedelta(days=1, hours=6), False),
    ("say", 0, ["delivered"]),
]
_HISTORIES = st.lists(_EVENTS, min_size=10, max_size=40)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(_HISTORIES)
@example(_BACK)
def test_delivery_stands_where_the_model_stands(events: list[tuple[Any, ...]]) -> None:
    _play(events)


@pytest.mark.fault
@pytest.mark.timeout(WITHIN_S)
def test_delivery_stands_where_the_model_stands_whatever_else_happens() -> None:
    search(_play, _HISTORIES)


def _play(events: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="axis-machine-") as name:
            async with house(f"sqlite:///{name}/ledger.sqlite", Path(name)) as home:
                home.roll = _with_a_closed_office(home.roll)
                machine = Machine(home)
                await machine.hand_in("new", (COMMUNE, OTHER), 0)
                for method, *arguments in events:
                    await getattr(machine, method)(*arguments)
                    await machine.check()
                evidence = audit.Evidence(home.province.trust(), AXIS)
                assert (await audit.walk(home.ledger, [evidence], whole=True)).findings == []

    with capture_logs():
        asyncio.run(run())
