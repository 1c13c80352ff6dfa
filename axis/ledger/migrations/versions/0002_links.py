"""What an envelope is to an earlier document: an order, an answer, a status."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "links",
        sa.Column("envelope_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("originator", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("addressee", sa.Text(), nullable=False),
        sa.Column("status_code", sa.Text(), nullable=True),
        sa.Column("due_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("about", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["envelope_id"], ["envelopes.id"], name=op.f("fk_links_envelope_id")),
        sa.PrimaryKeyConstraint("envelope_id", "number", name=op.f("pk_links")),
    )
    op.create_index("ix_links_about", "links", ["about"], unique=False)
    op.create_index(
        "ix_links_due_at",
        "links",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
