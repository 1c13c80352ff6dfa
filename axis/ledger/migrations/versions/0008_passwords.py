"""Passwords of systems that cannot sign, and the list of what they sent."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "passwords",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("made_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("ends_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_passwords")),
    )
    op.create_index("ix_passwords_office", "passwords", ["office"], unique=False)
    op.create_index("ix_envelopes_originator", "envelopes", ["originator", "accepted_at"], unique=False)
