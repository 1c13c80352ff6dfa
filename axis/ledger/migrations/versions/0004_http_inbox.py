"""HTTP for offices: a feed that misses nothing, numbered inboxes, keys of idempotence."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a constant first, so that no row is written anew; what is there already was committed long ago.
    op.add_column("events", sa.Column("tx", sa.BigInteger(), server_default="0", nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("events", "tx", server_default=axis.ledger.tables.TransactionNumber())
    op.create_index("ix_events_tx", "events", ["tx", "seq"], unique=False)
    op.create_index("ix_envelopes_digest", "envelopes", ["digest"], unique=False)
    op.create_table(
        "inboxes",
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("office", name=op.f("pk_inboxes")),
    )
    op.create_table(
        "inbox_numbers",
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_inbox_numbers_delivery_id")),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_inbox_numbers")),
        sa.UniqueConstraint("office", "number", name=op.f("uq_inbox_numbers_office_number")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("until", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("office", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_until", "idempotency_keys", ["until"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_idempotency_keys_until", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("inbox_numbers")
    op.drop_table("inboxes")
    op.drop_index("ix_envelopes_digest", table_name="envelopes")
    op.drop_index("ix_events_tx", table_name="events")
    op.drop_column("events", "tx")
