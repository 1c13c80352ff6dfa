"""When a delivery is released, and by when its addressee is to register it and to be done with it."""

import sqlalchemy as sa
from alembic import op

import axis.ledger.tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ("release_at", "register_by", "process_by", "registered_at", "done_at", "remind_at", "due_by")
_INDEXES = ("remind_at", "due_by")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("deliveries", sa.Column(name, axis.ledger.tables.Moment(timezone=True), nullable=True))
    for name in _INDEXES:
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_deliveries_{name}", "deliveries", [name], sqlite_where=there, postgresql_where=there)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(f"ix_deliveries_{name}", table_name="deliveries")
    for name in reversed(_COLUMNS):
        op.drop_column("deliveries", name)
