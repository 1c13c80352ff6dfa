"""State: what an office must not forget, in one small file; small files that wait lie beside it.

    envelopes    what came, how often it was tried, what was answered
    orders       what was ordered about which documents, and whether it is decided; it stands when they come later
    said         receipts of ours, byte for byte, with the time they were published
    heard        receipts of others about what we sent, until the handler took them
    submissions  what we sent, until the axis accepted or rejected it
    files        the attachments of a submission until it ends: small ones in segments, large ones in folders

What a method writes is on the disk when it returns, in one thread; methods that
are called at the same moment share one transaction, and one sync of the disk.
The folder belongs to one process at a time. What cannot be written now is a
TransientError, and nothing was promised.

Spec: design laws 3 and 4; SQLite WAL.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import islice
from operator import eq
from pathlib import Path
from typing import Any, TypeVar

from axis.batches import Batches
from axis.errors import PermanentError, TransientError
from axis.office import copies
from axis.office.copies import FINAL, Carries, Copy, MayOrder, OrderState
from axis.office.segments import Place, Segments
from axis.office.speech import UNCERTAIN, About
from axis.receipts import Level, SignedReceipt

T = TypeVar("T")

COMPARE_AFTER = timedelta(seconds=30)  # What was said just now is still on its way.
_MOST = 64  # Works that share one transaction.
_LOST = (errno.ENOENT, errno.ENOTDIR, errno.ENODATA)  # What is read is not there; all else may be mended.

_SCHEMA = (
    """
    CREATE TABLE envelopes (
        envelope_id TEXT PRIMARY KEY, digest TEXT NOT NULL, originator TEXT NOT NULL, document_id TEXT NOT NULL,
        unanswered INTEGER NOT NULL DEFAULT 0, answered_attempt INTEGER NOT NULL DEFAULT 0,
        level TEXT, answer TEXT, head TEXT, first_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX envelopes_digest ON envelopes (digest);
    CREATE TABLE said (
        seq INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, envelope_id TEXT NOT NULL REFERENCES envelopes,
        attempt INTEGER, level TEXT NOT NULL, xml BLOB NOT NULL, said_at TEXT NOT NULL, published_at TEXT
    ) STRICT;
    CREATE INDEX said_envelope ON said (envelope_id);
    CREATE INDEX said_unsent ON said (seq) WHERE published_at IS NULL;
    CREATE TABLE heard (
        seq INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, envelope_id TEXT NOT NULL, xml BLOB NOT NULL,
        heard_at TEXT NOT NULL, taken_at TEXT, tries INTEGER NOT NULL DEFAULT 0, next_at TEXT NOT NULL, problem TEXT
    ) STRICT;
    CREATE INDEX heard_waiting ON heard (envelope_id, seq) WHERE taken_at IS NULL;
    CREATE TABLE submissions (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sealed_digest TEXT NOT NULL UNIQUE, digest TEXT,
        sealed BLOB NOT NULL, document_id TEXT NOT NULL, urgent INTEGER NOT NULL, state TEXT NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0, next_at TEXT, created_at TEXT NOT NULL, ended_at TEXT,
        envelope_id TEXT, code TEXT, reason TEXT, receipt BLOB
    ) STRICT;
    CREATE INDEX submissions_digest ON submissions (digest);
    CREATE INDEX submissions_waiting ON submissions (urgent DESC, seq) WHERE next_at IS NOT NULL;
    CREATE TABLE files (
        submission_id TEXT NOT NULL REFERENCES submissions (id), sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL,
        folder TEXT NOT NULL, uploaded_at TEXT, PRIMARY KEY (submission_id, sha256)
    ) STRICT;
    """,
    """
    CREATE TABLE comparisons (
        envelope_id TEXT PRIMARY KEY, since TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0, next_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX comparisons_due ON comparisons (next_at);
    CREATE INDEX heard_envelope ON heard (envelope_id);
    CREATE INDEX submissions_envelope ON submissions (envelope_id) WHERE envelope_id IS NOT NULL;
    """,
    """
    ALTER TABLE files ADD COLUMN content BLOB;
    ALTER TABLE heard ADD COLUMN about TEXT;
    DROP INDEX heard_waiting;
    CREATE INDEX heard_waiting ON heard (seq) WHERE taken_at IS NULL;
    CREATE INDEX heard_put_off ON heard (next_at, envelope_id) WHERE taken_at IS NULL;
    """,
    """
    ALTER TABLE envelopes ADD COLUMN kind TEXT NOT NULL DEFAULT 'document';
    ALTER TABLE envelopes ADD COLUMN code TEXT NOT NULL DEFAULT '';
    ALTER TABLE envelopes ADD COLUMN previous TEXT;
    CREATE INDEX envelopes_document ON envelopes (document_id);
    CREATE TABLE orders (
        envelope_id TEXT NOT NULL REFERENCES envelopes, target TEXT NOT NULL, originator TEXT NOT NULL,
        state TEXT NOT NULL, PRIMARY KEY (envelope_id, target)
    ) STRICT;
    CREATE INDEX orders_target ON orders (target);
    CREATE INDEX orders_open ON orders (envelope_id) WHERE state = 'open';
    CREATE INDEX submissions_document ON submissions (document_id);
    """,
    """
    ALTER TABLE files ADD COLUMN segment INTEGER;
    ALTER TABLE files ADD COLUMN start INTEGER;
    """,
    # What was put off before says nothing about why: it may be here.
    """
    ALTER TABLE envelopes ADD COLUMN uncertain INTEGER NOT NULL DEFAULT 0;
    UPDATE envelopes SET uncertain = 1 WHERE level IN ('deferred', 'failed');
    """,
    # Submitted once more: 1, and not on its way since; 2, on its way since.
    """
    ALTER TABLE submissions ADD COLUMN anew INTEGER NOT NULL DEFAULT 0;
    """,
)  # One script for each version of the schema; a new version adds one.


_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    # Small files come and go here. Debian's SQLite writes zeros over each page that becomes free, for every file once more
    # than it is long; and a page that is used again before it is carried over from the log need not be carried over.
    "secure_delete = FAST",
    "wal_autocheckpoint = 4000",  # Pages: 16 MB.
    "cache_size = -16000",  # KiB.
)

_DUE = (
    "SELECT id, sealed, urgent, anew, iif(code IS NULL, 0, tries) AS failures, iif(code IS NULL, tries, 0) AS publishes"
    " FROM submissions INDEXED BY submissions_waiting"
    " WHERE next_at IS NOT NULL AND next_at <= ?"
)


# By two indexes: asked for both columns at once, SQLite reads every submission that there ever was.
_NEWEST = (
    "seq = (SELECT max(seq) FROM (SELECT seq FROM submissions WHERE digest = ?"
    " UNION ALL SELECT seq FROM submissions WHERE sealed_digest = ?))"
)


# Which submissions may come to an end. What is submitted anew and not on its way yet was not refused: that was said of the time
# before. Once it is on its way, a refusal that comes again may be the answer, byte for byte, or the old one; if it was the old
# one, it is accepted afterwards.
_MAY_BE = {
    "accepted": "(ended_at IS NULL OR (state = 'rejected' AND anew = 2))",
    "rejected": "ended_at IS NULL AND anew <> 1",
    "failed": "ended_at IS NULL",
}


_SENT = (
    "SELECT sealed, state FROM submissions WHERE seq IN (SELECT seq FROM submissions WHERE id = ?"
    " UNION ALL SELECT seq FROM submissions WHERE envelope_id = ? UNION ALL SELECT seq FROM submissions WHERE document_id = ?)"
    " ORDER BY seq DESC"
)


_TWIN = "SELECT answer FROM envelopes WHERE digest = ? AND answer IS NOT NULL"


# Of each envelope all that is untaken, oldest first; nothing of one whose oldest was put off.
_UNTAKEN = (
    "SELECT digest, envelope_id, xml, tries, about IS NOT NULL AS was_verified, (SELECT id FROM submissions WHERE seq = (SELECT max(seq) FROM (SELECT seq"
    " FROM submissions WHERE digest = heard.about UNION ALL SELECT seq FROM submissions WHERE sealed_digest = heard.about)))"
    " AS submission_id FROM heard INDEXED BY heard_waiting WHERE taken_at IS NULL AND envelope_id NOT IN"
    " (SELECT envelope_id FROM heard WHERE taken_at IS NULL AND next_at > ?) ORDER BY seq"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutBoth:
    """Digests of the receipts about one envelope that we have: said and published, and heard."""

    said: frozenset[str]
    heard: frozenset[str]
    is_submission: bool  # It is ours: what others say about it is for us to hear.


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """What an envelope is found to be when an attempt at it begins."""

    carries: Carries = Carries.DOCUMENT
    code: str = ""  # Number and notation.
    previous: str | None = None  # Head of its chain, as the axis tells it.
    targets: tuple[str, ...] = ()  # Ids of the documents that it is an order about.


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known when an attempt begins."""

    repeat: tuple[bytes, ...] = ()  # Answered before: say exactly this again.
    is_suspect: bool = False  # An attempt has died: it is to be made alone, and has not begun.
    unanswered: int = 0  # Attempts before this one that ended without any answer.
    is_uncertain: bool = False  # One of those before may have done its work, and the handler has said nothing since.
    head: str | None = None  # Digest of our last receipt about it.
    twin: str | None = None  # The answer to the same content: signed under another envelope id, or not signed yet.
    withdrawn_by: str | None = None  # Document id of an order that stands: it is not to be taken.
    copies: tuple[Copy, ...] = ()  # Of the targets of an order, the newest first.
    is_foreign: bool = False  # The targets are here, and another office has sent them.

    @property
    def held(self) -> tuple[Copy, ...]:
        """The copies that there are to withdraw."""
        return tuple(copy for copy in self.copies if copy.is_held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An envelope that this office has seen."""

    about: About
    level: str | None
    head: str | None
    answer: str | None
    delivered: bool  # We have said that we have custody.
    order: OrderState | None  # How it stands, if it is an order.
    frozen_by: str | None  # Envelope id of an order about it that is not decided.
    copies: tuple[Copy, ...]  # Of the targets of an order, the newest first.

    @property
    def held(self) -> tuple[Copy, ...]:
        """The copies that there are to withdraw."""
        return tuple(copy for copy in self.copies if copy.is_held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Receipts about one envelope that are kept together with others."""

    envelope_id: str
    signed: Sequence[SignedReceipt]
    head: str | None  # Digest of the receipt about it that was known last when these were signed.
    attempt: int | None = None  # The attempt that they answer.
    answer: str | None = None  # The office's own words, if it answered; see `answers.dump`.


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A receipt that waits for the office's handler."""

    digest: str
    envelope_id: str
    xml: bytes
    tries: int
    was_verified: bool  # When it came.
    submission_id: str | None  # What it is about, if it was.


@dataclass(frozen=True, slots=True)
class Taken:
    """The handler took a receipt."""

    digest: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A receipt must be offered again."""

    digest: str
    problem: str
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file of a submission: a small one as it is, a large one in `folder` under its digest."""

    sha256: str
    size_bytes: int
    folder: str = ""
    content: bytes | None = None
    is_unreadable: bool = False  # A small one, just now: that does not say that it is lost.

    def source(self, parent: Path) -> Path | bytes:
        """Return where its bytes are, or would be if they were not lost; `parent` holds the folders.

        Raises:
            OSError: It cannot be read now.
        """
        if self.is_unreadable:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.sha256)
        return parent / self.folder / self.sha256 if self.content is None else self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What became of something that this office sent."""

    id: str
    document_id: str
    state: str  # waiting, published, accepted, rejected, failed.
    envelope_id: str | None  # Once it is accepted.
    code: str | None  # Why it was rejected or failed, or cannot be sent just now.
    reason: str | None
    receipt: bytes | None  # The axis's signed answer.
    created_at: datetime

    @property
    def ended(self) -> bool:
        """Whether the axis has answered, or the submission cannot be made."""
        return self.state in ("accepted", "rejected", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A submission with work to do now."""

    id: str
    sealed: bytes
    urgent: bool
    is_anew: bool  # It was submitted once more, and has not been on its way since.
    failures: int  # Tries in a row, until now, that did not get it to the broker.
    publishes: int  # Tries in a row, until now, that did, and brought no answer.
    files: tuple[FileRow, ...]  # Not uploaded yet.


class State:
    """The file, open in one thread."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self.folder = folder
        self._segments = Segments(folder / "small", partial(_needed_segments, connection))
        self._connection = connection
        self._thread = thread
        self._commits: Batches[Callable[[sqlite3.Connection], Any], Any] = Batches(self._run, most=_MOST)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator["State"]:
        """Open, or make, the state in a folder.

        Raises:
            PermanentError: CFG.INVALID; another process has it, or it cannot be used.
        """
        loop = asyncio.get_running_loop()
        with _locked(folder), ThreadPoolExecutor(1, thread_name_prefix="office-state") as thread:
            connection = await loop.run_in_executor(thread, _connect, folder / "state.sqlite")
            state = cls(folder, connection, thread)
            try:
                yield state
            finally:
                await state._commits.finish()
                await loop.run_in_executor(thread, state._close)

    async def _commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work in a transaction, with what else is ready; what it wrote is on the disk when this returns."""
        result: T = await self._commits.add(work)
        return result

    async def _run(self, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, works)

    def _transact(self, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        db = self._connection
        try:
            self._segments.turn_over()
            db.execute("BEGIN IMMEDIATE")
            try:
                results = [work(db) for work in works]
                self._segments.sync()
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # We have asked for what cannot be: to ask again would not help.
        except (sqlite3.DatabaseError, OSError) as error:
            # Disk full, locked, unreadable, damaged: it may be mended while we wait.
            raise TransientError("SYS.STATE") from error
        return results

    def _close(self) -> None:
        self._segments.close()
        self._connection.close()

    # --- what came -------------------------------------------------------------------

    async def begin(
        self,
        about: About,
        attempt: int,
        at: datetime,
        *,
        alone: bool = False,
        coming: Coming | None = None,
        may_order: MayOrder = eq,
    ) -> Begun:
        """Put an attempt on record before it is made, or find that it was answered.

        With an order, its targets are looked up, and frozen if they are here, in the same commit.

        Args:
            about: The envelope.
            attempt: Its number.
            at: Now.
            alone: Nothing else runs. An envelope whose attempt has died before begins only so.
            coming: What it is; an ordinary document if nothing is said.
            may_order: Whether one office may order about what another has sent.

        Raises:
            AssertionError: The axis gave one id to two contents.
        """
        what = coming or Coming()

        def work(db: sqlite3.Connection) -> Begun:
            db.execute(
                "INSERT INTO envelopes (envelope_id, digest, originator, document_id, first_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (about.envelope_id, about.envelope_digest, about.originator, about.document_id, _text(at)),
            )
            row = db.execute("SELECT * FROM envelopes WHERE envelope_id = ?", (about.envelope_id,)).fetchone()
            if row["digest"] != about.envelope_digest:
                raise AssertionError(f"envelope {about.envelope_id} came with two contents")
            if row["level"] in FINAL or attempt <= row["answered_attempt"]:
                return Begun(repeat=_last_said(db, about.envelope_id, row["answered_attempt"]))
            if row["unanswered"] and not alone:
                return Begun(is_suspect=True)
            twin = db.execute(_TWIN, (about.envelope_digest,)).fetchone()
            is_uncertain = bool(row["uncertain"] or row["unanswered"])
            kind, code = what.carries, what.code
            if is_uncertain and kind is Carries.UNKNOWN:  # What may be here was read when it was handed over.
                kind, code = Carries(row["kind"]), row["code"]
            db.execute(
                "UPDATE envelopes SET unanswered = unanswered + 1, uncertain = ?, kind = ?, code = ?, previous = ?"
                " WHERE envelope_id = ?",
                (is_uncertain, kind, code, what.previous, about.envelope_id),
            )
            withdrawn_by = copies.standing(db, about, may_order) if what.carries is Carries.DOCUMENT else None
            if withdrawn_by is not None:
                copies.make_void(db, about.envelope_id)
            found, is_foreign = copies.ordered(db, about, () if withdrawn_by is not None else what.targets, may_order)
            return Begun(
                unanswered=row["unanswered"],
                is_uncertain=is_uncertain,
                head=row["head"],
                twin=None if twin is None else twin["answer"],
                withdrawn_by=withdrawn_by,
                copies=found,
                is_foreign=is_foreign,
            )

        return await self._commit(work)

    async def answered(self, envelope_id: str, answer: str) -> None:
        """Keep the office's own words about an envelope until they can be signed; see `answers.dump`."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE envelopes SET answer = ? WHERE envelope_id = ?", (answer, envelope_id))

        await self._commit(work)

    async def release(self, envelope_id: str, attempt: int) -> None:
        """Take back an attempt that we ourselves broke off; it may have done its work. One that was answered stays."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE envelopes SET unanswered = max(0, unanswered - 1), uncertain = 1"
                " WHERE envelope_id = ? AND answered_attempt < ?",
                (envelope_id, attempt),
            )

        await self._commit(work)

    async def keep(
        self,
        envelope_id: str,
        signed: Sequence[SignedReceipt],
        *,
        attempt: int | None,
        answer: str | None,
        at: datetime,
    ) -> None:
        """Keep the receipts of an attempt in one commit.

        Args:
            envelope_id: What they are about.
            signed: In the order of their chain.
            attempt: The attempt that they answer.
            answer: The office's own words, if it answered; see `answers.dump`.
            at: Now.
        """
        words = Words(envelope_id=envelope_id, signed=signed, head=None, attempt=attempt, answer=answer)
        await self._commit(lambda db: _keep(db, words, at))

    async def keep_report(self, words: Words, at: datetime, may_order: MayOrder = eq) -> bool:
        """Keep the receipts of a report in one commit; False, and nothing kept, if they no longer fit.

        They do not if something else was said about the envelope since they were signed, or an order froze it.
        """

        def work(db: sqlite3.Connection) -> bool:
            if (
                copies.head_of(db, words.envelope_id) != words.head
                or copies.frozen_by(db, words.envelope_id, may_order) is not None
            ):
                return False
            _keep(db, words, at)
            return True

        return await self._commit(work)

    async def keep_order(
        self,
        order: Words,
        withdrawn: Sequence[Words],
        *,
        state: OrderState,
        at: datetime,
        may_order: MayOrder = eq,
    ) -> bool:
        """Keep the answer to an open order and what it does, in one commit; False, and nothing kept, if it no longer fits.

        It does not if the order has been answered meanwhile, or its targets are not those that were judged.

        Args:
            order: What is said about the order.
            withdrawn: What is said about the copies that are given up: all that are held, if it is agreed.
            state: How the order stands then.
            at: Now.
            may_order: Whether one office may order about what another has sent.
        """

        def work(db: sqlite3.Connection) -> bool:
            held = {
                copy.about.envelope_id for copy in copies.copies_of(db, order.envelope_id, may_order) if copy.is_held
            }
            if copies.order_state(db, order.envelope_id) is not OrderState.OPEN:
                return False
            if state is OrderState.AGREED and held != {words.envelope_id for words in withdrawn}:
                return False
            if any(copies.head_of(db, words.envelope_id) != words.head for words in withdrawn):
                return False
            _keep(db, order, at)
            db.execute("UPDATE orders SET state = ? WHERE envelope_id = ?", (state, order.envelope_id))
            for words in withdrawn:
                _keep(db, words, at)
                copies.make_void(db, words.envelope_id)
            return True

        return await self._commit(work)

    async def envelope(self, envelope_id: str, may_order: MayOrder = eq) -> Kept | None:
        """Return what is known of an envelope."""

        def work(db: sqlite3.Connection) -> Kept | None:
            row = db.execute("SELECT * FROM envelopes WHERE envelope_id = ?", (envelope_id,)).fetchone()
            if row is None:
                return None
            delivered = db.execute(
                "SELECT 1 FROM said WHERE envelope_id = ? AND level = ?", (envelope_id, Level.DELIVERED)
            ).fetchone()
            return Kept(
                about=copies.about_in(row),
                level=row["level"],
                head=row["head"] or row["previous"],
                answer=row["answer"],
                delivered=delivered is not None,
                order=copies.order_state(db, envelope_id),
                frozen_by=copies.frozen_by(db, envelope_id, may_order),
                copies=copies.copies_of(db, envelope_id, may_order),
            )

        return await self._commit(work)

    async def said_about(self, envelope_id: str) -> tuple[bytes, ...]:
        """Return every receipt of ours about an envelope, oldest first."""

        def work(db: sqlite3.Connection) -> tuple[bytes, ...]:
            rows = db.execute("SELECT xml FROM said WHERE envelope_id = ? ORDER BY seq", (envelope_id,))
            return tuple(row["xml"] for row in rows)

        return await self._commit(work)

    async def unsent(self, before: datetime, limit: int) -> list[bytes]:
        """Return receipts that were said before a time and may not have reached the axis, oldest first."""

        def work(db: sqlite3.Connection) -> list[bytes]:
            rows = db.execute(
                "SELECT xml FROM said WHERE published_at IS NULL AND said_at <= ? ORDER BY seq LIMIT ?",
                (_text(before), limit),
            )
            return [row["xml"] for row in rows]

        return await self._commit(work)

    async def published(self, digests: Sequence[str], at: datetime) -> None:
        """Note that receipts have reached the broker."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany("UPDATE said SET published_at = ? WHERE digest = ?", [(_text(at), one) for one in digests])

        await self._commit(work)

    # --- what others said --------------------------------------------------------------

    async def hear(self, digest: str, envelope_id: str, xml: bytes, at: datetime, *, about: str | None = None) -> bool:
        """Keep a receipt of somebody else; False if it is there already.

        Args:
            digest: Its name.
            envelope_id: Receipts of one are offered in their order.
            xml: The receipt.
            at: Now.
            about: Digest of what we submitted, once the receipt is verified.
        """

        def work(db: sqlite3.Connection) -> bool:
            done = db.execute(
                "INSERT INTO heard (digest, envelope_id, xml, heard_at, next_at, about) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (digest, envelope_id, xml, _text(at), _text(at), about),
            )
            return done.rowcount == 1

        return await self._commit(work)

    async def untaken(self, now: datetime, limit: int, *, besides: Collection[str] = ()) -> list[Heard]:
        """Return receipts that are due for the handler, those of one envelope in the order in which they came.

        Args:
            now: When they are due.
            limit: How many at most.
            besides: Envelopes whose receipts are not wanted.
        """

        def work(db: sqlite3.Connection) -> list[Heard]:
            with contextlib.closing(db.execute(_UNTAKEN, (_text(now),))) as rows:
                some = islice((row for row in rows if row["envelope_id"] not in besides), limit)
                return [Heard(**{**dict(row), "was_verified": bool(row["was_verified"])}) for row in some]

        return await self._commit(work)

    async def verified(self, digest: str, about: str) -> None:
        """Note that a receipt could be verified, later than when it came, and what it is about."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE heard SET about = ? WHERE digest = ?", (about, digest))

        await self._commit(work)

    async def offered(self, outcomes: Collection[Taken | NotTaken], at: datetime) -> None:
        """Note, all or nothing, what came of offering receipts to the handler."""
        taken = [(_text(at), one.digest) for one in outcomes if isinstance(one, Taken)]
        others = [(one.problem, _text(one.next_at), one.digest) for one in outcomes if isinstance(one, NotTaken)]

        def work(db: sqlite3.Connection) -> None:
            db.executemany("UPDATE heard SET taken_at = ?, problem = NULL WHERE digest = ?", taken)
            db.executemany("UPDATE heard SET tries = tries + 1, problem = ?, next_at = ? WHERE digest = ?", others)

        await self._commit(work)

    # --- what both sides ought to have ------------------------------------------------------

    async def comparisons(self, now: datetime, limit: int) -> list[str]:
        """Return envelopes whose receipts are to be compared with those of the axis now."""

        def work(db: sqlite3.Connection) -> list[str]:
            rows = db.execute(
                "SELECT envelope_id FROM comparisons WHERE next_at <= ? ORDER BY next_at LIMIT ?", (_text(now), limit)
            )
            return [str(row["envelope_id"]) for row in rows]

        return await self._commit(work)

    async def compared(self, envelope_ids: Collection[str], now: datetime, ages: Sequence[timedelta]) -> None:
        """Note that envelopes were compared; the next time is when they have the next of these ages, if there is one."""

        def work(db: sqlite3.Connection) -> None:
            for envelope_id in envelope_ids:
                row = db.execute(
                    "UPDATE comparisons SET done = done + 1 WHERE envelope_id = ? AND next_at <= ? RETURNING since, done",
                    (envelope_id, _text(now)),
                ).fetchone()
                if row is None:
                    continue  # Something has happened to it meanwhile.
                if row["done"] >= len(ages):
                    db.execute("DELETE FROM comparisons WHERE envelope_id = ?", (envelope_id,))
                    continue
                # An office that was away for long looks once, not once for each age that has passed.
                next_at = max(datetime.fromisoformat(row["since"]) + ages[row["done"]], now + ages[0])
                db.execute("UPDATE comparisons SET next_at = ? WHERE envelope_id = ?", (_text(next_at), envelope_id))

        await self._commit(work)

    async def receipts_about(self, envelope_id: str) -> AboutBoth:
        """Return which receipts about an envelope we have."""

        def work(db: sqlite3.Connection) -> AboutBoth:
            said = db.execute(
                "SELECT digest FROM said WHERE envelope_id = ? AND published_at IS NOT NULL", (envelope_id,)
            )
            heard = db.execute("SELECT digest FROM heard WHERE envelope_id = ?", (envelope_id,))
            mine = db.execute("SELECT 1 FROM submissions WHERE envelope_id = ? LIMIT 1", (envelope_id,)).fetchone()
            return AboutBoth(
                said=frozenset(str(row["digest"]) for row in said),
                heard=frozenset(str(row["digest"]) for row in heard),
                is_submission=mine is not None,
            )

        return await self._commit(work)

    async def say_again(self, digests: Collection[str]) -> None:
        """Let receipts of ours be published once more."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany("UPDATE said SET published_at = NULL WHERE digest = ?", [(one,) for one in digests])

        await self._commit(work)

    # --- what we send --------------------------------------------------------------------

    async def submit(
        self,
        submission_id: str,
        *,
        sealed: bytes,
        sealed_digest: str,
        digest: str | None,
        document_id: str,
        urgent: bool,
        files: Sequence[FileRow],
        at: datetime,
    ) -> str:
        """Keep something to be sent; return its id, or that of the same bytes sent before, which go out again."""

        def work(db: sqlite3.Connection) -> str:
            db.execute(
                "INSERT INTO submissions (id, sealed_digest, digest, sealed, document_id, urgent, state, next_at,"
                " created_at) VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, ?) ON CONFLICT (sealed_digest) DO UPDATE"
                " SET state = 'waiting', tries = 0, code = NULL, next_at = excluded.next_at, ended_at = NULL, anew = 1",
                (submission_id, sealed_digest, digest, sealed, document_id, urgent, _text(at), _text(at)),
            )
            row = db.execute("SELECT id FROM submissions WHERE sealed_digest = ?", (sealed_digest,)).fetchone()
            db.executemany(
                "INSERT INTO files (submission_id, sha256, size_bytes, folder, segment, start) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET uploaded_at = NULL, folder = excluded.folder, content = NULL,"
                " segment = excluded.segment, start = excluded.start",
                [(row["id"], one.sha256, one.size_bytes, one.folder, *self._place(one)) for one in files],
            )
            return str(row["id"])

        return await self._commit(work)

    def _place(self, file: FileRow) -> tuple[int | None, int | None]:
        """Put a small file where it waits; a large one lies in its folder."""
        if file.content is None:
            return None, None
        place = self._segments.put(file.content)
        return place.segment, place.offset

    async def due(self, now: datetime, limit: int, *, besides: Collection[str] = ()) -> list[Due]:
        """Return submissions that must be published, for the first time or again, urgent ones first.

        Args:
            now: What is due by now.
            limit: So many at most.
            besides: Ids of those that are being sent.
        """
        marks = ", ".join("?" * len(besides))
        # Along the index: a long queue must not be sorted for each look at its head.
        query = f"{_DUE} AND id NOT IN ({marks}) ORDER BY urgent DESC, seq LIMIT ?"

        def work(db: sqlite3.Connection) -> list[Due]:
            rows = db.execute(query, (_text(now), *besides, limit)).fetchall()
            return [
                Due(
                    id=row["id"],
                    sealed=row["sealed"],
                    urgent=bool(row["urgent"]),
                    is_anew=row["anew"] == 1,
                    failures=row["failures"],
                    publishes=row["publishes"],
                    files=_waiting_files(db, row["id"], self._segments),
                )
                for row in rows
            ]

        return await self._commit(work)

    async def uploaded(self, submission_id: str, sha256: str, at: datetime) -> None:
        """Note that the axis has a file."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE files SET uploaded_at = ? WHERE submission_id = ? AND sha256 = ?",
                (_text(at), submission_id, sha256),
            )

        await self._commit(work)

    async def goes(self, submission_id: str) -> None:
        """Note that what was submitted anew is on its way: what is said of it from here on may be the answer."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE submissions SET anew = 2 WHERE id = ? AND anew = 1", (submission_id,))

        await self._commit(work)

    async def tried(
        self,
        submission_id: str,
        *,
        published: bool,
        stayed: bool = False,
        next_at: datetime,
        code: str | None = None,
        uploaded: Collection[str] = (),
    ) -> None:
        """Note what came of one try to send, and when the next one is due if no answer comes.

        Args:
            submission_id: What was tried.
            published: Whether the broker has it.
            stayed: What was submitted anew has certainly not left: see `goes`.
            next_at: When to try again.
            code: Why it did not work.
            uploaded: Digests of files that the axis has now.
        """

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE files SET uploaded_at = ?, content = NULL WHERE submission_id = ? AND sha256 = ?",
                [(_text(next_at), submission_id, one) for one in uploaded],
            )
            db.execute(
                "UPDATE submissions SET tries = iif((code IS NULL) = (?1 IS NULL), tries + 1, 1), next_at = ?2, code = ?1,"
                " state = iif(?3, 'published', state), anew = iif(?4, 1, anew) WHERE id = ?5 AND ended_at IS NULL",
                (code, _text(next_at), published, stayed, submission_id),
            )

        await self._commit(work)

    async def hasten(self, codes: Collection[str], now: datetime) -> None:
        """Make due now what was put off for one of these reasons."""
        marks = ", ".join("?" * len(codes))
        query = f"UPDATE submissions SET next_at = ? WHERE next_at > ? AND code IN ({marks})"  # noqa: S608 - our own words.

        def work(db: sqlite3.Connection) -> None:
            db.execute(query, (_text(now), _text(now), *codes))

        await self._commit(work)

    async def ended(
        self,
        *,
        state: str,
        at: datetime,
        submission_id: str | None = None,
        digest: str | None = None,
        sealed_digest: str | None = None,
        envelope_id: str | None = None,
        code: str | None = None,
        reason: str | None = None,
        receipt: SignedReceipt | None = None,
    ) -> list[str]:
        """Note the end of every submission that one of the three names means; return the ids of those that ended now.

        The handler hears of the receipt that says so, also where it has heard of the same before.
        """
        xml = None if receipt is None else receipt.xml
        fields = "state = ?, ended_at = ?, next_at = NULL, envelope_id = ?, code = ?, reason = ?, receipt = ?"
        which = f"{_MAY_BE[state]} AND (id = ? OR digest = ? OR sealed_digest = ?)"
        query = f"UPDATE submissions SET {fields} WHERE {which} RETURNING id"  # noqa: S608 - our own words.

        def work(db: sqlite3.Connection) -> list[str]:
            rows = db.execute(
                query, (state, _text(at), envelope_id, code, reason, xml, submission_id, digest, sealed_digest)
            ).fetchall()
            if rows and receipt is not None:
                db.execute(
                    "UPDATE heard SET taken_at = NULL, next_at = ? WHERE digest = ? AND taken_at IS NOT NULL",
                    (_text(at), receipt.digest),
                )
            db.executemany("DELETE FROM files WHERE submission_id = ?", [(row["id"],) for row in rows])
            if rows and envelope_id is not None:
                _compare_soon(db, envelope_id, at)
            return [str(row["id"]) for row in rows]

        return await self._commit(work)

    async def submission(self, submission_id: str) -> Submission | None:
        """Return what became of a submission."""
        return await self._submission("id = ?", submission_id)

    async def sent(self, key: str) -> list[bytes]:
        """Return what was sealed and sent under a submission's id, an envelope's id or a DocumentId, the newest first.

        What the axis has not taken is not among it.
        """

        def work(db: sqlite3.Connection) -> list[bytes]:
            rows = db.execute(_SENT, (key, key, key))
            return [row["sealed"] for row in rows if row["state"] not in ("rejected", "failed")]

        return await self._commit(work)

    async def submission_of(self, digest: str) -> Submission | None:
        """Return the newest submission that a receipt names: by its signed content, or by its bytes."""
        return await self._submission(_NEWEST, digest, digest)

    async def _submission(self, which: str, *names: str) -> Submission | None:
        fields = "id, document_id, state, envelope_id, code, reason, receipt, created_at"
        query = f"SELECT {fields} FROM submissions WHERE {which}"  # noqa: S608 - our own words.

        def work(db: sqlite3.Connection) -> Submission | None:
            row = db.execute(query, names).fetchone()
            if row is None:
                return None
            return Submission(**{**dict(row), "created_at": datetime.fromisoformat(row["created_at"])})

        return await self._commit(work)

    async def needed_folders(self) -> frozenset[str]:
        """Return the folders with files of submissions that have not ended."""

        def work(db: sqlite3.Connection) -> frozenset[str]:
            rows = db.execute(
                "SELECT DISTINCT folder FROM files JOIN submissions ON id = submission_id"
                " WHERE ended_at IS NULL AND folder <> ''"
            )
            return frozenset(str(row["folder"]) for row in rows)

        return await self._commit(work)

    async def bring_near(self, now: datetime, longest: timedelta) -> int:
        """Make due now what is to wait longer than anything may; return how much that was.

        A clock that was ahead has put it there, and it would wait until that time has come.
        """
        far, at = _text(now + longest), _text(now)

        def work(db: sqlite3.Connection) -> int:
            moved = db.execute("UPDATE submissions SET next_at = ? WHERE next_at > ?", (at, far)).rowcount
            moved += db.execute(
                "UPDATE heard SET next_at = ? WHERE taken_at IS NULL AND next_at > ?", (at, far)
            ).rowcount
            moved += db.execute(
                "UPDATE said SET said_at = ? WHERE published_at IS NULL AND said_at > ?", (at, far)
            ).rowcount
            moved += db.execute(
                "UPDATE comparisons SET since = ?, next_at = ? WHERE since > ?", (at, _text(now + COMPARE_AFTER), far)
            ).rowcount
            return moved

        return await self._commit(work)

    async def counts(self) -> dict[str, int]:
        """Return how much waits: unsent receipts, untaken receipts, submissions without an answer, orders not decided."""

        def work(db: sqlite3.Connection) -> dict[str, int]:
            row = db.execute(
                "SELECT (SELECT count(*) FROM said WHERE published_at IS NULL) AS unsent,"
                " (SELECT count(*) FROM heard WHERE taken_at IS NULL) AS untaken,"
                " (SELECT count(*) FROM submissions WHERE next_at IS NOT NULL) AS unanswered,"
                " (SELECT count(DISTINCT envelope_id) FROM orders WHERE state = 'open') AS undecided"
            ).fetchone()
            return dict(row)

        return await self._commit(work)


def _keep(db: sqlite3.Connection, words: Words, at: datetime) -> None:
    """Write receipts about one envelope, and what the office's answer is now."""
    db.executemany(
        "INSERT INTO said (digest, envelope_id, attempt, level, xml, said_at) VALUES (?, ?, ?, ?, ?, ?)",
        [(one.digest, words.envelope_id, words.attempt, one.receipt.level, one.xml, _text(at)) for one in words.signed],
    )
    last = words.signed[-1]
    db.execute(
        "UPDATE envelopes SET unanswered = 0, answered_attempt = coalesce(?, answered_attempt), level = ?,"
        " uncertain = ?, answer = coalesce(?, answer), head = ? WHERE envelope_id = ?",
        (
            words.attempt,
            last.receipt.level,
            last.receipt.code in UNCERTAIN,
            words.answer,
            last.digest,
            words.envelope_id,
        ),
    )
    _compare_soon(db, words.envelope_id, at)


def _compare_soon(db: sqlite3.Connection, envelope_id: str, at: datetime) -> None:
    """Something was said about an envelope: what the axis has of it is to be looked at afresh."""
    db.execute(
        "INSERT INTO comparisons (envelope_id, since, next_at) VALUES (?, ?, ?) ON CONFLICT (envelope_id)"
        " DO UPDATE SET since = excluded.since, done = 0, next_at = excluded.next_at",
        (envelope_id, _text(at), _text(at + COMPARE_AFTER)),
    )


def _last_said(db: sqlite3.Connection, envelope_id: str, attempt: int) -> tuple[bytes, ...]:
    """Return the receipts of the last answered attempt and of everything reported later."""
    rows = db.execute(
        "SELECT xml FROM said WHERE envelope_id = ? AND (attempt = ? OR attempt IS NULL) ORDER BY seq",
        (envelope_id, attempt),
    )
    return tuple(row["xml"] for row in rows)


def _waiting_files(db: sqlite3.Connection, submission_id: str, segments: Segments) -> tuple[FileRow, ...]:
    rows = db.execute(
        "SELECT sha256, size_bytes, folder, content, segment, start FROM files"
        " WHERE submission_id = ? AND uploaded_at IS NULL ORDER BY rowid",
        (submission_id,),
    )
    return tuple(_file_row(row, segments) for row in rows)


def _file_row(row: sqlite3.Row, segments: Segments) -> FileRow:
    """Return a file with its content if that is small. What is not in its segment as it was is missing, as a large one would be."""
    content, is_unreadable = row["content"], False  # An earlier version kept it here.
    if row["segment"] is not None:
        try:
            found = segments.read(Place(row["segment"], row["start"]), row["size_bytes"])
            content = found if sha256(found).hexdigest() == row["sha256"] else None
        except OSError as error:
            is_unreadable = error.errno not in _LOST
    return FileRow(
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        folder=row["folder"],
        content=content,
        is_unreadable=is_unreadable,
    )


def _needed_segments(db: sqlite3.Connection) -> list[int]:
    rows = db.execute("SELECT DISTINCT segment FROM files WHERE segment IS NOT NULL AND uploaded_at IS NULL")
    return [row["segment"] for row in rows]


def _text(at: datetime) -> str:
    """Write a time so that the order of texts is the order of times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process until the block ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise PermanentError("CFG.INVALID", f"{folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PermanentError("CFG.INVALID", f"{folder} is in use by another process") from error
        yield
    finally:
        os.close(opened)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, timeout=5)
        db.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_SCHEMA):
            raise PermanentError("CFG.INVALID", f"{path} was written by a newer version")
        for number, script in enumerate(_SCHEMA[version:], version + 1):
            db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
    except sqlite3.Error as error:
        raise PermanentError("CFG.INVALID", f"{path}: {error}") from error
    return db
