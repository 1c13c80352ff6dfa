"""Ledger: the book, opened.

Each method is one transaction; what happens inside stands in the module of its
subject.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from axis import ids
from axis.batches import Batches
from axis.deadlines import Clocks
from axis.ledger import (
    anew,
    custody,
    deliveries,
    dossiers,
    feed,
    idempotency,
    inbox,
    links,
    passwords,
    standing,
    stories,
    tasks,
)
from axis.ledger import audit as audits
from axis.ledger import tables as t
from axis.ledger import webhooks as hooks
from axis.ledger.engine import Database, keep_others_out, open_database, require_ready
from axis.ledger.insert import insert, insert_once
from axis.ledger.passwords import PasswordRow
from axis.ledger.values import (
    Asked,
    AttachmentRow,
    Attempt,
    Conflict,
    Custody,
    CustodyAnswer,
    DeliveryRow,
    DossierSaid,
    DossierStepRow,
    DueLink,
    DueNotice,
    EnvelopeRow,
    Figures,
    GivenTask,
    Impossible,
    InboxItem,
    KeyRow,
    Known,
    LaneRow,
    Numbered,
    Punctuality,
    ReceiptRow,
    Recorded,
    Rejection,
    Relation,
    Row,
    TaskSaid,
    TaskStepRow,
)
from axis.ledger.webhooks import NotTold, WebhookRow

_BURIED_MOST_BYTES = 4 * 1024 * 1024
_MOST_FILES = 100  # Recorded or looked up by one statement.

_e = t.envelopes.c
_ENVELOPE = sa.select(
    _e.id.label("envelope_id"), _e.originator, _e.document_id, _e.business_type, _e.kind, _e.digest,
    _e.code, _e.subject, _e.priority, _e.via, _e.accepted_at, _e.expires_at, _e.original,
)  # fmt: skip


class Ledger:
    """The book; made by `open`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uploads: Batches[Row, None] = Batches(self._record_uploads, most=_MOST_FILES)
        self._reading: Batches[tuple[str, str], bool] = Batches(self._may_read, most=_MOST_FILES)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["Ledger"]:
        """Open a ledger whose schema is up to date.

        Raises:
            PermanentError: CFG.INVALID; among other reasons, there is none, it was not restored to the end, or it has
                the schema of another version.
            TransientError: SYS.LEDGER
        """
        async with open_database(url) as database:
            await database.read(require_ready)
            yield cls(database)

    async def ping(self) -> None:
        """Raise TransientError if the ledger cannot be asked."""
        await self._database.read(lambda c: c.execute(sa.select(1)).scalar())

    # --- intake ----------------------------------------------------------------

    async def take_custody(self, batch: Sequence[Custody]) -> list[CustodyAnswer]:
        """Take envelopes into custody in one commit, and begin anew what has expired of those that are known.

        Answers stand in the order of the batch.
        """
        return await self._database.write(lambda c: anew.with_known(c, batch, custody.take(c, batch)))

    async def begin_anew(self, envelope_id: str, again: Custody) -> tuple[str, ...]:
        """Begin anew what has expired of an envelope that is the one submitted again; return the addressees."""
        begun = await self._database.write(lambda c: anew.begin(c, {envelope_id: again}))
        return begun.get(envelope_id, ())

    async def accepted_bytes(self, originator: str, digest: str) -> Known | None:
        """Return the acceptance of exactly these bytes, if there was one."""
        return await self._database.read(lambda c: custody.accepted_bytes(c, originator, digest))

    async def accepted_content(self, originator: str, digest: str) -> Known | None:
        """Return the acceptance of this signed content, if there was one."""
        return await self._database.read(lambda c: custody.accepted_content(c, originator, digest))

    async def standing_under(self, key: tuple[str, str, str, int], digest: str) -> Known | Conflict | None:
        """Say what stands under a business key: the same content, other content, or nothing."""
        return await self._database.read(lambda c: custody.standing_under(c, key, digest))

    async def stands_against(
        self, originator: str, dossier: DossierSaid | None, task: TaskSaid | None
    ) -> list[Impossible]:
        """Return why what is said of a dossier and of a task cannot be; nothing if nothing stands against it."""

        def look(connection: sa.Connection) -> list[Impossible]:
            before = None if dossier is None else dossiers.stands_against(connection, originator, dossier)
            found = None if task is None else tasks.stands_against(connection, task)
            return ([] if before is None else [Impossible(before)]) + ([] if found is None else [found])

        return await self._database.read(look)

    async def reject(self, rejection: Rejection) -> bytes:
        """Put a refusal on record; returns the receipt that stands for it."""
        return await self._database.write(lambda c: custody.reject(c, rejection))

    async def dossier_steps(self, code: str) -> list[DossierStepRow]:
        """Return what was told of a dossier, by office, the earliest first."""
        return await self._database.read(lambda c: dossiers.steps_of(c, code))

    async def given_tasks(
        self, codes: Collection[str], givers: Collection[str], offices: Collection[str]
    ) -> list[GivenTask]:
        """Return the tasks of some codes that some offices have given here, and whether some offices have them to do."""
        return await self._database.read(lambda c: tasks.given(c, codes, givers, offices))

    async def task_steps(self, code: str) -> list[TaskStepRow]:
        """Return what was told of the tasks of a code, by giver and office, the earliest first."""
        return await self._database.read(lambda c: tasks.steps_of(c, code))

    async def notify_again(self, envelope_id: str, target: str, at: datetime) -> None:
        """Send the acceptance of an envelope once more."""
        await self._database.write(lambda c: custody.notify_again(c, envelope_id, target, at))

    async def record_upload(self, office: str, sha256: str, size_bytes: int, at: datetime) -> None:
        """Note that an office has brought a file."""
        await self._uploads.add({"office": office, "sha256": sha256, "size_bytes": size_bytes, "at": at})

    async def _record_uploads(self, rows: Sequence[Row]) -> Sequence[None]:
        await self._insert_once(t.uploads, *rows)
        return [None] * len(rows)

    async def may_read(self, office: str, sha256: str) -> bool:
        """Tell whether an office brought, sent or was sent a file."""
        return await self._reading.add((office, sha256))

    async def _may_read(self, wanted: Sequence[tuple[str, str]]) -> Sequence[bool]:
        readable = await self._database.read(lambda c: custody.readable(c, wanted))
        return [pair in readable for pair in wanted]

    # --- dispatch --------------------------------------------------------------

    async def begin_attempts(
        self, now: datetime, answer_within: timedelta, limit: int, *, only: Collection[str] | None = None
    ) -> list[Attempt]:
        """Record attempts for what is due, to some offices or to all, and return them to be made."""
        return await self._database.write(lambda c: deliveries.begin_attempts(c, now, answer_within, limit, only))

    async def due(self, now: datetime) -> bool:
        """Tell, without locking anything, whether an attempt or a notice is due."""
        return await self._database.read(lambda c: deliveries.due(c, now))

    async def put_back(self, attempts: Sequence[Numbered], next_at: datetime, code: str) -> int:
        """Queue attempts again whose message may not have got through, or got lost."""
        return await self._database.write(lambda c: deliveries.put_back(c, attempts, next_at, code))

    async def unmake(self, attempts: Sequence[Attempt], next_at: datetime, code: str, now: datetime) -> None:
        """Queue attempts again whose message certainly is in no inbox, as if they had not been begun."""
        await self._database.write(lambda c: deliveries.unmake(c, attempts, next_at, code, now))

    async def show_why(self, now: datetime, code: str, *, but_for: Collection[str], limit: int) -> int:
        """Let what is due to others than some offices, and waits in vain, show why; return how much that was."""
        return await self._database.write(lambda c: deliveries.show_why(c, now, code, but_for, limit))

    async def take_up_again(self, now: datetime, most: int) -> int:
        """Make due again what a process that has died may have begun and not sent: the newest `most`."""
        return await self._database.write(lambda c: deliveries.take_up_again(c, now, most))

    async def extend_wait(self, attempts: Sequence[Numbered], next_at: datetime) -> None:
        """Look after these attempts later."""
        await self._database.write(lambda c: deliveries.extend_wait(c, attempts, next_at))

    async def bring_near(self, now: datetime, longest: timedelta) -> int:
        """Make due now what is to wait longer than `longest`, as no right clock would have it; return how much that was."""
        if not await self._database.read(lambda c: deliveries.too_far(c, now, longest)):
            return 0
        return await self._database.write(lambda c: deliveries.bring_near(c, now, longest))

    async def unanswered(self, now: datetime, limit: int) -> list[DeliveryRow]:
        """Return attempts that nobody answered in time."""
        return await self._database.read(lambda c: deliveries.unanswered(c, now, limit))

    async def not_leaving(
        self, now: datetime, since: datetime, behind: DeliveryRow | None, limit: int
    ) -> list[tuple[DeliveryRow, str]]:
        """Return what was to leave a while ago and cannot, each with the code that says why, in order of expiry."""
        return await self._database.read(lambda c: deliveries.not_leaving(c, now, since, behind, limit))

    async def expiring(self, now: datetime, limit: int) -> list[DeliveryRow]:
        """Return deliveries whose lifetime is over."""
        return await self._database.read(lambda c: deliveries.expiring(c, now, limit))

    async def to_remind(self, now: datetime, limit: int) -> list[DeliveryRow]:
        """Return deliveries whose addressee is to be reminded of a deadline."""
        return await self._database.read(lambda c: deliveries.to_remind(c, now, limit))

    async def record(self, asked: Sequence[Asked]) -> list[Recorded | Exception]:
        """Store receipts and what follows from them, in one commit; answers stand in the order of the asked."""
        return await self._database.write(lambda c: deliveries.record(c, asked))

    async def notices_due(self, now: datetime, limit: int) -> list[DueNotice]:
        """Claim notices to publish now."""
        return await self._database.write(lambda c: deliveries.notices_due(c, now, deliveries.CLAIM, limit))

    async def put_off_notices(self, office: str, until: datetime) -> None:
        """Claim none of the notices to an office before then."""
        await self._database.write(lambda c: deliveries.put_off_notices(c, office, until))

    async def notices_sent(self, ids: Sequence[int]) -> None:
        """Remove notices that the broker has confirmed."""
        await self._database.write(lambda c: deliveries.notices_sent(c, ids))

    # --- what envelopes say of earlier documents -----------------------------------

    async def links_waiting(self, now: datetime) -> bool:
        """Tell, without locking anything, whether a link is due."""
        return await self._database.read(lambda c: links.waiting(c, now))

    async def links_due(self, now: datetime, limit: int) -> list[DueLink]:
        """Claim links to act on now."""
        return await self._database.write(lambda c: links.due(c, now, limit))

    async def unsettled_links(self, envelope_id: str, kind: str) -> list[DueLink]:
        """Return what an envelope says of documents and has not been acted on."""
        return await self._database.read(lambda c: links.unsettled(c, envelope_id, kind))

    async def put_off_links(self, some: Sequence[DueLink], until: datetime, unjudged_until: datetime) -> None:
        """Act on links later; what waits for them waits longer than that."""
        await self._database.write(lambda c: links.put_off(c, some, until, unjudged_until))

    async def settle_links(
        self, some: Sequence[DueLink], about: Mapping[str, str], released: Collection[str], now: datetime
    ) -> None:
        """Note that links of one envelope have been acted on, and let it go to some offices."""
        await self._database.write(lambda c: links.settle(c, some, about, released, now))

    async def copies(
        self, originators: Collection[str], document_id: str, *, but: str = ""
    ) -> list[DeliveryRow] | None:
        """Return the deliveries of a document, oldest first; None if it is not here."""
        return await self._database.read(lambda c: links.copies(c, originators, document_id, but=but))

    async def orders_about(self, about: Collection[str], addressees: Collection[str]) -> list[DeliveryRow]:
        """Return the deliveries, to some offices, of the orders about some envelopes, oldest first."""
        return await self._database.read(lambda c: links.orders_about(c, about, addressees))

    async def take_status(
        self, row: DeliveryRow, link: DueLink, clocks: Clocks | None, *, about: Mapping[str, str], at: datetime
    ) -> bool:
        """Write down what a status message says of a delivery, and settle its link; False if that has moved meanwhile."""
        return await self._database.write(lambda c: links.take_status(c, row, link, clocks, about=about, at=at))

    async def family(self, envelope_id: str) -> list[Relation]:
        """Return which envelopes speak of which in the family of one."""
        return await self._database.read(lambda c: links.family(c, envelope_id))

    async def replay(self, delivery_id: int, *, by: str, reason: str, now: datetime) -> bool:
        """Send a dead letter on its way again; False if it is none."""
        return await self._database.write(lambda c: deliveries.replay(c, delivery_id, by, reason, now))

    async def held_for(self) -> set[str]:
        """Return the closed offices for which something is held."""
        return await self._database.read(deliveries.held_for)

    async def held(self, office: str | None = None) -> list[DeliveryRow]:
        """Return what is held, for one office or for all, oldest first."""
        return await self._database.read(lambda c: deliveries.held(c, office))

    async def is_unjudged(self, envelope_id: str) -> bool:
        """Tell whether it is not known yet what an envelope speaks of."""
        return await self._database.read(lambda c: deliveries.is_unjudged(c, envelope_id))

    async def release(self, office: str, now: datetime) -> int:
        """Let go what is held for an office that takes part again; return how much that was."""
        return await self._database.write(lambda c: deliveries.release(c, office, now))

    async def heartbeat(self, office: str, now: datetime, version: str, *, takes_files: int = 0) -> None:
        """Note that an office is there, and how many bytes of files it takes in the message of an envelope."""
        await self._database.write(lambda c: deliveries.heartbeat(c, office, now, version, takes_files))

    async def lanes(self) -> list[LaneRow]:
        """Return every lane that has shown anything."""
        return await self._database.read(lambda c: deliveries.lanes(c))

    async def bury(self, *, queue: str, kind: str, digest: str, body: bytes, headers: Row, at: datetime) -> None:
        """Keep a message that the broker gave up."""
        row = {"queue": _plain(queue), "kind": _plain(kind), "digest": digest, "body": body[:_BURIED_MOST_BYTES], "headers": _json_ready(headers), "at": at}  # fmt: skip
        await self._insert_once(t.buried, row)

    async def _insert_once(self, table: sa.Table, *rows: Row) -> None:
        """Insert rows that may be there already."""
        await self._database.write(lambda c: c.execute(insert_once(c, table), list(rows)))

    async def note_refused_receipt(self, *, submitter: str, digest: str, code: str, at: datetime) -> None:
        """Put on record that a receipt was not believed."""
        row = {"envelope_id": None, "addressee": submitter, "event": "receipt.refused", "at": at, "detail": {"digest": digest, "code": code}}  # fmt: skip
        await self._database.write(lambda c: insert(c, t.events, [row]))

    # --- HTTP for offices -------------------------------------------------------

    async def inbox(self, office: str, after: int, now: datetime, limit: int, kind: str | None) -> list[InboxItem]:
        """Return what waits for an office behind a number, in order; what has no number yet gets one."""
        if await self._database.read(lambda c: inbox.has_unnumbered(c, office)):
            await self._database.write(lambda c: inbox.number(c, office, now))
        return await self._database.read(lambda c: inbox.listed(c, office, after, limit, kind))

    async def waiting(self, office: str, kind: str) -> int:
        """Count what waits for an office in its inbox."""
        return await self._database.read(lambda c: inbox.count(c, office, kind))

    async def sent_by(self, office: str, kind: str, since: datetime, until: datetime, limit: int) -> list[DeliveryRow]:
        """Return the deliveries of what an office sent in a span of time, the oldest first."""
        return await self._database.read(lambda c: deliveries.sent_by(c, office, kind, since, until, limit))

    async def look_up(
        self, office: str, *, digest: str | None, document_id: str | None, code: str | None, limit: int, now: datetime
    ) -> list[EnvelopeRow]:
        """Return the envelopes that an office sent or was sent and that fit all that is given, the newest first.

        Args:
            office: Who asks.
            digest: Of the signed content, of the sealed envelope, or of one of its files.
            document_id: As its originator wrote it.
            code: Number and notation.
            limit: At most so many.
            now: What waits for its hour is not its addressee's to find.
        """
        d, a = t.deliveries.c, t.envelope_attachments.c
        was_sent = sa.select(d.envelope_id).where(
            d.envelope_id == _e.id, d.addressee == office, deliveries.readable(now)
        )
        query = _ENVELOPE.where(sa.or_(_e.originator == office, was_sent.exists()))
        if digest is not None:
            carriers = sa.select(a.envelope_id).where(a.sha256 == digest)
            query = query.where(sa.or_(_e.digest == digest, _e.sealed_digest == digest, _e.id.in_(carriers)))
        if document_id is not None:
            query = query.where(_e.document_id == document_id)
        if code is not None:
            query = query.where(_e.code == code)
        found = await self._select(query.order_by(_e.accepted_at.desc(), _e.id).limit(limit))
        return [EnvelopeRow(**row) for row in found]

    async def feed_end(self) -> feed.Place:
        """Return the place behind everything that has happened."""
        return await self._database.read(feed.end)

    async def concerned(self, after: feed.Place) -> tuple[set[str], feed.Place]:
        """Return the offices that what has happened since concerns, and how far that goes."""
        return await self._database.read(lambda c: feed.concerned(c, after))

    async def feed_place(self, cursor: str, now: datetime) -> feed.Place:
        """Return the place that a reader's cursor means.

        Raises:
            Refusal: API.PARAMETER
        """
        return await self._database.read(lambda c: feed.find(c, cursor, now))

    async def events_for(self, office: str, after: feed.Place, limit: int, *, now: datetime) -> feed.Stretch:
        """Return what concerns an office behind a place."""
        return await self._database.read(lambda c: feed.events(c, office, after, limit, now))

    async def receipts_in(self, found: feed.Stretch) -> dict[int, list[tuple[str, ReceiptRow]]]:
        """Return the receipts that events are about, each with its envelope's id, by the number of the event."""
        return await self._database.read(lambda c: feed.receipts(c, found))

    async def claim_key(self, office: str, key: str, digest: str, now: datetime) -> KeyRow | None:
        """Claim a key of idempotence for a body; return what stands under it if somebody was first."""
        return await self._database.write(lambda c: idempotency.claim(c, office, key, digest, now))

    async def settle_key(self, office: str, key: str, status: int, answer: bytes, now: datetime) -> None:
        """Keep the answer to a key until the key ends."""
        await self._database.write(lambda c: idempotency.settle(c, office, key, status, answer, now))

    async def release_key(self, office: str, key: str) -> None:
        """Give a key back whose request came to no answer that would stand."""
        await self._database.write(lambda c: idempotency.release(c, office, key))

    async def tidy_keys(self, now: datetime) -> int:
        """Forget the keys of idempotence that have ended; return how many."""
        return await self._database.write(lambda c: idempotency.tidy(c, now))

    # --- passwords --------------------------------------------------------------

    async def password(self, digest: str) -> PasswordRow | None:
        """Return what is known of a password."""
        return await self._database.read(lambda c: passwords.known(c, digest))

    async def passwords(self, office: str | None = None) -> list[PasswordRow]:
        """Return the passwords of an office, or of all."""
        return await self._database.read(lambda c: passwords.listed(c, office))

    async def add_password(self, office: str, digest: str, now: datetime, others_end_at: datetime) -> None:
        """Add a password of an office; those that it has end at a time, if they do not before."""
        await self._database.write(lambda c: passwords.add(c, office, digest, now, others_end_at))

    async def end_passwords(self, office: str, now: datetime) -> int:
        """End all passwords of an office; return how many were good."""
        return await self._database.write(lambda c: passwords.end(c, office, now))

    # --- webhooks ---------------------------------------------------------------

    async def webhooks(self) -> list[WebhookRow]:
        """Return every webhook."""
        return await self._database.read(hooks.rows)

    async def webhooks_of(self, office: str) -> list[WebhookRow]:
        """Return an office's webhooks."""
        return await self._database.read(lambda c: hooks.of(c, office))

    async def webhook(self, office: str, webhook_id: str) -> WebhookRow | None:
        """Return a webhook."""
        return await self._database.read(lambda c: hooks.one(c, office, webhook_id))

    async def put_webhook(self, office: str, webhook_id: str, *, url: str, kinds: Sequence[str], secret: str, now: datetime, most: int) -> bool | None:  # fmt: skip
        """Make a webhook that is told what happens from now on, or change it. True if it is new, None if there are too many."""
        place = await self.feed_end()
        return await self._database.write(
            lambda c: hooks.put(
                c, office, webhook_id, url=url, kinds=kinds, secret=secret, place=place, now=now, most=most
            )
        )

    async def remove_webhook(self, office: str, webhook_id: str) -> bool:
        """Remove a webhook; False if there is none."""
        return await self._database.write(lambda c: hooks.remove(c, office, webhook_id))

    async def renew_webhook_secret(self, office: str, webhook_id: str, secret: str, old_until: datetime) -> bool:
        """Give a webhook a new secret; False if there is none."""
        return await self._database.write(lambda c: hooks.renew_secret(c, office, webhook_id, secret, old_until))

    async def set_webhook_back(self, office: str, webhook_id: str, cursor: str, now: datetime) -> bool:
        """Tell a webhook everything behind a cursor again; False if there is none.

        Raises:
            Refusal: API.PARAMETER
        """
        return await self._database.write(
            lambda c: hooks.set_back(c, office, webhook_id, feed.find(c, cursor, now), now)
        )

    async def webhook_told(self, webhook: WebhookRow, place: feed.Place, at: datetime) -> bool:
        """Note how far a webhook has been told; False if it stood elsewhere meanwhile."""
        return await self._database.write(lambda c: hooks.told(c, webhook, place, at))

    async def webhook_not_told(self, webhook: WebhookRow, failure: NotTold) -> bool:
        """Note that a webhook did not take something; False if it stood elsewhere meanwhile."""
        return await self._database.write(lambda c: hooks.not_told(c, webhook, failure))

    async def bring_webhooks_near(self, now: datetime, latest: datetime) -> int:
        """Let webhooks be tried now that are to wait until after `latest`; return how many."""
        return await self._database.write(lambda c: hooks.bring_near(c, now, latest))

    async def webhooks_had_no_news(self, webhooks: Sequence[WebhookRow], place: feed.Place) -> None:
        """Move webhooks on over what did not concern them."""
        await self._database.write(lambda c: hooks.had_no_news(c, webhooks, place))

    async def hold(self, work: str, holder: str, now: datetime, span: timedelta) -> bool:
        """Take, or keep, what one process does for all; False if another holds it."""
        return await self._database.write(lambda c: hooks.hold(c, work, holder, now, span))

    async def let_go(self, work: str, holder: str) -> None:
        """Give up what one process does for all."""
        await self._database.write(lambda c: hooks.let_go(c, work, holder))

    # --- reading ---------------------------------------------------------------

    async def delivery(self, envelope_id: str, addressee: str) -> DeliveryRow | None:
        """Return the delivery of an envelope to an office."""
        return await self._database.read(lambda c: deliveries.one(c, envelope_id, addressee))

    async def deliveries_of(self, envelope_id: str, *, to: Collection[str] | None = None) -> list[DeliveryRow]:
        """Return every delivery of an envelope, or those to some offices: a circular has thousands."""
        where = [t.deliveries.c.envelope_id == envelope_id]
        if to is not None:
            where.append(t.deliveries.c.addressee.in_(to))
        return await self._database.read(lambda c: deliveries.rows(c, *where))

    async def deliveries_in(self, *states: str, limit: int | None = None) -> list[DeliveryRow]:
        """Return the deliveries in some states; all deliveries if none is named."""
        where = [t.deliveries.c.state.in_(states)] if states else []
        return await self._database.read(lambda c: deliveries.rows(c, *where, limit=limit))

    async def delivery_by_id(self, delivery_id: int) -> DeliveryRow | None:
        """Return a delivery by its number."""
        found = await self._database.read(lambda c: deliveries.rows(c, t.deliveries.c.id == delivery_id))
        return found[0] if found else None

    async def envelope(self, envelope_id: str) -> EnvelopeRow | None:
        """Return an envelope without its bytes."""
        found = await self._select(_ENVELOPE.where(_e.id == envelope_id))
        return EnvelopeRow(**found[0]) if found else None

    async def envelopes(self, *, limit: int | None = None) -> list[EnvelopeRow]:
        """Return envelopes, oldest first."""
        return [
            EnvelopeRow(**row) for row in await self._select(_ENVELOPE.order_by(_e.accepted_at, _e.id).limit(limit))
        ]

    async def find_envelopes(self, text: str, *, limit: int = 50) -> list[EnvelopeRow]:
        """Return the envelopes that a person may mean: by document id, number and notation, envelope id; else by its end.

        The beginning of an id will do as well: ids that were drawn at random used to be shown by that.
        """
        named = sa.or_(_e.document_id == text, _e.code == text, _e.id == text)
        found = await self._select(_ENVELOPE.where(named).order_by(_e.accepted_at).limit(limit))
        if not found and ids.may_be_part(text):
            # Every id is looked at, which an index of them is enough for.
            parts = sa.select(_e.id).where(sa.or_(_e.id.endswith(text), _e.id.startswith(text))).limit(limit)
            found = await self._select(_ENVELOPE.where(_e.id.in_(parts)).order_by(_e.accepted_at))
        return [EnvelopeRow(**row) for row in found]

    async def sealed(self, envelope_id: str) -> bytes | None:
        """Return an envelope's bytes as received."""
        found = await self._select(sa.select(_e.sealed).where(_e.id == envelope_id))
        return bytes(found[0]["sealed"]) if found else None

    async def attachments_of(self, envelope_id: str) -> list[AttachmentRow]:
        """Return the files that an envelope carries."""
        a = t.envelope_attachments.c
        query = (
            sa.select(a.sha256, a.size_bytes, a.name, a.content_type)
            .where(a.envelope_id == envelope_id)
            .order_by(a.number)
        )
        return [AttachmentRow(**row) for row in await self._select(query)]

    async def receipts_of(self, envelope_id: str) -> list[ReceiptRow]:
        """Return every receipt about an envelope, in the order of their times, and each after the one that it names."""
        return _chained(await self._receipts(t.receipts.c.envelope_id == envelope_id))

    async def receipts_known(self, office: str, envelope_ids: Sequence[str]) -> list[Row]:
        """Return envelope id, digest and level of receipts: all to the originator, to an addressee those that name it."""
        r = t.receipts.c
        # What was refused at the door was never the addressee's to see.
        named = sa.and_(r.addressee == office, r.level != "rejected")
        query = (
            sa.select(r.envelope_id, r.digest, r.level)
            .join(t.envelopes, _e.id == r.envelope_id)
            .where(r.envelope_id.in_(envelope_ids), sa.or_(_e.originator == office, named))
            .order_by(r.envelope_id, r.at, r.digest)
        )
        return await self._select(query)

    async def receipts(self) -> list[ReceiptRow]:
        """Return every receipt."""
        return await self._receipts()

    async def _receipts(self, *where: sa.ColumnElement[bool]) -> list[ReceiptRow]:
        r = t.receipts.c
        query = (
            sa.select(r.digest, r.level, r.issuer, r.addressee, r.previous, r.at, r.xml)
            .where(*where)
            .order_by(r.at, r.digest)
        )
        return [ReceiptRow(**row) for row in await self._select(query)]

    async def events_of(self, envelope_id: str) -> list[Row]:
        """Return the story of an envelope."""
        ev = t.events.c
        query = sa.select(ev.seq, ev.addressee, ev.event, ev.at, ev.detail).where(ev.envelope_id == envelope_id)
        return await self._select(query.order_by(ev.seq))

    async def rejections(self) -> list[Row]:
        """Return every refusal of an envelope."""
        r = t.rejections.c
        query = sa.select(r.submitter, r.sealed_digest, r.code, r.violations, r.at, r.via, r.receipt_digest)
        return await self._select(query.order_by(r.id))

    async def _select(self, query: sa.Select[Any]) -> list[Row]:
        return await self._database.read(lambda c: [dict(row._mapping) for row in c.execute(query)])

    async def audit(self, now: datetime, *, at_rest: bool = False) -> audits.AuditReport:
        """Check the book against its promises.

        Args:
            now: Now.
            at_rest: Nothing is on its way any more: what could be is missing.
        """
        return await self._database.read(lambda c: audits.audit(c, now, at_rest=at_rest))

    async def stories(self, *, whole: bool = False) -> AsyncIterator[stories.Story]:
        """Yield what the book says of each envelope, by id; `whole`: with the bytes of envelopes and receipts."""
        after = ""
        while page := await self._database.look(
            partial(stories.stories, envelopes=_ENVELOPE, after=after, whole=whole)
        ):
            for one in page:
                yield one
            after = page[-1].envelope.envelope_id

    async def refusals(self) -> AsyncIterator[ReceiptRow]:
        """Yield the receipts that refuse an envelope."""
        after = ""
        while page := await self._database.read(partial(stories.refusals, after=after)):
            for one in page:
                yield one
            after = page[-1].digest

    async def uploads(self) -> AsyncIterator[tuple[str, str, int]]:
        """Yield files that no envelope names yet: who brought them, digest, size in bytes."""
        after = ("", "")
        while page := await self._database.read(partial(stories.uploads, after=after)):
            for one in page:
                yield one
            after = page[-1][:2]

    async def figures(self, now: datetime) -> Figures:
        """Return what the gauges show."""
        return await self._database.read(lambda c: audits.figures(c, now))

    async def overdue(self, now: datetime) -> dict[str, int]:
        """Count the deliveries whose addressee is late to register them, and to be done with them."""
        return await self._database.read(lambda c: standing.overdue(c, now))

    async def running(self, *, until: datetime, office: str | None, limit: int) -> list[DeliveryRow]:
        """Return deliveries with a deadline that runs and ends by then, the first to end first."""
        return await self._database.read(lambda c: standing.running(c, until, office, limit))

    async def punctuality(self, now: datetime, *, since: datetime, office: str | None) -> list[Punctuality]:
        """Return how punctually offices registered what was accepted since then."""
        return await self._database.read(lambda c: standing.punctuality(c, now, since, office))

    async def ended(self) -> dict[str, int]:
        """Count the deliveries that have ended, by state."""
        return await self._database.read(audits.ended)

    # --- the roll ---------------------------------------------------------------

    async def load_registry(self, rows: Iterable[Row], version: str, at: datetime) -> None:
        """Replace the roll of offices."""
        kept = list(rows)

        def work(connection: sa.Connection) -> None:
            keep_others_out(connection, t.roll)  # Two at the same moment would both delete, and then both insert.
            connection.execute(sa.delete(t.roll))
            insert(connection, t.roll, kept)
            connection.execute(sa.delete(t.roll_version))
            insert(connection, t.roll_version, [{"id": 1, "version": version, "loaded_at": at}])

        await self._database.write(work)

    async def registry_rows(self) -> list[Row]:
        """Return the roll as it was loaded."""
        return await self._select(sa.select(t.roll.c.kind, t.roll.c.code, t.roll.c.content))

    async def registry_version(self) -> str | None:
        """Return the version of the roll; None if none was ever loaded."""
        return await self._database.read(lambda c: c.execute(sa.select(t.roll_version.c.version)).scalar())


def _chained(rows: Sequence[ReceiptRow]) -> list[ReceiptRow]:
    """Return receipts in their order, but each after the one before it: several may be said at one moment."""
    waiting = {row.digest: row for row in rows}
    placed: list[ReceiptRow] = []
    for row in rows:
        behind: list[ReceiptRow] = []
        here: ReceiptRow | None = waiting.pop(row.digest, None)
        while here is not None:
            behind.append(here)
            here = waiting.pop(here.previous or "", None)
        placed += reversed(behind)
    return placed


def _json_ready(headers: Row) -> dict[str, Any]:
    """Return headers as every database can keep them; the message may come from anybody."""
    return {
        _plain(str(name)): value if isinstance(value, int | bool | None) else _plain(str(value))
        for name, value in headers.items()
    }


def _plain(text: str) -> str:
    """Return a text without what PostgreSQL has no place for: NUL, and halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
