"""House: the rooms of acceptance and dispatch, opened for one test, with a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from axis import edxml, receipts, seal
from axis.broker import Broker
from axis.contents import KINDS
from axis.deadlines import Deadlines
from axis.dispatch.answers import Answers
from axis.dispatch.orders import Orders
from axis.dispatch.outbound import Outbound
from axis.dispatch.retry import RetrySchedule
from axis.dispatch.succession import Succession
from axis.edxml import AttachmentRef, Organization
from axis.intake import Acceptance, Intake, Original, notarise
from axis.ledger import Attempt, DeliveryRow, Ledger
from axis.office.answers import Agreed, Answer
from axis.office.speech import About, Deferred, Failed, say
from axis.receipts import SignedReceipt
from axis.receipts.voice import Voice
from axis.registry import Office, Registry, Tier
from axis.spool import Spool
from tests import ledgers
from tests.province import AT, Province, province

AXIS, SENDER, COMMUNE, OTHER = "H56.TRUC", "H56.05", "H56.112", "H56.113"
STRANGER = "H56.NR"
TIERS = {AXIS: "axis", SENDER: "department", COMMUNE: "commune", OTHER: "commune", STRANGER: "district"}
LIFETIME = timedelta(days=5)
WAIT = timedelta(seconds=10)


PATIENCE = timedelta(minutes=10)  # For how long an order waits for its document.
DEADLINES = Deadlines()


async def _at_once() -> None:
    """Nothing is being published."""


@dataclass
class House:
    """What a test holds."""

    province: Province
    roll: Registry
    ledger: Ledger
    spool: Spool
    intake: Intake
    answers: Answers
    at: datetime = AT
    numbers: int = field(default=100)

    @property
    def succession(self) -> Succession:
        """What decides on the mail of closed offices."""
        return Succession(ledger=self.ledger, answers=self.answers, roll=self.answers.roll, now=self.now)

    def outbound(self, broker: Broker) -> Outbound:
        """Return what publishes."""
        return Outbound(
            ledger=self.ledger,
            broker=broker,
            answer_within=timedelta(minutes=5),
            batch=100,
            ring=lambda: None,
            now=self.now,
        )

    def orders(self, broker: Broker, outbound: Outbound | None = None) -> Orders:
        """Return what acts on orders and statuses, beside what publishes."""
        return Orders(
            ledger=self.ledger,
            broker=broker,
            answers=self.answers,
            roll=self.answers.roll,
            patience=PATIENCE,
            ring=lambda: None,
            now=self.now,
            left=_at_once if outbound is None else outbound.left,
        )

    def now(self) -> datetime:
        """Return the time, as the test has set it."""
        return self.at

    def pass_time(self, span: timedelta) -> None:
        """Move the clock."""
        self.at += span

    def document(self, *, to: tuple[str, ...] = (COMMUNE,), **fields: Any) -> edxml.Document:
        """Return a good document; `fields` replace what they name."""
        self.numbers += 1
        good: dict[str, Any] = {
            "originator": Organization(SENDER, "Sở mẫu (ví dụ)"),
            "addressees": tuple(Organization(code) for code in to),
            "document_id": f"{SENDER},2026/08/25,{self.numbers}/SKHCN",
            "code_number": str(self.numbers),
            "code_notation": "SKHCN",
            "place": "Thanh Hóa",
            "promulgated_on": date(2026, 8, 25),
            "subject": "V/v rà soát (ví dụ)",
            "signer_position": "Giám đốc",
            "signer_name": "Nguyễn Văn A",
        }
        return edxml.Document(**{**good, **fields})

    def seal(self, document: edxml.Message, files: Mapping[str, bytes] | None = None, *, by: str = SENDER) -> bytes:
        """Return a sealed envelope."""
        if isinstance(document, edxml.Document):
            document = _with(document, files or {})
        return seal.seal(edxml.render(document), self.province.signer(by))

    async def bring(self, office: str, content: bytes) -> str:
        """Put a file into the spool as an office's upload does; return its digest."""
        staged = self.spool.stage()
        staged.write(content)
        blob = await self.spool.commit(staged)
        await self.ledger.record_upload(office, blob.sha256, blob.size_bytes, self.at)
        return blob.sha256

    async def accept(self, envelope: bytes, *, by: str = SENDER, via: str = "amqp") -> Acceptance:
        """Hand an envelope in."""
        return await self.intake.accept(envelope, submitter=by, via=via)

    async def accept_from_older_system(self, document: edxml.Message, original: bytes) -> Acceptance:
        """Hand in what the axis has sealed in the place of the sender."""
        digest = await self.bring(SENDER, original)
        sealed = notarise(document, digest, self.intake.voice, at=self.at)
        return await self.intake.accept(sealed, submitter=SENDER, via="http", original=Original(digest))

    async def attempt(self) -> list[Attempt]:
        """Begin what is due."""
        return await self.ledger.begin_attempts(self.at, timedelta(minutes=5), 100)

    async def row(self, envelope_id: str, office: str = COMMUNE) -> DeliveryRow:
        """Return a delivery."""
        found = await self.ledger.delivery(envelope_id, office)
        assert found is not None
        return found

    async def say(self, outcome: Answer | Agreed | Deferred | Failed, row: DeliveryRow) -> list[SignedReceipt]:
        """Let the addressee answer a delivery; return its receipts."""
        about = About(
            envelope_id=row.envelope_id,
            envelope_digest=row.digest,
            originator=row.originator,
            document_id=row.document_id,
        )
        voice = Voice(row.addressee, self.province.signer(row.addressee))
        said = say(outcome, about, voice=voice, previous=row.chain_head, attempt=row.attempts, at=self.at)
        for one in said:
            await self.answers.take(one.xml, submitter=row.addressee, now=self.at)
        return said

    def read(self, xml: bytes) -> receipts.Receipt:
        """Return a receipt, verified."""
        return receipts.read_receipt(xml, self.province.trust(), at=self.at, axis=AXIS).receipt


@asynccontextmanager
async def house(url: str, folder: Path) -> AsyncIterator[House]:
    """Open a house on a ledger of its own."""
    made = province(*TIERS)
    roll = Registry.of(
        (Office(code=code, name=f"{code} (ví dụ)", tier=tier) for code, tier in TIERS.items()),
        [Tier(tier, tier, 0) for tier in set(TIERS.values())],
    )
    trust = made.trust()
    voice = Voice(AXIS, made.signer(AXIS))
    await ledgers.build(url)
    async with Ledger.open(url) as book, Spool.open(f"file://{folder / 'spool'}", folder / "staging") as store:
        await book.load_registry(roll.to_rows(), roll.version, AT)
        opened = House(
            province=made,
            roll=roll,
            ledger=book,
            spool=store,
            intake=Intake(
                ledger=book,
                spool=store,
                roll=lambda: (opened.roll, trust),
                voice=voice,
                lifetimes=(LIFETIME,) * 5,
                deadlines=DEADLINES,
                now=lambda: opened.now(),
            ),
            answers=Answers(
                ledger=book,
                roll=lambda: (opened.roll, trust),
                voice=voice,
                schedule=RetrySchedule(waits=(WAIT,), spread=0),
                lifetimes=(LIFETIME,) * 5,
                notices_after=(timedelta(hours=1),),
                breaker_after=3,
                deadlines=DEADLINES,
            ),
        )
        yield opened


_CONTENT_TYPES = {row.file_name: row.content_type for row in KINDS.values()}


def _with(document: edxml.Document, files: Mapping[str, bytes]) -> edxml.Document:
    refs = tuple(
        AttachmentRef(
            content_id=f"a{number}",
            name=name,
            content_type=_CONTENT_TYPES.get(name, "application/pdf"),
            sha256=sha256(content).hexdigest(),
            size_bytes=len(content),
        )
        for number, (name, content) in enumerate(files.items(), 1)
    )
    return replace(document, attachments=refs)


async def together(*calls: Any) -> list[Any]:
    """Await calls at the same time; failures are returned, not raised."""
    return list(await asyncio.gather(*calls, return_exceptions=True))
