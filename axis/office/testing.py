"""Test axis: an axis in memory, for the tests of an office's own code.

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document(subject="..."), files={"1.pdf": b"..."})
        assert delivery.last.number == "417"

It makes a certificate authority and keys that are thrown away, seals documents
as another office would, and hands them to the office's handlers through the
very code that runs in production: the same verification, attempts and state,
the same signed receipts, which it verifies before it shows them. There is no
broker and no network; messages and files go through memory.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from axis import clock, edxml, ids, receipts, seal
from axis.broker import Incoming, NotPublished, Packed, carried
from axis.contents import KINDS, Content, render, root_of, violations_of
from axis.edxml import AttachmentRef, BusinessType, Organization, values
from axis.errors import PermanentError, Refusal, TransientError, Violation
from axis.office import drafts
from axis.office.answers import Report
from axis.office.office import Office
from axis.office.settings import OfficeSettings
from axis.office.speech import About, say
from axis.receipts import Level, Receipt, SignedReceipt, Verdict, bundle, check_chain
from axis.receipts.voice import Voice
from axis.seal import pki

AXIS = "H56.TRUC"
SENDER = "H56.VP"
OFFICE = "H56.112"
_CHUNK_BYTES = 64 * 1024
_SOON_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One document on its way to the office, and everything that was said about it."""

    envelope_id: str
    sealed: bytes
    digest: str
    attempts: int
    chain: tuple[SignedReceipt, ...]  # The axis's acceptance first.

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What the office said, verified, in order."""
        return tuple(one.receipt for one in self.chain[1:])

    @property
    def last(self) -> Receipt:
        """What the office said last."""
        return self.chain[-1].receipt


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Something that the office sent, as the axis got it."""

    sealed: bytes
    envelope_id: str  # "" if it was rejected.
    message: edxml.Message | None  # None if it was rejected.
    answer: SignedReceipt  # The acceptance or rejection.


@dataclass
class _Pipes:
    """The broker, in memory."""

    publish_to: Callable[[str, bytes, dict[str, Any]], Awaitable[None]]
    files: dict[str, bytes]  # Where those go that come along.
    inbox: Callable[[Incoming], Awaitable[None]] | None = None
    down: bool = False

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | Packed,
        *,
        type: str,  # noqa: A002 - AMQP's own name for it.
        headers: dict[str, Any] | None = None,
        user_id: str | None = None,
    ) -> None:
        if self.down:
            raise NotPublished(was_answered=False)
        if isinstance(body, Packed):
            body, files = carried.unload(body.body, body.files)
            self.files.update(files)
        await self.publish_to(type, body, headers or {})

    async def consume_each(
        self, queue: str, callback: Callable[[Incoming], Awaitable[None]], *, at_once: int, before: str | None = None
    ) -> "_Consumer":
        self.inbox = callback
        return _Consumer()

    async def ping(self) -> None:
        if self.down:
            raise TransientError("SYS.BROKER")


class _Consumer:
    async def stop(self) -> None:
        """Nothing runs that was not asked for."""


@dataclass
class _Gateway:
    """The gateway, in memory."""

    files: dict[str, bytes] = field(default_factory=dict)

    async def upload(self, source: Path | bytes, sha256: str, size_bytes: int) -> None:
        self.files[sha256] = source if isinstance(source, bytes) else await asyncio.to_thread(source.read_bytes)

    async def receipts_known(self, envelope_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        return {}  # Nothing gets lost in memory.

    async def receipts_of(self, envelope_id: str) -> list[bytes]:
        return []

    async def stream(self, sha256: str, size_bytes: int, *, start: int = 0) -> AsyncIterator[bytes]:
        if sha256 not in self.files:
            raise PermanentError("API.NOT_FOUND")
        content = self.files[sha256]
        for at in range(start, len(content), _CHUNK_BYTES):
            yield content[at : at + _CHUNK_BYTES]


class TestAxis:
    """An axis with one office connected, and one that sends to it."""

    __test__ = False  # pytest: this is no test class.

    def __init__(self, office: Office, *, code: str = OFFICE, sender: str = SENDER, **settings: Any) -> None:
        """Prepare an axis for an office.

        Args:
            office: Its handlers are registered; its settings are replaced while the axis is open.
            code: OrganId that it has here.
            sender: OrganId of who sends to it.
            settings: Fields of OfficeSettings, e.g. `answer_within` or `adapter`.
        """
        self.code, self.sender = code, sender
        self.sent: list[Sent] = []
        self.heartbeats: list[bytes] = []
        self.gateway = _Gateway()
        self.pipes = _Pipes(self._published, self.gateway.files)
        self._office = office
        self._settings = settings
        self._said: list[bytes] = []
        self._arrived = asyncio.Event()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _set_up(self) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="test-axis-")))
        pki.init(folder / "trust", name="CA (ví dụ)", now=clock.now())
        for organ_id in (AXIS, self.code, self.sender):
            pki.issue(folder / "trust", organ_id, name=f"{organ_id} (ví dụ)", now=clock.now())
        self._folder = folder
        self.trust = seal.load_trust(folder / "trust")
        self._axis = Voice(AXIS, self.key(AXIS))
        state = self._settings.pop("state", folder / "state")
        settings = OfficeSettings(
            **{
                "code": self.code,
                "name": f"{self.code} (ví dụ)",
                "key": folder / "trust" / "keys" / f"{self.code}.key.pem",
                "certificate": folder / "trust" / "certs" / f"{self.code}.pem",
                "trust": folder / "trust",
                "axis": AXIS,
                "broker_url": "amqp://in-memory/",
                "gateway_url": "http://in-memory/",
                "state": state,
                "root": folder,
                **self._settings,
            }
        )
        await self._stack.enter_async_context(
            self._office.open(pipes=self.pipes, gateway=self.gateway, settings=settings)
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def key(self, organ_id: str) -> seal.SigningKey:
        """Return the key of one of the three offices."""
        trust = self._folder / "trust"
        return seal.SigningKey.load(trust / "keys" / f"{organ_id}.key.pem", trust / "certs" / f"{organ_id}.pem")

    def document(self, **fields: Any) -> edxml.Document:
        """Return a good document from the sender to the office; `fields` replace what they name."""
        today = values.local_date(clock.now())
        number = str(uuid4().int % 900_000 + 100_000)
        good: dict[str, Any] = {
            "originator": Organization(self.sender, f"{self.sender} (ví dụ)"),
            "addressees": (Organization(self.code, f"{self.code} (ví dụ)"),),
            "document_id": f"{self.sender},{values.format_date(today)},{number}/VP-TH",
            "code_number": number,
            "code_notation": "VP-TH",
            "place": "Thanh Hóa",
            "promulgated_on": today,
            "subject": "V/v thử kết nối hệ thống (ví dụ)",
            "signer_name": "Nguyễn Văn A",
        }
        return edxml.Document(**good | fields)

    def order(
        self,
        about: edxml.Document,
        kind: BusinessType = BusinessType.RECALL,
        *,
        reason: str = "Gửi nhầm (ví dụ)",
        **fields: Any,
    ) -> edxml.Document:
        """Return an order of the sender about a document of its own.

        Args:
            about: As made by `document`.
            kind: RECALL, or UPDATE or REPLACE with another document.
            reason: Its reason.
            fields: Of what takes the document's place, as `document` takes them; or of the recall.
        """
        if kind is BusinessType.RECALL:
            today = values.local_date(clock.now())
            return replace(drafts.recall(about, reason=reason, addressees=None, on=today), **fields)
        other = self.document(**fields)
        if kind is BusinessType.UPDATE:
            return drafts.update(other, of=about.document_id, reason=reason, receivers_changed=False)
        return drafts.replacement(other, of=[about.document_id], reason=reason)

    def take_back(self, about: edxml.Document, *, reason: str = "Gửi nhầm (ví dụ)") -> edxml.Status:
        """Return the sender's status message 13 about a document of its own."""
        return drafts.take_back(about, addressee=self.code, reason=reason, at=clock.now())

    def seal(
        self,
        document: edxml.Message,
        files: Mapping[str, bytes] | None = None,
        contents: Sequence[Content] = (),
    ) -> bytes:
        """Return a message sealed by the sender; its files and contents are at the gateway."""
        return seal.seal_message(self._listing(document, files, contents), self.key(self.sender)).octets

    def seal_as_notary(self, document: edxml.Message, files: Mapping[str, bytes] | None = None) -> bytes:
        """Return a message as the axis seals it when an older system of the sender has sent it: not verified."""
        mark = edxml.Notary(AXIS, sha256(b"original").hexdigest())
        return seal.seal_message(self._listing(document, files), self.key(AXIS), mark).octets

    def _listing(
        self, document: edxml.Message, files: Mapping[str, bytes] | None, contents: Sequence[Content] = ()
    ) -> edxml.Message:
        """Return a message that lists its files and contents, which are at the gateway now."""
        if isinstance(document, edxml.Document):
            refs = []
            enclosed = [(KINDS[root_of(one).kind], render(one)) for one in contents]
            given = [(name, "application/octet-stream", content) for name, content in (files or {}).items()]
            given += [(row.file_name, row.content_type, content) for row, content in enclosed]
            for number, (name, content_type, content) in enumerate(given, 1):
                digest = sha256(content).hexdigest()
                self.gateway.files[digest] = content
                refs.append(AttachmentRef(f"a{number}", name, content_type, digest, len(content)))
            document = replace(document, attachments=tuple(refs))
        return document

    async def deliver(
        self,
        document: edxml.Message | bytes,
        files: Mapping[str, bytes] | None = None,
        contents: Sequence[Content] = (),
    ) -> Delivery:
        """Deliver a document, with its first attempt, and return what the office said.

        Args:
            document: As made by `document`, or bytes that are sealed already, well or badly.
            files: Attachments by name.
            contents: What it carries beside them.
        """
        sealed = document if isinstance(document, bytes) else self.seal(document, files, contents)
        received = edxml.parse(sealed)
        digest = seal.digest_of(received)
        envelope_id = ids.new(clock.now())
        accepted = self._axis.say(
            level=Level.ACCEPTED,
            originator=received.originator,
            document_id=received.document_id,
            envelope_id=envelope_id,
            envelope_digest=digest,
            addressee=None,
            previous=None,
            at=clock.now(),
            status="2.0.0",
            addressees=(Verdict(self.code, "served", ""),),
        )
        delivery = Delivery(envelope_id=envelope_id, sealed=sealed, digest=digest, attempts=0, chain=(accepted,))
        return await self.again(delivery)

    async def again(self, delivery: Delivery, *, attempt: int | None = None) -> Delivery:
        """Deliver the same envelope once more: as the next attempt, or as a repetition of one.

        Args:
            delivery: As `deliver` returned it.
            attempt: Its number; the next one if it is not given.
        """
        number = attempt or delivery.attempts + 1
        headers = {
            "envelope-id": delivery.envelope_id,
            "envelope-digest": delivery.digest,
            "attempt": number,
            "previous-receipt": delivery.chain[-1].digest,
        }
        before = len(self._said)
        await self._bring("envelope", delivery.sealed, headers)
        return self._with(replace(delivery, attempts=max(number, delivery.attempts)), self._said[before:])

    def later(self, delivery: Delivery) -> Delivery:
        """Return the delivery with everything that the office has said meanwhile, e.g. with `office.report`."""
        return self._with(delivery, self._said)

    async def answer(self, sent: Sent, report: Report, *, addressee: str = SENDER) -> None:
        """Let an addressee answer something that the office sent; its receipt goes to `on_receipt`.

        Returns once the office has the receipt; the handler is called soon after.
        """
        said = sent.answer.receipt
        about = About(
            envelope_id=sent.envelope_id,
            envelope_digest=said.envelope_digest,
            originator=said.originator,
            document_id=said.document_id,
        )
        voice = Voice(addressee, self.key(addressee))
        for one in say(report, about, voice=voice, previous=sent.answer.digest, attempt=1, at=clock.now()):
            await self._bring("receipt", one.xml, {"envelope-id": sent.envelope_id, **carried.TAKEN})

    async def next_sent(self, count: int = 1) -> Sent:
        """Wait until the office has sent so much in all, and return the last of it."""
        async with asyncio.timeout(_SOON_S):
            while len(self.sent) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.sent[count - 1]

    async def _bring(self, kind: str, body: bytes, headers: dict[str, Any]) -> None:
        """Put a message into the office's inbox, and return when it is acked."""
        assert self.pipes.inbox is not None  # noqa: S101 - an open office consumes.
        message = Incoming(
            body=body,
            type=kind,
            headers=headers,
            exchange="axis.deliver",
            user_id=None,
            redelivered=False,
            delivery_count=0,
            died_in="",
        )
        await self.pipes.inbox(message)
        if message.returned:
            raise AssertionError("the office gave the message back: see its log")

    async def _published(self, kind: str, body: bytes, headers: dict[str, Any]) -> None:
        """Take what the office publishes."""
        if kind in (bundle.RECEIPT, bundle.RECEIPTS):
            self._said += bundle.unpack(kind, body)
        elif kind == "heartbeat":
            self.heartbeats.append(body)
        else:
            await self._accept(body)

    async def _accept(self, sealed: bytes) -> None:
        """Judge what the office submitted, and tell it as the axis would."""
        at = clock.now()
        try:
            received = edxml.parse(sealed)
            verified = seal.verify(received, self.trust, at=at)
            edxml.gate(received)
            violations = [
                *edxml.check(verified.message, today=values.local_date(at)),
                *self._enclosed(verified.message, at),
            ]
            if violations:
                raise Refusal(violations)
        except Refusal as refusal:
            sent = Sent(sealed=sealed, envelope_id="", message=None, answer=self._rejection(sealed, refusal))
        else:
            envelope_id = next(
                (one.envelope_id for one in self.sent if one.answer.receipt.envelope_digest == verified.digest),
                ids.new(at),
            )
            accepted = self._axis.say(
                level=Level.ACCEPTED,
                originator=received.originator,
                document_id=received.document_id,
                envelope_id=envelope_id,
                envelope_digest=verified.digest,
                addressee=None,
                previous=None,
                at=at,
                status="2.0.0",
            )
            sent = Sent(sealed=sealed, envelope_id=envelope_id, message=verified.message, answer=accepted)
        await self._bring("receipt", sent.answer.xml, {"envelope-id": sent.envelope_id, **carried.TAKEN})
        self.sent.append(sent)
        self._arrived.set()

    def _enclosed(self, message: edxml.Message, at: datetime) -> tuple[Violation, ...]:
        """Return what is wrong with the contents of a message, as the axis would say it."""
        if not isinstance(message, edxml.Document):
            return ()
        return violations_of(message, lambda ref: self.gateway.files[ref.sha256], today=values.local_date(at))

    def _rejection(self, sealed: bytes, refusal: Refusal) -> SignedReceipt:
        first = refusal.violations[0]
        return self._axis.say(
            level=Level.REJECTED,
            originator=self.code,
            document_id="",
            envelope_id="",
            envelope_digest=sha256(sealed).hexdigest(),
            addressee=None,
            previous=None,
            at=clock.now(),
            status=refusal.entry.status,
            code=first.code,
            reason=first.vi,
            who_must_act=first.who_must_act,
            violations=refusal.violations,
        )

    def _with(self, delivery: Delivery, said: Sequence[bytes]) -> Delivery:
        """Add to a delivery what was said about it, verified and hanging together."""
        known = {one.digest for one in delivery.chain}
        fresh = []
        for xml in said:
            signed = receipts.read_receipt(xml, self.trust, at=clock.now() + timedelta(seconds=1), axis=AXIS)
            if signed.receipt.envelope_id == delivery.envelope_id and signed.digest not in known:
                known.add(signed.digest)
                fresh.append(signed)
        chain = (*delivery.chain, *fresh)
        check_chain(chain)
        return replace(delivery, chain=chain)
