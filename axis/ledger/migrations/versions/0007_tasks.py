"""What offices have told of tasks."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("given_in", sa.String(length=32), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["given_in"], ["envelopes.id"], name=op.f("fk_tasks_given_in")),
        sa.PrimaryKeyConstraint("given_by", "code", name=op.f("pk_tasks")),
    )
    op.create_index("ix_tasks_code", "tasks", ["code"], unique=False)
    op.create_index("ix_tasks_given_in", "tasks", ["given_in"], unique=False)
    op.create_table(
        "task_assignees",
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("was_given", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("given_by", "code", "assignee", name=op.f("pk_task_assignees")),
    )
    op.create_table(
        "task_steps",
        sa.Column("envelope_id", sa.String(length=32), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("originator", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.Column("recorded_at", axis.ledger.tables.Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["envelope_id"], ["envelopes.id"], name=op.f("fk_task_steps_envelope_id")),
        sa.PrimaryKeyConstraint("envelope_id", "assignee", name=op.f("pk_task_steps")),
    )
    op.create_index("ix_task_steps_code", "task_steps", ["code"], unique=False)
