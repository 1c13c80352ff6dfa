"""Office: what an integrator holds in the hand.

    office = Office.from_env()

    @office.on_document
    async def receive(doc: Document) -> Registered | Refused: ...

    office.run()

A handler's return value is the receipt; an exception is "try again later". All
else - the seal, what came twice, retries, receipts, heartbeats, the end - is
done behind the counter. Nothing is read or opened before `run` or `serve`.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import uvloop

from axis import clock, edxml, garbage, seal, turns
from axis.broker import Broker
from axis.cancelling import pause
from axis.clock import Clock
from axis.contents import Content
from axis.edxml.values import local_date
from axis.errors import AxisError
from axis.office import drafts, metrics
from axis.office.answers import Report
from axis.office.counter import Counter
from axis.office.document import Document, StatusReport
from axis.office.gateway import GatewayClient, client_tls
from axis.office.handlers import Beside, Handlers, OnDocument, OnOrder, OnReceipt, OnStatus
from axis.office.order import Order
from axis.office.pipes import Gateway, Pipes
from axis.office.prepare import File
from axis.office.settings import OfficeSettings
from axis.office.state import Submission
from axis.telemetry import events
from axis.telemetry.health import HealthServer

F = TypeVar("F")

_CERTIFICATE_EVERY_S = 1.0


class Office:
    """One office, its handlers, and - while it is open - its counter."""

    def __init__(self, read_settings: Callable[[], OfficeSettings]) -> None:
        """Make an office; `read_settings` is called when it opens."""
        self._read_settings = read_settings
        self._handlers = Handlers()
        self._counter: Counter | None = None

    @classmethod
    def from_env(cls) -> Self:
        """Return the office that the environment describes: AXIS_OFFICE, AXIS_OFFICE_KEY, AXIS_BROKER_URL, ..."""
        return cls(lambda: OfficeSettings.read(os.environ))

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """Return the office that a TOML file describes; the environment wins over it."""
        return cls(lambda: OfficeSettings.read(os.environ, file))

    @cached_property
    def settings(self) -> OfficeSettings:
        """The settings, read when they are first asked for.

        Raises:
            PermanentError: CFG.INVALID
        """
        return self._read_settings()

    # --- what an integrator registers ---------------------------------------------------

    def on_document(self, handler: OnDocument) -> OnDocument:
        """Register the function that takes documents; it returns Registered, Refused or Delivered."""
        self._handlers.document = handler
        return handler

    def on_order(self, handler: OnOrder) -> OnOrder:
        """Register the function that takes orders about documents that came; it returns Agreed, Declined or Delivered.

        Until an order is answered, its document is frozen. Without this function every order is Delivered, and waits
        for `report`.
        """
        self._handlers.order = handler
        return handler

    def on_status(self, handler: OnStatus) -> OnStatus:
        """Register the function that takes edXML status messages of other offices. Without it they are refused."""
        self._handlers.status = handler
        return handler

    def on_receipt(self, handler: OnReceipt) -> OnReceipt:
        """Register the function that takes receipts about what this office sent, and reminders; it is called until it succeeds."""
        self._handlers.receipt = handler
        return handler

    def beside(self, work: Beside) -> Beside:
        """Register a coroutine function to be called over and over, a second apart, while the office is open."""
        self._handlers.beside.append(work)
        return work

    # --- what an integrator calls ---------------------------------------------------------

    async def report(self, about: Document | StatusReport | Order | str, report: Report) -> None:
        """Say more about a document that was Delivered - Registered, Refused, Progress - or answer an order.

        Args:
            about: The document, the order, or its envelope id.
            report: What is to be said; saying the same twice is saying it once. Agreed or Declined: about an order.

        Raises:
            PermanentError: RCT.UNKNOWN; this office has not been given such an envelope. ORD.FROZEN; an order about it
                is to be answered first. ORD.WITHDRAWN; it was given up. ORD.ANSWER; an order is answered once, with
                Agreed or Declined, and nothing else is.
            TransientError: SYS.STATE; nothing was said.
        """
        await self._open.report(about if isinstance(about, str) else about.envelope_id, report)

    async def send(
        self,
        document: edxml.Document | edxml.Status,
        files: Sequence[File | Path] = (),
        *,
        contents: Sequence[Content] = (),
    ) -> str:
        """Seal a document with its files, and contents that it carries beside them, and send it.

        It is safe when this returns, and on its way; `submission` and
        `on_receipt` tell what becomes of it. Where the gateway will never take a
        file of it - one that is too large - it ends as `failed`; of that there is
        no receipt: `submission` tells, with code and reason, and the log.

        Returns:
            The id of the submission.

        Raises:
            Refusal: It cannot be sealed, or a content breaks a rule.
            OSError: A file cannot be read.
            TransientError: SYS.STATE; nothing was promised.
        """
        return await self._open.outbound.send(document, _as_files(files), contents)

    async def submit(self, envelope: Path | bytes, files: Sequence[File | Path] = ()) -> str:
        """Send an edXML message, sealed or not, with its files inside it, beside it, or both.

        One that is not sealed gets the digests of its files into its manifest and
        the office's seal. The same sealed bytes again are the same submission.
        What becomes of it is told as with `send`.

        Returns:
            The id of the submission.

        Raises:
            Refusal: It cannot be sealed, or a file is not in its manifest.
            OSError: A file cannot be read.
            TransientError: SYS.STATE; nothing was promised.
        """
        return await self._open.outbound.submit(envelope, _as_files(files))

    async def recall(self, sent: str, *, reason: str, addressees: Sequence[str] | None = None) -> str:
        """Order addressees to give up a document that was sent from here; receipts about the order tell their answers.

        Args:
            sent: Its DocumentId, or the id of its submission or envelope.
            reason: Why; the addressees read it.
            addressees: OrganIds of those who are to give it up; None: all whom it was sent to.

        Returns:
            The id of the submission of the order.

        Raises:
            PermanentError: ORD.NOTHING_SENT
            Refusal, TransientError: As `send`.
        """
        document = await self._open.outbound.sent(sent)
        today = local_date(self._open.now())
        return await self.send(drafts.recall(document, reason=reason, addressees=addressees, on=today))

    async def take_back(self, sent: str, addressee: str, *, reason: str) -> str:
        """Ask one addressee to give a document up, as `recall` does, in a status message (13).

        Args:
            sent: Its DocumentId, or the id of its submission or envelope.
            addressee: OrganId.
            reason: Why; the addressee reads it.

        Returns:
            The id of the submission.

        Raises:
            PermanentError: ORD.NOTHING_SENT
            Refusal, TransientError: As `send`.
        """
        document = await self._open.outbound.sent(sent)
        return await self.send(drafts.take_back(document, addressee=addressee, reason=reason, at=self._open.now()))

    async def update(
        self,
        document_id: str,
        document: edxml.Document,
        files: Sequence[File | Path] = (),
        *,
        reason: str = "",
        receivers_changed: bool = False,
        contents: Sequence[Content] = (),
    ) -> str:
        """Send a document that takes the place of one whose content, or whose receivers, have changed.

        Args:
            document_id: Of what it takes the place of.
            document: What is to be valid from now on, with a DocumentId of its own.
            files: Its files.
            reason: Why; the addressees read it.
            receivers_changed: Whether it goes to others than that.
            contents: What it carries beside its files.

        Returns:
            The id of the submission.

        Raises:
            Refusal, OSError, TransientError: As `send`.
        """
        updated = drafts.update(document, of=document_id, reason=reason, receivers_changed=receivers_changed)
        return await self.send(updated, files, contents=contents)

    async def replace(
        self,
        document_ids: Sequence[str],
        document: edxml.Document,
        files: Sequence[File | Path] = (),
        *,
        reason: str = "",
        contents: Sequence[Content] = (),
    ) -> str:
        """Send a document that replaces one or more others, for all whom it is sent to.

        Args:
            document_ids: Of what it replaces.
            document: What is to be valid from now on.
            files: Its files.
            reason: Why; the addressees read it.
            contents: What it carries beside its files.

        Returns:
            The id of the submission.

        Raises:
            Refusal, OSError, TransientError: As `send`.
        """
        replacing = drafts.replacement(document, of=document_ids, reason=reason)
        return await self.send(replacing, files, contents=contents)

    async def submission(self, submission_id: str) -> Submission | None:
        """Return what has become of a submission."""
        return await self._open.state.submission(submission_id)

    async def receipts_about(self, envelope_id: str) -> tuple[bytes, ...]:
        """Return the signed receipts that this office gave about an envelope, oldest first."""
        return await self._open.state.said_about(envelope_id)

    # --- running ----------------------------------------------------------------------------

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; then finish what runs, and return."""
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._run())
        except AxisError as error:
            sys.exit(str(error))

    async def _run(self) -> None:
        settings = self.settings
        as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
        events.configure(level=settings.log_level, json=as_json, service=f"office {settings.code}")
        garbage.look_seldom()
        turns.interrupt_nobody()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.serve(stop)

    async def serve(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, in an event loop of the caller.

        Raises:
            PermanentError: CFG.INVALID
            TransientError: SYS.KEY; the office's certificate is not valid, or has ended meanwhile. What is for the
                office waits, and whoever starts it again starts it with the certificate that there is by then.
        """
        settings = self.settings
        key = seal.SigningKey.load(settings.key, settings.certificate)
        key.require(clock.now())
        key_path = settings.key if settings.show_certificate else None
        tls = client_tls(settings.gateway_authorities, key_path=key_path, key=key)
        async with (
            Broker.connect(settings.broker_account, name=f"office {settings.code}") as pipes,
            GatewayClient.connect(
                settings.gateway_url, office=settings.code, key=key, now=clock.now, tls=tls
            ) as gateway,
            self.open(pipes=pipes, gateway=gateway) as counter,
            _health(counter),
        ):
            await _until_stopped(stop, key)
        if not stop.is_set():
            key.require(clock.now())

    @contextlib.asynccontextmanager
    async def open(
        self,
        *,
        pipes: Pipes,
        gateway: Gateway,
        settings: OfficeSettings | None = None,
        now: Clock = clock.now,
    ) -> AsyncIterator[Counter]:
        """Be open while the block runs, over pipes of the caller. `serve` and the test axis call this.

        Raises:
            PermanentError: CFG.INVALID
        """
        if self._handlers.document is None:
            raise AssertionError("an office needs a handler for documents: @office.on_document")
        if settings is not None:
            self.__dict__["settings"] = settings
        key = seal.SigningKey.load(self.settings.key, self.settings.certificate)
        async with Counter.open(
            self.settings, self._handlers, key=key, pipes=pipes, gateway=gateway, now=now
        ) as counter:
            self._counter = counter
            try:
                async with counter.working():
                    yield counter
            finally:
                self._counter = None

    @property
    def _open(self) -> Counter:
        if self._counter is None:
            raise AssertionError("the office is not open: this is called while it runs")
        return self._counter


async def _until_stopped(stop: asyncio.Event, key: seal.SigningKey) -> None:
    """Wait for the word to stop, or for the end of the certificate."""
    while not stop.is_set() and clock.now() <= key.certificate.not_valid_after_utc:
        await pause(_CERTIFICATE_EVERY_S, unless=stop)


@contextlib.asynccontextmanager
async def _health(counter: Counter) -> AsyncIterator[None]:
    """Serve metrics and health while the block runs, if a port is set."""
    settings = counter.settings
    if settings.metrics_port is None:
        yield
        return
    async with HealthServer(settings.metrics_host, settings.metrics_port, counter.ready, metrics.exposition):
        yield


def _as_files(files: Sequence[File | Path]) -> list[File]:
    return [File(file.name, file) if isinstance(file, Path) else file for file in files]
