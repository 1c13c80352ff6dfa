"""HTTP for offices: webhooks."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0004b"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_until", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("made_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("told_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("next_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("disabled_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("office", "id", name=op.f("pk_webhooks")),
    )
    op.create_table(
        "leases",
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("work", name=op.f("pk_leases")),
    )


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_table("webhooks")
