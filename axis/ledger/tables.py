"""Tables: the shape of the ledger. Migrations build it; a test compares the two.

States, levels and codes are text: their tables are in `dispatch.states`,
`receipts` and `errors`, and a reform must not need a migration.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator

METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC: timestamptz on PostgreSQL, fixed-width ISO text on SQLite, so that both compare alike."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Choose the column type."""
        return dialect.type_descriptor(sa.String(27) if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Any) -> Any:
        """Write an aware time."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return f"{utc.replace(tzinfo=None).isoformat(timespec='microseconds')}Z" if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:
        """Read an aware time."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return datetime.fromisoformat(value)
        return value.astimezone(UTC)  # type: ignore[no-any-return]


_Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class TransactionNumber(FunctionElement[int]):
    """The number of the writing transaction on PostgreSQL; 0 on SQLite, where writers commit one after the other."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(TransactionNumber, "postgresql")
def _number_of_transaction(*_: Any, **__: Any) -> str:
    return "((pg_current_xact_id())::text)::bigint"


@compiles(TransactionNumber, "sqlite")
def _no_number(*_: Any, **__: Any) -> str:
    return "'0'"


roll = sa.Table(
    "roll",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("content", sa.JSON, nullable=False),
)

roll_version = sa.Table(
    "roll_version",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),  # Always 1.
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("loaded_at", Moment, nullable=False),
)

envelopes = sa.Table(
    "envelopes",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("originator", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("document_id", sa.Text, nullable=False),
    sa.Column("business_type", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("sealed_digest", sa.String(64), nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("accepted_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    # SHA-256 of what came, where the axis has sealed what an older system sent.
    sa.Column("original", sa.String(64)),
    # Idempotence: one acceptance for each business key.
    sa.UniqueConstraint("originator", "kind", "document_id", "business_type"),
    # An acceptance asked for again with the same bytes.
    sa.Index("ix_envelopes_sealed_digest", "sealed_digest"),
    # Who has a receipt asks for the envelope that it is about.
    sa.Index("ix_envelopes_digest", "digest"),
    # People search by number and notation, and by document id.
    sa.Index("ix_envelopes_code", "code"),
    sa.Index("ix_envelopes_document_id", "document_id"),
    sa.Index("ix_envelopes_accepted_at", "accepted_at"),
    # Systems that were written for an older axis list what an office sent in a span of time.
    sa.Index("ix_envelopes_originator", "originator", "accepted_at"),
)

# The same original again. Few envelopes have one, and the index holds no others.
_has_original = envelopes.c.original.is_not(None)
sa.Index("ix_envelopes_original", envelopes.c.original, sqlite_where=_has_original, postgresql_where=_has_original)

envelope_attachments = sa.Table(
    "envelope_attachments",
    METADATA,
    sa.Column("envelope_id", sa.ForeignKey("envelopes.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("content_type", sa.Text, nullable=False),
    # Who may read a file: which envelopes carry it.
    sa.Index("ix_envelope_attachments_sha256", "sha256"),
)

deliveries = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("envelope_id", sa.ForeignKey("envelopes.id"), nullable=False),
    sa.Column("addressee", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("business", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("code", sa.Text),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("who_must_act", sa.Text, nullable=False, server_default=""),
    sa.Column("next_at", Moment),
    sa.Column("told_at", Moment),
    sa.Column("chain_head", sa.String(64), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("accepted_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("release_at", Moment),  # No attempt before this hour; None: it had none.
    # The clocks of its addressee, axis.deadlines.Clocks: both begin with custody.
    sa.Column("register_by", Moment),
    sa.Column("process_by", Moment),
    sa.Column("registered_at", Moment),
    sa.Column("done_at", Moment),
    sa.Column("remind_at", Moment),
    sa.Column("due_by", Moment),
    sa.Column("in_place_of", sa.Text),  # The closed office that it was forwarded from; None: it began at acceptance.
    sa.UniqueConstraint("envelope_id", "addressee"),
)
# What is due. Only what waits has a next time, so that the index stays small however many deliveries have ended; that it
# is not null follows from any comparison with it, which is how a database knows that it may use the index.
_has_next = deliveries.c.next_at.is_not(None)
sa.Index("ix_deliveries_next_at", deliveries.c.next_at, sqlite_where=_has_next, postgresql_where=_has_next)
# What expires, and what waits, in which state. A query must say WAITS in these very words to be answered from it.
WAITS = deliveries.c.state.in_(
    sa.bindparam("waits", ("queued", "sent", "deferred", "dead", "held"), expanding=True, literal_execute=True)
)
_waits = sa.text("state IN ('queued', 'sent', 'deferred', 'dead', 'held')")
sa.Index(
    "ix_deliveries_expires_at",
    deliveries.c.expires_at,
    deliveries.c.state,
    sqlite_where=_waits,
    postgresql_where=_waits,
)
# Of whom a reminder is due, and which clocks run. A delivery that is registered in the commit that delivers it, with no
# other deadline, was never in either.
for _column in (deliveries.c.remind_at, deliveries.c.due_by):
    _is_set = _column.is_not(None)
    sa.Index(f"ix_deliveries_{_column.name}", _column, sqlite_where=_is_set, postgresql_where=_is_set)
# An office's lane.
sa.Index("ix_deliveries_addressee", deliveries.c.addressee, deliveries.c.state)

links = sa.Table(
    "links",
    METADATA,
    sa.Column("envelope_id", sa.ForeignKey("envelopes.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # What the envelope is to the document: see routing.links.
    sa.Column("originator", sa.Text, nullable=False),  # Whose document it is, by code.
    sa.Column("document_id", sa.Text, nullable=False),
    sa.Column("addressee", sa.Text, nullable=False),  # Whose delivery of it is meant; "" for all.
    sa.Column("status_code", sa.Text),
    sa.Column("due_at", Moment),  # When it is to be acted on; null: it has been.
    sa.Column("about", sa.String(32)),  # The envelope of that document, once it is found.
    # The family of a document: who speaks of it.
    sa.Index("ix_links_about", "about"),
)
# What is to be acted on; a link that was acted on leaves it.
_is_due = links.c.due_at.is_not(None)
sa.Index("ix_links_due_at", links.c.due_at, sqlite_where=_is_due, postgresql_where=_is_due)

receipts = sa.Table(
    "receipts",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("envelope_id", sa.String(32), nullable=False),  # "" for an envelope that was rejected.
    sa.Column("addressee", sa.Text),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64)),
    sa.Column("at", Moment, nullable=False),
    sa.Column("xml", sa.LargeBinary, nullable=False),
    # All receipts of a document.
    sa.Index("ix_receipts_envelope_id", "envelope_id", "at"),
)

events = sa.Table(
    "events",
    METADATA,
    sa.Column("seq", _Serial, primary_key=True, autoincrement=True),
    sa.Column("envelope_id", sa.String(32)),
    sa.Column("addressee", sa.Text),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    # Which transaction wrote it: what was numbered first may be committed last, and a reader must not pass it by.
    sa.Column("tx", sa.BigInteger, nullable=False, server_default=TransactionNumber()),
    # The story of a document.
    sa.Index("ix_events_envelope_id", "envelope_id"),
    # The feed: in the order of transactions, and within one in the order of writing.
    sa.Index("ix_events_tx", "tx", "seq"),
)

outbox = sa.Table(
    "outbox",
    METADATA,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("receipt_digest", sa.ForeignKey("receipts.digest"), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    # What is due; a notice that was published is gone.
    sa.Index("ix_outbox_due_at", "due_at"),
)

# Where a dossier stands, by what one office has told of it. The row is what those wait for who tell of it at the same time.
dossiers = sa.Table(
    "dossiers",
    METADATA,
    sa.Column("originator", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

dossier_steps = sa.Table(
    "dossier_steps",
    METADATA,
    sa.Column("envelope_id", sa.ForeignKey("envelopes.id"), primary_key=True),
    sa.Column("originator", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("move", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("due_at", Moment),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.Index("ix_dossier_steps_code", "code"),
)

# A task, by its giver's code. The row is what those wait for who tell of it at the same time.
tasks = sa.Table(
    "tasks",
    METADATA,
    sa.Column("given_by", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("given_in", sa.ForeignKey("envelopes.id")),  # The last that gave it; none where it was given elsewhere.
    sa.Column("due_on", sa.Date),
    sa.Index("ix_tasks_code", "code"),
    # An envelope that is refused for what it tells is deleted again: whether it gave a task.
    sa.Index("ix_tasks_given_in", "given_in"),
)

# Where each office stands with it.
task_assignees = sa.Table(
    "task_assignees",
    METADATA,
    sa.Column("given_by", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("assignee", sa.Text, primary_key=True),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("at", Moment, nullable=False),
    # It was given the task here, or took over from one that was; else it has told of it before anybody gave it.
    sa.Column("was_given", sa.Boolean, nullable=False),
)

task_steps = sa.Table(
    "task_steps",
    METADATA,
    sa.Column("envelope_id", sa.ForeignKey("envelopes.id"), primary_key=True),
    sa.Column("assignee", sa.Text, primary_key=True),
    sa.Column("given_by", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("originator", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("move", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.Index("ix_task_steps_code", "code"),
)

rejections = sa.Table(
    "rejections",
    METADATA,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("submitter", sa.Text, nullable=False),
    sa.Column("sealed_digest", sa.String(64), nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("violations", sa.JSON, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("receipt_digest", sa.ForeignKey("receipts.digest"), nullable=False),
    # The same bytes refused again for the same reason get the same receipt.
    sa.UniqueConstraint("submitter", "sealed_digest", "code"),
)

uploads = sa.Table(
    "uploads",
    METADATA,
    sa.Column("office", sa.Text, primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

lanes = sa.Table(
    "lanes",
    METADATA,
    sa.Column("office", sa.Text, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("open_until", Moment),  # The breaker is open until then, and lets one probe through after.
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("heartbeat_at", Moment),
    sa.Column("version", sa.Text, nullable=False, server_default=""),
    sa.Column("takes_files", sa.Integer, nullable=False, server_default="0"),  # Bytes of files that may come along.
)

buried = sa.Table(
    "buried",
    METADATA,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", Moment, nullable=False),
    # The broker may hand a dead letter in twice.
    sa.UniqueConstraint("queue", "digest"),
)

inboxes = sa.Table(
    "inboxes",
    METADATA,
    sa.Column("office", sa.Text, primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False, server_default="0"),  # The number given last. Its row is the lock.
)

inbox_numbers = sa.Table(
    "inbox_numbers",
    METADATA,
    sa.Column("delivery_id", sa.ForeignKey("deliveries.id"), primary_key=True),
    sa.Column("office", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),  # Another attempt gets another number.
    # What an office has not read yet, in order.
    sa.UniqueConstraint("office", "number"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    METADATA,
    sa.Column("office", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),  # Of the body that the key came with first.
    sa.Column("status", sa.Integer),  # Of the answer; None: it is being worked out.
    sa.Column("answer", sa.LargeBinary),
    sa.Column("until", Moment, nullable=False),
    # What has ended.
    sa.Index("ix_idempotency_keys_until", "until"),
)

# Of systems that cannot sign.
passwords = sa.Table(
    "passwords",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("office", sa.Text, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("ends_at", Moment),  # None: not yet.
    sa.Index("ix_passwords_office", "office"),
)

webhooks = sa.Table(
    "webhooks",
    METADATA,
    sa.Column("office", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),  # The office chooses it.
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("kinds", sa.JSON, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("old_secret", sa.Text),  # Signs beside the new one until old_until.
    sa.Column("old_until", Moment),
    sa.Column("made_at", Moment, nullable=False),
    # The place in the feed up to which everything was told.
    sa.Column("tx", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("told_at", Moment),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # In a row.
    sa.Column("failing_since", Moment),
    sa.Column("next_at", Moment, nullable=False),
    sa.Column("disabled_at", Moment),
    sa.Column("note", sa.Text, nullable=False, server_default=""),  # Why it was not taken, for the office to read.
)

leases = sa.Table(
    "leases",
    METADATA,
    sa.Column("work", sa.Text, primary_key=True),  # What one process does for all of them.
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", Moment, nullable=False),
)
