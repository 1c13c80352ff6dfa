"""The first schema of the ledger."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "buried",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_buried")),
        sa.UniqueConstraint("queue", "digest", name=op.f("uq_buried_queue_digest")),
    )
    op.create_table(
        "envelopes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("originator", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("business_type", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sealed_digest", sa.String(length=64), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("accepted_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("expires_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_envelopes")),
        sa.UniqueConstraint(
            "originator",
            "kind",
            "document_id",
            "business_type",
            name=op.f("uq_envelopes_originator_kind_document_id_business_type"),
        ),
    )
    op.create_index("ix_envelopes_accepted_at", "envelopes", ["accepted_at"], unique=False)
    op.create_index("ix_envelopes_code", "envelopes", ["code"], unique=False)
    op.create_index("ix_envelopes_document_id", "envelopes", ["document_id"], unique=False)
    op.create_index("ix_envelopes_sealed_digest", "envelopes", ["sealed_digest"], unique=False)
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("envelope_id", sa.String(length=32), nullable=True),
        sa.Column("addressee", sa.Text(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
    )
    op.create_index("ix_events_envelope_id", "events", ["envelope_id"], unique=False)
    op.create_table(
        "lanes",
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("open_until", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("heartbeat_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("office", name=op.f("pk_lanes")),
    )
    op.create_table(
        "receipts",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("envelope_id", sa.String(length=32), nullable=False),
        sa.Column("addressee", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=True),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("xml", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_receipts")),
    )
    op.create_index("ix_receipts_envelope_id", "receipts", ["envelope_id", "at"], unique=False)
    op.create_table(
        "roll",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "code", name=op.f("pk_roll")),
    )
    op.create_table(
        "roll_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("loaded_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roll_version")),
    )
    op.create_table(
        "uploads",
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("office", "sha256", name=op.f("pk_uploads")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("envelope_id", sa.String(length=32), nullable=False),
        sa.Column("addressee", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("business", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("who_must_act", sa.Text(), server_default="", nullable=False),
        sa.Column("next_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("told_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("chain_head", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("accepted_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("expires_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("updated_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["envelope_id"], ["envelopes.id"], name=op.f("fk_deliveries_envelope_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("envelope_id", "addressee", name=op.f("uq_deliveries_envelope_id_addressee")),
    )
    op.create_index("ix_deliveries_addressee", "deliveries", ["addressee", "state"], unique=False)
    op.create_index(
        "ix_deliveries_expires_at",
        "deliveries",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sent', 'deferred', 'dead')"),
        postgresql_where=sa.text("state IN ('queued', 'sent', 'deferred', 'dead')"),
    )
    op.create_index(
        "ix_deliveries_next_at",
        "deliveries",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_table(
        "envelope_attachments",
        sa.Column("envelope_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["envelope_id"], ["envelopes.id"], name=op.f("fk_envelope_attachments_envelope_id")),
        sa.PrimaryKeyConstraint("envelope_id", "number", name=op.f("pk_envelope_attachments")),
    )
    op.create_index("ix_envelope_attachments_sha256", "envelope_attachments", ["sha256"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("receipt_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("due_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["receipt_digest"], ["receipts.digest"], name=op.f("fk_outbox_receipt_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_due_at", "outbox", ["due_at"], unique=False)
    op.create_table(
        "rejections",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("submitter", sa.Text(), nullable=False),
        sa.Column("sealed_digest", sa.String(length=64), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("violations", sa.JSON(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("receipt_digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["receipt_digest"], ["receipts.digest"], name=op.f("fk_rejections_receipt_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejections")),
        sa.UniqueConstraint(
            "submitter", "sealed_digest", "code", name=op.f("uq_rejections_submitter_sealed_digest_code")
        ),
    )


def downgrade() -> None:
    op.drop_table("rejections")
    op.drop_index("ix_outbox_due_at", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index("ix_envelope_attachments_sha256", table_name="envelope_attachments")
    op.drop_table("envelope_attachments")
    op.drop_index(
        "ix_deliveries_next_at",
        table_name="deliveries",
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_deliveries_expires_at",
        table_name="deliveries",
        sqlite_where=sa.text("state IN ('queued', 'sent', 'deferred', 'dead')"),
        postgresql_where=sa.text("state IN ('queued', 'sent', 'deferred', 'dead')"),
    )
    op.drop_index("ix_deliveries_addressee", table_name="deliveries")
    op.drop_table("deliveries")
    op.drop_table("uploads")
    op.drop_table("roll_version")
    op.drop_table("roll")
    op.drop_index("ix_receipts_envelope_id", table_name="receipts")
    op.drop_table("receipts")
    op.drop_table("lanes")
    op.drop_index("ix_events_envelope_id", table_name="events")
    op.drop_table("events")
    op.drop_index("ix_envelopes_sealed_digest", table_name="envelopes")
    op.drop_index("ix_envelopes_document_id", table_name="envelopes")
    op.drop_index("ix_envelopes_code", table_name="envelopes")
    op.drop_index("ix_envelopes_accepted_at", table_name="envelopes")
    op.drop_table("envelopes")
    op.drop_table("buried")
