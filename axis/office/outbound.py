"""Outbound: what this office sends reaches the axis, or comes back with a reason.

A submission is on the disk, files and all, before anything leaves. Then its
files are uploaded, or go along, the envelope is published, and it is published
again after a while until the axis has accepted or rejected it: the axis knows an
envelope that it has seen, so asking twice changes nothing. What the way to the axis has
held up goes on as soon as something else has got through. What came of a try is
kept in mind while the state cannot take it: a full disk can be read, and says of
everything that it is due.

Spec: docs/protocol/intake.md; design promise 2.
"""

import asyncio
import contextlib
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from hashlib import file_digest
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from axis import brief, edxml, ids, seal
from axis.batches import Batches
from axis.broker import NotPublished, carried, topology
from axis.clock import Clock
from axis.contents import Content
from axis.edxml import values
from axis.errors import AxisError, PermanentError, TransientError
from axis.office import drafts, metrics, prepare
from axis.office.pipes import Gateway, Pipes
from axis.office.prepare import File, Prepared
from axis.office.state import Due, FileRow, State
from axis.telemetry import events

_AT_ONCE = 16
_AHEAD = 32  # Submissions that are looked up at once.
_MOST_UNWRITTEN = 1000  # With so many outcomes in mind, nothing more is begun until the state takes them.
_ANSWER_WITHIN = tuple(
    timedelta(seconds=s) for s in (30, 60, 120, 300, 600)
)  # Then it is asked again; the last repeats.
_PAUSES = tuple(timedelta(seconds=s) for s in (2, 5, 15, 60, 300))  # After what could not be done now.
# Reasons of the way; others lie in the document, or in how full a disk is. The latter two are the gateway's.
_BROKER, _AUTH, _LEDGER = "SYS.BROKER", "API.AUTH", "SYS.LEDGER"
_HASTEN_EVERY_S = 5.0  # A way that is half open must not be asked for everything all the time.
_SAID_SIGNED = frozenset({"MSG.NOT_ALLOWED"})  # To a file unsigned, by the gateway; to the envelope in a receipt.
OUTGOING = "outgoing"


@dataclass(slots=True)
class _Way:
    """What the way takes, for which reasons of its own submissions have been put off, and which of these are over."""

    takes_files: int = 0  # Bytes that may go along with an envelope, as the axis said last.
    held_up: set[str] = field(default_factory=lambda: {_BROKER, _AUTH, _LEDGER})  # By the process before us, perhaps.
    open: set[str] = field(default_factory=set)
    next_s: float = 0.0  # Nothing is hastened before.

    def failed(self, code: str) -> None:
        """Something was put off."""
        self.held_up.add(code)
        self.open.discard(code)

    def passed(self, *, with_files: bool) -> None:
        """Something has got through: the broker took it, and if it had files, the gateway."""
        self.open.update((_BROKER, _AUTH, _LEDGER) if with_files else (_BROKER,))

    def over(self) -> set[str]:
        """Take the reasons that are over now."""
        codes = self.held_up & self.open
        if not codes or time.monotonic() < self.next_s:
            return set()
        self.held_up -= codes
        self.next_s = time.monotonic() + _HASTEN_EVERY_S
        return codes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of one try to send something."""

    write: Callable[[], Awaitable[None]]  # Puts it into the state. Raises TransientError.
    not_before: datetime  # When the next try is due.
    failures: int = 0  # In a row, with this one, as `Due` has them.
    publishes: int = 0


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """Sends for one office."""

    office: str
    key: seal.SigningKey
    state: State
    pipes: Pipes
    gateway: Gateway
    now: Clock
    ring: Callable[[], None]  # Something is due now.
    line: carried.Window = field(default_factory=carried.Window)  # Hears of every answer.
    _at_hand: Batches[Callable[[], Prepared], Prepared] = field(init=False)  # What is written in a moment.
    _preparing: set[str] = field(default_factory=set, init=False)
    _sending: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _ready: deque[Due] = field(default_factory=deque, init=False)  # Due, and not begun.
    _unwritten: dict[str, _Outcome] = field(default_factory=dict, init=False)  # The state could not take them yet.
    _way: _Way = field(default_factory=_Way, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_at_hand", Batches(_prepare_each, most=_AHEAD))

    @cached_property
    def folder(self) -> Path:
        """Where copies of large files wait."""
        return self.state.folder / OUTGOING

    async def send(
        self, document: edxml.Document | edxml.Status, files: Sequence[File], enclosed: Sequence[Content]
    ) -> str:
        """Seal and keep a document to be sent; see `Office.send`."""
        if isinstance(document, edxml.Status):
            return await self._keep(await self._at_hand.add(partial(prepare.of_status, document, signer=self.key)))
        work = partial(
            prepare.of_document, document, files, enclosed, signer=self.key, today=values.local_date(self.now())
        )
        if prepare.is_brief(document, files, enclosed):
            return await self._keep(await self._at_hand.add(partial(work, folder=self.folder)))
        with self._own_folder() as folder:
            return await self._keep(await asyncio.to_thread(work, folder=folder))

    async def submit(self, envelope: Path | bytes, files: Sequence[File]) -> str:
        """Keep an edXML message to be sent; see `Office.submit`."""
        with self._own_folder() as folder:
            work = partial(prepare.of_envelope, envelope, files, signer=self.key, folder=folder)
            return await self._keep(await asyncio.to_thread(work))

    async def sent(self, key: str) -> edxml.Document:
        """Return the newest document that was sent under a key; see `State.sent`.

        Raises:
            PermanentError: ORD.NOTHING_SENT
        """
        found = await self.state.sent(key)
        document = next((one for one in map(drafts.document_in, found) if one is not None), None)
        if document is None:
            raise PermanentError("ORD.NOTHING_SENT", key)
        return document

    @contextlib.contextmanager
    def _own_folder(self) -> Iterator[Path]:
        """Yield a folder for the files of one submission; `tidy` leaves it alone until it is in the state."""
        name = uuid4().hex
        self._preparing.add(name)
        try:
            yield self.folder / name
        finally:
            self._preparing.discard(name)

    async def _keep(self, prepared: Prepared) -> str:
        at = self.now()
        submission_id = await self.state.submit(
            ids.new(at),
            sealed=prepared.sealed,
            sealed_digest=prepared.sealed_digest,
            digest=prepared.digest,
            document_id=prepared.document_id,
            urgent=prepared.urgent,
            files=prepared.files,
            at=at,
        )
        events.submission_kept(submission_id=submission_id, document_id=prepared.document_id, files=len(prepared.files))
        self.ring()
        return submission_id

    async def send_due(self) -> None:
        """Begin to send what is due, a few at a time: a large file must not hold up a small document."""
        await self._write_down()
        if over := self._way.over():
            try:
                await self.state.hasten(over, self.now())
            except TransientError:
                self._way.held_up |= over  # Until the state takes it.
        while len(self._sending) < _AT_ONCE and len(self._unwritten) < _MOST_UNWRITTEN:
            if not self._ready:
                besides = (*self._sending, *filter(self._is_put_off, self._unwritten))
                self._ready.extend(await self.state.due(self.now(), _AHEAD, besides=besides))
            if not self._begin_next():
                return

    def _begin_next(self) -> bool:
        """Begin to send the next submission that was found due; False if there is none, or no place."""
        while self._ready and len(self._sending) < _AT_ONCE:
            due = self._ready.popleft()
            if due.id in self._sending or self._is_put_off(due.id):
                continue  # Somebody else has looked meanwhile.
            task = asyncio.create_task(self._send(due), name=f"submission {due.id}")
            self._sending[due.id] = task
            task.add_done_callback(partial(self._sent, due.id))
            return True
        return False

    def _sent(self, submission_id: str, task: asyncio.Task[None]) -> None:
        del self._sending[submission_id]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            events.service_failed(name="office sending", error=error)  # The clock will come by.
        elif not self._begin_next():
            self.ring()  # Something else may be due.

    def reached_broker(self) -> None:
        """Note that something else of this office has reached the broker: what that had held up is due."""
        self._way.passed(with_files=False)
        self.ring()

    def told(self, takes_files: object) -> None:
        """Take note of what a receipt's message says of files; one that says nothing comes from an axis that takes none."""
        self._way.takes_files = takes_files if isinstance(takes_files, int) else 0

    async def stop(self) -> None:
        """Break off what is being sent; it is in the state, and goes on from there."""
        self._ready.clear()
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_put_off(self, submission_id: str) -> bool:
        """Whether something is not due, whatever the state says, which could not be told."""
        outcome = self._unwritten.get(submission_id)
        return outcome is not None and outcome.not_before > self.now()

    async def _write_down(self) -> None:
        """Put into the state what it could not take before."""
        waiting = list(self._unwritten.items())
        done = await asyncio.gather(*(_written(outcome) for _, outcome in waiting))
        for (submission_id, outcome), why_not in zip(waiting, done, strict=True):
            if why_not is None and self._unwritten.get(submission_id) is outcome:
                del self._unwritten[submission_id]

    async def _send(self, due: Due) -> None:
        before = self._unwritten.pop(due.id, None)
        if before is not None:
            due = replace(due, failures=before.failures, publishes=before.publishes)
        outcome = await self._try(due)
        if (why_not := await _written(outcome)) is not None:
            self._unwritten[due.id] = outcome
            events.submission_not_noted(submission_id=due.id, code=why_not.code)

    async def _try(self, due: Due) -> _Outcome:
        pause = _PAUSES[min(due.failures, len(_PAUSES) - 1)]
        along = await self._along(due)
        try:
            brought = [] if along else [file for file in due.files if await self._bring(due.id, file)]
            if due.is_anew:
                await self.state.goes(due.id)
            await self.pipes.publish(
                topology.office_exchange(self.office),
                "express" if due.urgent else "submit",
                carried.load(due.sealed, along) if along else due.sealed,
                type="envelope",
                user_id=self.office,
            )
        except (TransientError, OSError) as error:
            code = error.code if isinstance(error, TransientError) else "SYS.STATE"
            self._way.failed(code)
            (self.line.failed if code == _BROKER else self.line.withdrawn)(due.id)
            events.submission_put_off(submission_id=due.id, tries=due.failures + 1, code=code)
            stayed = due.is_anew and isinstance(error, NotPublished)
            at = self.now() + pause
            write = partial(self.state.tried, due.id, published=False, stayed=stayed, next_at=at, code=code)
            return _Outcome(write=write, not_before=at, failures=due.failures + 1)
        except PermanentError as error:
            reason = f"{error.entry.vi.format(detail=error.detail)} / {error.entry.en.format(detail=error.detail)}"
            write = partial(self._fail, due.id, error.code, reason)
            return _Outcome(write=write, not_before=self.now() + pause, failures=due.failures + 1)
        self._way.passed(with_files=bool(brought))
        small = [file.sha256 for file in brought if file.content is not None]
        at = self.now() + _ANSWER_WITHIN[min(due.publishes, len(_ANSWER_WITHIN) - 1)]
        write = partial(self.state.tried, due.id, published=True, next_at=at, uploaded=small)
        return _Outcome(write=write, not_before=at, publishes=due.publishes + 1)

    async def _along(self, due: Due) -> dict[str, bytes]:
        """Return the files that go along with their envelope: all, or none.

        With what is asked again none: the broker may be where it has stayed.
        """
        files = {file.sha256: file.content for file in due.files if file.content is not None}
        sizes = [len(content) for content in files.values()]
        if due.publishes or len(files) < len(due.files) or sum(sizes) > self._way.takes_files:
            return {}
        if not carried.may_go_along(due.sealed, sizes) or not await self.line.enter_soon(due.id, sum(sizes)):
            return {}
        return files

    async def _fail(self, submission_id: str, code: str, reason: str) -> None:
        """End what can never be sent."""
        await self.state.ended(state="failed", at=self.now(), submission_id=submission_id, code=code, reason=reason)
        metrics.SUBMISSIONS.labels("failed").inc()
        events.submission_ended(submission_id=submission_id, state="failed", code=code)

    async def _bring(self, submission_id: str, file: FileRow) -> bool:
        """Bring a file to the axis; False if the copy here is lost, or this office may bring nothing.

        Then the envelope leaves without it: the axis may have the file, or have accepted long ago, and what is wrong
        it says signed.

        Raises:
            PermanentError: The axis does not want the file.
            TransientError, OSError: It cannot be brought now.
        """
        source = file.source(self.folder)
        if isinstance(source, Path) and not await asyncio.to_thread(_is_there, source, file.size_bytes):
            events.submission_file_lost(submission_id=submission_id, sha256=file.sha256)
            return False
        try:
            await self.gateway.upload(source, file.sha256, file.size_bytes)
        except PermanentError as error:
            if error.code in _SAID_SIGNED:
                return False
            if error.code != "ATT.DIGEST":
                raise
            if await asyncio.to_thread(_digest_of, source) == file.sha256:  # It was harmed on the way, or over there.
                raise TransientError(error.code, error.detail) from error
            events.submission_file_lost(submission_id=submission_id, sha256=file.sha256)
            return False
        if file.content is None:  # A small one is noted with the publish: it is soon brought again.
            await self.state.uploaded(submission_id, file.sha256, self.now())
        return True

    async def tidy(self) -> None:
        """Remove the copies of files that no submission waits for."""
        if not self.folder.exists():
            return
        idle = {path.name for path in self.folder.iterdir()} - self._preparing
        for name in idle - await self.state.needed_folders():
            await asyncio.to_thread(shutil.rmtree, self.folder / name, ignore_errors=True)


async def _written(outcome: _Outcome) -> TransientError | None:
    """Put an outcome into the state; return why it cannot be put there now."""
    try:
        await outcome.write()
    except TransientError as error:
        return error
    return None


def _is_there(path: Path, size_bytes: int) -> bool:
    """Whether a copy is there, and as long as it was.

    Raises:
        OSError: Nobody can tell just now.
    """
    try:
        return path.stat().st_size == size_bytes
    except (FileNotFoundError, NotADirectoryError):
        return False


def _digest_of(source: Path | bytes) -> str:
    """Raises: OSError"""
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


async def _prepare_each(works: Sequence[Callable[[], Prepared]]) -> list[Prepared | Exception]:
    """Prepare what is to be sent, and let others have their turn; what is wrong with one is its own answer."""
    return await brief.each(_or_why_not, works, lambda _: 0)


def _or_why_not(work: Callable[[], Prepared]) -> Prepared | Exception:
    try:
        return work()
    except (AxisError, OSError) as error:
        return error
