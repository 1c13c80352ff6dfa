"""What offices have told of dossiers."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dossiers",
        sa.Column("originator", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("originator", "code", name=op.f("pk_dossiers")),
    )
    op.create_table(
        "dossier_steps",
        sa.Column("envelope_id", sa.String(length=32), nullable=False),
        sa.Column("originator", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("due_at", axis.ledger.tables.Moment(timezone=True), nullable=True),
        sa.Column("recorded_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["envelope_id"], ["envelopes.id"], name=op.f("fk_dossier_steps_envelope_id")),
        sa.PrimaryKeyConstraint("envelope_id", name=op.f("pk_dossier_steps")),
    )
    op.create_index("ix_dossier_steps_code", "dossier_steps", ["code"], unique=False)
